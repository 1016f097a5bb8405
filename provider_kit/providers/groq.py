"""Groq. Source: console.groq.com/docs."""

from __future__ import annotations

from collections.abc import Mapping

from provider_kit.dialects.file_rules import FileRules
from provider_kit.dialects.openai_chat import ChatQuirks
from provider_kit.dialects.openai_chat.quirks import effort_writer
from provider_kit.model.config import ProviderConfig
from provider_kit.providers.base import Provider
from provider_kit.schema.profiles import PROFILES

__all__ = ["PROVIDER", "GroqProvider"]


_WITH_SCHEMA = ("gpt-oss", "llama-4", "kimi-k2")


def _groq_quirks(model: str) -> ChatQuirks:
    """``gpt-oss`` always reasons, at three levels; Qwen's older models can only be switched."""
    efforts: tuple[str, ...] = ("none", "low", "medium", "high", "default")
    if "gpt-oss" in model:
        efforts = ("low", "medium", "high")
    elif "qwen" in model and "3.8" not in model:
        efforts = ("none", "default")
    return ChatQuirks(
        schema=PROFILES["groq"],
        # Source: console.groq.com/docs/structured-outputs, "Supported models", and "Limitations".
        json_schema="native" if any(name in model for name in _WITH_SCHEMA) else "prompt",
        json_schema_with_tools=False,
        json_schema_in_streams=False,
        json_object_with_tools=False,
        max_tokens_field="max_completion_tokens",
        refused={"top_k": "this API has no top_k."},
        max_stop=4,
        metadata=False,
        always_done=True,
        reasoning=effort_writer(*efforts),
        default_effort=True,
        reasoning_field="reasoning",
        documents=None,
        audio=False,
    )


class GroqProvider(Provider):
    """Groq; its SDK's base URL lacks ``/openai/v1``, so both forms are taken."""

    def find_base_url(self, config: ProviderConfig, environ: Mapping[str, str]) -> str | None:
        """The address with the API's path."""
        url = super().find_base_url(config, environ)
        return f"{url.rstrip('/')}/openai/v1" if url and url.rstrip("/").endswith("api.groq.com") else url


PROVIDER = GroqProvider(
    name="groq",
    title="Groq",
    # Source: console.groq.com/docs, "Images and vision".
    files=FileRules(
        images=frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"}),
        documents=frozenset(),
        audio=frozenset(),
        image_count=5,
        request_bytes=4 * 1024 * 1024,
    ),
    base_url="https://api.groq.com/openai/v1",
    key_variables=("GROQ_API_KEY",),
    base_url_variables=("GROQ_BASE_URL",),
    key_prefix="gsk_",
    default_model="openai/gpt-oss-20b",
    requests_limit_per=86400.0,  # its x-ratelimit-limit-requests counts a day, its tokens a minute
    quirks=_groq_quirks,
    console="https://console.groq.com/keys",
)
