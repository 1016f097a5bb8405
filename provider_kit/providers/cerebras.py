"""Cerebras. Source: inference-docs.cerebras.ai, "OpenAI compatibility", "Errors"."""

from __future__ import annotations

from collections.abc import Mapping

from provider_kit.dialects.file_rules import FileRules
from provider_kit.dialects.openai_chat import ChatQuirks
from provider_kit.dialects.openai_chat.quirks import effort_writer
from provider_kit.model.config import ProviderConfig
from provider_kit.providers.base import Provider
from provider_kit.schema.profiles import PROFILES

__all__ = ["PROVIDER", "CerebrasProvider"]

_NO_PENALTY = "this provider refuses penalties."


class CerebrasProvider(Provider):
    """Cerebras; its SDK's base URL has no ``/v1``, so both forms are taken."""

    def find_base_url(self, config: ProviderConfig, environ: Mapping[str, str]) -> str | None:
        """The address with ``/v1``."""
        url = super().find_base_url(config, environ)
        return f"{url.rstrip('/')}/v1" if url and url.rstrip("/").endswith("api.cerebras.ai") else url


PROVIDER = CerebrasProvider(
    name="cerebras",
    title="Cerebras",
    files=FileRules(images=frozenset({"image/png", "image/jpeg"}), documents=frozenset(), audio=frozenset()),
    base_url="https://api.cerebras.ai/v1",
    key_variables=("CEREBRAS_API_KEY",),
    base_url_variables=("CEREBRAS_BASE_URL",),
    key_prefix="csk-",
    has_embeddings=False,  # Source: Cerebras API reference, which lists none.
    default_model="gpt-oss-120b",
    quirks=ChatQuirks(
        cache_key=True,
        schema=PROFILES["cerebras"],
        json_schema_with_tools=False,  # "tools" is incompatible with "response_format"
        json_object_with_tools=False,
        max_tokens_field="max_completion_tokens",
        refused={
            "presence_penalty": _NO_PENALTY,
            "frequency_penalty": _NO_PENALTY,
            "top_k": "this API has no top_k.",
        },
        max_stop=4,
        metadata=False,
        parallel_tool_calls=False,
        reasoning=effort_writer("none", "low", "medium", "high"),
        reasoning_field="reasoning",
        documents=None,
        audio=False,
        empty_content="",
        models_query={"format": "openrouter"},  # with context windows and prices
    ),
    console="https://cloud.cerebras.ai",
)
