"""Text of others on a terminal: without what could move the cursor, and never a reason to fail."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

__all__ = ["harmless", "is_terminal", "make_output_robust", "may_draw"]


def harmless(text: str) -> str:
    """Without control characters, with which a model or a server could move the cursor or rename the window."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", text)


def is_terminal(stream: Any) -> bool:
    """Whether a stream is there and is a terminal."""
    return stream is not None and not stream.closed and stream.isatty()


def may_draw() -> bool:
    """Whether output goes to a terminal that may be drawn on, and ``rich`` is installed."""
    if not is_terminal(sys.stdout) or os.environ.get("NO_COLOR") or os.environ.get("TERM") in ("dumb", "unknown"):
        return False
    from importlib.util import find_spec

    return find_spec("rich") is not None


def make_output_robust() -> None:
    """Characters that an encoding does not have are replaced; nobody gets a traceback for an arrow."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure") and (stream.encoding or "").lower() != "utf-8":
            stream.reconfigure(errors="replace")
