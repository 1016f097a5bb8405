"""Logs every request and answer, with secrets masked and bodies shortened, for ``debug_http=True``.

It wraps a transport and passes everything through. The pieces of a stream are logged as they arrive, without delay.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Mapping
from typing import Any

from provider_kit.errors import ProviderKitError
from provider_kit.observability.standard_error import StandardError
from provider_kit.transports.base import ByteStream, Transport
from provider_kit.wire.http import HttpRequest, HttpResponse, Limits
from provider_kit.wire.redaction import MASK, MaskedStr, is_secret_header, redact, redact_headers

__all__ = ["DumpingTransport"]

#: Bytes of a body that are shown.
_SHOWN = 4096
_log = logging.getLogger("provider_kit.http.dump")
_numbers = itertools.count(1)


def _make_visible() -> None:
    """Make dumps visible even where logging is not set up."""
    _log.setLevel(logging.DEBUG)
    logger: logging.Logger | None = _log
    while logger is not None:
        if any(not isinstance(handler, logging.NullHandler) for handler in logger.handlers):
            return
        logger = logger.parent if logger.propagate else None
    handler = StandardError()
    handler.of_provider_kit = True  # configure_logging() replaces it
    _log.addHandler(handler)


class DumpingTransport:
    """A transport around another one."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        _make_visible()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._inner, name)

    async def send(self, request: HttpRequest, limits: Limits) -> HttpResponse:
        """Send, and log both directions."""
        dump = _Dump(request, self._inner)
        try:
            response = await self._inner.send(request, limits)
        except ProviderKitError as error:
            dump.failed(error)
            raise
        dump.answered(response.status, response.headers)
        dump.body(response.body)
        dump.ended(len(response.body), None)
        return response

    async def open_stream(self, request: HttpRequest, limits: Limits) -> ByteStream:
        """Open, and log each piece as it arrives."""
        dump = _Dump(request, self._inner)
        try:
            stream = await self._inner.open_stream(request, limits)
        except ProviderKitError as error:
            dump.failed(error)
            raise
        dump.answered(stream.status, stream.headers)
        return _DumpedStream(stream, dump)


#: Least number of characters at which a part of a key counts as a secret itself, as in ``id:secret``.
_MIN_SECRET_PART = 12
#: Characters of a word that is kept together.
_LONGEST_WORD = 512


class _Dump:
    """The log lines of one exchange."""

    def __init__(self, request: HttpRequest, transport: Transport) -> None:
        self._number = next(_numbers)
        self._now = transport.now
        self._started = transport.now()
        self._left = _SHOWN
        self._held = ""
        masked = {name for name, value in request.headers.items() if isinstance(value, MaskedStr)}
        secrets = [value for name, value in request.headers.items() if name in masked or is_secret_header(name)]
        own = [str(request.secret), *(part for part in request.secret.split(":") if len(part) >= _MIN_SECRET_PART)]
        parts = [*own, *(part for value in secrets for part in (value, value.rpartition(" ")[2]))]
        self._secrets = [part for part in parts if len(part) >= 4]
        headers = redact_headers(request.headers, self._secrets) | dict.fromkeys(masked, MASK)
        self._tell("REQUEST", f"{request.method} {redact(request.url, self._secrets)}\n{_lines(headers)}")
        if request.body:
            self.body(request.body)
        self._left = _SHOWN

    def _tell(self, what: str, text: str) -> None:
        harmless = re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", text)
        _log.debug("#%d %s %s", self._number, what, harmless)

    def _since(self) -> str:
        return f"after {(self._now() - self._started) * 1000:.0f} ms"

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        self._tell("RESPONSE", f"{status} {self._since()}\n{_lines(redact_headers(dict(headers), self._secrets))}")

    def body(self, data: bytes, *, more: bool = False) -> None:
        """Log a body or a piece of it, up to the size limit.

        Args:
            data: The bytes.
            more: Whether others follow; an end that may be the beginning of a secret then waits for them.
        """
        if self._left <= 0 and not self._held:
            return
        whole = self._held + data.decode("utf-8", "replace")
        cut = self._safe_cut(whole) if more else len(whole)
        text, self._held = redact(whole[:cut], self._secrets), whole[cut:]
        shown = text[: self._left]
        rest = len(text) - len(shown)
        self._left -= len(shown)
        if shown.strip():
            self._tell("BODY", f"{shown.rstrip()}{f' … {rest:,} more characters' if rest else ''}")

    def _safe_cut(self, text: str) -> int:
        """Where a text can be cut without splitting a secret, or what may become one."""
        longest = max((len(secret) for secret in self._secrets), default=0)
        cut = max(0, len(text) - max(0, longest - 1))
        for secret in self._secrets:
            found = text.rfind(secret, max(0, cut - len(secret) + 1))
            if 0 <= found < cut:  # it is complete already
                cut = found + len(secret)
        # Other secrets are recognised by their shape, so words are not split either.
        space = max(text.rfind(mark, max(0, cut - _LONGEST_WORD), cut) for mark in ' \t\n"')
        return space + 1 if space >= 0 else cut if cut > _LONGEST_WORD else 0

    def ended(self, size: int, pieces: int | None) -> None:
        self.body(b"")
        self._tell("END", f"{size:,} bytes{f' in {pieces} pieces' if pieces is not None else ''} {self._since()}")

    def failed(self, error: ProviderKitError) -> None:
        self._tell("FAILED", f"{type(error).__name__}: {redact(str(error), self._secrets)} {self._since()}")


def _lines(headers: Mapping[str, str]) -> str:
    return "\n".join(f"    {name}: {value}" for name, value in headers.items())


class _DumpedStream:
    """A stream whose pieces are logged as they are read."""

    def __init__(self, inner: ByteStream, dump: _Dump) -> None:
        self._inner, self._dump = inner, dump
        self.status, self.headers = inner.status, inner.headers
        self._size = self._pieces = 0
        self._told = False

    def progress(self) -> None:
        self._inner.progress()

    async def read(self) -> bytes:
        try:
            data = await self._inner.read()
        except ProviderKitError as error:
            self._told = True
            self._dump.failed(error)
            raise
        if data:
            self._pieces += 1
            self._size += len(data)
            self._dump.body(data, more=True)
        else:
            self._end()
        return data

    def _end(self) -> None:
        if not self._told:
            self._told = True
            self._dump.ended(self._size, self._pieces)

    def interrupt(self) -> None:
        """End a read in another thread or task."""
        interrupt = getattr(self._inner, "interrupt", None)
        if interrupt is not None:
            interrupt()

    async def drain(self) -> None:
        self._end()
        await self._inner.drain()

    async def aclose(self) -> None:
        self._end()
        await self._inner.aclose()
