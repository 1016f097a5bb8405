"""The state of a conversation at the terminal."""

from __future__ import annotations

from typing import Any

from attrs import define, field

from provider_kit.client.client import Client
from provider_kit.client.router import Router
from provider_kit.model.chat import ChatResponse
from provider_kit.model.messages import Message
from provider_kit.model.usage import Usage
from provider_kit.providers.registry import find_provider, is_known

__all__ = ["Conversation"]


@define
class Conversation:
    """The state of a conversation."""

    client: Client | Router
    #: Opens another client, from provider and model.
    reopen: Any = field(repr=False)
    system: str | None = None
    options: dict[str, Any] = field(factory=dict)
    messages: list[Message] = field(factory=list)
    #: Files attached to the next question.
    files: list[str] = field(factory=list)
    usage: Usage | None = None
    answers: int = 0

    @property
    def target(self) -> str:
        """``provider/model``."""
        if isinstance(self.client, Router):
            return self.options.get("model") or self.client.name
        return f"{self.client.provider}/{self.options.get('model') or self.client.model or '?'}"

    def switch(self, target: str) -> None:
        """Continue with another provider, as ``provider`` or ``provider/model``; the conversation stays.

        Raises:
            ProviderKitError: There is no such provider; the current one is kept.
        """
        made = self.reopen(target)
        self.options.pop("model", None)
        self.client.close()
        self.client = made

    def choose_model(self, name: str) -> None:
        """Continue with another model of this provider, or with ``provider/model``.

        Raises:
            ProviderKitError: There is no such provider; the current one is kept.
        """
        if isinstance(self.client, Router):
            if self.client.serves(name):
                self.options["model"] = name
            else:
                self.switch(name)
            return
        provider = find_provider(self.client.config.type)
        own = f"{self.client.provider}/"
        # Gateways and custom servers have models called vendor/model.
        has_slashes = "/" in (provider.default_model or "/")
        if "/" in name and not name.startswith(own) and is_known(name.partition("/")[0]) and not has_slashes:
            self.switch(name)
        else:
            self.options["model"] = name.removeprefix(own)

    def count(self, answer: ChatResponse) -> None:
        """Add the usage of an answer."""
        self.answers += answer.finish_reason != "error"
        self.usage = answer.usage if self.usage is None else self.usage + answer.usage
