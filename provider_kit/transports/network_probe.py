"""Probes the way to a server step by step: DNS, TCP, proxy, TLS. Blocking; used by the doctor only.

Every step has a deadline. Name resolution has no timeout, so it runs in a daemon thread that is abandoned when it takes
too long.
"""

from __future__ import annotations

import base64
import socket
import ssl
import time
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

from attrs import define, field

from provider_kit.errors import ConfigError
from provider_kit.model.config import HTTPConfig
from provider_kit.transports.base import one_line
from provider_kit.transports.environment import ssl_context
from provider_kit.transports.threads import bounded

__all__ = ["NetworkFacts", "probe_network"]

#: Seconds for a handshake.
_HANDSHAKE = 6.0
#: Bytes of a proxy's answer.
_LARGEST_HEAD = 65536


@define
class NetworkFacts:
    """The results of a probe: the step reached and what was observed. Times are in seconds."""

    host: str
    port: int
    secure: bool
    #: ``host:port`` of the proxy in between.
    proxy: str | None = None
    addresses: list[str] = field(factory=list)
    dns_seconds: float | None = None
    connect_seconds: float | None = None
    tls_seconds: float | None = None
    tls_version: str | None = None
    #: Who signed the certificate: organization, else name.
    issuer: str | None = None
    #: Expiry of the certificate, in seconds since 1970.
    expires_at: float | None = None
    #: The step that failed: ``dns``, ``tcp``, ``proxy``, ``tls``.
    failed: str | None = None
    reason: str = ""
    #: OpenSSL's number for what is wrong with the certificate.
    verify_code: int | None = None
    #: Why TLS was not tried.
    not_tried: str = ""
    #: Whether the server answers plain HTTP where TLS was expected.
    speaks_plain_http: bool = False
    #: HTTP status of a refusal by the proxy.
    proxy_status: int | None = None


class _StepFailed(Exception):
    def __init__(self, step: str, reason: str) -> None:
        super().__init__(reason)
        self.step, self.reason = step, reason


