"""The ``demo`` provider: a fake server inside this process, started automatically, for a first try without a key.

>>> from provider_kit import Client
>>> Client("demo").chat("What is 2 + 3?").text
'2 + 3 = 5'
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from provider_kit.model.config import ProviderConfig
from provider_kit.policies.after_fork import renew_after_fork
from provider_kit.providers.base import Provider

if TYPE_CHECKING:
    from provider_kit.testing.fake_server import FakeServer

__all__ = ["PROVIDER", "DemoProvider", "demo_url", "stop_demo"]


class _DemoServer:
    """The server of this process; a forked child, which lacks its thread, starts its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server: FakeServer | None = None
        renew_after_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self._server = None

    def url(self) -> str:
        from provider_kit.testing.fake_server import FakeServer

        with self._lock:
            self._server = self._server or FakeServer().start()
            return self._server.base_url("demo")

    def stop(self) -> None:
        with self._lock:
            if self._server is not None:
                self._server.stop()
                self._server = None


_server = _DemoServer()


def demo_url() -> str:
    """The address of this process's demo server, which is started on first use."""
    return _server.url()


def stop_demo() -> None:
    """Stop this process's demo server, if there is one."""
    _server.stop()


class DemoProvider(Provider):
    """A provider that needs no key, no network and no model."""

    def find_base_url(self, config: ProviderConfig, environ: Mapping[str, str]) -> str | None:
        """The address of the demo server."""
        return config.base_url or demo_url()


atexit.register(stop_demo)

PROVIDER = DemoProvider(
    name="demo", title="demo (in this process)", key_required=False, default_model="demo", local=True
)
