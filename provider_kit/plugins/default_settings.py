"""A plugin that sets what requests do not say themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provider_kit.engine.plugin import Plugin, PluginContext
from provider_kit.errors import ConfigError, InvalidRequestError
from provider_kit.model.inputs import build_request
from provider_kit.routing.requests import applied, fields_given

__all__ = ["DefaultSettings"]


class DefaultSettings(Plugin):
    """Sets arguments of chats and streams that a call does not give: ``DefaultSettings(temperature=0, seed=7)``.

    A system prompt (``system=``) is added where a conversation has none. Unlike ``defaults=`` of a client it can be
    changed for one call by ``extension_config``, and serves routers whose targets have defaults of their own.

    Args:
        settings: Arguments of ``chat()``.
    """

    name = "default_settings"
    description = "Sets arguments of calls that do not give them."
    priority = 450

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def init(self, config: Mapping[str, Any]) -> None:
        """Check the settings.

        Raises:
            ConfigError: One of them is no argument of a chat, or has the wrong type.
        """
        self.settings = {**self.settings, **config}
        try:
            build_request("Hello", {}, default_model="any", defaults=self.settings)
            unknown = [name for name in self.settings if name not in _KNOWN]
        except InvalidRequestError as error:
            raise ConfigError(f"A default setting cannot be used: {error.message}", hint=error.hint) from None
        if unknown:
            raise ConfigError(f"{unknown[0]!r} is no argument that can have a default here.")

    def pre_request(self, context: PluginContext) -> None:
        """Fill a request up."""
        chat = context.chat
        if chat is None:
            return
        settings = {**self.settings, **context.config}
        usual = build_request("Hello", {}, default_model=chat.model, defaults=settings)
        system = usual.messages[0] if usual.messages[0].role == "system" else None
        context.request = applied(chat, chat.model, fields_given(usual), system)


_KNOWN = frozenset(
    (
        *(
            "system",
            "temperature",
            "top_p",
            "top_k",
            "max_tokens",
            "max_completion_tokens",
            "max_output_tokens",
            "stop",
        ),
        *("stop", "seed", "presence_penalty", "frequency_penalty", "tools", "tool_choice", "parallel_tool_calls"),
        *("response_format", "reasoning", "verbosity", "cache", "cache_key", "user", "metadata", "extra_body"),
    )
)
