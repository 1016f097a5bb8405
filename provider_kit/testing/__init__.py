"""For tests: a real HTTP server with every dialect that fails on demand, and a provider with fixed answers.

>>> from provider_kit.testing import FakeServer
>>> with FakeServer() as server:
...     server.reply("Four.")
...     client = server.client("anthropic/claude-sonnet-4-5")
...     print(client.chat("What is 2 + 2?").text)
Four.

The pytest fixtures ``fake_server`` and ``mock_provider`` come with the package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_kit.model.lazy_names import lazy_names

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

_HOMES = {
    "provider_kit.dialects.replies": (
        "Asked",
        "Reply",
        "ReplyCall",
    ),
    "provider_kit.testing.fake_server": (
        "FakeServer",
        "RecordedRequest",
    ),
    "provider_kit.testing.faults": ("Fault",),
    "provider_kit.testing.mock_provider": ("MockProvider",),
    "provider_kit.testing.oauth_server": ("OAuthServer",),
    "provider_kit.transports.scripted": ("ScriptedTransport",),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES)

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
