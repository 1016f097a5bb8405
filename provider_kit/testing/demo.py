"""The ``demo`` provider: a fake server inside this process, started by itself, for a first try without a key.

>>> from provider_kit import Client
>>> Client("demo").chat("What is 2 + 3?").text
'2 + 3 = 5'
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Mapping

from provider_kit.model.config import ProviderConfig
from provider_kit.providers.base import Provider

__all__ = ["PROVIDER", "DemoProvider", "demo_url", "stop_demo"]

_lock = threading.Lock()
_running: list[object] = []


def demo_url() -> str:
    """The address of this process's demo server, which is started on first use."""
    from provider_kit.testing.fake_server import FakeServer

    with _lock:
        for server in _running:
            assert isinstance(server, FakeServer)
            return server.base_url("demo")
        server = FakeServer().start()
        _running.append(server)
        return server.base_url("demo")


def stop_demo() -> None:
    """Stop this process's demo server, if there is one."""
    from provider_kit.testing.fake_server import FakeServer

    with _lock:
        while _running:
            server = _running.pop()
            assert isinstance(server, FakeServer)
            server.stop()


class DemoProvider(Provider):
    """A provider that needs no key, no network and no model."""

    def find_base_url(self, config: ProviderConfig, environ: Mapping[str, str]) -> str | None:
        """The address of the demo server."""
        return config.base_url or demo_url()


def _forget_server() -> None:
    """A forked child has the parent's list, but not its thread."""
    global _lock  # noqa: PLW0603  # the parent's lock may be held by a thread that does not exist here
    _lock = threading.Lock()
    _running.clear()


atexit.register(stop_demo)
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_server)

PROVIDER = DemoProvider(
    name="demo", title="demo (in this process)", key_required=False, default_model="demo", local=True
)
