"""ASGI: Starlette, FastAPI, Litestar, Quart, and whatever else calls an ASGI application. Imports none of them.

:func:`stream_response` is itself an ASGI application, which each of these frameworks accepts as an answer.
Source: ASGI specification 3.0, "HTTP & WebSocket ASGI Message Format", 2.5.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeAlias, cast

from provider_kit.client.client import Client
from provider_kit.client.collection import Clients
from provider_kit.client.router import Router
from provider_kit.errors import ConfigError
from provider_kit.integrations.relay_asyncio import AsyncRelay, run_until_left
from provider_kit.integrations.settings import OwnClients, clients_of
from provider_kit.integrations.ui_stream import Protocol, UIAnswer, UISource, UIStreamOptions, error_answer

__all__ = ["StreamResponse", "error_answer", "error_response", "get_client", "lifespan", "stream_response"]

Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[Any], Awaitable[None]]

#: The key in the state of the application.
STATE = "provider_kit"


class _Answer:
    """What frameworks ask of an answer."""

    background: Any = None

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        """For Litestar: it is an ASGI application already."""
        return self


class StreamResponse(_Answer):
    """The answer to one request: an ASGI application that streams it. A reader who leaves closes the call upstream.

    Where Starlette is loaded, answers are also of its class ``Response``, which FastAPI asks for.
    """

    #: Frameworks that look at an answer before it has begun see this.
    status_code = 200
    media_type = "text/event-stream"

    def __init__(self, stream: Any, options: UIStreamOptions) -> None:
        self._answer = UIAnswer(UISource(stream), options)
        #: Headers that the application adds, such as cookies, in the form of Starlette.
        self.raw_headers: list[tuple[bytes, bytes]] = []
        self.background = None

    def _headers(self, told: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
        """All headers; those that the application has added count, and may be there several times."""
        own = {name for name, _ in self.raw_headers}
        return [*(one for one in _raw(told) if one[0] not in own), *self.raw_headers]

    async def parts(self) -> Any:
        """Body, status and headers, for views that return these; in Quart: ``return await response.parts()``.

        The body must be read to its end or closed, which such a framework does.
        """
        relay = AsyncRelay(self._answer)
        status, headers, body = await relay.begin()
        found = relay.__aiter__() if body is None else body
        quart = sys.modules.get("quart")
        if quart is None:
            return found, status, dict(headers)
        made = quart.Response(found, status, dict(headers))
        made.timeout = None  # Quart would cut an answer after its RESPONSE_TIMEOUT, a minute, and say nothing
        return made

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve it."""
        relay = AsyncRelay(self._answer)
        if scope.get("method") == "HEAD":
            await relay.aclose()
            await send(_start(200, self._headers(self._answer.headers)))
            await send({"type": "http.response.body", "body": b""})
            return
        try:
            await run_until_left(self._write(relay, send), _left(receive))
        finally:
            await relay.aclose()
        if self.background is not None:
            await self.background()

    async def _write(self, relay: AsyncRelay, send: Send) -> None:
        status, headers, body = await relay.begin()
        try:
            await _push(send, _start(status, self._headers(headers)))
            if body is None:
                async with aclosing(relay.__aiter__()) as pieces:
                    async for piece in pieces:
                        await _push(send, {"type": "http.response.body", "body": piece, "more_body": True})
            await _push(send, {"type": "http.response.body", "body": body or b""})
        except _ReaderLeft:
            return


class _ReaderLeft(Exception):
    """The server says so when it is to write."""


async def _push(send: Send, message: Mapping[str, Any]) -> None:
    """Send a message.

    Raises:
        _ReaderLeft: Its reader has left; servers say so by an :class:`OSError`, since version 2.4 of the specification.
    """
    try:
        await send(message)
    except OSError as error:
        raise _ReaderLeft from error


def _start(status: int, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers}


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def _class_for_frameworks(kind: type[Any]) -> type[Any]:
    """The class itself, and of Starlette's class of answers, if that is loaded."""
    module = sys.modules.get("starlette.responses")
    if module is None:
        return kind
    known = _made.get((kind, module.Response))
    if known is None:
        # Its __init__ is not called: it would render a body.
        known = _made[kind, module.Response] = type(kind.__name__, (kind, module.Response), {"__module__": __name__})
    return known


