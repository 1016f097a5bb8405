"""A local provider for tests: real HTTP on loopback, every dialect, faults on demand."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from attrs import define, evolve, field

from provider_kit.client.client import Client
from provider_kit.dialects.replies import Asked, Reply
from provider_kit.dialects.servers import SERVER_DIALECTS, ServerDialect
from provider_kit.model.arguments import explained
from provider_kit.model.json_text import dumps, loads
from provider_kit.schema.profiles import PROFILES
from provider_kit.testing.faults import Fault
from provider_kit.testing.http_server import Cut, Incoming, LoopbackService, Outgoing
from provider_kit.testing.prompt_cache import PromptCache
from provider_kit.testing.responder import respond
from provider_kit.testing.routes import Route, catalog, find_route
from provider_kit.testing.schema_refusals import refused_schema
from provider_kit.testing.stored_files import StoredFiles

__all__ = ["FakeServer", "RecordedRequest"]

#: Where each provider's paths begin on this server.
_PREFIXES = {"anthropic": "", "ollama": "", "gemini": "/v1beta", "azure": "/openai/v1"}
_CODES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}
#: Seconds after which an answer that waits for a condition begins nevertheless.
_LONGEST_WAIT = 30.0
_PAGE = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>proxy</body></html>"


@define
class RecordedRequest:
    """A request the server received."""

    method: str
    path: str
    #: Lower-case names. Holds the key that was sent, so never shown.
    headers: dict[str, str] = field(repr=lambda headers: f"<{len(headers)} headers>")
    #: The body as JSON, ``None`` if it was none.
    json: Any
    #: The parsed request, if it was a chat.
    asked: Asked | None = None


def _fault_of(fault: Fault | int | None, fields: dict[str, Any]) -> Fault:
    """A fault from what :meth:`FakeServer.fault` is given.

    Raises:
        TypeError: It is neither a fault nor a status, or a status is given twice.
    """
    if isinstance(fault, Fault):
        return evolve(fault, **fields)
    if fault is None:
        return Fault(**fields)
    if isinstance(fault, bool) or not isinstance(fault, int):
        raise TypeError(f"a fault is a status or a Fault, not {fault!r}")
    return Fault(status=fault, **fields)


@explained("FakeServer(), and server.client('openai/gpt-4o')")
class FakeServer(LoopbackService):
    """A real HTTP server on ``127.0.0.1`` that speaks every dialect.

    Without set replies it answers by a few rules (see :mod:`provider_kit.testing.responder`).
    Replies and faults are used in order, one for each request; faults first.

    Args:
        key: Only requests with this key, or with one that this function accepts, are answered; others get
            a 401. ``None`` accepts all.
        respond: Your own function from :class:`Asked` to :class:`Reply`.
        check_schemas: Whether JSON Schemas are refused that the provider itself would refuse.
        prompt_cache: Whether usage tells what a prompt cache of the provider would have read and written.

    Example:
        >>> from provider_kit.testing import FakeServer
        >>> with FakeServer() as server:
        ...     server.fault(429, retry_after=0)
        ...     server.client("openai/gpt-4o").chat("What is 20 + 22?").text
        '20 + 22 = 42'
    """

    def __init__(
        self,
        *,
        key: str | Callable[[str], bool] | None = None,
        respond: Callable[[Asked], Reply] = respond,
        check_schemas: bool = True,
        prompt_cache: bool = False,
    ) -> None:
        super().__init__(self._answer)
        self._key = key
        self._respond = respond
        self._check_schemas = check_schemas
        self._prompt_cache = PromptCache() if prompt_cache else None
        self._lock = threading.Lock()
        self._replies: deque[Reply] = deque()
        self._faults: deque[Fault] = deque()
        self._always: Fault | None = None
        self._resets = 0
        self._numbers = itertools.count(1)
        #: The files that were uploaded.
        self.files = StoredFiles()
        #: Every request, oldest first.
        self.requests: list[RecordedRequest] = []

    # -------------------------------------------------------------------------------------------- addresses

    @property
    def connections(self) -> int:
        """Connections accepted so far."""
        return self._server.connections

    @property
    def open_connections(self) -> int:
        """Connections open now."""
        return self._server.open

    def base_url(self, provider: str = "openai") -> str:
        """The ``base_url`` for a provider.

        It tells the server which provider it stands for: it refuses the JSON Schemas that provider refuses.
        """
        named = f"/{provider}/v1" if provider in PROFILES and provider != "openai" else "/v1"
        return self.url + _PREFIXES.get(provider, named)

    def client(self, target: str = "openai/gpt-4o", **options: Any) -> Client:
        """A client of any provider that talks to this server.

        Args:
            target: ``provider/model``.
            options: Further arguments of :class:`Client`.
        """
        if not {"auth", "api_keys"} & options.keys():
            options.setdefault("api_key", self._key if isinstance(self._key, str) else "sk-fake-0123456789abcdef")
        options.setdefault("base_url", self.base_url(target.partition("/")[0]))
        return Client(target, **options)

    # -------------------------------------------------------------------------------------------- orders

    def reply(self, reply: Reply | str, **fields: Any) -> None:
        """Answer the next request with this: a text, or a :class:`Reply`."""
        made = evolve(reply, **fields) if isinstance(reply, Reply) else Reply(reply, **fields)
        with self._lock:
            self._replies.append(made)

    def fault(self, fault: Fault | int | None = None, *, times: int = 1, **fields: Any) -> None:
        """Let the next ``times`` requests fail: a status, a :class:`Fault`, or its fields."""
        if times < 0:
            raise ValueError(f"times must not be negative, but is {times}")
        made = _fault_of(fault, fields)
        with self._lock:
            self._faults.extend([made] * times)

    def always(self, fault: Fault | int | None = None, **fields: Any) -> None:
        """Let every request fail in the same way; without arguments, stop that."""
        self._always = _fault_of(fault, fields) if fault is not None or fields else None

    def reset(self) -> None:
        """Clear replies, faults and requests."""
        with self._lock:
            self._replies.clear()
            self._faults.clear()
            self.requests.clear()
            self._resets += 1
        self._always = None

    # -------------------------------------------------------------------------------------------- answering

    async def _answer(self, incoming: Incoming) -> Outgoing:
        try:
            return await self._answer_as_told(incoming)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            # A request of an unexpected shape; a real server would not crash on it either.
            server_dialect = SERVER_DIALECTS["openai_chat"]
            return _json(400, {}, server_dialect.error(400, "invalid_request_error", f"cannot be read: {error!r}"))

    async def _answer_as_told(self, incoming: Incoming) -> Outgoing:
        with self._lock:
            fault = self._faults.popleft() if self._faults else self._always or Fault()
            number, resets = next(self._numbers), self._resets
        try:
            body = loads(incoming.body) if incoming.body else None
        except ValueError:
            body = None
        route = find_route(incoming.method, incoming.path)
        server_dialect = SERVER_DIALECTS[route.dialect]
        asked = (
            server_dialect.read(body, incoming.path) if route.operation == "chat" and isinstance(body, dict) else None
        )
        self.requests.append(RecordedRequest(incoming.method, incoming.path, incoming.headers, body, asked))
        headers = {"x-request-id": f"req_fake_{number}", **fault.headers}
        if fault.retry_after is not None:
            headers["retry-after"] = str(fault.retry_after)
        if fault.latency:
            await asyncio.sleep(fault.latency)
        if fault.wait_until is not None:
            await _wait_until(fault.wait_until)
        broken = self._broken(fault, server_dialect, headers)
        if broken is not None:
            return broken
        refused = self._refused(incoming, body, route, server_dialect, headers)
        if refused is not None:
            return refused
        stored = self.files.answer(incoming, self.url)
        if stored is not None:
            return _json(stored[0], {**headers, **stored[1]}, stored[2])
        if asked is None:
            payload = catalog(route, incoming, body if isinstance(body, dict) else {})
            if payload is None:
                return _json(
                    404, headers, server_dialect.error(404, "not_found_error", f"no such path: {incoming.path}")
                )
            return _json(200, headers, payload)
        with self._lock:
            # A request that was still waiting when everything was cleared takes no reply of the next test.
            reply = self._replies.popleft() if self._replies and self._resets == resets else None
        if reply is None:
            try:
                reply = self._respond(asked)
            except Exception as error:  # reported to the client as a 500, as by a real server
                return _json(500, headers, server_dialect.error(500, "server_error", f"respond() failed: {error!r}"))
        if self._prompt_cache is not None and isinstance(body, dict):
            with self._lock:
                tokens, read, written = self._prompt_cache.use(body, route.dialect)
            reply = evolve(reply, input_tokens=tokens, cache_read=read, cache_write=written)
        if not asked.stream:
            outgoing = _json(200, headers, server_dialect.whole(reply, asked))
            outgoing.cut_after = fault.cut_after
            return outgoing
        pieces = _pieces(server_dialect, server_dialect.events(reply, asked), fault)
        return Outgoing(
            200,
            {**headers, "content-type": server_dialect.stream_type},
            pieces=_held_back(pieces) if fault.buffered else pieces,
        )

    def _broken(self, fault: Fault, server_dialect: ServerDialect, headers: dict[str, str]) -> Outgoing | None:
        """An answer that a fault replaces altogether."""
        if fault.reset:
            return Outgoing(reset=True)
        if fault.garbage:
            return Outgoing(raw=b"\x00\x16\x03\x01 this is no HTTP at all\r\n\r\n")
        if fault.body is not None:
            return Outgoing(fault.status or 200, {"content-type": "application/json", **headers}, fault.body)
        if fault.html:
            return Outgoing(fault.status or 502, {**headers, "content-type": "text/html"}, _PAGE)
        if fault.malformed:
            return Outgoing(200, {**headers, "content-type": "application/json"}, b'{"id": "broken", "choices": [')
        if fault.status is not None:
            code = fault.code or _CODES.get(
                fault.status, "server_error" if fault.status >= 500 else "invalid_request_error"
            )
            message = fault.message or f"fault on demand ({fault.status})"
            return _json(fault.status, headers, server_dialect.error(fault.status, code, message))
        if fault.embedded_error:
            message = fault.message or "error inside a 200"
            return _json(200, headers, server_dialect.error(500, fault.code or "server_error", message))
        return None

    def _accepts(self, headers: Mapping[str, str]) -> bool:
        key = self._key
        if key is None:
            return True
        sent = [headers.get("authorization", "").removeprefix("Bearer ")]
        sent += [headers.get(name, "") for name in ("x-api-key", "x-goog-api-key", "api-key")]
        return any(one == key if isinstance(key, str) else bool(one) and key(one) for one in sent)

    def _refused(
        self, incoming: Incoming, body: Any, route: Route, server_dialect: ServerDialect, headers: dict[str, str]
    ) -> Outgoing | None:
        """What a real server would refuse."""
        if not self._accepts(incoming.headers):
            return _json(401, headers, server_dialect.error(401, "authentication_error", "invalid API key"))
        if route.operation == "chat" and not isinstance(body, dict):
            return _json(400, headers, server_dialect.error(400, "invalid_request_error", "the body is not JSON"))
        if route.operation == "chat" and route.dialect == "anthropic_messages" and "max_tokens" not in body:
            return _json(400, headers, server_dialect.error(400, "invalid_request_error", "max_tokens: Field required"))
        if route.operation == "chat" and self._check_schemas:
            said = refused_schema(body, incoming.path, route.dialect)
            if said:
                return _json(400, headers, server_dialect.error(400, "invalid_request_error", said))
        return None


def _json(status: int, headers: Mapping[str, str], payload: Any) -> Outgoing:
    return Outgoing(status, {"content-type": "application/json", **headers}, dumps(payload))


async def _wait_until(condition: Callable[[], object]) -> None:
    until = time.monotonic() + _LONGEST_WAIT
    while not condition() and time.monotonic() < until:  # noqa: ASYNC110  # nothing tells of an arbitrary condition
        await asyncio.sleep(0.002)


async def _held_back(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A stream as it comes out of a proxy that buffers."""
    held = [piece async for piece in pieces]
    yield b"".join(held)


async def _pieces(server_dialect: ServerDialect, events: Sequence[bytes], fault: Fault) -> AsyncIterator[bytes]:
    """The events of a stream, failing where the fault says."""
    for number, event in enumerate(events):
        if number == fault.error_after:
            yield server_dialect.error_event(fault.code or "server_error", fault.message or "error on demand")
            raise Cut
        if number == fault.cut_after:
            raise Cut
        if number == fault.stall_after:
            while True:
                await asyncio.sleep(0.05)
                if fault.ping:
                    yield server_dialect.ping()
        if fault.token_delay and number:
            await asyncio.sleep(fault.token_delay)
        yield event
