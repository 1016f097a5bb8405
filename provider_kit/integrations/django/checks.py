"""``manage.py check``: what is wrong in ``PROVIDER_KIT``, named as it stands in the settings."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from provider_kit.integrations.settings import settings_problems

__all__ = ["check_settings"]


def check_settings(app_configs: Any = None, **_: Any) -> list[CheckMessage]:
    """The problems of the settings; no key is shown, and nothing is sent."""
    given = getattr(settings, "PROVIDER_KIT", None)
    if given is None:
        return [
            Warning(
                "PROVIDER_KIT is not set.",
                hint='PROVIDER_KIT = {"default": {"type": "openai", "model": "gpt-5-mini", "api_key": …}}',
                id="provider_kit.W001",
            )
        ]
    found: list[CheckMessage] = []
    for place, message, remedy, is_warning in settings_problems(given, "PROVIDER_KIT"):
        kind, code = (Warning, "W002") if is_warning else (Error, "E001")
        found.append(kind(f"{place}: {message}", hint=remedy or None, id=f"provider_kit.{code}"))
    return found
