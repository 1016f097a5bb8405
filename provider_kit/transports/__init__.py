"""The only code that waits: HTTP libraries behind one protocol.

asyncio, threading, time, requests and aiohttp are imported in this folder and nowhere else in the core.
The libraries themselves are imported when the first transport of their kind is made.
"""

from __future__ import annotations

from provider_kit.transports.base import ByteStream, Transport
from provider_kit.transports.scripted import ScriptedTransport

__all__ = ["ByteStream", "ScriptedTransport", "Transport"]
