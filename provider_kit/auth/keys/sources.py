"""Sources and checks of API keys. Nothing here shows a key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from provider_kit.auth.user_callables import CallsBlocking, call_user
from provider_kit.errors import AuthError, MissingAPIKeyError, ProviderKitError
from provider_kit.model.config import ProviderConfig
from provider_kit.model.secrets import MaskedStr
from provider_kit.providers.base import Provider, keys_of_variable, variable_prefix

__all__ = ["KeySource", "check_key", "find_keys"]


class KeySource:
    """The source of the keys: arguments, the environment, or a callable."""

    def __init__(
        self,
        keys: tuple[str, ...],
        *,
        variable: str | None = None,
        function: Callable[[], Any] | None = None,
        provider: str = "",
    ) -> None:
        self.keys = keys
        self.function = function
        self._provider = provider
        #: Environment variable that holds the key.
        self.variable = variable

    @property
    def empty(self) -> bool:
        """Whether there is no key at all, as a local server allows."""
        return not self.keys and self.function is None

    async def fetch(self, transport: CallsBlocking) -> tuple[str, ...]:
        """The keys to use now.

        Raises:
            AuthError: The callable failed or returned no key.
        """
        if self.function is None:
            return self.keys
        remembered = getattr(self.function, "remembered_value", None)  # an already fetched secret needs no thread
        found = remembered() if callable(remembered) else None
        try:
            found = found or await call_user(transport, self.function, what="The api_key callable")
        except ProviderKitError as error:
            error.provider = error.provider or self._provider
            raise
        except Exception as error:  # the user's callable may raise anything
            raise AuthError(
                f"The api_key callable failed: {type(error).__name__}.",
                provider=self._provider,
                hint="See the cause above; the callable must return the key as a string, or several in a list.",
            ) from error
        keys = [found] if isinstance(found, str) else list(found) if isinstance(found, (list, tuple)) else [None]
        if not keys or not all(isinstance(key, str) for key in keys):
            raise AuthError(
                f"The api_key callable returned {type(found).__name__}, neither a key nor a list of keys.",
                provider=self._provider,
            )
        return tuple(dict.fromkeys(check_key(key, self._provider) for key in keys))


#: Characters copied with a key by mistake: quotes of a settings file, a byte order mark, a zero-width space.
_QUOTES = "\"'`\u2018\u2019\u201c\u201d\ufeff\u200b"


def check_key(key: Any, provider: str, variable: str | None = None) -> str:
    """Check a key, and strip the white space around it.

    Args:
        key: The key.
        provider: Name of its provider.
        variable: The environment variable that holds it, for the error.

    Raises:
        AuthError: It is empty, not a string, or holds characters that are not allowed in a header.
    """
    if not isinstance(key, str):
        raise AuthError(f"The API key is {type(key).__name__}, not a string.", provider=provider)
    clean = MaskedStr(key.strip())
    where = f" in {variable}" if variable else ""
    if not clean:
        blank = "blank: it holds only white space" if key else "empty"
        hint = f"Set {variable} to the key, or unset it." if variable else "Pass the complete key."
        raise AuthError(f"The API key{where} is {blank}.", provider=provider, hint=hint)
    if variable is not None and (clean[0] in _QUOTES or clean[-1] in _QUOTES):
        raise AuthError(
            f"The API key{where} has quotes, or another mark, around it.",
            provider=provider,
            hint="Remove them: in a .env file or a container's settings, quotes may become part of the value.",
        )
    if not clean.isascii() or not clean.isprintable() or " " in clean:
        raise AuthError(
            f"The API key{where} holds characters no key has (a space, a line break, a typographic dash or quote).",
            provider=provider,
            hint="Copy the key again, and nothing else.",
        )
    return clean


def find_keys(config: ProviderConfig, provider: Provider, environ: Mapping[str, str]) -> KeySource:
    """The keys to use: those of the configuration, else the environment's.

    Raises:
        MissingAPIKeyError: There is none and the provider needs one; the message says where it was searched.
    """
    label = config.label
    if callable(config.api_key):
        return KeySource((), function=config.api_key, provider=label)
    given = [config.api_key] if config.api_key is not None else []
    given.extend(config.api_keys)
    if given:
        return KeySource(tuple(dict.fromkeys(check_key(key, label) for key in given)), provider=label)
    own = f"{variable_prefix(label)}_API_KEY"
    variables = provider.key_variables if own in provider.key_variables else (*provider.key_variables, own)
    keys, variable = provider.find_keys(environ)
    if variable is None:
        keys, variable = keys_of_variable(own, environ), own
    if keys:
        checked = dict.fromkeys(check_key(key, label, variable) for key in keys)
        return KeySource(tuple(checked), variable=variable, provider=label)
    if not provider.key_required:
        return KeySource((), provider=label)
    where = f" Get a key at {provider.console}." if provider.console else ""
    raise MissingAPIKeyError(
        f"No API key: none was given, and {variables[0]} is not set."
        if len(variables) == 1
        else f"No API key: none was given, and none of {', '.join(variables)} is set.",
        provider=label,
        hint=f"Set {variables[0]} in the environment, pass api_key=…, "
        f"or store it: provider-kit keys set {label}.{where}",
    )
