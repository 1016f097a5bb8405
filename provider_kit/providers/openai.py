"""OpenAI: two APIs behind one name.

Reasoning models (o-series, GPT-5 and later) are called through the Responses API, the only one that accepts their
reasoning back; the others through Chat Completions. ``use_responses_api`` overrides this.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from provider_kit.dialects.base import Dialect
from provider_kit.dialects.file_rules import OPENAI_FILES
from provider_kit.dialects.files_api import OpenAIFiles
from provider_kit.dialects.openai_chat import ChatQuirks, OpenAIChat
from provider_kit.dialects.openai_chat.quirks import effort_writer
from provider_kit.dialects.openai_responses import OpenAIResponses, ResponsesProfile
from provider_kit.dialects.prompt_caching import OPENAI_LIFETIMES
from provider_kit.errors import APIError, NotFoundError
from provider_kit.model.config import ProviderConfig
from provider_kit.providers.base import Provider, custom_headers
from provider_kit.schema.profiles import PROFILES

__all__ = ["PROVIDER", "OpenAIProvider", "is_reasoning_model", "openai_quirks", "responses_profile"]

_REASONING = re.compile(r"^(?:o\d|gpt-[5-9]|gpt-\d\d|codex|computer-use)")
_NO_SAMPLING = "reasoning models take no sampling parameters."
_NO_STOP = "reasoning models take no stop texts."
_NO_VERBOSITY = {"verbosity": "only GPT-5 and later models take it."}


@lru_cache(maxsize=1024)
def is_reasoning_model(model: str) -> bool:
    """Whether a model of OpenAI reasons before it answers."""
    name = _bare(model)
    return bool(_REASONING.match(name)) and "-chat" not in name


def _cache_lifetimes(name: str) -> Mapping[int, str] | None:
    """Times to live of prompt caches, which GPT-5.6 and later models offer. Source: OpenAI's API reference."""
    return OPENAI_LIFETIMES if re.match(r"^gpt-(?:5\.[6-9]|5\.\d\d|[6-9]|\d\d)", name) else None


def _bare(model: str) -> str:
    """The name without a fine-tune's wrapping (``ft:gpt-…:org::id``) or a vendor prefix."""
    return model.removeprefix("ft:").rsplit("/", 1)[-1].lower()


def _efforts(name: str) -> tuple[str, ...]:
    if name.startswith("o"):
        return ("low", "medium", "high")
    if re.match(r"^gpt-5(?![.\d])", name):
        return ("minimal", "low", "medium", "high")
    if re.match(r"^gpt-(?:6-astra|6\.2-astra|6\.1-sol)", name) or "-pro" in name:
        return ("low", "medium", "high", "xhigh", "max")
    return ("none", "low", "medium", "high", "xhigh", "max")


def openai_quirks(model: str) -> ChatQuirks:
    """Chat Completions as OpenAI itself serves it."""
    if not is_reasoning_model(model):
        return ChatQuirks(
            schema=PROFILES["openai"],
            strict_functions=True,
            refusals=True,
            max_tokens_field="max_completion_tokens",
            refused={"top_k": "this API has no top_k.", **_NO_VERBOSITY},
            max_stop=4,
            allowed_tools=True,
            always_done=True,
            reasoning=None,
            cache_key=True,
            user_field="safety_identifier",
        )
    name = _bare(model)
    efforts = _efforts(name)
    refused = dict.fromkeys(("temperature", "top_p", "presence_penalty", "frequency_penalty"), _NO_SAMPLING)
    refused |= {"stop": _NO_STOP, "top_k": "this API has no top_k."}
    if name.startswith("o"):
        refused |= _NO_VERBOSITY
    return ChatQuirks(
        schema=PROFILES["openai"],
        strict_functions=True,
        refusals=True,
        max_tokens_field="max_completion_tokens",
        system_role="developer",
        refused=refused,
        taken_without_reasoning=frozenset({"temperature", "top_p"}) if "none" in efforts else frozenset(),
        allowed_tools=True,
        always_done=True,
        parallel_tool_calls=not name.startswith("o"),
        reasoning=effort_writer(*efforts),
        cache_lifetimes=_cache_lifetimes(name),
        cache_key=True,
        user_field="safety_identifier",
    )


def responses_profile(model: str) -> ResponsesProfile:
    """The Responses API as OpenAI itself serves it."""
    if not is_reasoning_model(model):
        return ResponsesProfile(effort=None, encrypted_reasoning=False, refused=_NO_VERBOSITY)
    name = _bare(model)
    efforts = _efforts(name)
    return ResponsesProfile(
        refused=dict.fromkeys(("temperature", "top_p"), _NO_SAMPLING) | (_NO_VERBOSITY if name.startswith("o") else {}),
        taken_without_reasoning=frozenset({"temperature", "top_p"}) if "none" in efforts else frozenset(),
        effort=effort_writer(*efforts),
        cache_lifetimes=_cache_lifetimes(name),
    )


class OpenAIProvider(Provider):
    """OpenAI, and servers that have both of its APIs."""

    def make_dialects(self, config: ProviderConfig) -> Callable[[str], Dialect]:
        """Chat or Responses, by ``use_responses_api``, else by model."""
        chat = OpenAIChat(provider=config.label, quirks=self.quirks)
        responses = OpenAIResponses(provider=config.label, profile=responses_profile)
        chat.counter = responses  # it counts the tokens of every model
        wanted = config.options.get("use_responses_api")
        if wanted is not None:
            chosen: Dialect = responses if wanted else chat
            return lambda model: chosen
        return lambda model: responses if self.prefers_responses(model) else chat

    def prefers_responses(self, model: str) -> bool:
        """Whether a model is called through the Responses API by default."""
        return is_reasoning_model(model)

    def extra_headers(self, config: ProviderConfig, environ: Mapping[str, str]) -> dict[str, str]:
        """Organization and project."""
        headers = custom_headers(environ.get("OPENAI_CUSTOM_HEADERS"))
        organization = config.options.get("organization") or environ.get("OPENAI_ORG_ID", "").strip()
        project = config.options.get("project") or environ.get("OPENAI_PROJECT_ID", "").strip()
        if organization:
            headers["OpenAI-Organization"] = organization
        if project:
            headers["OpenAI-Project"] = project
        return headers

    def explain(self, error: APIError, *, base_url: str) -> None:
        """A server that merely imitates OpenAI often lacks the Responses API."""
        if type(error) is NotFoundError and "api.openai.com" not in base_url:
            error.with_hint(
                "Check the base URL (does it need /v1?) and the model's name; for a reasoning model, a server without "
                "the Responses API needs options={'use_responses_api': False}."
            )


PROVIDER = OpenAIProvider(
    name="openai",
    title="OpenAI",
    files_api=OpenAIFiles(),
    files=OPENAI_FILES,
    embed_tokens=300_000,
    base_url="https://api.openai.com/v1",
    key_variables=("OPENAI_API_KEY",),
    base_url_variables=("OPENAI_BASE_URL",),
    key_prefix="sk-",
    default_model="gpt-6-luna",
    models_lifetime=86400.0,
    option_kinds={"use_responses_api": bool},
    option_names=("use_responses_api", "organization", "project"),
    quirks=openai_quirks,
    console="https://platform.openai.com/api-keys",
)
