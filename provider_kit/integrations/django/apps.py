"""The app: add ``provider_kit.integrations.django`` to ``INSTALLED_APPS``."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register

__all__ = ["ProviderKitConfig"]


class ProviderKitConfig(AppConfig):
    """Checks of the settings, and the command ``manage.py provider_kit``."""

    name = "provider_kit.integrations.django"
    label = "provider_kit"
    verbose_name = "Language models"

    def ready(self) -> None:
        """Register the checks."""
        from provider_kit.integrations.django.checks import check_settings

        register(check_settings, "provider_kit")
