"""The app: add ``provider_kit.integrations.django.records`` to ``INSTALLED_APPS``."""

from __future__ import annotations

from django.apps import AppConfig

__all__ = ["RecordsConfig"]


class RecordsConfig(AppConfig):
    """Conversations and usage."""

    name = "provider_kit.integrations.django.records"
    label = "provider_kit_records"
    verbose_name = "Language models: records"
    default_auto_field = "django.db.models.BigAutoField"
