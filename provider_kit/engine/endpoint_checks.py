"""Checks of an endpoint: the options of its provider and its base URL."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from provider_kit.errors import ConfigError
from provider_kit.model.config import ProviderConfig
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.providers.base import Provider
from provider_kit.wire.http import is_loopback
from provider_kit.wire.redaction import redact

__all__ = ["check_base_url", "check_options"]


def check_options(config: ProviderConfig, provider: Provider) -> None:
    """Check that every option is one of the provider's, and of the right type.

    Raises:
        ConfigError: One is not.
    """
    for name in config.options:
        if name not in provider.option_names:
            known = provider.option_names
            raise ConfigError(
                f"{config.label} has no option {name!r}.",
                provider=config.label,
                hint=did_you_mean(name, known) + (f"It has: {', '.join(known)}." if known else "It has none."),
            )
        _check_option(name, config.options[name], provider, config.label)


def _check_option(name: str, value: Any, provider: Provider, label: str) -> None:
    kind: Any = provider.option_kinds.get(name, str)
    has_multiple = kind is list and isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value)
    fits = isinstance(value, str) if kind in (str, list) else isinstance(value, kind)
    if value is None or has_multiple or (fits and (kind is bool or not isinstance(value, bool))):
        return
    wanted = {str: "a text", bool: "True or False", list: "a text, or a list of texts", int: "a number"}.get(
        kind, getattr(kind, "__name__", "a text or a number")
    )
    raise ConfigError(
        f"The option {name} must be {wanted}, not {type(value).__name__}.",
        provider=label,
        hint=f"{name}='…'." if kind is str else None,
    )


def check_base_url(url: str | None, name: str, variables: Sequence[str]) -> str:
    """Check the base URL.

    Raises:
        ConfigError: There is none, or it is malformed.
    """
    if not url:
        shown = ", ".join(variables)
        raise ConfigError(
            f"{name} needs a base URL.",
            provider=name,
            hint=f"Pass base_url='https://…'{f' or set {shown}' if shown else ''}.",
        )
    url = url.strip().rstrip("/")
    if not url:
        raise ConfigError("The base URL is blank.", provider=name, hint="Write it in full: 'https://…/v1'.")
    before_path = re.split(r"[/?#]", url.partition("://")[2] or url.removeprefix("//"), maxsplit=1)[0]
    if "@" in before_path:
        raise ConfigError(
            "The base URL holds a user name or password.",
            provider=name,
            hint="Pass the key as api_key=, never inside the address.",
        )
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"The base URL {redact(url)!r} is malformed: {error}.", provider=name) from None
    if parts.scheme not in ("http", "https") or not host:
        address = re.sub(r"^[a-z]*:/+|^/+", "", redact(url).partition("#")[0], flags=re.IGNORECASE)
        here = is_loopback(re.split(r"[:/]", address)[0], unspecified=True)
        raise ConfigError(
            f"The base URL {redact(url)!r} is not an http:// or https:// address.",
            provider=name,
            hint=f"Write it with its scheme: '{'http' if here else 'https'}://{address}'."
            if address
            else "Write it in full: 'https://…/v1'.",
        )
    if "#" in url:
        raise ConfigError(
            f"The base URL {redact(url)!r} has a fragment, which is never sent.",
            provider=name,
            hint=f"Leave out the # and what follows it: '{redact(url).partition('#')[0]}'.",
        )
    ending = re.search(r"/(?:chat/completions|completions|responses|messages|api/chat)$", parts.path)
    if ending:
        raise ConfigError(
            f"The base URL {redact(url)!r} ends with {ending[0]}, which is added automatically.",
            provider=name,
            hint=f"Write base_url='{redact(url).removesuffix(ending[0])}'.",
        )
    if re.search(r"[\s\\]", url):
        raise ConfigError(
            f"The base URL {redact(url)!r} holds white space or a backslash.",
            provider=name,
            hint="Copy the address again, and nothing else.",
        )
    return url
