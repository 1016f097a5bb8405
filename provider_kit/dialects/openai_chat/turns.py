"""Joining of messages for servers that require it."""

from __future__ import annotations

from typing import Any

__all__ = ["join_calls", "join_same_role", "join_system"]


def join_calls(turn: dict[str, Any], following: dict[str, Any]) -> None:
    """Join an assistant message with tool calls to the one before it."""
    turn["tool_calls"] = [*turn["tool_calls"], *following["tool_calls"]]
    first, second = turn.get("content"), following.get("content")
    if isinstance(first, str) and isinstance(second, str):
        turn["content"] = f"{first}\n\n{second}" if first and second else first or second
    elif second:
        turn["content"] = [*_as_parts(first), *_as_parts(second)]
    for name, value in following.items():
        known = turn.get(name)
        if name in ("role", "content", "tool_calls") or not value:
            continue
        if isinstance(known, str) and isinstance(value, str) and known:
            turn[name] = known if name == "name" else f"{known}\n\n{value}"
        elif isinstance(known, list) and isinstance(value, list):
            turn[name] = [*known, *value]
        else:
            turn[name] = value


def _as_parts(content: Any) -> list[Any]:
    return content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []


def join_system(written: list[dict[str, Any]], role: str) -> list[dict[str, Any]]:
    """Join system messages into one at the start."""
    system = [item for item in written if item["role"] == role]
    if len(system) <= 1 and (not system or written[0] is system[0]):
        return written
    texts = [
        item["content"]
        if isinstance(item["content"], str)
        else "\n\n".join(part["text"] for part in item["content"] or () if isinstance(part.get("text"), str))
        for item in system
    ]
    return [{"role": role, "content": "\n\n".join(texts)}, *(item for item in written if item["role"] != role)]


def join_same_role(written: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join consecutive text messages of the same role."""
    joined: list[dict[str, Any]] = []
    for item in written:
        last = joined[-1] if joined else None
        if (
            last is not None
            and item["role"] == last["role"] != "tool"
            and isinstance(item["content"], str)
            and isinstance(last["content"], str)
            and item.keys() == last.keys() == {"role", "content"}
        ):
            joined[-1] = {"role": item["role"], "content": f"{last['content']}\n\n{item['content']}"}
        else:
            joined.append(item)
    return joined
