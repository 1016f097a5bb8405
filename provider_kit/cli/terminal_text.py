"""Foreign text on a terminal: without control sequences, and never a reason to fail."""

from __future__ import annotations

import os
import re
import stat
import sys
from typing import Any

import click

__all__ = [
    "harmless",
    "is_piped",
    "is_terminal",
    "make_output_robust",
    "may_draw",
    "readable",
    "say",
    "say_json",
    "shown",
]

#: Control characters that JSON text may hold as they are, as the escapes it may hold instead.
_ESCAPED = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)}


def harmless(text: str) -> str:
    """Remove control characters, with which a model or a server could move the cursor or rename the window."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", text)


def say(text: str = "", *, err: bool = False, nl: bool = True, **style: Any) -> None:
    """Print a line that may hold foreign text; the style is added here."""
    said = harmless(text)
    click.echo(click.style(said, **style) if style and _may_colour() else said, err=err, nl=nl)


def say_json(value: Any) -> None:
    """Print a JSON value; control characters are escaped."""
    from provider_kit.model.json_text import dumps_text

    click.echo(dumps_text(value).translate(_ESCAPED))


def shown(text: str) -> str:
    """A model's text for standard output: unchanged unless that is a terminal."""
    return harmless(text) if is_terminal(sys.stdout) else text


def _may_colour() -> bool:
    """Source: no-color.org; a dumb terminal shows the codes as they are."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in ("dumb", "unknown")


def readable(argument: str) -> str:
    """A text of the command line, whatever the locale says it is written in; bytes that are no UTF-8 are replaced.

    File names are unchanged: the system needs the same bytes back.
    """
    if not any("\udc80" <= char <= "\udcff" for char in argument):
        return argument
    return os.fsencode(argument).decode("utf-8", "replace")


def is_terminal(stream: Any) -> bool:
    """Whether a stream is there and is a terminal."""
    return stream is not None and not stream.closed and stream.isatty()


def is_piped(stream: Any) -> bool:
    """Whether something may be read from a stream that is no terminal: a pipe or a file."""
    if stream is None or stream.closed or stream.isatty():
        return False
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except (OSError, ValueError):  # one of a test
        return True
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def may_draw() -> bool:
    """Whether output goes to a terminal that may be drawn on, and ``rich`` is installed."""
    if not is_terminal(sys.stdout) or not _may_colour():
        return False
    from importlib.util import find_spec

    return find_spec("rich") is not None


def make_output_robust() -> None:
    """Replace characters that the output encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure") and (stream.encoding or "").lower() != "utf-8":
            stream.reconfigure(errors="replace")