_made: dict[tuple[type[Any], type[Any]], type[Any]] = {}


async def _left(receive: Receive) -> None:
    """Wait until the reader has left."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return


def stream_response(stream: Any, protocol: Protocol = "sse", **options: Any) -> StreamResponse:
    """Answer a request with a stream; return it from a view.

    An error before the first content has a status of its own (429, 502, 504 …); a later one is an event of the stream.

    Args:
        stream: ``client.astream(…)``, ``client.astream_run(…)``, ``talk.astream(…)``, or an asynchronous iterator of
            chunks, events of a run, or texts. A blocking stream is accepted, and read in a thread.
        protocol: ``sse``, ``openai``, ``vercel`` or ``text``.
        options: Fields of :class:`~provider_kit.integrations.ui_stream.UIStreamOptions`: ``headers=``, ``ping=`` …

    Raises:
        ConfigError: It is no stream, or an option is wrong.
    """
    made = _class_for_frameworks(StreamResponse)(stream, UIStreamOptions(protocol=protocol, **options))
    return cast(StreamResponse, made)


def lifespan(
    config: str | os.PathLike[str] | Mapping[str, Any] | Clients | Client | Router | None = None, inner: Any = None
) -> Callable[[Any], Any]:
    """The lifespan of an application: the clients live as long as it does, and are closed with it.

    ``FastAPI(lifespan=lifespan("config.yaml"))``; in a view ``request.state.provider_kit["default"]``, or
    :func:`get_client`.

    Args:
        config: A file, the settings as a dict, clients that exist already, or one client; default: the file that
            ``load_config()`` finds.
        inner: The lifespan that the application has already; it runs inside, and its state is kept.

    Raises:
        ConfigError: When the application starts: the configuration is wrong.
    """

    @asynccontextmanager
    async def running(app: Any) -> AsyncIterator[dict[str, Any]]:
        clients = clients_of(config)
        state: dict[str, Any] = {STATE: clients}
        if hasattr(app, "state"):  # for frameworks whose requests have no state of the lifespan
            setattr(app.state, STATE, clients)
        elif hasattr(app, "extensions"):
            app.extensions[STATE] = clients
        try:
            if inner is None:
                yield state
            else:
                async with inner(app) as more:
                    yield {**(more or {}), **state}
        finally:
            await clients.aclose()

    return running


def get_client(name: str | None = None) -> Callable[[Any], Client | Router]:
    """A dependency: ``client: Client = Depends(get_client("default"))``; or, with a request, ``get_client()(request)``.

    Args:
        name: A name of the configuration, also ``provider/model``; default: its default.
    """

    def dependency(request: Any) -> Client | Router:
        clients: Clients | OwnClients = _clients_in(request)
        return clients.default if name is None else clients[name]

    return _annotated(dependency)


class _Whole(_Answer):
    """An answer that is not streamed."""

    def __init__(self, body: bytes, status: int, headers: Mapping[str, str]) -> None:
        self.body = body
        self.status_code = status
        self.background = None
        self.raw_headers = [*_raw(headers), (b"content-length", str(len(body)).encode())]

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        await send(_start(self.status_code, self.raw_headers))
        await send({"type": "http.response.body", "body": self.body})


def error_response(request: Any, error: Exception) -> Any:
    """An exception handler: ``FastAPI(exception_handlers={ProviderKitError: error_response})``; Litestar takes it, too.

    It answers with a status of its own (429, 502, 504 …) and JSON without secrets; the log gets the rest. For Quart:
    ``app.register_error_handler(ProviderKitError, error_answer)``.
    """
    return _class_for_frameworks(_Whole)(*error_answer(error))


def _clients_in(request: Any) -> Any:
    for holder in (getattr(request, "state", None), getattr(getattr(request, "app", None), "state", None)):
        found = getattr(holder, STATE, None)
        if found is not None:
            return found
    raise ConfigError(
        "The application has no clients.", hint="Give it a lifespan: FastAPI(lifespan=lifespan('config.yaml'))."
    )


def _annotated(dependency: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """FastAPI passes the request where the parameter has its type, which this module must not import by itself."""
    module = sys.modules.get("starlette.requests")
    if module is not None:
        dependency.__annotations__ = {"request": module.HTTPConnection}
    return dependency
