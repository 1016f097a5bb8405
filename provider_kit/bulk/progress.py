"""A progress bar on the standard error: by rich where it is installed, else plain."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Protocol

from provider_kit.errors import InvalidRequestError
from provider_kit.model.live_display import html, in_notebook, show_html

__all__ = ["Bar", "make_bar"]

#: Characters of the plain bar.
_WIDTH = 30


class Bar(Protocol):
    """A progress bar."""

    def advance(self) -> None:
        """One more is done."""
        ...

    def close(self) -> None:
        """Nothing more comes. Safe to call twice."""
        ...


def make_bar(progress: Any, total: int | None) -> Bar:
    """The bar for what was given as ``progress``.

    Args:
        progress: ``True`` for a bar, ``False`` or ``None`` for none; or a function ``(done, total or None)``.
        total: The number of all, if it is known.

    Raises:
        InvalidRequestError: It is none of these.
    """
    if progress is None or progress is False:
        return _NoBar()
    if callable(progress):
        return _FunctionBar(progress, total)
    if progress is not True:
        raise InvalidRequestError(f"progress must be True, False or a function, not {progress!r}.")
    if in_notebook():
        return _NotebookBar(total)
    if not sys.stderr.isatty():
        return _PlainBar(total, every=True)
    try:
        return _RichBar(total)
    except ImportError:  # rich comes with the extra "cli"
        return _PlainBar(total, every=False)


class _NoBar:
    def advance(self) -> None:
        """Nothing is shown."""

    def close(self) -> None:
        """Nothing is shown."""


class _FunctionBar:
    def __init__(self, function: Callable[[int, int | None], object], total: int | None) -> None:
        self._function = function
        self._total = total
        self._done = 0

    def advance(self) -> None:
        """Call the function."""
        self._done += 1
        self._function(self._done, self._total)

    def close(self) -> None:
        """Nothing more comes."""


class _RichBar:
    def __init__(self, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=Console(stderr=True))
        self._task = self._progress.add_task("", total=total)
        self._progress.start()

    def advance(self) -> None:
        """Move the bar."""
        self._progress.advance(self._task)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._progress.stop()


class _NotebookBar:
    """A bar that the browser draws."""

    def __init__(self, total: int | None) -> None:
        self._total = total
        self._done = self._shown = 0
        self._handle: Any = show_html(self._html())

    def _html(self) -> str:
        share = f"value='{self._done}' max='{self._total}'" if self._total else ""
        return f"<progress {share}></progress> {self._done} of {self._total or '?'}"

    def advance(self) -> None:
        """Move the bar, if it looks different."""
        self._done += 1
        share = self._done * 100 // self._total if self._total else self._done
        if share != self._shown or self._done == self._total:
            self._shown = share
            self._handle.update(html(self._html()))

    def close(self) -> None:
        """Leave the bar as it is."""


class _PlainBar:
    """A line that is written again at a terminal; elsewhere a line for each tenth."""

    def __init__(self, total: int | None, *, every: bool) -> None:
        self._total = total
        self._done = 0
        self._lines = every
        self._shown = 0
        self._open = False

    def advance(self) -> None:
        """Write it, if it looks different."""
        self._done += 1
        steps = 10 if self._lines else _WIDTH
        share = self._done * steps // self._total if self._total else self._done // 100
        if share == self._shown and self._done != self._total:
            return
        self._shown = share
        if self._lines:
            sys.stderr.write(f"{self._done}{f' of {self._total}' if self._total else ''} done\n")
        else:
            bar = f"[{'#' * share}{'.' * (_WIDTH - share)}] " if self._total else ""
            sys.stderr.write(f"\r{bar}{self._done}{f'/{self._total}' if self._total else ''}")
            self._open = True
        sys.stderr.flush()

    def close(self) -> None:
        """End the line."""
        if self._open:
            self._open = False
            sys.stderr.write("\n")
            sys.stderr.flush()
