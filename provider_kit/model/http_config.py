"""How connections are made: for calls of a provider and for OAuth exchanges alike."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from typing import Any

from attrs import Attribute, field, frozen

from provider_kit.errors import ConfigError
from provider_kit.model.arguments import explained

__all__ = ["DEFAULT_MAX_RESPONSE_BYTES", "HTTPConfig", "check_seconds", "flag", "positive_seconds"]

#: Bytes of one answer, after decompression.
DEFAULT_MAX_RESPONSE_BYTES = 64 * 1024 * 1024


def positive_seconds(instance: Any, attribute: Attribute[Any], value: float | None) -> None:
    """An attrs validator: seconds above 0, or ``None``."""
    check_seconds(attribute.name, value)


def check_seconds(name: str, value: Any) -> None:
    """Check that a setting is a number of seconds above 0, or ``None``.

    Raises:
        ConfigError: It is not.
    """
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value) or value <= 0:
        raise ConfigError(
            f"{name} must be a number of seconds above 0, not {value!r}.",
            hint="Use None, or math.inf, for no limit.",
        )


def _count(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ConfigError(f"{attribute.name} must be a whole number above 0, not {value!r}.")


def flag(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    """An attrs validator: ``True`` or ``False``. A word such as ``"no"`` would count as true."""
    if not isinstance(value, bool):
        raise ConfigError(
            f"{attribute.name} must be True or False, not {value!r}.",
            hint="Words such as 'yes' and 'no' are not accepted; an environment variable is always text.",
        )


#: Scheme, user information (a password may contain any character), host, port, and a path, which is not used.
_PROXY = re.compile(
    r"(?:(?P<scheme>[^:/?#@]*)://)?(?:(?P<user>.*)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:\[\]/?#@\s]+)(?::(?P<port>\d{1,5}))?(?P<path>/[^@]*)?"
)
_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")


def _readable(value: Any) -> Any:
    """Proxy addresses that requests and aiohttp parse alike: stripped, the scheme in lower case, passwords escaped."""
    if isinstance(value, Mapping):
        return {scheme: _readable(address) for scheme, address in value.items()}
    found = _PROXY.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return value
    scheme = "" if found["scheme"] is None else f"{found['scheme'].lower()}://"
    user = "" if found["user"] is None else re.sub(r"[/?#@]", lambda mark: f"%{ord(mark[0]):02X}", found["user"]) + "@"
    port = "" if found["port"] is None else f":{found['port']}"
    return f"{scheme}{user}{found['host']}{port}{found['path'] or ''}"


def _proxy(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, Mapping):
        _check_proxy(value)
        return
    for scheme, address in value.items():
        if scheme not in ("http", "https"):
            raise ConfigError(
                f"proxy has an address for {scheme!r}, which is neither 'http' nor 'https'.",
                hint="Give 'http://proxy:3128' for both, or an address for each of http and https.",
            )
        _check_proxy(address)


def _check_proxy(address: Any) -> None:
    """The address of a proxy, empty for none; it may hold a password, so the error does not repeat it."""
    if address is None or address == "":
        return
    found = _PROXY.fullmatch(address.strip()) if isinstance(address, str) else None
    scheme = (found["scheme"] or "http").lower() if found else None
    if found is None or int(found["port"] or 1) > 65535:
        shown = "it is not an address" if isinstance(address, str) else f"it is {type(address).__name__}"
        raise ConfigError(f"proxy cannot be used: {shown}.", hint="Write it as 'http://proxy:3128'.")
    if scheme not in _PROXY_SCHEMES:
        raise ConfigError(
            f"proxy cannot be used: the proxy scheme {scheme}:// is not supported.",
            hint=f"There are: {', '.join(_PROXY_SCHEMES)}.",
        )


def _path(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_path, value))
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _path_or_flag(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, (bool, str)) or value == "":
        raise ConfigError(
            f"verify must be True, False or the path of a CA bundle, not {value!r}.", hint="Leave it out for True."
        )


def _certificate(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    files = value if isinstance(value, tuple) and len(value) in (2, 3) else (value,)
    if value is not None and not all(isinstance(file, str) and file for file in files):
        raise ConfigError(
            "cert must be a path, or the paths of a certificate and its key.",
            hint="cert='client.pem', or cert=('client.crt', 'client.key').",
        )


def _one_line(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is not None and (not isinstance(value, str) or not value.strip() or not value.isascii() or "\n" in value):
        raise ConfigError(f"{attribute.name} must be one line of ASCII, not {value!r}.", hint="'my-program/1.0'.")


@explained("HTTPConfig(max_connections=20)", timeout="Client(timeout=…)", headers="Client(headers=…)")
@frozen(kw_only=True)
class HTTPConfig:
    """Connections: pools, proxies, certificates, sizes. The same for blocking and asyncio calls."""

    #: Origins whose idle connections are kept (blocking calls; asyncio goes by ``idle_timeout`` alone).
    max_idle_connections: int = field(default=100, validator=_count)
    #: Idle connections kept for each origin; more are kept only for a few seconds after a burst (blocking calls).
    max_idle_connections_per_host: int = field(default=10, validator=_count)
    #: Seconds an idle connection is kept.
    idle_timeout: float = field(default=90.0, validator=positive_seconds)
    #: Most connections at once for each origin; ``None`` for no limit. Calls beyond it wait.
    max_connections: int | None = field(default=None, validator=_count)
    #: Proxy URL, or one for each scheme: ``{"https": "http://proxy:3128"}``. Default: the environment.
    proxy: str | Mapping[str, str] | None = field(
        default=None, converter=_readable, validator=_proxy, repr=lambda proxy: "None" if proxy is None else "<proxy>"
    )
    #: Whether ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY``, ``NO_PROXY`` and the CA variables are used.
    trust_env: bool = field(default=True, validator=flag)
    #: ``True``, ``False`` (never in production), or the path of a CA bundle.
    verify: bool | str = field(
        default=True,
        converter=_path,
        validator=_path_or_flag,
    )
    #: Path of a client certificate with its key, or ``(certificate, key)``.
    cert: str | tuple[str, str] | None = field(default=None, converter=_path, validator=_certificate)
    #: Most bytes of one answer, after decompression.
    max_response_bytes: int = field(default=DEFAULT_MAX_RESPONSE_BYTES, validator=_count)
    #: Most bytes of a file that is downloaded because the provider takes no links.
    max_download_bytes: int = field(default=20 * 1024 * 1024, validator=_count)
    #: Whether such files may come from private addresses, this machine among them. Set it only where the authors of
    #: the addresses are trusted.
    allow_private_downloads: bool = field(default=False, validator=flag)
    #: Sent as ``User-Agent``; default ``provider-kit/<version> (python/…)``.
    user_agent: str | None = field(default=None, validator=_one_line)
