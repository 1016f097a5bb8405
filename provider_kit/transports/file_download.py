"""Downloads a file that a provider does not fetch itself: bounded in size and time, and never from inside.

The author of a message, and so of the address, need not be trusted. So the addresses that a name resolves to are
checked before each connection, the connection goes to the very address that was checked, and redirects are followed by
hand, a few of them, each checked anew. No credentials, cookies or headers of the client are sent.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import time
import zlib
from contextlib import suppress
from typing import Any
from urllib.parse import urljoin, urlsplit

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, LocationValueError, ReadTimeoutError
from urllib3.util import parse_url
from urllib3.util.connection import create_connection

from provider_kit.errors import APIConnectionError, APITimeoutError, InvalidRequestError, ProviderKitError
from provider_kit.model.http_config import HTTPConfig
from provider_kit.transports.base import one_line
from provider_kit.transports.environment import find_proxy, proxy_credentials, ssl_context, without_credentials
from provider_kit.wire.http import Download
from provider_kit.wire.redaction import redact

__all__ = ["download", "is_public_address", "too_slow"]

_MOST_REDIRECTS = 3
_REDIRECTS = (301, 302, 303, 307, 308)
_PIECE = 65536
#: Content codings that a server may apply unasked. Source: RFC 9110, 8.4.1.
_ENCODINGS = ("identity", "gzip", "x-gzip", "deflate")


class _Refused(Exception):
    """An address is not public."""


#: IPv6 addresses that are given to hosts of the internet; others are of one network, or hide an address of one.
#: Source: IANA, "IPv6 Global Unicast Address Space".
_UNICAST = ipaddress.ip_network("2000::/3")
#: IPv4 addresses inside IPv6 ones. Source: RFC 6052.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
#: Documentation (RFC 9637), and the relays of 6to4 (RFC 7526).
_RESERVED = (ipaddress.ip_network("3fff::/20"), ipaddress.ip_network("192.88.99.0/24"))


def _check_address(address: str, host: str) -> None:
    """Refuse what leads into this machine or its network.

    Raises:
        _Refused: It is loopback, private, link-local (where clouds keep their metadata), or reserved.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if found.version == 6:
        inner = found.ipv4_mapped or found.sixtofour
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            _check_address(str(inner), host)
            if found.sixtofour is None:
                return
        elif found not in _UNICAST:
            raise _Refused(host)
    if not found.is_global or found.is_multicast or any(found in network for network in _RESERVED):
        raise _Refused(host)


def _check_host(url: str, config: HTTPConfig) -> str:
    """The host of an address that all who read it understand alike.

    Raises:
        _Refused: Its host is this machine, or not public.
        ValueError: It has no host, or one that can be read in several ways.
    """
    if re.search(r"[\x00-\x20\\\x7f]", url):
        raise ValueError("it holds a character that no address has")
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    try:
        connected = (parse_url(url).host or "").strip("[]").lower()
    except LocationValueError:
        connected = ""  # refused below, where the address with its query is not part of the error
    if parts.scheme not in ("http", "https") or not host or "%" in host or connected != host:
        raise ValueError("it is no http address")
    if not config.allow_private_downloads:
        bare = host.rstrip(".")
        if bare == "localhost" or bare.endswith(".localhost"):
            raise _Refused(host)
        with suppress(ValueError):  # it is a name
            _check_address(bare, host)
        with suppress(OSError):  # 0x7f000001, 127.1, 2130706433: what resolvers take for an address, too
            _check_address(socket.inet_ntoa(socket.inet_aton(bare)), host)
    return host


def is_public_address(url: str) -> bool:
    """Whether an address is not, by what it says, one of this machine or its network. Names are not resolved."""
    try:
        _check_host(url, HTTPConfig())
    except (_Refused, ValueError):
        return False
    return True


class _PublicMixin:
    """A connection to a public address only."""

    host: str
    port: int
    timeout: Any
    source_address: Any
    socket_options: Any

    def _new_conn(self) -> socket.socket:
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        for address in addresses:
            _check_address(address, self.host)
        last: OSError = OSError("it has no address")
        for address in addresses:
            try:
                return create_connection((address, self.port), self.timeout, self.source_address, self.socket_options)
            except OSError as error:
                last = error
        raise last


class _PublicHTTPConnection(_PublicMixin, HTTPConnection):
    pass


class _PublicHTTPSConnection(_PublicMixin, HTTPSConnection):
    pass


class _PublicHTTPPool(HTTPConnectionPool):
    ConnectionCls = _PublicHTTPConnection


class _PublicHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _PublicHTTPSConnection


def download(url: str, config: HTTPConfig, seconds: float) -> Download:
    """Download a file. Blocks.

    Args:
        url: Its ``http(s)://`` address.
        config: Proxies, certificates, the largest size, and whether private addresses are allowed.
        seconds: For the whole of it.

    Raises:
        InvalidRequestError: It is not public, not there, or too large; its redirects lead on and on.
        APIConnectionError: The network failed, or the time passed.
    """
    try:
        return _download(url, config, time.monotonic() + seconds)
    except TimeoutError:
        raise too_slow(url, seconds) from None


