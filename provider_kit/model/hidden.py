"""Secrets as values: used like any text, never shown."""

from __future__ import annotations

__all__ = ["MASK", "HiddenText", "hide"]

MASK = "***"


class HiddenText(str):
    """A secret as text: sent as it is, but not shown where local variables or dicts are."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK)


def hide(text: str | None) -> str | None:
    """The same text, which no ``repr`` shows any more."""
    return HiddenText(text) if isinstance(text, str) and not isinstance(text, HiddenText) else text
