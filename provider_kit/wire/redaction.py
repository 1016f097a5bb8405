"""Secrets out of texts: of errors, logs and dumps.

Known secrets are removed by value; what merely looks like one (a bearer token, an ``sk-…`` key, a
password or a ``key=`` parameter in a URL) by its shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from provider_kit.model.hidden import MASK, HiddenText

__all__ = ["MASK", "HiddenDict", "HiddenText", "is_secret_header", "redact", "redact_headers", "redact_value"]

_SHAPES = re.compile(
    r"(?P<url>://)(?:[^\s\"'<>?#/]*|[^\s/@:]+:(?!\d+/)[^\s\"'<>?#]*)(?=@)"
    r"|(?P<bearer>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"
    r"|(?P<query>(?:^|[?&#\s])(?:[a-z_-]*key|[a-z_-]*token|[a-z_-]*secret|sig|signature|code|device_code|code_verifier|password)=)(?!…(?:\W|$))[^&\s\"'#]+"
    r"|(?P<field>\"(?:api_key|access_token|refresh_token|client_secret|id_token|device_code|code_verifier|password)\"\s*:\s*\")[^\"]+"
    r"|\b(?:sk|gsk|xai|csk|pk|rk|fw|hf|tgp|key)[-_][A-Za-z0-9_*-]{12,}"
    r"|\bAIza[A-Za-z0-9_-]{20,}"
    r"|\bya29\.[A-Za-z0-9._-]{10,}"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*",
    re.IGNORECASE,
)
_SECRET_HEADERS = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "cookie",
        "set-cookie",
    }
)
#: Gateways have names of their own: Ocp-Apim-Subscription-Key, X-Auth, Cf-Access-Client-Secret.
_SECRET_NAMES = re.compile(r"key|token|secret|auth|credential|cookie|password|signature", re.IGNORECASE)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` without any of ``secrets`` and without anything shaped like one."""
    for secret in secrets:
        if len(secret) >= 4 and secret in text:
            text = text.replace(secret, MASK)
    return _SHAPES.sub(lambda m: (m["url"] or m["bearer"] or m["query"] or m["field"] or "") + MASK, text)


def redact_value(value: Any, secrets: Iterable[str] = ()) -> Any:
    """The same for every string inside a JSON value."""
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, Mapping):
        return {
            redact(key, secrets) if isinstance(key, str) else key: redact_value(v, secrets) for key, v in value.items()
        }
    if isinstance(value, list):
        return [redact_value(item, secrets) for item in value]
    return value


class HiddenDict(dict[str, str]):
    """A dict that may hold secrets, such as the environment; it does not show its values."""

    def __repr__(self) -> str:
        return f"<{len(self)} values>"


def is_secret_header(name: str) -> bool:
    """Whether a header of this name carries a credential, or sounds as if it did."""
    return name.lower() in _SECRET_HEADERS or _SECRET_NAMES.search(name) is not None


def redact_headers(headers: Mapping[str, str], secrets: Iterable[str] = ()) -> dict[str, str]:
    """Headers fit to be shown: credentials and cookies masked."""
    return {name: MASK if is_secret_header(name) else redact(value, secrets) for name, value in headers.items()}
