"""The clients of the settings. They are made on first use, and shared by all requests, threads and event loops."""

from __future__ import annotations

import atexit
from collections.abc import Iterator, Mapping
from threading import RLock
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.signals import setting_changed

from provider_kit.client.client import Client
from provider_kit.client.collection import Clients
from provider_kit.client.router import Router
from provider_kit.errors import ConfigError
from provider_kit.integrations.settings import clients_of_settings

__all__ = ["clients"]


class SettingsClients(Mapping[str, Client | Router]):
    """The clients and routers of ``settings.PROVIDER_KIT``, by name: ``clients["default"]``."""

    def __init__(self) -> None:
        self._loaded: Clients | None = None
        self._lock = RLock()

    def _load(self) -> Clients:
        loaded = self._loaded
        if loaded is None:
            with self._lock:
                if self._loaded is None:
                    given = getattr(settings, "PROVIDER_KIT", None)
                    if given is None:
                        raise ConfigError(
                            "PROVIDER_KIT is not set in the settings.",
                            hint='PROVIDER_KIT = {"default": {"type": "openai", "model": "gpt-5-mini", "api_key": …}}',
                        )
                    self._loaded = clients_of_settings(given, "PROVIDER_KIT")
                loaded = self._loaded
        return loaded

    def __getitem__(self, name: str) -> Client | Router:
        found = self._load()[name]
        if apps.is_installed("provider_kit.integrations.django.records"):
            from provider_kit.integrations.django.records.usage import add_usage

            add_usage(found)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._load())

    def __len__(self) -> int:
        return len(self._load())

    def __contains__(self, name: object) -> bool:
        return name in self._load()

    @property
    def default(self) -> Client | Router:
        """The one named ``default``, or that of ``default:``, or the first one."""
        loaded = self._load()
        if "default" in loaded:
            return self["default"]
        return loaded.default

    def close(self) -> None:
        """Close the blocking connections; the clients are made anew when they are used."""
        with self._lock:
            loaded, self._loaded = self._loaded, None
        if loaded is not None:
            loaded.close()


clients = SettingsClients()
atexit.register(clients.close)


def _changed(*, setting: str, **_: Any) -> None:
    """Tests change settings."""
    if setting == "PROVIDER_KIT":
        clients.close()


setting_changed.connect(_changed, dispatch_uid="provider_kit.clients")
