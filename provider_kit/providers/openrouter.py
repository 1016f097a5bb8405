"""OpenRouter: many providers behind one key. Source: openrouter.ai/docs."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from provider_kit.dialects.base import Dialect, ParameterReport, WireRequest
from provider_kit.dialects.file_rules import FileRules
from provider_kit.dialects.openai_chat import ChatQuirks, OpenAIChat
from provider_kit.errors import ConfigError
from provider_kit.model.chat import ChatRequest
from provider_kit.model.config import ProviderConfig
from provider_kit.model.oauth import OAuthConfig
from provider_kit.model.tools import Reasoning
from provider_kit.providers.base import Provider, as_decimal
from provider_kit.schema.profiles import PROFILES

__all__ = ["PROVIDER", "OpenRouterChat", "OpenRouterProvider"]

_STRATEGIES = ("failover", "round_robin", "random")


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


class OpenRouterChat(OpenAIChat):
    """The chat API with OpenRouter's routing in each request. Source: openrouter.ai/docs, "Model routing" and
    "Provider routing".

    Args:
        provider: The user's name for it.
        quirks: How it differs from OpenAI's API.
        models: Further models, tried in their order if the first one fails.
        strategy: ``failover``, or how the order of all models is chosen anew for each request: ``round_robin`` or
            ``random``.
        preferences: OpenRouter's ``provider`` object: ``order``, ``only``, ``sort``, ``max_price`` and so on.
        free_only: Whether only what costs nothing is used.
    """

    def __init__(
        self,
        *,
        provider: str,
        quirks: ChatQuirks | Callable[[str], ChatQuirks],
        models: Sequence[str] = (),
        strategy: str = "failover",
        preferences: Mapping[str, Any] | None = None,
        free_only: bool = False,
    ) -> None:
        super().__init__(provider=provider, quirks=quirks)
        self._models, self._strategy, self._free = tuple(models), strategy, free_only
        self._preferences = dict(preferences or {})
        if free_only:
            self._preferences["max_price"] = {"prompt": 0, "completion": 0}
        self._turns = itertools.count()

    def build_chat(self, request: ChatRequest, *, stream: bool, report: ParameterReport) -> WireRequest:
        """Write a request."""
        wire = super().build_chat(request, stream=stream, report=report)
        body: dict[str, Any] = wire.body or {}
        models = list(dict.fromkeys(self._named(name) for name in (request.model, *self._models)))
        if self._strategy == "round_robin":
            turn = next(self._turns) % len(models)
            models = models[turn:] + models[:turn]
        elif self._strategy == "random":
            random.shuffle(models)
        body["model"] = models[0]
        if len(models) > 1:
            body["models"] = models
        if self._preferences:
            body["provider"] = self._preferences
        return wire

    def _named(self, model: str) -> str:
        """The free variant of a model, where only that may be used."""
        return f"{model}:free" if self._free and ":" not in model and model != "openrouter/auto" else model


class OpenRouterProvider(Provider):
    """OpenRouter; ``site_url`` and ``site_name`` say which app is calling."""

    def make_dialects(self, config: ProviderConfig) -> Callable[[str], Dialect]:
        """The chat API, with the routing of the client.

        Raises:
            ConfigError: ``model_strategy`` is unknown.
        """
        options = config.options
        strategy = str(options.get("model_strategy") or "failover").replace("-", "_")
        if strategy not in _STRATEGIES:
            raise ConfigError(
                f"model_strategy {strategy!r} is unknown.",
                provider=config.label,
                hint=f"Use one of {', '.join(_STRATEGIES)}.",
            )
        models = options.get("models") or ()
        if any(not name.strip() or "," in name for name in ([models] if isinstance(models, str) else models)):
            raise ConfigError(
                "models holds a name that no model has.",
                provider=config.label,
                hint="options={'models': ['a/b', 'c/d']}.",
            )
        made = OpenRouterChat(
            provider=config.label,
            quirks=self.quirks,
            models=(models,) if isinstance(models, str) else tuple(models),
            strategy=strategy,
            preferences=options.get("provider"),
            free_only=bool(options.get("free_only")),
        )
        return lambda model: made

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
    # Source: openrouter.ai/docs, "Multimodal capabilities".
    files=FileRules(
        images=frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"}),
        documents=frozenset({"application/pdf"}),
        audio=frozenset({"audio/wav", "audio/x-wav", "audio/wave", "audio/mpeg", "audio/mp3"}),
        videos=frozenset({"video/mp4", "video/mpeg", "video/mov", "video/quicktime", "video/webm"}),
    ),
    base_url="https://openrouter.ai/api/v1",
    key_variables=("OPENROUTER_API_KEY",),
    base_url_variables=("OPENROUTER_BASE_URL",),
    key_prefix="sk-or-",
    default_model="openrouter/auto",
    models_lifetime=43200.0,
    option_names=("site_url", "site_name", "models", "model_strategy", "provider", "free_only"),
    option_kinds={"models": list, "provider": dict, "free_only": bool},
    quirks=ChatQuirks(
        cache_key=True,
        schema=PROFILES["openrouter"],
        ask_stream_usage=False,  # always sent
        max_stop=4,
        reasoning=_reasoning,
        always_done=True,
        cache_control=True,
        videos=True,
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
