"""Requests and replies of the fake server, in terms no dialect owns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field

from provider_kit.model.json_text import dumps_text, loads

__all__ = ["Asked", "Reply", "ReplyCall", "pieces"]


@define
class ReplyCall:
    """A tool call in a reply."""

    name: str
    #: A dict; or the text as a model would write it, which need not be JSON.
    arguments: Mapping[str, Any] | str
    id: str = "call_fake_1"

    @property
    def json(self) -> str:
        """The arguments as JSON text."""
        return self.arguments if isinstance(self.arguments, str) else dumps_text(dict(self.arguments))

    @property
    def object(self) -> dict[str, Any]:
        """The arguments as an object, for APIs that have no other form."""
        found = loads(self.arguments) if isinstance(self.arguments, str) else self.arguments
        return dict(found)


def _calls(calls: Sequence[Any]) -> list[ReplyCall]:
    made = []
    for number, call in enumerate(calls, 1):
        if isinstance(call, ReplyCall):
            made.append(call)
        elif isinstance(call, Mapping):
            made.append(ReplyCall(call["name"], call.get("arguments") or {}, call.get("id") or f"call_fake_{number}"))
        else:
            made.append(ReplyCall(call[0], call[1], f"call_fake_{number}"))
    return made


@define
class Reply:
    """One answer of the fake server."""

    text: str = ""
    #: ``(name, arguments)`` pairs, dicts, or :class:`ReplyCall`.
    tool_calls: list[ReplyCall] = field(factory=list, converter=_calls, kw_only=True)
    thinking: str = field(default="", kw_only=True)
    refusal: str = field(default="", kw_only=True)
    #: ``stop``, ``length``, ``tool_calls``, ``content_filter``; default: derived from the other fields.
    finish_reason: str | None = field(default=None, kw_only=True)
    input_tokens: int = field(default=12, kw_only=True)
    output_tokens: int | None = field(default=None, kw_only=True)
    #: Of the input tokens, those read from the prompt cache, and those written to it.
    cache_read: int = field(default=0, kw_only=True)
    cache_write: int = field(default=0, kw_only=True)
    model: str | None = field(default=None, kw_only=True)

    @property
    def finish(self) -> str:
        """Why the answer ends."""
        return self.finish_reason or ("tool_calls" if self.tool_calls else "stop")

    @property
    def output(self) -> int:
        """Output tokens."""
        return len(pieces(self.text)) + 1 if self.output_tokens is None else self.output_tokens


@define
class Asked:
    """A chat request as the fake server understood it."""

    model: str
    #: ``(role, text)`` of each turn; roles system, user, assistant, tool.
    turns: list[tuple[str, str]]
    #: Name to JSON Schema.
    tools: dict[str, dict[str, Any]]
    #: Names of tools in the order they were called so far.
    called: list[str]
    stream: bool = False
    #: ``auto``, ``none``, ``required`` or a tool's name.
    tool_choice: str = "auto"
    #: JSON Schema of the requested answer; an empty dict for JSON of any form.
    schema: dict[str, Any] | None = None
    wants_thinking: bool = False
    stop: list[str] = field(factory=list)
    max_tokens: int | None = None

    @property
    def last(self) -> tuple[str, str]:
        """The last turn."""
        return self.turns[-1] if self.turns else ("user", "")


def pieces(text: str) -> list[str]:
    """A text split into words with their trailing white space, as a stream delivers it."""
    return re.findall(r"\S+\s*|\s+", text)
