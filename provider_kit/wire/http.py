"""A request and a response as bytes and headers, before any HTTP library is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Protocol
from urllib.parse import urlencode

from attrs import define, field

__all__ = [
    "CORRELATION_HEADER",
    "Download",
    "HttpRequest",
    "HttpResponse",
    "Limits",
    "Signer",
    "is_loopback",
    "join_url",
    "same_origin",
]


#: The header of the id of a call.
CORRELATION_HEADER = "X-Request-ID"


@define
class HttpRequest:
    """What is to be sent."""

    method: str
    url: str
    #: Names in any case; may hold credentials, so never shown.
    headers: dict[str, str] = field(repr=lambda headers: f"<{len(headers)} headers>")
    body: bytes | None = field(default=None, repr=lambda body: f"<{len(body)} bytes>" if body else "None")
    #: What authenticates it; only used to redact it from dumps.
    secret: str = field(default="", repr=False, eq=False)


class Signer(Protocol):
    """Signs each request, for APIs where a constant header is not enough."""

    def sign(self, request: HttpRequest, secret: str, now: float) -> HttpRequest:
        """Return the signed request, the same or another one; called for each attempt, and never awaited.

        Args:
            request: The request as it will be sent, without the signature.
            secret: The credential's value: a key, or whatever this signer understands. Empty where the provider needs
                no key, for signers that find credentials themselves.
            now: Seconds since 1970.
        """
        ...


@define
class HttpResponse:
    """A complete response."""

    status: int
    #: Names compare without regard to case; may hold cookies, so never shown.
    headers: Mapping[str, str] = field(repr=lambda headers: f"<{len(headers)} headers>")
    body: bytes = field(repr=lambda body: f"<{len(body)} bytes>")


@define
class Download:
    """A file that was downloaded."""

    data: bytes
    #: As the server calls it, without parameters.
    media_type: str | None
    #: The last step of its path.
    filename: str


@define
class Limits:
    """How long one exchange may take and how much it may bring. ``None`` waits without limit."""

    #: Seconds to connect.
    connect: float | None = None
    #: Seconds to the first content (of a stream) or to the whole answer.
    first: float | None = None
    #: Seconds between two pieces of content of a stream.
    idle: float | None = None
    #: Time on the transport's clock at which the whole call must have ended.
    deadline: float | None = None
    #: Most bytes of the answer, after decompression.
    max_bytes: int = 64 * 1024 * 1024
    #: Set once the caller has left; nothing is sent after that.
    left: bool = False
    #: Whether the exchange may have to be ended from another thread or task.
    interruptible: bool = False
    #: What the transport measured: seconds to establish a connection, if it had to, and the time on its clock when the
    #: headers of the answer arrived.
    connected: float | None = None
    answered: float | None = None


def join_url(base: str, path: str, query: Mapping[str, Any] | None = None) -> str:
    """Append ``path`` to ``base``, tolerant of slashes; a query of ``base`` (``api-version``) is kept."""
    base, _, own_query = base.partition("?")
    url = base.rstrip("/") + ("/" + path.lstrip("/") if path else "")
    parts = [part for part in (own_query, urlencode(query) if query else "") if part]
    return f"{url}{'&' if '?' in url else '?'}{'&'.join(parts)}" if parts else url


def same_origin(one: str, other: str) -> bool:
    """Whether two URLs have the same scheme, host and port (RFC 6454)."""
    return one.split("/", 3)[:3] == other.split("/", 3)[:3]


def is_loopback(host: str, *, unspecified: bool = False) -> bool:
    """Whether a host is this machine, judged by its name or address alone.

    Args:
        host: Name or address, without a port.
        unspecified: Whether ``0.0.0.0`` and ``::`` count, as servers print them for their own address.
    """
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or (unspecified and address.is_unspecified)
