"""Prompt caching in a whole request of the chat API: marks where a server has them, else OpenAI's options."""

from __future__ import annotations

from typing import Any

from provider_kit.dialects.base import ParameterReport
from provider_kit.dialects.openai_chat.quirks import ChatQuirks
from provider_kit.dialects.prompt_caching import MOST_MARKS, cache_mark, cache_options, mark_prefixes, mark_tools

__all__ = ["write_cache"]


def write_cache(body: dict[str, Any], cache: bool | str, quirks: ChatQuirks, report: ParameterReport) -> None:
    """Write what the caller asks of prompt caching."""
    if quirks.cache_control:
        if cache:
            _mark(body, cache_mark(cache, report, lifetimes=quirks.mark_lifetimes))
        return
    options = cache_options(cache, quirks.cache_lifetimes, report)
    if options:
        body["prompt_cache_options"] = options


def _mark(body: dict[str, Any], mark: dict[str, str]) -> None:
    messages = body["messages"]

    def mark_message(message: dict[str, Any]) -> bool:
        content = message.get("content")
        if isinstance(content, str) and content:
            message["content"] = [{"type": "text", "text": content, "cache_control": mark}]
            return True
        if isinstance(content, list) and content and content[-1].get("type") == "text":
            message["content"] = [*content[:-1], {"cache_control": mark, **content[-1]}]
            return True
        return False

    def mark_system() -> bool:
        first = messages[0]
        return len(messages) > 1 and first.get("role") in ("system", "developer") and mark_message(first)

    given = sum("cache_control" in one for one in (*_parts(messages), *(body.get("tools") or ())))
    mark_prefixes(messages, (mark_system, lambda: mark_tools(body, mark)), mark_message, MOST_MARKS - given)


def _parts(messages: list[dict[str, Any]]) -> list[Any]:
    return [part for one in messages if isinstance(one.get("content"), list) for part in one["content"]]
