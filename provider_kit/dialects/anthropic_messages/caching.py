"""Prompt cache marks in a whole request of the Messages API."""

from __future__ import annotations

from typing import Any

from provider_kit.dialects.base import ParameterReport
from provider_kit.dialects.prompt_caching import MOST_MARKS, mark_prefixes, mark_tools

__all__ = ["drop_marks", "mark_body"]

#: Blocks that take no mark.
_UNMARKABLE = ("thinking", "redacted_thinking")


def mark_body(body: dict[str, Any], mark: dict[str, str], report: ParameterReport) -> None:
    """Mark the system prompt, else the tools, and the ends of the last two turns, besides the marks that are there.

    Args:
        body: The request.
        mark: The mark.
        report: Learns what could not be sent.
    """
    own = _marks(body)
    lifetimes = {_lifetime(one) for one in own}
    if len(lifetimes) > 1:
        return  # the caller has marked it all; longer lifetimes must come before shorter ones
    if lifetimes and _lifetime(mark) not in lifetimes:
        mark = own[0]
        report.omit("cache", f"the marks of the messages live {_lifetime(mark)}, so all do.")

    def mark_message(message: dict[str, Any]) -> bool:
        content = message["content"]
        if isinstance(content, str):
            content = message["content"] = [{"type": "text", "text": content}]
        if not content or content[-1]["type"] in _UNMARKABLE:
            return False
        content[-1] = {"cache_control": mark, **content[-1]}
        return True

    def mark_system() -> bool:
        system = body.get("system")
        if not system:
            return False
        blocks = [{"type": "text", "text": system}] if isinstance(system, str) else [*system]
        blocks[-1] = {"cache_control": mark, **blocks[-1]}
        body["system"] = blocks
        return True

    mark_prefixes(body["messages"], (mark_system, lambda: mark_tools(body, mark)), mark_message, MOST_MARKS - len(own))


def _lifetime(mark: Any) -> str:
    """How long a mark lives; five minutes unless told otherwise."""
    return str(mark.get("ttl") or "5m") if isinstance(mark, dict) else "5m"


def _marks(value: Any) -> list[Any]:
    """The marks that a request has."""
    if isinstance(value, list):
        return [mark for one in value for mark in _marks(one)]
    if not isinstance(value, dict):
        return []
    own = [value["cache_control"]] if "cache_control" in value else []
    return own + [mark for key in ("tools", "system", "messages", "content") for mark in _marks(value.get(key))]


def drop_marks(body: dict[str, Any], report: ParameterReport) -> None:
    """Drop the earliest marks of the conversation, of which the API takes four: later ones cover what they would."""
    over = len(_marks(body)) - MOST_MARKS
    if over <= 0:
        return
    report.omit("cache", f"a request may have {MOST_MARKS} marks; the {over} earliest of the messages were left out.")
    body["messages"] = _without_marks(body["messages"], [over])


def _without_marks(value: Any, left: list[int]) -> Any:
    """A copy without its first marks; ``left`` counts them down."""
    if isinstance(value, list):
        return [_without_marks(one, left) for one in value]
    if not isinstance(value, dict) or not left[0]:
        return value
    copy = dict(value)
    if "content" in copy:
        copy["content"] = _without_marks(copy["content"], left)
    if left[0] and copy.pop("cache_control", None) is not None:
        left[0] -= 1
    return copy
