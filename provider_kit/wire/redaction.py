"""Redaction of secrets in errors, logs and dumps.

Known secrets are removed by value; what merely looks like one (a bearer token, an ``sk-…`` key, a
password or a ``key=`` parameter in a URL) by its shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from provider_kit.model.secrets import MASK, MaskedStr

__all__ = [
    "MASK",
    "MaskedDict",
    "MaskedStr",
    "is_secret_header",
    "looks_secret",
    "mask_known",
    "redact",
    "redact_headers",
    "redact_value",
    "texts_of",
]

# Each alternative takes time that grows with the text alone: what may repeat is bounded, or cannot restart inside
# itself. Groups are atomic rather than possessive, with which Python 3.11.2 finds nothing where one is empty.
_SHAPES = re.compile(
    r"(?P<url>://)(?:[^\s\"'<>?#/@]{0,256}+(?>(?:@[^\s\"'<>?#/@]{0,256}+(?=@)){0,3})"
    r"|[^\s/@:]{0,128}+:(?!\d{1,5}[/?#])[^\s\"'<>@]{0,256}+(?>(?:@[^\s\"'<>@]{0,256}+(?=@)){0,3}))(?=@)"
    r"|(?P<bearer>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"
    r"|(?P<query>(?:(?:^|[?&#\s])(?:[a-z_-]*key|[a-z_-]*token|[a-z_-]*secret|device_code|code_verifier|password)"
    r"|(?:^|[?&#])(?:sig|[a-z_-]*signature|[a-z_-]*credential|code))=)(?!…(?:\W|$))[^&\s\"'#]+"
    r"|(?P<field>\"(?:api_key|access_token|refresh_token|client_secret|id_token|device_code|code_verifier|password)\"\s*:\s*\")[^\"]+"
    r"|\b(?:sk|gsk|xai|csk|pk|rk|fw|hf|tgp|key)[-_][A-Za-z0-9_*-]{12,}"
    r"|\bAIza[A-Za-z0-9_-]{20,}"
    r"|\b(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{20,}"
    r"|\bxox[abprse]-[A-Za-z0-9-]{10,}"
    r"|\b(?-i:A(?:K|S)IA[A-Z0-9]{16})\b"
    r"|(?P<pem>-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----)[A-Za-z0-9+/=\s]+"
    r"|\bya29\.[A-Za-z0-9._-]{10,}"
    r"|(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*",
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
#: Gateways use other names: Ocp-Apim-Subscription-Key, X-Auth, Cf-Access-Client-Secret.
_SECRET_NAMES = re.compile(
    r"key|token|secret|auth|credential|cookie|passw|passphrase|pass$|pwd|signature|session|^sig$|^code$", re.IGNORECASE
)
#: Characters of keys and signatures: base64 without those that join words.
_RANDOM = re.compile(r"[A-Za-z0-9+=_]{20,}")
#: Names of models, versions and projects: words and numbers that a dash joins.
_NAME = re.compile(r"[a-z]*+\d{0,8}+[a-z]{0,2}+(?>(?:[-_.=][a-z]*+\d{0,8}+[a-z]{0,2}+){1,9})")


#: Levels of a JSON value that are shown.
_DEEPEST = 50


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` without any of ``secrets`` and without anything shaped like one."""
    for secret in secrets:
        if len(secret) >= 4 and secret in text:
            text = text.replace(secret, MASK)
    return _SHAPES.sub(lambda m: (m["url"] or m["bearer"] or m["query"] or m["field"] or m["pem"] or "") + MASK, text)


def texts_of(value: Any) -> list[str] | None:
    """Every text in a JSON value, names included; ``None`` for one that is nested deeper than is shown."""
    found: list[str] = []
    level = [value]
    for _ in range(_DEEPEST):
        inner: list[Any] = []
        for one in level:
            if isinstance(one, str):
                found.append(one)
            elif isinstance(one, Mapping):
                inner.extend(one)
                inner.extend(one.values())
            elif isinstance(one, list):
                inner.extend(one)
        if not inner:
            return found
        level = inner
    return None


def mask_known(value: Any, secrets: Iterable[str], *, depth: int = 0) -> Any:
    """A text, or a JSON value, without any of ``secrets``; what merely looks like one stays, for a model may write
    such things."""
    if isinstance(value, str):
        for secret in secrets:
            if len(secret) >= 8:
                value = value.replace(secret, MASK)
        return value
    if depth > _DEEPEST:
        return value
    if isinstance(value, Mapping):
        return {key: mask_known(inner, secrets, depth=depth + 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [mask_known(inner, secrets, depth=depth + 1) for inner in value]
    return value


def redact_value(value: Any, secrets: Iterable[str] = (), *, depth: int = 0) -> Any:
    """The same for every string inside a JSON value; what is nested too deeply is left out."""
    if isinstance(value, str):
        return redact(value, secrets)
    if depth > _DEEPEST and isinstance(value, (Mapping, list)):
        return "…"
    if isinstance(value, Mapping):
        return {
            redact(key, secrets) if isinstance(key, str) else key: redact_value(v, secrets, depth=depth + 1)
            for key, v in value.items()
        }
    if isinstance(value, list):
        return [redact_value(item, secrets, depth=depth + 1) for item in value]
    return value


def looks_secret(text: str) -> bool:
    """Whether a text is likely to be a key: by its shape, or one long word of letters and digits."""
    if redact(text) != text:
        return True
    plain = text.rpartition(" ")[2]
    if _NAME.fullmatch(plain):
        return False
    words = _RANDOM.findall(plain) if "/" in plain else [plain]
    return any(len(word) >= 20 and any(map(str.isdigit, word)) and any(map(str.isalpha, word)) for word in words)


class MaskedDict(dict[str, str]):
    """A dict that may hold secrets, such as the environment; it does not show its values."""

    def __repr__(self) -> str:
        return f"<{len(self)} values>"


def is_secret_header(name: str) -> bool:
    """Whether a header of this name carries a credential, or may do so by its name."""
    return name.lower() in _SECRET_HEADERS or _SECRET_NAMES.search(name) is not None


def redact_headers(headers: Mapping[str, str], secrets: Iterable[str] = ()) -> dict[str, str]:
    """Headers fit to be shown: credentials and cookies masked."""
    return {name: MASK if is_secret_header(name) else redact(value, secrets) for name, value in headers.items()}