def probe_network(url: str, proxy: str | None, config: HTTPConfig, seconds: float) -> NetworkFacts:
    """Probe the way to a URL step by step, and return the results.

    Args:
        url: The address; nothing is sent to it but a TLS handshake.
        proxy: URL of a proxy in between.
        config: Certificates.
        seconds: Most seconds for all of it.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    host, port = parts.hostname or "", parts.port or (443 if secure else 80)
    facts = NetworkFacts(host, port, secure)
    try:
        way = _Way(facts, proxy, time.monotonic() + seconds)
    except ValueError:  # its message may hold a password
        facts.failed, facts.reason = "proxy", "the address of the proxy is malformed"
        return facts
    try:
        way.resolve()
        way.dial().close()
        if secure:
            way.handshake(config)
    except _StepFailed as failure:
        facts.failed, facts.reason = failure.step, one_line(failure.reason)
    return facts


class _Way:
    """One way to a server."""

    def __init__(self, facts: NetworkFacts, proxy: str | None, deadline: float) -> None:
        self._facts = facts
        self._deadline = deadline
        self._proxy = urlsplit(proxy) if proxy else None
        self._socks = proxy is not None and proxy.lower().startswith("socks")
        self._first_host, self._first_port = facts.host, facts.port
        if self._proxy is not None:
            default = 1080 if self._socks else 443 if self._proxy.scheme == "https" else 80
            self._first_host, self._first_port = self._proxy.hostname or "", self._proxy.port or default
            facts.proxy = f"{self._first_host}:{self._first_port}"

    def _left(self) -> float:
        return max(0.05, self._deadline - time.monotonic())

    # ---------------------------------------------------------------------------------------- name, connection

    def resolve(self) -> None:
        """Look up the first host on the way."""
        started = time.monotonic()
        step = "proxy" if self._proxy is not None else "dns"
        try:
            found = bounded(
                lambda: socket.getaddrinfo(self._first_host, self._first_port, type=socket.SOCK_STREAM),
                self._left() / 2,
            )
        except TimeoutError:
            raise _StepFailed(step, f"DNS did not answer for {self._first_host} in time") from None
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise _StepFailed(step, f"DNS does not know {self._first_host}: {reason}") from None
        self._facts.dns_seconds = time.monotonic() - started
        self._facts.addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))

    def dial(self) -> socket.socket:
        """A connection to the server, through the proxy if there is one."""
        facts, started = self._facts, time.monotonic()
        step = "proxy" if self._proxy is not None else "tcp"
        reason = "no address"
        for address in facts.addresses[:4]:
            try:
                connection = socket.create_connection((address, self._first_port), timeout=min(self._left(), 10.0))
                break
            except OSError as error:
                reason = "no answer in time" if isinstance(error, TimeoutError) else error.strerror or str(error)
        else:
            raise _StepFailed(step, f"no connection to {self._first_host}:{self._first_port}: {reason}")
        if facts.connect_seconds is None:
            facts.connect_seconds = time.monotonic() - started
        try:
            if self._proxy is not None and facts.secure and not self._socks and self._proxy.scheme != "https":
                self._tunnel(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _tunnel(self, connection: socket.socket) -> None:
        """Open a tunnel through an HTTP proxy (RFC 9110, CONNECT)."""
        proxy = self._proxy
        assert proxy is not None
        host = self._facts.host
        with suppress(UnicodeError):  # not a valid host name; the proxy will say so
            host = f"[{host}]" if ":" in host else host.encode("idna").decode()
        target = f"{host}:{self._facts.port}"
        head = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
        if proxy.username:
            secret = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
            head += f"Proxy-Authorization: Basic {base64.b64encode(secret).decode()}\r\n"
        answer = b""
        try:
            connection.settimeout(self._left())
            connection.sendall(f"{head}\r\n".encode())
            while b"\r\n\r\n" not in answer and len(answer) < _LARGEST_HEAD:
                if time.monotonic() >= self._deadline:
                    raise TimeoutError
                connection.settimeout(self._left())
                piece = connection.recv(4096)
                if not piece:
                    break
                answer += piece
        except TimeoutError:
            raise _StepFailed("proxy", "the proxy did not answer in time") from None
        except OSError as error:
            raise _StepFailed("proxy", f"the proxy does not answer: {error.strerror or error}") from None
        words = answer.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
        if len(words) < 2 or not words[1].isdecimal():
            raise _StepFailed("proxy", "the server at the proxy's address is not an HTTP proxy")
        self._facts.proxy_status = int(words[1])
        if not 200 <= int(words[1]) < 300:
            raise _StepFailed("proxy", f"the proxy refuses: {' '.join(words[1:])}")

    # ---------------------------------------------------------------------------------------- TLS

    def handshake(self, config: HTTPConfig) -> None:
        """Do the TLS handshake, with the certificates that calls use."""
        if self._socks or (self._proxy is not None and self._proxy.scheme == "https"):
            self._facts.not_tried = "A SOCKS or HTTPS proxy is left to the HTTP library."
            return
        facts = self._facts
        try:
            context = ssl_context(config)
        except ConfigError as error:
            raise _StepFailed("tls", error.message) from None
        connection = self.dial()
        started = time.monotonic()
        try:
            connection.settimeout(min(self._left(), _HANDSHAKE))
            with context.wrap_socket(connection, server_hostname=facts.host) as secured:
                facts.tls_seconds = time.monotonic() - started
                facts.tls_version = secured.version()
                self._note(secured.getpeercert() or {})
        except ssl.SSLCertVerificationError as error:
            facts.verify_code = error.verify_code
            self._look_unverified()
            raise _StepFailed("tls", error.verify_message or str(error)) from None
        except TimeoutError:
            self._note_plain_http()
            raise _StepFailed("tls", "the handshake did not end in time") from None
        except OSError as error:
            self._note_plain_http()
            reason = getattr(error, "reason", None) or error.strerror or str(error)
            raise _StepFailed("tls", str(reason).lower().replace("_", " ")) from None
        finally:
            connection.close()

    def _note_plain_http(self) -> None:
        """Whether the server answers plain HTTP; nothing but ``HEAD /`` is sent to it."""
        # An additional check after a failure that is reported in any case.
        with suppress(OSError, _StepFailed), self.dial() as connection:
            connection.settimeout(min(self._left(), 2.0))
            connection.sendall(f"HEAD / HTTP/1.1\r\nHost: {self._facts.host}\r\nConnection: close\r\n\r\n".encode())
            if connection.recv(5) == b"HTTP/":
                self._facts.speaks_plain_http = True

    def _look_unverified(self) -> None:
        """The issuer of a refused certificate; used for the message only, never trusted."""
        with suppress(OSError, _StepFailed, ValueError):  # the refusal is reported with or without the name
            loose = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            loose.check_hostname, loose.verify_mode = False, ssl.CERT_NONE
            with self._secured(loose) as secured:
                certificate = secured.getpeercert(binary_form=True)
            if not certificate:
                return
            # The certificate as its own authority: then, and only then, Python shows what is in it.
            shown = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            shown.check_hostname = False
            shown.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            shown.load_verify_locations(cadata=certificate)
            with self._secured(shown) as secured:
                self._note(secured.getpeercert() or {})

    def _secured(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        connection = self.dial()
        try:
            connection.settimeout(min(self._left(), 5.0))
            return context.wrap_socket(connection, server_hostname=self._facts.host)
        except BaseException:
            connection.close()
            raise

    def _note(self, certificate: Any) -> None:
        names = {key: value for part in certificate.get("issuer", ()) for key, value in part}
        self._facts.issuer = names.get("organizationName") or names.get("commonName")
        if "notAfter" in certificate:
            self._facts.expires_at = float(ssl.cert_time_to_seconds(certificate["notAfter"]))
