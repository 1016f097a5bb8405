"""For tests: a real HTTP server that speaks every dialect and fails on demand, and a provider of fixed answers.

>>> from provider_kit.testing import FakeServer
>>> with FakeServer() as server:
...     server.reply("Four.")
...     client = server.client("anthropic/claude-sonnet-4-5")
...     print(client.chat("What is 2 + 2?").text)
Four.

The pytest fixtures ``fake_server`` and ``mock_provider`` come with the package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from provider_kit.dialects.replies import Asked as Asked
    from provider_kit.dialects.replies import Reply as Reply
    from provider_kit.dialects.replies import ReplyCall as ReplyCall
    from provider_kit.testing.fake_server import FakeServer as FakeServer
    from provider_kit.testing.fake_server import RecordedRequest as RecordedRequest
    from provider_kit.testing.faults import Fault as Fault
    from provider_kit.testing.mock_provider import MockProvider as MockProvider
    from provider_kit.testing.oauth_server import OAuthServer as OAuthServer
    from provider_kit.transports.scripted import ScriptedTransport as ScriptedTransport

__all__ = [
    "Asked",
    "FakeServer",
    "Fault",
    "MockProvider",
    "OAuthServer",
    "RecordedRequest",
    "Reply",
    "ReplyCall",
    "ScriptedTransport",
]

_HOMES = {
    "Asked": "provider_kit.dialects.replies",
    "FakeServer": "provider_kit.testing.fake_server",
    "Fault": "provider_kit.testing.faults",
    "MockProvider": "provider_kit.testing.mock_provider",
    "OAuthServer": "provider_kit.testing.oauth_server",
    "RecordedRequest": "provider_kit.testing.fake_server",
    "Reply": "provider_kit.dialects.replies",
    "ReplyCall": "provider_kit.dialects.replies",
    "ScriptedTransport": "provider_kit.transports.scripted",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
