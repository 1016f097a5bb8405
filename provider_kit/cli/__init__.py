"""The command ``provider-kit``."""

from __future__ import annotations

from provider_kit.cli.main import cli

__all__ = ["cli", "main"]


def main() -> None:
    """Run the command; the entry point of the installed script."""
    cli(prog_name="provider-kit")
