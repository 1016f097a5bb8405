"""aiohttp.web: clients that live as long as the application, and streamed answers.

>>> from aiohttp import web
>>> from provider_kit.integrations.aiohttp import CLIENTS, clients_ctx, stream_response
>>> async def chat(request):
...     client = request.app[CLIENTS]["default"]
...     return await stream_response(request, client.astream(await request.text()))
>>> app = web.Application()
>>> app.cleanup_ctx.append(clients_ctx({"default": {"type": "demo"}}))
>>> _ = app.add_routes([web.post("/chat", chat)])
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

from aiohttp import web

from provider_kit.client.client import Client
from provider_kit.client.collection import Clients
from provider_kit.client.router import Router
from provider_kit.errors import ProviderKitError
from provider_kit.integrations.relay_asyncio import AsyncRelay, run_until_left
from provider_kit.integrations.settings import OwnClients, clients_of
from provider_kit.integrations.ui_stream import Protocol, UIAnswer, UISource, UIStreamOptions, error_answer

__all__ = ["CLIENTS", "clients_ctx", "error_middleware", "stream_response"]

#: The key of the clients in the application: ``request.app[CLIENTS]["default"]``.
CLIENTS: web.AppKey[Clients | OwnClients] = web.AppKey("provider_kit", Mapping)  # type: ignore[arg-type]  # it takes one class, and this is a union

#: Seconds between two checks whether the reader is still there.
_CHECK_INTERVAL = 0.05


def clients_ctx(
    config: str | os.PathLike[str] | Mapping[str, Any] | Clients | Client | Router | None = None,
) -> Callable[[web.Application], AsyncIterator[None]]:
    """A cleanup context: ``app.cleanup_ctx.append(clients_ctx("config.yaml"))``. The application closes the clients.

    Args:
        config: A file, the settings as a dict, clients, or one client; default: the file that ``load_config()`` finds.

    Raises:
        ConfigError: When the application starts: the configuration is wrong.
    """

    async def running(app: web.Application) -> AsyncIterator[None]:
        clients = app[CLIENTS] = clients_of(config)
        yield
        await clients.aclose()

    return running


async def stream_response(
    request: web.Request,
    stream: Any,
    protocol: Protocol = "sse",
    **options: Any,
) -> web.StreamResponse:
    """Answer a request with a stream, and return when it has ended. The reader who leaves closes the call upstream.

    An error before the first content has a status of its own (429, 502, 504 …); a later one is an event of the stream.

    Args:
        request: The request.
        stream: ``client.astream(…)``, ``client.astream_run(…)``, ``talk.astream(…)``, or an asynchronous iterator of
            chunks, events of a run, or texts. A blocking stream is accepted, and read in a thread.
        protocol: ``sse``, ``openai``, ``vercel`` or ``text``.
        options: Fields of :class:`~provider_kit.integrations.ui_stream.UIStreamOptions`: ``headers=``, ``ping=`` …

    Raises:
        ConfigError: It is no stream, or an option is wrong.
    """
    answer = UIAnswer(UISource(stream), UIStreamOptions(protocol=protocol, **options))
    relay = AsyncRelay(answer)
    try:
        response = await run_until_left(_write(request, relay), _left(request))
    finally:
        await relay.aclose()
    if response is None:
        raise ConnectionResetError("The reader has left.")
    return response


@web.middleware
async def error_middleware(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """A middleware: errors of calls become answers with a status of their own (429, 502, 504 …) and JSON without
    secrets."""
    try:
        return await handler(request)
    except ProviderKitError as error:
        body, status, headers = error_answer(error)
        return web.Response(body=body, status=status, headers=headers)


async def _write(request: web.Request, relay: AsyncRelay) -> web.StreamResponse:
    status, told, body = await relay.begin()
    if body is not None:
        return web.Response(body=body, status=status, headers=told)
    response = web.StreamResponse(status=status, headers=told)
    await response.prepare(request)
    try:
        async with aclosing(relay.__aiter__()) as pieces:
            async for piece in pieces:
                await response.write(piece)
    except ConnectionError:  # the reader has left
        raise
    except Exception as error:  # the protocol has no form for it, and nobody may write a second answer into this one
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("The answer broke off.") from error
    await response.write_eof()
    return response


async def _left(request: web.Request) -> None:
    """Wait until the reader has left; aiohttp tells a handler only when it is cancelled or writes."""
    while (transport := request.transport) is not None and not transport.is_closing():  # noqa: ASYNC110  # no event
        await asyncio.sleep(_CHECK_INTERVAL)
