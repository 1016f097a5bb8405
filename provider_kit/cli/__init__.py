"""The command ``provider-kit``: reads arguments, calls the library, prints. It has no features beyond the library.

One module for each group of commands; ``main.py`` finds them, ``hints.py`` rewrites error hints for the command line.
"""

from __future__ import annotations

from provider_kit.cli.main import cli
from provider_kit.cli.terminal_text import make_output_robust

__all__ = ["cli", "main"]


def main() -> None:
    """Run the command; the entry point of the installed script."""
    make_output_robust()
    cli(prog_name="provider-kit")
