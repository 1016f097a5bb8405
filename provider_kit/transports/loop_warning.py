"""Warns of blocking calls in a running event loop, which they would stop for seconds."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

__all__ = ["BlockingCallWarning", "is_event_loop_running", "warn_if_in_event_loop"]

_PACKAGE = f"{__name__.partition('.')[0]}."
#: Files and lines that were warned of. What a run or conversation calls in turn is on the same line.
_warned: set[tuple[str, int]] = set()


class BlockingCallWarning(RuntimeWarning):
    """A blocking method was called in a running event loop; nothing else runs there until it returns.

    Each line of a program is warned of once. In IPython and notebooks, where a loop always runs and waits for the cell,
    there is no warning.
    """


def is_event_loop_running() -> bool:
    """Whether an event loop runs in this thread."""
    events = sys.modules.get("asyncio.events")
    return events is not None and events._get_running_loop() is not None


def warn_if_in_event_loop(stream: str | None = None) -> None:
    """Warn if the blocking method that leads here was called in a running event loop.

    Args:
        stream: The method that made the stream that is read here; default: the method that the program called.

    Raises:
        BlockingCallWarning: Warnings are errors (``-W error``).
    """
    if not is_event_loop_running() or _in_ipython():
        return
    found = _method_and_caller()
    verb = stream or (found and found[0])
    if found is None or verb is None:
        return
    caller = found[1]
    line = (caller.f_code.co_filename, caller.f_lineno)
    if line in _warned:
        return
    awaited = f"async for … in ….a{stream}(…)" if stream else f"await ….a{verb}(…)"
    warnings.warn_explicit(
        f"{verb}() blocks the event loop that runs here; in asyncio write: {awaited}",
        BlockingCallWarning,
        *line,
        caller.f_globals.get("__name__"),
    )
    _warned.add(line)


def _method_and_caller() -> tuple[str | None, FrameType] | None:
    """The method of the library that the program called, if it has a twin, and the frame that called it."""
    frame: FrameType | None = sys._getframe(2)
    inner = None
    while frame is not None and f"{frame.f_globals.get('__name__')}.".startswith(_PACKAGE):
        inner, frame = frame, frame.f_back
    if frame is None or inner is None:
        return None
    name, owner = inner.f_code.co_name, inner.f_locals.get("self")
    return (name if name != "close" and hasattr(type(owner), f"a{name}") else None), frame


def _in_ipython() -> bool:
    ipython = sys.modules.get("IPython")
    return getattr(ipython, "get_ipython", lambda: None)() is not None