def too_slow(url: str, seconds: float) -> APITimeoutError:
    """The error for a download that took longer than it may."""
    return APITimeoutError(
        f"The file at {_shown(url)} could not be downloaded in {seconds:.3g} seconds.",
        hint="Download it yourself and attach its bytes.",
    )


def _shown(url: str) -> str:
    """An address without its query, which may hold a signature."""
    return redact(url.partition("?")[0][:200])


def _download(url: str, config: HTTPConfig, until: float) -> Download:
    for _ in range(_MOST_REDIRECTS + 1):
        try:
            host = _check_host(url, config)
            with _manager(url, host, config) as manager:
                left = max(0.1, until - time.monotonic())
                response = manager.request(
                    "GET",
                    url,
                    headers={"Accept": "*/*", "User-Agent": config.user_agent or "provider-kit"},
                    redirect=False,
                    retries=False,
                    preload_content=False,
                    timeout=Timeout(connect=left, read=left),
                )
                try:
                    if response.status in _REDIRECTS and response.headers.get("location"):
                        url = urljoin(url, response.headers["location"])
                        continue
                    return _received(response, url, config, until)
                finally:
                    response.close()
        except _Refused:
            raise InvalidRequestError(
                f"The file at {_shown(url)} is not downloaded: its address is not public.",
                hint="Download it yourself and attach its bytes; or, if the address is from a source you trust, pass "
                "http=HTTPConfig(allow_private_downloads=True).",
            ) from None
        except ReadTimeoutError:
            raise TimeoutError from None
        except (ProviderKitError, TimeoutError):
            raise
        except (LocationValueError, ValueError) as error:
            raise InvalidRequestError(
                f"{_shown(url)!r} is not an address that can be downloaded: {one_line(redact(str(error)))}.",
                hint="Write it in full: 'https://…'.",
            ) from None
        except (HTTPError, OSError, zlib.error) as error:
            raise APIConnectionError(
                f"The file at {_shown(url)} cannot be downloaded: {one_line(redact(str(error)))}",
                hint="Check the address, or download it yourself and attach its bytes.",
            ) from None
    raise InvalidRequestError(
        f"The file at {_shown(url)} cannot be downloaded: more than {_MOST_REDIRECTS} redirects.",
        hint="Use its final address.",
    )


def _received(response: Any, url: str, config: HTTPConfig, until: float) -> Download:
    if response.status != 200:
        raise InvalidRequestError(
            f"The file at {_shown(url)} cannot be downloaded: HTTP {response.status}.",
            hint="Check the address; a file behind a login must be downloaded by you.",
        )
    encoding = (response.headers.get("content-encoding") or "identity").strip().lower()
    if encoding not in _ENCODINGS:
        raise InvalidRequestError(
            f"The file at {_shown(url)} comes as {encoding[:40]}, which was not asked for.",
            hint="Download it yourself and attach its bytes.",
        )
    kind = (response.headers.get("content-type") or "").partition(";")[0].strip().lower()
    unpack = None if encoding == "identity" else zlib.decompressobj(zlib.MAX_WBITS | 32)
    data = _read(response, unpack, url, config.max_download_bytes, until)
    return Download(data, kind or None, urlsplit(url).path.rsplit("/", 1)[-1])


def _read(response: Any, unpack: Any, url: str, limit: int, until: float) -> bytes:
    """The whole content; what is packed must be whole, too."""
    pieces, size = [], 0
    while piece := response.read1(_PIECE, decode_content=False):
        if unpack is not None:
            piece = unpack.decompress(piece, limit + 1)
        size += len(piece)
        if size > limit or (unpack is not None and unpack.unconsumed_tail):
            raise InvalidRequestError(
                f"The file at {_shown(url)} is larger than {limit:,} bytes.",
                hint="Raise http=HTTPConfig(max_download_bytes=…), or attach a smaller one.",
            )
        if time.monotonic() > until:
            raise TimeoutError
        pieces.append(piece)
    if unpack is not None and not unpack.eof:
        raise zlib.error("it ended before it was complete")
    return b"".join(pieces)


def _manager(url: str, host: str, config: HTTPConfig) -> PoolManager:
    proxy = find_proxy(url, config)
    context = ssl_context(config)
    if proxy is not None:
        if not config.allow_private_downloads:
            _check_name(host)
        credentials = proxy_credentials(proxy)
        headers = {"Proxy-Authorization": credentials} if credentials else None
        return ProxyManager(without_credentials(proxy), proxy_headers=headers, ssl_context=context)
    manager = PoolManager(ssl_context=context)
    if not config.allow_private_downloads:
        manager.pool_classes_by_scheme = {"http": _PublicHTTPPool, "https": _PublicHTTPSPool}
    return manager


def _check_name(host: str) -> None:
    """Where a proxy resolves the name: refuse what is private by what it means here.

    Raises:
        _Refused: It is.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return  # only the proxy knows the name
    for entry in found:
        _check_address(str(entry[4][0]), host)
