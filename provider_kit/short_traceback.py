"""Short tracebacks for mistakes that a program's own line makes: that line, the error, and what to do next.

The frames of the library say nothing about a missing key or a misspelt argument. They are left out where Python prints
an error that nobody caught, in scripts and shells, and in notebooks; ``PROVIDER_KIT_DEBUG=1`` shows all of them. The
error itself is unchanged, and so are logs, ``traceback.format_exc()`` and test runners.
"""

from __future__ import annotations

import os
import sys
import traceback
from types import TracebackType
from typing import Any

__all__ = ["short_lines", "use_short_tracebacks"]

#: Whose frames are not the program's own: the library, shells, and the standard library.
_OTHERS = frozenset({__name__.partition(".")[0], "IPython", "ipykernel"}) | (sys.stdlib_module_names - {"__main__"})


def use_short_tracebacks() -> None:
    """Print uncaught mistakes in short, unless the program has a hook of its own."""
    if sys.excepthook is sys.__excepthook__ and not os.environ.get("PROVIDER_KIT_DEBUG"):
        sys.excepthook = _print_short


def _print_short(kind: type[BaseException], error: BaseException, found: TracebackType | None) -> None:
    lines = short_lines(error, found) if getattr(error, "is_own_mistake", False) else None
    if lines is None or sys.stderr is None:
        sys.__excepthook__(kind, error, found)
    else:
        sys.stderr.write("\n".join(lines) + "\n")


def short_lines(error: BaseException, found: TracebackType | None) -> list[str] | None:
    """The line of the program, the error and its hint.

    Args:
        error: The error.
        found: Its traceback.

    Returns:
        Lines of text; ``None`` if no frame is the program's own.
    """
    own: TracebackType | None = None
    while found is not None:
        module = str(found.tb_frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in _OTHERS:
            own = found
        found = found.tb_next
    if own is None:
        return None
    (frame,) = traceback.extract_tb(own, limit=1)
    where = traceback.format_list([frame])[0].rstrip("\n").split("\n")[:2]  # without marks below the code
    kind: Any = type(error)
    lines = [f"{kind.__module__}.{kind.__qualname__}: {error}"]
    hint = getattr(error, "hint", None)
    if hint:
        lines.append(f"Hint: {hint}")
    # Those of the program; the hint is one, too.
    lines += [str(note) for note in getattr(error, "__notes__", ()) if not str(note).startswith(("Hint: ", "More: "))]
    return ["Traceback (most recent call last):", *where, *lines]
