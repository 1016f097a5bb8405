"""API keys: where they come from and what they must look like. Nothing here shows one."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable, iscoroutinefunction
from typing import Any, Protocol

from provider_kit.errors import AuthError, MissingAPIKeyError, ProviderKitError
from provider_kit.model.config import ProviderConfig
from provider_kit.providers.base import Provider

__all__ = ["KeySource", "check_key", "find_keys"]


class _CallsBlocking(Protocol):
    kind: str

    async def call_blocking(self, function: Callable[..., Any], *args: Any) -> Any: ...


class KeySource:
    """Hands out the key for the next request: always the same, several in turn, or a callable's."""

    def __init__(
        self,
        keys: tuple[str, ...],
        *,
        variable: str | None = None,
        function: Callable[[], str | Awaitable[str]] | None = None,
        provider: str = "",
    ) -> None:
        self._keys = keys
        self._turn = itertools.cycle(keys)
        self._lock = threading.Lock()
        self._function = function
        self._provider = provider
        #: What the callable returned of late, newest first.
        self._returned: tuple[str, ...] = ()
        #: Environment variable the key was found in.
        self.variable = variable

    @property
    def fixed(self) -> str | None:
        """The one key that never changes, if that is so."""
        return self._keys[0] if len(self._keys) == 1 and self._function is None else None

    @property
    def secrets(self) -> tuple[str, ...]:
        """All keys known now, to be kept out of texts."""
        return self._keys or self._returned

    @property
    def empty(self) -> bool:
        """Whether there is no key at all, as a local server allows."""
        return not self._keys and self._function is None

    async def next(self, transport: _CallsBlocking) -> str | None:
        """The key to use now.

        Raises:
            AuthError: The callable failed or returned no key.
        """
        if self._function is None:
            if len(self._keys) < 2:
                return self._keys[0] if self._keys else None
            with self._lock:
                return next(self._turn)
        if transport.kind == "blocking" and iscoroutinefunction(self._function):
            raise AuthError(
                "The api_key callable is asynchronous, the call is not.",
                provider=self._provider,
                hint="Use achat(), astream(), …, or pass a plain function.",
            )
        try:
            key = (
                self._function()
                if iscoroutinefunction(self._function)
                else await transport.call_blocking(self._function)
            )
            if isawaitable(key):
                key = await key
        except ProviderKitError:
            raise
        except Exception as error:
            raise AuthError(
                f"The api_key callable failed: {type(error).__name__}.",
                provider=self._provider,
                hint="See the cause above; the callable must return the key as a string.",
            ) from error
        if not isinstance(key, str):
            raise AuthError(
                f"The api_key callable returned {type(key).__name__}, not a string.", provider=self._provider
            )
        key = check_key(key, self._provider)
        if key not in self._returned:
            self._returned = (key, *self._returned[:7])
        return key


def check_key(key: Any, provider: str) -> str:
    """A key without the white space that copying leaves around it.

    Raises:
        AuthError: It is empty, no string, or holds characters no header can carry.
    """
    if not isinstance(key, str):
        raise AuthError(f"The API key is {type(key).__name__}, not a string.", provider=provider)
    clean = key.strip()
    if not clean:
        raise AuthError("The API key is empty.", provider=provider, hint="Pass the whole key.")
    if not clean.isascii() or not clean.isprintable() or " " in clean:
        raise AuthError(
            "The API key holds characters that no key has (a space, a line break, a typographic dash or quote).",
            provider=provider,
            hint="Copy the key again, without anything around it.",
        )
    return clean


def find_keys(config: ProviderConfig, provider: Provider, environ: Mapping[str, str]) -> KeySource:
    """The keys to use: those of the configuration, else the environment's.

    Raises:
        MissingAPIKeyError: There is none and the provider needs one; the text names where it was looked for.
    """
    label = config.label
    if callable(config.api_key):
        return KeySource((), function=config.api_key, provider=label)
    given = [config.api_key] if config.api_key is not None else []
    given.extend(config.api_keys)
    if given:
        return KeySource(tuple(check_key(key, label) for key in given), provider=label)
    key, variable = provider.find_key(environ)
    if key is not None:
        return KeySource((check_key(key, label),), variable=variable, provider=label)
    own = f"{label.upper().replace('-', '_')}_API_KEY"
    variables = provider.key_variables if own in provider.key_variables else (*provider.key_variables, own)
    if environ.get(own):
        return KeySource((check_key(environ[own], label),), variable=own, provider=label)
    if not provider.key_required:
        return KeySource((), provider=label)
    where = f" Get a key at {provider.console}." if provider.console else ""
    raise MissingAPIKeyError(
        f"No API key: none was given, and none of {', '.join(variables)} is set.",
        provider=label,
        hint=f"Set {variables[0]} in the environment, or pass api_key=….{where}",
    )
