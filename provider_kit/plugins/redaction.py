"""A plugin that masks personal data in requests and answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import accumulate
from typing import Any

from attrs import evolve

from provider_kit.engine.call import Call
from provider_kit.engine.handler import CallNext, Reply
from provider_kit.engine.plugin import SECURITY, Plugin
from provider_kit.errors import ConfigError
from provider_kit.model.chat import ChatRequest, ChatResponse, Chunk
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.messages import Message, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from provider_kit.model.models import EmbeddingRequest
from provider_kit.plugins.answer_texts import chunk_with
from provider_kit.plugins.settings import take_settings

__all__ = ["PATTERNS", "RedactContent"]

#: What can be found. Each expression takes linear time, and matches no more than ``_LONGEST`` characters.
PATTERNS: Mapping[str, str] = {
    "email": r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}",
    "credit_card": r"(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])",
    "iban": r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)",
    "us_ssn": r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])",
    "ip_address": r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])",
    "phone": r"(?<![\w+-])\+\d(?:[ ()/-]{0,2}\d){6,14}(?![\w-])",
}
#: Characters that the end of a stream's text is held back for, since a match may go on.
_LONGEST = 330


class RedactContent(Plugin):
    """Masks personal data: ``anna@example.org`` becomes ``[EMAIL]``. Nothing else is changed, and nothing is logged.

    It finds what has a fixed form; names and addresses have none.

    Args:
        kinds: Which of ``email``, ``credit_card``, ``iban``, ``us_ssn``, ``ip_address``, ``phone``; default: all.
        patterns: Expressions of your own, by the name to show: ``{"customer": r"K-\\d{6}"}``.
        requests: Whether what is sent is masked: texts, and results of tools.
        answers: Whether what comes back is masked: texts, reasoning, and arguments of tool calls. The last 330
            characters of a stream's text are held back while it goes on.
    """

    name = "redact_content"
    description = "Masks personal data in requests and answers."
    priority = SECURITY

    def __init__(
        self,
        kinds: Iterable[str] | None = None,
        patterns: Mapping[str, str] | None = None,
        requests: bool = True,
        answers: bool = True,
    ) -> None:
        self.kinds = kinds
        self.patterns = patterns
        self.requests = requests
        self.answers = answers

    def init(self, config: Mapping[str, Any]) -> None:
        """Take the settings.

        Raises:
            ConfigError: A kind is not known, or an expression is wrong.
        """
        take_settings(self, config, ("kinds", "patterns", "requests", "answers"))
        kinds = tuple(PATTERNS) if self.kinds is None else tuple(self.kinds)
        for kind in kinds:
            if kind not in PATTERNS:
                raise ConfigError(
                    f"{kind!r} cannot be masked.", hint=f"{did_you_mean(str(kind), PATTERNS)}Or use patterns={{…}}."
                )
        named = {kind: PATTERNS[kind] for kind in kinds} | dict(self.patterns or {})
        self._found: list[tuple[str, re.Pattern[str]]] = []
        for name, pattern in named.items():
            try:
                self._found.append((f"[{name.upper()}]", re.compile(pattern)))
            except re.error as error:
                raise ConfigError(f"The pattern {name!r} is no regular expression: {error}.") from None

    def mask(self, text: str) -> str:
        """The text, with everything masked that was found."""
        for label, pattern in self._found:
            text = pattern.sub(partial(_label, label), text)
        return text

    # -------------------------------------------------------------------------------------------- calls

    async def middleware(self, call: Call, call_next: CallNext) -> Reply:
        """Mask the request and the answer of one call."""
        request = call.request
        if self.requests and isinstance(request, ChatRequest):
            call = call.replace(request=request.replace(messages=[self._masked(one) for one in request.messages]))
        elif self.requests and isinstance(request, EmbeddingRequest):
            call = call.replace(request=evolve(request, texts=[self.mask(text) for text in request.texts]))
        reply = await call_next(call)
        if self.answers and call.operation in ("chat", "stream"):
            reply.map(_Stream(self).chunk, answer=self._answer)
        return reply

    def _answer(self, response: ChatResponse[Any]) -> ChatResponse[Any]:
        message = self._masked(response.message)
        return response if message is response.message else evolve(response, message=message, raw=None)

    def _masked(self, message: Message) -> Message:
        content = message.content
        if type(content) is str:
            masked = self.mask(content)
            return message if masked == content else evolve(message, content=masked)
        parts = [self._masked_part(part) for part in message.parts]
        same = all(one is other for one, other in zip(parts, content, strict=True))
        return message if same else evolve(message, content=parts)

    def _masked_part(self, part: Part) -> Part:
        if isinstance(part, (Text, Thinking, Refusal)):
            text = self.mask(part.text)
            return part if text == part.text else evolve(part, text=text)
        if isinstance(part, ToolResult) and isinstance(part.content, str):
            text = self.mask(part.content)
            return part if text == part.content else evolve(part, content=text)
        if isinstance(part, ToolResult) and isinstance(part.content, list):
            return evolve(part, content=[self._masked_part(one) for one in part.content])
        if isinstance(part, ToolCall):
            text = self.mask(part.arguments_json)
            return part if text == part.arguments_json else evolve(part, arguments=text)
        return part

    def cut(self, text: str) -> int:
        """Where a text that goes on can be cut without splitting a match."""
        cut = max(0, len(text) - _LONGEST)
        for _, pattern in self._found:
            for match in pattern.finditer(text):
                if match.start() < cut < match.end():
                    cut = match.start()
        return cut


class _Stream:
    """Masks the pieces of one stream; texts, reasoning and arguments are each held back until they are certain."""

    def __init__(self, plugin: RedactContent) -> None:
        self._plugin = plugin
        self._held = {"text": "", "thinking": ""}
        self._arguments: dict[int, str] = {}
        self._refusal = ""

    def chunk(self, chunk: Chunk) -> list[Chunk]:
        # What is held back of one kind comes before the other kind begins.
        pieces: list[tuple[str, str]] = []
        for kind, other in (("thinking", "text"), ("text", "thinking")):
            said = getattr(chunk, kind)
            if said and self._held[other]:
                pieces.append((other, self._feed(other, "", True)))
            pieces.append((kind, self._feed(kind, said, chunk.done)))
        self._refusal += chunk.refusal
        refusal = ""
        if chunk.done:  # one sentence, which is not worth streaming
            refusal, self._refusal = self._plugin.mask(self._refusal), ""
        return chunk_with(evolve(chunk, thinking="", tool_calls=self._calls(chunk), refusal=refusal, raw=None), pieces)

    def _feed(self, kind: str, text: str, ends: bool) -> str:
        whole = self._held[kind] + text
        cut = len(whole) if ends else self._plugin.cut(whole)
        self._held[kind] = whole[cut:]
        return self._plugin.mask(whole[:cut])

    def _calls(self, chunk: Chunk) -> Any:
        made = []
        for piece in chunk.tool_calls or ():
            whole = self._arguments.get(piece.index, "") + piece.arguments
            cut = self._plugin.cut(whole)
            self._arguments[piece.index] = whole[cut:]
            made.append(evolve(piece, arguments=self._plugin.mask(whole[:cut])))
        if chunk.done:
            from provider_kit.model.chat import ToolCallDelta

            rest = [
                ToolCallDelta(index, None, None, self._plugin.mask(text)) for index, text in self._arguments.items()
            ]
            made += [piece for piece in rest if piece.arguments]
            self._arguments.clear()
        return made or None


def _label(label: str, match: re.Match[str]) -> str:
    """What a match becomes. Not every number is that of a card, and one may stand between others."""
    if label != "[CREDIT_CARD]":
        return label
    groups = re.split(r"([ -])", match[0])
    ends = [0, *accumulate(len(group) for group in groups[::2])]  # digits before each group
    for size in range(len(groups), 0, -2):
        for start in range(0, len(groups) - size + 1, 2):
            digits = ends[(start + size + 1) // 2] - ends[start // 2]
            if 13 <= digits <= 19 and _is_card("".join(groups[start : start + size])):
                return "".join((*groups[:start], label, *groups[start + size :]))
    return match[0]


def _is_card(text: str) -> bool:
    """Whether a number may be that of a card: by its length and check digit (ISO/IEC 7812-1)."""
    digits = [int(char) for char in reversed(text) if char.isdigit()]
    if not 13 <= len(digits) <= 19:
        return False
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
