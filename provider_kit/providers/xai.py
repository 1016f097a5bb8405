"""xAI. Its chat API is deprecated, so the Responses API is the default."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from provider_kit.dialects.base import Dialect
from provider_kit.dialects.file_rules import FileRules
from provider_kit.dialects.openai_chat import ChatQuirks, OpenAIChat
from provider_kit.dialects.openai_chat.quirks import effort_writer
from provider_kit.dialects.openai_responses import OpenAIResponses, ResponsesProfile
from provider_kit.errors import APIError
from provider_kit.model.config import ProviderConfig
from provider_kit.providers.openai import OpenAIProvider
from provider_kit.schema.profiles import PROFILES

__all__ = ["PROVIDER", "XAIProvider"]

_NO_EFFORT = ("grok-4-fast", "grok-4-0", "grok-4-1-fast", "grok-3", "grok-2", "grok-code")


def _thinks_by_effort(model: str) -> bool:
    return not model.startswith(_NO_EFFORT) and model != "grok-4"


def _takes_schema_with_tools(model: str) -> bool:
    """Source: docs.x.ai, "Structured outputs": with tools, only the models of the Grok 4 family and later."""
    return not model.startswith(("grok-2", "grok-3", "grok-code"))


def _quirks(model: str) -> ChatQuirks:
    """Source: docs.x.ai. Reasoning models refuse penalties and stop texts."""
    refused = {"top_k": "this API has no top_k."}
    if not model.startswith(("grok-2", "grok-3")) and "non-reasoning" not in model:
        reason = "reasoning models refuse it."
        refused |= {"presence_penalty": reason, "frequency_penalty": reason, "stop": reason}
    return ChatQuirks(
        cache_key=True,
        schema=PROFILES["xai"],
        json_schema_with_tools=_takes_schema_with_tools(model),
        refused=refused,
        strict_tools=False,
        metadata=False,
        always_done=True,
        reasoning=effort_writer("none", "low", "medium", "high") if _thinks_by_effort(model) else None,
        documents=None,
        audio=False,
    )


def _profile(model: str) -> ResponsesProfile:
    return ResponsesProfile(
        schema=PROFILES["xai"],
        strict_functions=False,  # it enforces the schemas of all functions anyway
        json_schema_with_tools=_takes_schema_with_tools(model),
        effort=effort_writer("none", "low", "medium", "high") if _thinks_by_effort(model) else None,
        user_field="user",
        system_role="system",
        least_output_tokens=1,
    )


class XAIProvider(OpenAIProvider):
    """xAI: both of OpenAI's APIs."""

    def make_dialects(self, config: ProviderConfig) -> Callable[[str], Dialect]:
        """Responses unless the option ``use_responses_api`` is ``False``."""
        if config.options.get("use_responses_api") is False:
            chosen: Dialect = OpenAIChat(provider=config.label, quirks=self.quirks)
        else:
            chosen = OpenAIResponses(provider=config.label, profile=_profile, counts=False, runs_custom_tools=True)
        return lambda model: chosen

    def extra_headers(self, config: ProviderConfig, environ: Mapping[str, str]) -> dict[str, str]:
        """None of OpenAI's."""
        return {}

    def explain(self, error: APIError, *, base_url: str) -> None:
        """Add nothing to the hints of the error classes."""


PROVIDER = XAIProvider(
    name="xai",
    title="xAI",
    # Source: docs.x.ai, "Image understanding".
    files=FileRules(
        images=frozenset({"image/png", "image/jpeg"}),
        documents=frozenset(),
        audio=frozenset(),
        image_bytes=20 * 1024 * 1024,
    ),
    base_url="https://api.x.ai/v1",
    key_variables=("XAI_API_KEY",),
    base_url_variables=("XAI_BASE_URL",),
    key_prefix="xai-",
    default_model="grok-4.3",
    option_kinds={"use_responses_api": bool},
    option_names=("use_responses_api",),
    quirks=_quirks,
    console="https://console.x.ai",
)
