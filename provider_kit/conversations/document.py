"""The JSON form of a conversation. Versions to come may add fields: what is not known is kept, and written back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field

from provider_kit.errors import InvalidRequestError
from provider_kit.model.convert import FORMAT, read_messages, read_usage, write_messages, write_usage
from provider_kit.model.messages import Message
from provider_kit.model.usage import Usage
from provider_kit.tools.decisions import Decision, read_decision, write_decision

__all__ = ["ConversationState", "read_document", "write_document"]


@define
class ConversationState:
    """What a conversation consists of."""

    id: str | None = None
    system: str | None = None
    messages: list[Message] = field(factory=list)
    #: Earlier versions of the end of the history: what retry, edit and undo replaced.
    branches: list[list[Message]] = field(factory=list)
    #: Decisions about calls that wait, by the id of the call.
    decisions: dict[str, Decision] = field(factory=dict)
    usage: Usage | None = None
    #: A summary of the messages before :attr:`summarised`, and their number.
    summary: str | None = None
    summarised: int = 0
    #: How often it was saved.
    revision: int = 0
    #: Fields of later versions.
    extra: dict[str, Any] = field(factory=dict)


def write_document(state: ConversationState) -> dict[str, Any]:
    """A conversation as a dict that JSON can represent."""
    document: dict[str, Any] = {**state.extra, "format": FORMAT}
    if state.id is not None:
        document["id"] = state.id
    if state.system is not None:
        document["system"] = state.system
    document["messages"] = write_messages(state.messages)
    if state.branches:
        document["branches"] = [write_messages(branch) for branch in state.branches]
    if state.decisions:
        document["decisions"] = {call: write_decision(one) for call, one in state.decisions.items()}
    if state.usage is not None:
        document["usage"] = write_usage(state.usage)
    if state.revision:
        document["revision"] = state.revision
    if state.summary is not None:
        document |= {"summary": state.summary, "summarised": state.summarised}
    return document


_KNOWN = ("format", "id", "system", "messages", "branches", "decisions", "usage", "summary", "summarised", "revision")


def read_document(document: Any) -> ConversationState:
    """What :func:`write_document` wrote, or a list of messages in it.

    Raises:
        InvalidRequestError: It is no conversation, or of a newer format.
    """
    if not isinstance(document, Mapping) or not isinstance(document.get("messages"), list):
        raise InvalidRequestError("This is not a conversation.", hint="Expected {'format': 1, 'messages': […]}.")
    version = document.get("format", FORMAT)
    if not isinstance(version, int) or version > FORMAT:
        raise InvalidRequestError(
            f"The conversation has the format {version!r}; this version reads up to {FORMAT}.",
            hint="pip install --upgrade provider-kit",
        )
    decisions = document.get("decisions") or {}
    branches = document.get("branches") or []
    counts = [document.get(name) or 0 for name in ("summarised", "revision")]
    if (
        not isinstance(decisions, Mapping)
        or not all(isinstance(one, Mapping) for one in decisions.values())
        or not isinstance(branches, list)
        or not all(isinstance(one, list) for one in branches)
        or not all(isinstance(one, int) for one in counts)
    ):
        raise InvalidRequestError(
            "The decisions, branches or counts of the conversation are malformed.",
            hint="Restore the file, or leave these fields out.",
        )
    return ConversationState(
        document.get("id"),
        document.get("system"),
        read_messages(document["messages"]),
        [read_messages(branch) for branch in branches],
        {str(call): read_decision(one) for call, one in decisions.items()},
        read_usage(used) if isinstance(used := document.get("usage"), Mapping) else None,
        document.get("summary"),
        counts[0],
        counts[1],
        {key: value for key, value in document.items() if key not in _KNOWN},
    )
