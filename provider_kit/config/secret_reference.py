"""A value that is kept elsewhere, fetched when it is needed and remembered for five minutes."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

from provider_kit.errors import ProviderKitError
from provider_kit.model.hidden import HiddenText
from provider_kit.transports.blocking_waiting import BlockingWaiting

__all__ = ["SecretList", "SecretReference"]

#: Seconds after which a secret is fetched again, so that a rotated one is noticed.
_REMEMBERED = 300.0
#: Seconds for which a secret is believed, even if the provider refuses it.
_BELIEVED = 10.0
#: Seconds for which others go on with the old value while one fetches the new one.
_FETCHING = 30.0
_log = logging.getLogger("provider_kit.auth")


class SecretReference:
    """A text with secrets in it; calling it returns the text.

    A secret that cannot be fetched again keeps its old value, with a warning in the log: a secret manager
    that is away for a moment stops no program that runs.

    Args:
        parts: Texts, and pairs of a scheme and where in it the secret is.
    """

    def __init__(self, parts: Sequence[str | tuple[str, str]]) -> None:
        self._parts = tuple(parts)
        self._known: HiddenText | None = None
        self._until = 0.0
        self._fetched = -math.inf

    def __repr__(self) -> str:
        return f"<secret {self.origin}>"

    def __getstate__(self) -> dict[str, object]:
        return {"_parts": self._parts, "_known": None, "_until": 0.0, "_fetched": -math.inf}

    @property
    def origin(self) -> str:
        """Where it comes from, as the file has it."""
        return ", ".join(f"${{{part[0]}:{part[1]}}}" for part in self._parts if isinstance(part, tuple))

    def remembered_value(self) -> str | None:
        """The value, if it need not be fetched now."""
        return self._known if self._known is not None and BlockingWaiting.now() < self._until else None

    def forget(self) -> bool:
        """The value was refused: it is fetched again with the next call, unless it was a moment ago."""
        if BlockingWaiting.now() - self._fetched < _BELIEVED:
            return False
        self._until = 0.0
        return True

    def __call__(self) -> str:
        """The value.

        Raises:
            AuthError: It cannot be fetched, and never was.
            MissingDependencyError: The package that fetches it is not installed.
        """
        known = self.remembered_value()
        if known is not None:
            return known
        from provider_kit.config.secrets import fetch_secret

        self._fetched = BlockingWaiting.now()
        self._until = self._fetched + _FETCHING  # counts where there is an old value
        try:
            made = HiddenText("".join(p if isinstance(p, str) else fetch_secret(p[0], p[1]) for p in self._parts))
        except ProviderKitError as error:
            if self._known is None:
                raise
            _log.warning("%s cannot be fetched again, the old value stays in use: %s", self.origin, error)
            made = self._known
        self._known, self._until = made, BlockingWaiting.now() + _REMEMBERED
        return made


class SecretList:
    """Several keys, some of them kept elsewhere; calling it returns them all."""

    def __init__(self, keys: Sequence[str | SecretReference]) -> None:
        self._keys = tuple(keys)

    def __repr__(self) -> str:
        return f"<{len(self._keys)} keys>"

    def remembered_value(self) -> list[str] | None:
        """The keys, if none must be fetched now."""
        found = [key if isinstance(key, str) else key.remembered_value() for key in self._keys]
        return None if None in found else [key for key in found if key is not None]

    def forget(self) -> bool:
        """One of them was refused; whether any is fetched again with the next call."""
        forgotten = [key.forget() for key in self._keys if isinstance(key, SecretReference)]
        return any(forgotten)

    def __call__(self) -> list[str]:
        """The keys."""
        return [key if isinstance(key, str) else key() for key in self._keys]
