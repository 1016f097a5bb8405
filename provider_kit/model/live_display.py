"""An answer in a notebook while it is written: the last line of a cell is enough, ``client.stream("…")``."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from importlib import import_module
from typing import Any

from provider_kit.errors import ProviderKitError
from provider_kit.model.display import inert_markdown

__all__ = ["LiveText", "html", "in_notebook", "show_html"]

#: Seconds between two drawings: each sends all of the text to the browser.
_INTERVAL = 0.1


def in_notebook() -> bool:
    """Whether a kernel runs this program, so that what is shown may change later."""
    ipython: Any = sys.modules.get("IPython")
    shell = getattr(ipython, "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


def show_html(text: str) -> Any:
    """Show HTML; the handle's ``update`` takes what :func:`html` makes."""
    return import_module("IPython.display").display(html(text), display_id=True)


def html(text: str) -> Any:
    """An object that notebooks show as HTML."""
    return import_module("IPython.display").HTML(text)


class LiveText:
    """A text that is shown while it comes.

    Args:
        now: The clock.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        display: Any = import_module("IPython.display")
        self._make = display.Markdown
        self._handle = display.display(display.Markdown(""), display_id=True)
        self._now = now
        self._drawn = now()
        self.text = ""

    def add(self, piece: str) -> None:
        """Draw a further piece, soon."""
        self.text += piece
        if self._now() - self._drawn >= _INTERVAL:
            self.draw()

    def draw(self, note: str = "") -> None:
        """Draw all of it."""
        self._drawn = self._now()
        if self._handle is not None:
            self._handle.update(self._make(inert_markdown(self.text) + note))

    def read(self, pieces: Iterator[str]) -> None:
        """Show what comes.

        Raises:
            ProviderKitError: It broke off; what came stays.
        """
        try:
            for piece in pieces:
                self.add(piece)
        finally:
            self.draw()

    async def aread(self, pieces: AsyncIterator[str]) -> None:
        """Show what comes, beside the cell, which has ended; an error is shown below what came."""
        note = ""
        try:
            async for piece in pieces:
                self.add(piece)
        except ProviderKitError as error:
            hint = f"\n\nHint: {error.hint}" if error.hint else ""
            note = inert_markdown(f"\n\n**{type(error).__name__}**: {error}{hint}")
        finally:
            self.draw(note)
