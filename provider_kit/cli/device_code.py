"""Shows a device code in large letters, and copies it to the clipboard where possible."""

from __future__ import annotations

import base64
import shutil
import sys

from provider_kit.cli.terminal_text import say
from provider_kit.model.oauth import DeviceCode

__all__ = ["copy_sequence", "large", "show_code"]


def large(code: str, columns: int) -> str | None:
    """A code in letters several lines high, or ``None`` if it does not fit or pyfiglet is not installed."""
    try:
        from pyfiglet import Figlet
    except ImportError:
        return None
    for font in ("big", "standard", "small", "mini"):
        lines = [line.rstrip() for line in Figlet(font=font, width=1000).renderText(code).splitlines() if line.strip()]
        if lines and max(map(len, lines)) <= columns - 4:
            return "\n".join(f"  {line}" for line in lines)
    return None


def copy_sequence(text: str) -> str:
    """The escape sequence that copies a text to the clipboard, also over SSH (OSC 52); other terminals ignore it."""
    return f"\033]52;c;{base64.b64encode(text.encode()).decode()}\a"


def show_code(device: DeviceCode) -> None:
    """Show the user the address and the code to enter."""
    columns = shutil.get_terminal_size().columns
    say("On any device, open", err=True)
    say(f"\n  {device.verification_uri}\n", err=True, fg="cyan", bold=True)
    say("and enter the code", err=True)
    shown = large(device.user_code, columns) if sys.stderr.isatty() else None
    plain = f"  {device.user_code}"
    say(f"\n{shown}\n\n{plain}\n" if shown else f"\n{plain}\n", err=True, bold=True)
    if device.verification_uri_complete:
        say(f"or open {device.verification_uri_complete}", err=True)
    if sys.stderr.isatty():
        sys.stderr.write(copy_sequence(device.user_code))
        say("The code is on your clipboard, if your terminal allows that.", err=True)
    say("Waiting until you have agreed ...", err=True)
