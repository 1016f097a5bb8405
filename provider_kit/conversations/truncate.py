"""The newest messages that fit: what is kept is whole, and in a form every provider accepts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from provider_kit.errors import InvalidRequestError
from provider_kit.model.chat import ChatRequest
from provider_kit.model.conversation import to_messages
from provider_kit.model.messages import Message, ToolResult
from provider_kit.policies.estimate import estimate_tokens

__all__ = ["Counter", "estimated_tokens", "split_to_fit", "truncate_messages"]

#: Counts the tokens of messages.
Counter = Callable[[Sequence[Message]], int]


def estimated_tokens(messages: Sequence[Message]) -> int:
    """An estimate of the tokens of messages."""
    return estimate_tokens(ChatRequest(model="", messages=list(messages), max_tokens=1)) - 1  # without an answer


def truncate_messages(messages: Any, max_tokens: int, *, count: Counter = estimated_tokens) -> list[Message]:
    """The system messages, and the newest turns that fit.

    A turn is kept whole, from the user's message to the last answer, with its tool calls, their results and the model's
    signatures; the newest one is kept even if it does not fit.

    Args:
        messages: What ``chat`` takes.
        max_tokens: Tokens the messages may have, by ``count``.
        count: Counts the tokens of messages; default: an estimate.

    Raises:
        InvalidRequestError: It is no conversation, or ``max_tokens`` no number.
    """
    if isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < 0:
        raise InvalidRequestError(f"max_tokens must be a whole number from 0 on, not {max_tokens!r}.")
    kept, _ = split_to_fit(to_messages(messages, waiting=True), max_tokens, count)
    return kept


def split_to_fit(
    messages: Sequence[Message], max_tokens: int, count: Counter = estimated_tokens
) -> tuple[list[Message], list[Message]]:
    """The messages that are kept, and those that are left out."""
    system = [one for one in messages if one.role in _SYSTEM]
    turns = _turns([one for one in messages if one.role not in _SYSTEM])
    room = max_tokens - (count(system) if system else 0)
    number = 0  # of the messages that are kept, from the end
    for turn in reversed(turns):
        size = count(turn)
        if number and size > room:
            break
        number += len(turn)
        room -= size
    left_out = len(messages) - len(system) - number
    kept, gone = [], []
    for message in messages:
        if message.role not in _SYSTEM and left_out > 0:
            left_out -= 1
            gone.append(message)
        else:
            kept.append(message)
    return kept, gone


_SYSTEM = ("system", "developer")


def _turns(messages: list[Message]) -> list[list[Message]]:
    """The conversation cut before each message of the user."""
    turns: list[list[Message]] = []
    for message in messages:
        begins = message.role == "user" and not any(type(part) is ToolResult for part in message.parts)
        if begins or not turns:
            turns.append([message])
        else:
            turns[-1].append(message)
    return turns
