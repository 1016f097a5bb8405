"""Anthropic: the Messages API, and what each Claude model accepts.

Source: Anthropic's model overview and its pages on thinking and effort. The version header is
``2023-06-01``; override it with ``headers={"anthropic-version": …}``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from provider_kit.dialects.anthropic_messages import AnthropicMessages, ClaudeProfile
from provider_kit.dialects.base import Dialect
from provider_kit.dialects.file_rules import FileRules
from provider_kit.dialects.files_api import AnthropicFiles
from provider_kit.model.config import ProviderConfig
from provider_kit.providers.base import Provider, custom_headers

__all__ = ["PROVIDER", "AnthropicProvider", "claude_profile"]

#: First match wins.
_PROFILES: tuple[tuple[str, ClaudeProfile], ...] = (
    (
        r"fable-|mythos|opus-5-[5-9]",
        ClaudeProfile(
            max_output_tokens=128_000, thinking_off=None, forced_tools=False, bound_thinking=True, inner_system=True
        ),
    ),
    (
        r"sonnet-5-[5-9]",
        ClaudeProfile(
            max_output_tokens=128_000,
            thinking_off="between_tools",
            forced_tools=False,
            bound_thinking=True,
            inner_system=True,
        ),
    ),
    (r"(?:opus|sonnet|haiku)-5|opus-4-8", ClaudeProfile(max_output_tokens=128_000, inner_system=True)),
    (r"opus-4-7", ClaudeProfile(max_output_tokens=128_000)),
    (r"(?:opus|sonnet)-4-6", ClaudeProfile(max_output_tokens=128_000, thinking="both", sampling=True)),
    (
        r"(?:opus|sonnet|haiku)-4-5",
        ClaudeProfile(max_output_tokens=64_000, thinking="budget", sampling=True, prefill=True),
    ),
    (
        r"opus-4",
        ClaudeProfile(max_output_tokens=32_000, thinking="budget", sampling=True, prefill=True, structured=False),
    ),
    (
        r"sonnet-4|3-7",
        ClaudeProfile(max_output_tokens=64_000, thinking="budget", sampling=True, prefill=True, structured=False),
    ),
    (
        r"3-5",
        ClaudeProfile(max_output_tokens=8_192, thinking="budget", sampling=True, prefill=True, structured=False),
    ),
    (
        r"claude-3|claude-2|instant",
        ClaudeProfile(max_output_tokens=4_096, thinking="budget", sampling=True, prefill=True, structured=False),
    ),
)


def claude_profile(model: str) -> ClaudeProfile:
    """What a model accepts; an unknown one is treated as a recent Claude with a low output limit."""
    for pattern, profile in _PROFILES:
        if re.search(pattern, model):
            return profile
    return ClaudeProfile() if "claude" in model else ClaudeProfile(sampling=True, prefill=True, thinking="both")


class AnthropicProvider(Provider):
    """Anthropic and servers that speak its API."""

    def make_dialects(self, config: ProviderConfig) -> Callable[[str], Dialect]:
        """The Messages API for every model."""
        made = AnthropicMessages(provider=config.label, profile=claude_profile)
        return lambda model: made

    def key_headers(self, key: str, variable: str | None) -> dict[str, str]:
        """API keys are sent as ``x-api-key``, OAuth tokens as a bearer token; never both."""
        if variable == "ANTHROPIC_AUTH_TOKEN" or key.startswith("sk-ant-oat"):
            return {"Authorization": f"Bearer {key}"}
        return {"x-api-key": key}

    def extra_headers(self, config: ProviderConfig, environ: Mapping[str, str]) -> dict[str, str]:
        """Beta features and custom headers."""
        headers = custom_headers(environ.get("ANTHROPIC_CUSTOM_HEADERS"))
        beta = config.options.get("beta")
        if beta:
            headers["anthropic-beta"] = beta if isinstance(beta, str) else ",".join(beta)
        return headers

    def find_base_url(self, config: ProviderConfig, environ: Mapping[str, str]) -> str | None:
        """The address without the ``/v1`` that the paths already have."""
        url = super().find_base_url(config, environ)
        return url.rstrip("/").removesuffix("/v1") if url else url


PROVIDER = AnthropicProvider(
    name="anthropic",
    title="Anthropic",
    files_api=AnthropicFiles(),
    # Source: platform.claude.com/docs, "Vision" and "PDF support".
    files=FileRules(
        images=frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"}),
        documents=frozenset({"application/pdf"}),
        audio=frozenset(),
        image_bytes=10 * 1024 * 1024 * 3 // 4,  # 10 MB as base64
        image_count=600,
        request_bytes=32 * 1024 * 1024,
    ),
    base_url="https://api.anthropic.com",
    key_variables=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
    base_url_variables=("ANTHROPIC_BASE_URL",),
    key_prefix="sk-ant-",
    headers={"anthropic-version": "2023-06-01"},
    default_model="claude-haiku-5-5",
    option_kinds={"beta": list},
    option_names=("beta",),
    console="https://platform.claude.com/settings/keys",
)
