"""OpenRouter: many providers behind one key. Source: openrouter.ai/docs."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from provider_kit.dialects.base import ParameterReport
from provider_kit.dialects.openai_chat import ChatQuirks
from provider_kit.model.config import ProviderConfig
from provider_kit.model.oauth import OAuthConfig
from provider_kit.model.tools import Reasoning
from provider_kit.providers.base import Provider, as_decimal
from provider_kit.schema.profiles import PROFILES

__all__ = ["PROVIDER", "OpenRouterProvider"]


def _reasoning(reasoning: Reasoning, body: dict[str, Any], report: ParameterReport) -> None:
    """One object for every provider behind it: an effort or a budget, included in the answer or not."""
    wish: dict[str, Any] = {}
    if reasoning.budget_tokens:
        wish["max_tokens"] = reasoning.budget_tokens
    elif reasoning.effort:
        wish["effort"] = reasoning.effort
    if reasoning.show is not None:
        wish["exclude"] = not reasoning.show
    if wish:
        body["reasoning"] = wish


class OpenRouterProvider(Provider):
    """OpenRouter; ``site_url`` and ``site_name`` say which app is calling."""

    def extra_headers(self, config: ProviderConfig, environ: Mapping[str, str]) -> dict[str, str]:
        """Attribution of the calling app."""
        headers = {}
        if config.options.get("site_url"):
            headers["HTTP-Referer"] = str(config.options["site_url"])
        if config.options.get("site_name"):
            headers["X-Title"] = str(config.options["site_name"])
        return headers

    def read_balance(self, path: str, payload: Mapping[str, Any]) -> Decimal | None:
        """Credits of the account, which a management key may see, else what the key itself may still spend."""
        data = payload.get("data")
        if not isinstance(data, Mapping):
            return None
        if path == "/credits":
            bought, used = as_decimal(data.get("total_credits")), as_decimal(data.get("total_usage"))
            return None if bought is None or used is None else bought - used
        return as_decimal(data.get("limit_remaining"))


PROVIDER = OpenRouterProvider(
    name="openrouter",
    title="OpenRouter",
    base_url="https://openrouter.ai/api/v1",
    key_variables=("OPENROUTER_API_KEY",),
    base_url_variables=("OPENROUTER_BASE_URL",),
    key_prefix="sk-or-",
    default_model="openrouter/auto",
    option_names=("site_url", "site_name"),
    quirks=ChatQuirks(
        schema=PROFILES["openrouter"],
        ask_stream_usage=False,  # always sent
        max_stop=4,
        reasoning=_reasoning,
        always_done=True,
        cache_control=True,
        document_links=True,
    ),
    console="https://openrouter.ai/keys",
    # Source: openrouter.ai/docs, "Credits" and "Get current API key".
    balance_paths=("/credits", "/key"),
    # Source: openrouter.ai/docs, "OAuth PKCE". It needs no client; callbacks may use https or localhost.
    oauth=OAuthConfig(
        protocol="key_exchange",
        auth_url="https://openrouter.ai/auth",
        token_url="https://openrouter.ai/api/v1/auth/keys",  # noqa: S106  # an address, no password
        redirect_url="http://localhost:0/callback",
    ),
)
