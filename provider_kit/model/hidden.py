"""Secrets as values: used like any text, never shown."""

from __future__ import annotations

from typing import Any

__all__ = ["MASK", "HiddenFields", "HiddenText", "hide"]

MASK = "***"


class HiddenText(str):
    """A secret as text: sent as it is, but not shown where local variables or dicts are."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK)


class HiddenFields(dict[str, Any]):
    """A dict that may hold secrets; it does not show its values."""

    def __repr__(self) -> str:
        return f"<{len(self)} fields>"


def hide(text: str | None) -> str | None:
    """The same text, which no ``repr`` shows any more."""
    return HiddenText(text) if isinstance(text, str) and not isinstance(text, HiddenText) else text
