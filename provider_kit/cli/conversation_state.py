"""The state of a conversation at the terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from attrs import define, field

from provider_kit.cli.call_log import CallLog, is_logging
from provider_kit.cli.chat_settings import ChatSettings, log_turn, start_of
from provider_kit.cli.chat_tools import Approvals
from provider_kit.cli.target import target_name
from provider_kit.client.client import Client
from provider_kit.client.router import Router
from provider_kit.conversations.conversation import Conversation
from provider_kit.errors import ConfigError
from provider_kit.model.chat import ChatResponse
from provider_kit.model.messages import Message
from provider_kit.model.usage import Usage
from provider_kit.providers.registry import find_provider, is_known
from provider_kit.tools.function import FunctionTool

__all__ = ["TerminalConversation"]


@define
class TerminalConversation:
    """A conversation, the client that answers, and what the next question takes along."""

    settings: ChatSettings
    client: Client | Router
    #: Opens another client, from provider and model.
    reopen: Callable[[str | None], Client | Router] = field(repr=False)
    tools: list[FunctionTool]
    approvals: Approvals
    talk: Conversation
    #: Options of each turn.
    options: dict[str, Any] = field(factory=dict)
    #: Files attached to the next question.
    files: list[str] = field(factory=list)
    answers: int = 0
    #: The answer of the last turn.
    last: Any = None
    #: Rows of the log, and at which message each begins; and how many messages are in the log.
    rows: list[tuple[int, int]] = field(factory=list)
    written: int = 0
    #: The branch with the answer that is asked for again.
    replaced: int | None = None
    #: What earlier conversations used.
    used: Usage | None = None

    @property
    def target(self) -> str:
        """``provider/model``."""
        return target_name(self.client, self.options.get("model"))

    def turn_options(self) -> dict[str, Any]:
        """Options of the next turn."""
        return {**self.options, **({"tools": self.approvals.guarded(self.tools)} if self.tools else {})}

    def switch(self, target: str) -> None:
        """Continue with another provider, as ``provider`` or ``provider/model``; the conversation stays.

        Raises:
            ProviderKitError: There is no such provider; the current one is kept.
        """
        made = self.reopen(target)
        self.options.pop("model", None)
        self.client.close()
        self.client = self.talk.client = made

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

    # -------------------------------------------------------------------------------------------- the log

    def record(self, before: int, began: float) -> None:
        """Write the turn that has ended to the log, after what was said and is not in it yet.

        Args:
            before: How many messages there were before it.
            began: When it began, by the monotonic clock.
        """
        self._take_back(before)
        self._write(self.last, time.monotonic() - began)

    def _write(self, answer: ChatResponse[Any] | None, seconds: float) -> None:
        turn = self.talk.messages[self.written :]
        if not any(message.role == "assistant" for message in turn):
            return
        self.settings.system = self.talk.system
        row = log_turn(self.settings, self.target, turn, answer, seconds)
        if row is not None:
            self.rows.append((row, self.written))
            self.written += len(turn)

    def _take_back(self, length: int) -> None:
        """Leave out of the log what comes after so many messages."""
        gone = [row for row, start in self.rows if start >= length]
        # A row of several turns is left out too; what of it stays is written again with the next turn.
        end = self.written
        for row, start in reversed(self.rows):
            if start < length < end and row not in gone:
                gone.append(row)
            end = start
        if gone and self.settings.logged:
            with CallLog() as log:
                for row in gone:
                    log.undo(row)
        self.written = min([self.written, length, *(start for row, start in self.rows if row in gone)])
        self.rows = [(row, start) for row, start in self.rows if row not in gone]

    def undo(self) -> list[Message]:
        """Take back the last turn, in the log too.

        Raises:
            InvalidRequestError: Nothing was said yet.
        """
        taken = self.talk.undo()
        self._take_back(len(self.talk.messages))
        return taken

    def take_question(self) -> list[Message]:
        """The last question, to be asked again; :meth:`put_back` undoes it if that fails.

        Raises:
            InvalidRequestError: Nothing was said yet.
        """
        taken = self.talk.undo()
        self.replaced = len(self.talk.branches) - 1
        return [next(message for message in taken if message.role == "user")]

    def put_back(self) -> bool:
        """Go back to what was there before :meth:`take_question`; whether there was something."""
        if self.replaced is None:
            return False
        self.talk.switch(self.replaced)
        self.replaced = None
        return True

    def name_it(self, name: str) -> None:
        """Keep the conversation under a name.

        Raises:
            ConfigError: Conversations are not logged.
        """
        if not self.settings.logged:
            why = "PROVIDER_KIT_LOGS or logs off" if not is_logging() else "--no-log"
            raise ConfigError(
                f"Conversations are not kept ({why}).", hint="Name a file instead: /save conversation.json"
            )
        with CallLog() as log:
            if log.turns(conversation=name, limit=1) and name != self.settings.conversation:
                raise ConfigError(f"There is a conversation {name!r} already.", hint="Choose another name.")
            if self.settings.conversation is not None:
                log.rename(self.settings.conversation, name)
        self.settings.conversation = name
        self._write(None, 0.0)

    def load(self, name: str) -> None:
        """Continue with a conversation of the log.

        Raises:
            ConfigError: There is none of this name.
        """
        with CallLog() as log:
            found = log.conversation(name)
            if not found.messages:
                raise ConfigError(
                    f"There is no conversation {name!r}.",
                    hint=f"There are: {', '.join(log.conversations(10)) or 'none'}.",
                )
        self.replace(found.messages, found.system)
        self.settings.conversation = name
        self.rows, self.written = found.rows, len(found.messages)

    def replace(self, messages: list[Message] | None = None, system: str | None = None) -> None:
        """Continue with other messages; the next turn begins another conversation of the log."""
        self.used = self.usage
        self.talk = self.client.conversation(**start_of(messages or [], system))
        self.settings.conversation = None
        self.rows, self.written = [], 0
        self.files.clear()

    @property
    def usage(self) -> Usage:
        """The tokens of all conversations at this terminal, and their cost."""
        return self.talk.usage if self.used is None else self.used + self.talk.usage
