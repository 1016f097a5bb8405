"""``manage.py provider_kit doctor|chat|models|…``: the command of the library, with the settings of the project."""

from __future__ import annotations

import argparse
import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from provider_kit.cli import cli
from provider_kit.config.loader import given_configuration
from provider_kit.integrations.settings import document_of

__all__ = ["Command"]


class Command(BaseCommand):
    """Passes everything on to ``provider-kit``."""

    help = "Runs the command provider-kit (chat, doctor, models, usage …) with the clients of PROVIDER_KIT."
    requires_system_checks = ()  # the doctor is asked because something is wrong

    def run_from_argv(self, argv: list[str]) -> None:
        """Keep Django from reading the options of the command for its own."""
        self._run(argv[2:], f"{os.path.basename(argv[0])} {argv[1]}")

    def add_arguments(self, parser: CommandParser) -> None:
        """For ``call_command("provider_kit", "doctor")``."""
        parser.add_argument("arguments", nargs=argparse.REMAINDER)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run it."""
        self._run([str(one) for one in options.get("arguments") or args], "manage.py provider_kit", standalone=False)

    def _run(self, arguments: list[str], name: str, *, standalone: bool = True) -> None:
        given = getattr(settings, "PROVIDER_KIT", None)
        if given is None:
            cli.main(args=arguments, prog_name=name, standalone_mode=standalone)
            return
        with given_configuration(document_of(given, "PROVIDER_KIT"), "PROVIDER_KIT"):
            cli.main(args=arguments, prog_name=name, standalone_mode=standalone)
