"""Secrets as strings that are never shown, and their removal from the frames of an exception."""

from __future__ import annotations

from typing import Any

__all__ = ["MASK", "MaskedFields", "MaskedStr", "as_masked", "clear_frames", "drop_tracebacks"]

MASK = "***"


class MaskedStr(str):
    """A secret as text: sent as it is, but hidden where local variables or dicts are shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK)


class MaskedFields(dict[str, Any]):
    """A dict that may hold secrets; it does not show its values."""

    def __repr__(self) -> str:
        return f"<{len(self)} fields>"


def as_masked(text: str | None) -> str | None:
    """The same text, hidden from ``repr``."""
    return MaskedStr(text) if isinstance(text, str) and not isinstance(text, MaskedStr) else text


def clear_frames(error: BaseException, callers_error: int) -> None:
    """Clear the frames of the HTTP library below a failure: the bytes it was sending hold a key.

    Args:
        error: The failure.
        callers_error: ``id()`` of the exception the caller was handling already; its frames stay as they are.
    """
    from traceback import clear_frames as clear

    cause = error.__cause__
    for _ in range(20):  # a chain may be circular
        if cause is None or id(cause) == callers_error:
            return
        clear(cause.__traceback__)
        cause = cause.__cause__ or cause.__context__


def drop_tracebacks(error: BaseException, callers_error: int) -> None:
    """Drop the tracebacks of an error that is not raised to the caller, and of its causes.

    An HTTP library may keep such an error. Its frames refer, from Python 3.12 on, to those of the caller, and would
    keep alive whatever these hold, such as a stream that was left.
    """
    # The exception the caller was handling is the context of all these, and keeps its traceback.
    waiting, seen = [error], {id(error), callers_error}
    while waiting:
        one = waiting.pop()
        one.__traceback__ = None
        for other in (one.__cause__, one.__context__):
            if other is not None and id(other) not in seen:
                seen.add(id(other))
                waiting.append(other)
