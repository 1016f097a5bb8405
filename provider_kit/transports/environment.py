"""Proxies and certificates, resolved once for each origin, the same for blocking and asyncio calls.

The rules are those of requests: ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` in either
case; ``REQUESTS_CA_BUNDLE``, ``CURL_CA_BUNDLE``, then ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``. A ``.netrc``
is never read: it would silently replace the API key.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import ssl
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from provider_kit.errors import ConfigError
from provider_kit.model.config import HTTPConfig
from provider_kit.policies.after_fork import ForkSafeLock
from provider_kit.wire.http import CORRELATION_HEADER, is_loopback
from provider_kit.wire.redaction import is_secret_header, looks_secret

__all__ = [
    "find_proxy",
    "goes_direct",
    "own_servers",
    "proxy_credentials",
    "ssl_context",
    "verify_setting",
    "without_credentials",
]

#: ``host:port`` of servers that run in this process and are never reached through a proxy.
own_servers: set[str] = set()

_contexts: dict[object, ssl.SSLContext] = {}
_lock = ForkSafeLock()


def find_proxy(url: str, config: HTTPConfig) -> str | None:
    """The proxy for an address, or ``None``."""
    parts = urlsplit(url)
    if config.proxy is not None:
        found = config.proxy if isinstance(config.proxy, str) else config.proxy.get(parts.scheme)
        return _with_scheme(found)
    if not config.trust_env:
        return None
    host = parts.hostname or ""
    if f"{host}:{parts.port}" in own_servers:
        return None
    if proxy_bypass(f"{host}:{parts.port}" if parts.port else host) or proxy_bypass(host):
        return None
    proxies = getproxies()
    if _in_bypassed_network(host, proxies.get("no", "")):
        return None
    return _with_scheme(proxies.get(parts.scheme) or proxies.get("all"))


def goes_direct(url: str, headers: Mapping[str, str], config: HTTPConfig) -> bool:
    """Whether a request must bypass the proxy of the environment.

    An unencrypted request to this machine would reveal a credential in its headers or URL to the proxy, which may be
    anywhere. A proxy that was configured for this client is always used.
    """
    if config.proxy is not None or not url.startswith("http:"):
        return False
    parts = urlsplit(url)
    return is_loopback(parts.hostname or "", unspecified=True) and (
        bool(parts.query)
        or any(
            is_secret_header(name) or (looks_secret(value) and name != CORRELATION_HEADER)
            for name, value in headers.items()
        )
    )


def proxy_credentials(proxy: str) -> str | None:
    """The ``Proxy-Authorization`` of a proxy's address; a user without a password is one with an empty password.

    Source: RFC 7617 section 2, by which the colon is always sent.
    """
    parts = urlsplit(proxy)
    if parts.username is None and parts.password is None:
        return None
    text = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(text.encode("utf-8")).decode("ascii")


def without_credentials(proxy: str) -> str:
    """A proxy's address without user and password, so that no error can show them."""
    parts = urlsplit(proxy)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, parts.fragment))


def _with_scheme(proxy: str | None) -> str | None:
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy or None


def _in_bypassed_network(host: str, no_proxy: str) -> bool:
    """Networks in ``NO_PROXY`` (``10.0.0.0/8``), which urllib does not know and requests does."""
    networks = [entry.strip() for entry in no_proxy.split(",") if "/" in entry]
    if not networks:
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for network in networks:
        with suppress(ValueError):
            if address in ipaddress.ip_network(network, strict=False):
                return True
    return False


def verify_setting(config: HTTPConfig) -> bool | str:
    """What requests calls ``verify``: a bundle's path, ``True`` or ``False``."""
    if config.verify is not True or not config.trust_env:
        return config.verify
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        path = os.environ.get(variable)
        if path:
            return path
    return True


def ssl_context(config: HTTPConfig) -> ssl.SSLContext:
    """A context created once for each combination of settings and shared by all clients.

    Raises:
        ConfigError: A bundle or certificate cannot be read.
    """
    verify = verify_setting(config)
    key = (verify, config.cert)
    with _lock:
        context = _contexts.get(key)
        if context is None:
            context = _contexts[key] = _make_context(verify, config)
        return context


def _make_context(verify: bool | str, config: HTTPConfig) -> ssl.SSLContext:
    try:
        if not isinstance(verify, bool):
            directory = os.path.isdir(verify)
            context = ssl.create_default_context(
                cafile=None if directory else verify, capath=verify if directory else None
            )
        else:
            import certifi  # the bundle of requests; imported here because the import is slow

            context = ssl.create_default_context(cafile=certifi.where())
        if verify is False:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if config.cert:
            context.load_cert_chain(*((config.cert,) if isinstance(config.cert, str) else config.cert))
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(str(given) for given in (verify, config.cert) if given and given is not True)
        raise ConfigError(
            f"A certificate file cannot be used ({files}): {error}.",
            hint="Check verify=, cert= and the variables REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE, SSL_CERT_FILE.",
        ) from error
    return context
