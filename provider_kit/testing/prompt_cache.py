"""The prompt caches of providers, as far as a test can tell whether a conversation uses them.

Anthropic's stores prefixes that end at a mark, and looks for the longest one at each mark and up to twenty blocks
before it. OpenAI's and Gemini's need no marks: they find the longest common beginning, in steps of 128 tokens from
1,024 on. A token is four characters of the request's JSON. Source: the providers' pages on prompt caching.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from provider_kit.model.json_text import dumps_text

__all__ = ["PromptCache"]

_CHARACTERS = 4
_STEP, _LEAST = 128, 1024
_LOOK_BACK = 20


class PromptCache:
    """Remembers the requests of one server.

    Args:
        least: Tokens of the shortest prefix that a mark stores.
    """

    def __init__(self, least: int = 1024) -> None:
        self._least = least
        self._stored: set[bytes] = set()

    def use(self, body: dict[str, Any], dialect: str) -> tuple[int, int, int]:
        """All input tokens of a request, those read from the cache, and those written to it."""
        if dialect == "anthropic_messages":
            return self._by_marks(list(_blocks(body)))
        text = "".join(dumps_text(one) for one in _beginnings(body))
        return self._by_beginning(text)

    def _by_marks(self, blocks: list[tuple[str, bool]]) -> tuple[int, int, int]:
        sizes, digests = [0], [b""]
        running = hashlib.sha256()
        for text, _ in blocks:
            running.update(text.encode("utf-8", "surrogatepass"))
            sizes.append(sizes[-1] + -(-len(text) // _CHARACTERS))
            digests.append(running.digest())
        marks = [number for number, (_, marked) in enumerate(blocks, 1) if marked]
        read = max(
            (
                sizes[number]
                for mark in marks
                for number in range(mark, max(0, mark - _LOOK_BACK), -1)
                if digests[number] in self._stored
            ),
            default=0,
        )
        stored = [mark for mark in marks if sizes[mark] >= self._least]
        self._stored.update(digests[mark] for mark in stored)
        return sizes[-1], read, max(0, max((sizes[mark] for mark in stored), default=0) - read)

    def _by_beginning(self, text: str) -> tuple[int, int, int]:
        tokens = -(-len(text) // _CHARACTERS)
        read = 0
        for end in range(_LEAST, tokens + 1, _STEP):
            digest = hashlib.sha256(text[: end * _CHARACTERS].encode("utf-8", "surrogatepass")).digest()
            if digest in self._stored:
                read = end
            self._stored.add(digest)
        return tokens, read, 0


def _blocks(body: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """The blocks of a request of the Messages API, without their marks, and whether each has one."""
    system = body.get("system") or []
    parts: list[tuple[str, Any]] = [("tool", tool) for tool in body.get("tools") or ()]
    parts += [("system", part) for part in ([{"type": "text", "text": system}] if isinstance(system, str) else system)]
    for message in body.get("messages") or ():
        content = message["content"]
        whole = [{"type": "text", "text": content}] if isinstance(content, str) else content
        parts += [(message["role"], part) for part in whole]
    for number, (role, part) in enumerate(parts, 1):
        bare = {key: value for key, value in part.items() if key != "cache_control"}
        is_last = number == len(parts) and "cache_control" in body
        yield f"{role}{dumps_text(bare)}", "cache_control" in part or is_last


def _beginnings(body: dict[str, Any]) -> Iterator[Any]:
    """What a request begins with, in the order in which it counts."""
    for name in ("tools", "instructions", "systemInstruction"):
        if name in body:
            yield body[name]
    for name in ("messages", "input", "contents"):
        yield from body.get(name) or ()
