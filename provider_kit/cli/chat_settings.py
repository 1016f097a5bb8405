"""What ``provider-kit chat`` was told, and what follows from it, for one question and for a conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field

from provider_kit.cli.call_log import CallLog, is_logging, new_conversation_id
from provider_kit.cli.terminal_text import say
from provider_kit.errors import ConfigError, ProviderKitError
from provider_kit.model.chat import ChatResponse
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.messages import Message

if TYPE_CHECKING:
    from provider_kit.tools.function import FunctionTool

__all__ = ["ChatSettings", "log_turn", "start_of"]


@define(kw_only=True)
class ChatSettings:
    """The options of the command, and what follows from them."""

    prompt: str | None = None
    model: str | None = None
    system: str | None = None
    files: tuple[str, ...] = ()
    temperature: float | None = None
    max_tokens: int | None = None
    base_url: str | None = None
    timeout: float | None = None
    max_retries: int | None = None
    schema: Any = None
    no_stream: bool = False
    usage: bool = False
    as_json: bool = False
    tools: tuple[str, ...] = ()
    tool_files: tuple[str, ...] = ()
    allowed: bool = False
    template: str | None = None
    save: str | None = None
    #: Whether the last conversation is continued; and the id of the one that is continued or begun.
    continued: bool = False
    conversation: str | None = None
    log: bool | None = None
    #: What was said before.
    messages: list[Message] = field(factory=list)
    #: The rows of it in the log, and at which message each begins.
    rows: list[tuple[int, int]] = field(factory=list)

    @property
    def logged(self) -> bool:
        """Whether turns are logged."""
        return is_logging() if self.log is None else self.log

    @property
    def client_options(self) -> dict[str, Any]:
        """Options of the client."""
        return {"base_url": self.base_url, "timeout": self.timeout, "max_retries": self.max_retries}

    def call_options(self) -> dict[str, Any]:
        """Options of each call."""
        from provider_kit.cli.short_schema import read_schema

        given: dict[str, Any] = {"temperature": self.temperature, "max_tokens": self.max_tokens}
        if self.schema is not None:
            given["response_format"] = self.schema if isinstance(self.schema, dict) else read_schema(self.schema)
        return {name: value for name, value in given.items() if value is not None}

    def conversation_start(self) -> dict[str, Any]:
        """Arguments of a conversation that goes on from here."""
        return start_of(self.messages, self.system)

    def load_tools(self) -> list[FunctionTool]:
        """The tools that were named."""
        if not self.tools and not self.tool_files:
            return []
        from provider_kit.cli.chat_tools import load_tools

        return load_tools(self.tools, self.tool_files)

    def read_conversation(self) -> None:
        """Read what was said before, with the system prompt and the model of it where none is given."""
        if not self.continued and self.conversation is None:
            return
        with CallLog() as log:
            if self.continued and self.conversation is None:
                self.conversation = log.last_conversation()
                if self.conversation is None:
                    raise ConfigError(
                        "There is no conversation to continue.",
                        hint="Nothing was logged yet; --conversation NAME begins one with a name.",
                    )
            assert self.conversation is not None
            found = log.conversation(self.conversation)
            self.messages, self.rows = found.messages, found.rows
            if self.continued and not self.messages:
                known = log.conversations()
                raise ConfigError(
                    f"There is no conversation {self.conversation!r}.",
                    hint=f"{did_you_mean(self.conversation, known)}provider-kit logs list shows them; without -c it is "
                    "begun.",
                )
        if self.model is None:  # with another model, what was said may go elsewhere
            self.model = found.model
            self.base_url = found.base_url if self.base_url is None else self.base_url
        self.system = found.system if self.system is None else self.system
        if self.continued and not self.logged:
            say(f"The log is off; {self.conversation} is the last conversation that was logged.", err=True, fg="yellow")


def start_of(messages: list[Message], system: str | None) -> dict[str, Any]:
    """Arguments of a conversation: what was said, and the system prompt, where there are any."""
    given: dict[str, Any] = {"messages": messages or None, "system": system}
    return {name: value for name, value in given.items() if value is not None}


def log_turn(
    settings: ChatSettings, model: str, turn: list[Message], answer: ChatResponse[Any] | None, seconds: float
) -> int | None:
    """Write a turn to the log; where that fails, the answer is there all the same. Returns its row."""
    if not settings.logged or (answer is not None and answer.finish_reason == "error" and not answer.text):
        return None
    if settings.conversation is None:
        settings.conversation = new_conversation_id()
    try:
        with CallLog() as log:
            return log.record(settings.conversation, model, settings.system, turn, answer, seconds, settings.base_url)
    except (ProviderKitError, OSError) as error:
        text = " ".join(str(error).split())
        say(f"Warning: this is not in the log: {text} PROVIDER_KIT_LOGS=off turns it off.", err=True, fg="yellow")
    return None
