"""The only code that waits: HTTP libraries behind one protocol.

asyncio, threading, time, requests and aiohttp are imported in this folder and nowhere else in the core.
The libraries themselves are imported when the first transport of their kind is created.

.. code-block:: text

   base.py             Http: send, open_stream, aclose; Runtime: now, sleep, spawn, run_all, …
     runtime_blocking.py ─> requests_transport.py   requests_connections.py: strict read timeouts
     runtime_asyncio.py  ─> aiohttp_transport.py    aiohttp_sessions.py: one for each event loop; aiohttp_clocks.py
     scripted.py            blocking and asyncio, no socket
   drive.py            one step runs a coroutine that never suspends
   *_errors.py         errors of a library, turned into errors of ours
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_kit.model.lazy_names import lazy_names

if TYPE_CHECKING:
    from provider_kit.transports.base import ByteStream as ByteStream
    from provider_kit.transports.base import Transport as Transport
    from provider_kit.transports.scripted import ScriptedTransport as ScriptedTransport
    from provider_kit.wire.http import HttpRequest as HttpRequest
    from provider_kit.wire.http import HttpResponse as HttpResponse
    from provider_kit.wire.http import Limits as Limits

_HOMES = {
    "provider_kit.transports.base": (
        "ByteStream",
        "Transport",
    ),
    "provider_kit.transports.scripted": ("ScriptedTransport",),
    "provider_kit.wire.http": (
        "HttpRequest",
        "HttpResponse",
        "Limits",
    ),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES)

__all__ = ["ByteStream", "HttpRequest", "HttpResponse", "Limits", "ScriptedTransport", "Transport"]
