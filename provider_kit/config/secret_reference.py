"""A value that is stored elsewhere, fetched when needed and cached for five minutes."""

from __future__ import annotations

import logging
import math
import os
import threading
from collections.abc import Sequence
from copy import copy

from provider_kit.errors import ProviderKitError
from provider_kit.model.secrets import MaskedStr
from provider_kit.policies.after_fork import renew_after_fork
from provider_kit.transports.runtime_blocking import BlockingRuntime

__all__ = ["SecretList", "SecretReference"]

#: Seconds after which a secret is fetched again, so that a rotated one is noticed.
_REMEMBERED = 300.0
#: Seconds for which a secret is not fetched again, even if the provider refuses it.
_BELIEVED = 10.0
#: Seconds for which other callers keep the old value while one fetches the new one.
_FETCHING = 30.0
_log = logging.getLogger("provider_kit.auth")


class SecretReference:
    """A text with secrets in it; calling it returns the text.

    A secret that cannot be fetched again keeps its old value, with a warning in the log: a short outage of a secret
    manager does not stop a running program.

    Args:
        parts: Texts, and pairs of a scheme and where in it the secret is.
    """

    def __init__(self, parts: Sequence[str | tuple[str, str]]) -> None:
        self._parts = tuple(parts)
        self._folder = _current_folder()
        self._known: MaskedStr | None = None
        self._until = 0.0
        self._fetched = -math.inf
        self._refused = False
        self._attempts = 0
        self._failure: ProviderKitError | None = None
        self._after_fork()
        renew_after_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"<secret {self.origin}>"

    def __getstate__(self) -> tuple[str | tuple[str, str], ...]:
        return self._parts

    def __setstate__(self, parts: tuple[str | tuple[str, str], ...]) -> None:
        self.__init__(parts)  # type: ignore[misc]  # the copy is new, and knows nothing yet

    @property
    def origin(self) -> str:
        """Its reference, as written in the file."""
        return ", ".join(f"${{{part[0]}:{part[1]}}}" for part in self._parts if isinstance(part, tuple))

    def remembered_value(self) -> str | None:
        """The cached value, if it need not be fetched now."""
        if self._refused or self._known is None or BlockingRuntime.now() >= self._until:
            return None
        return self._known

    def forget_refused(self) -> None:
        """The provider refused it: it is fetched with the next call, unless that was done very recently."""
        if BlockingRuntime.now() - self._fetched >= _BELIEVED:
            self._refused = True

    def __call__(self) -> str:
        """The value.

        Raises:
            AuthError: It cannot be fetched, and never was.
            MissingDependencyError: The package that fetches it is not installed.
        """
        while True:
            known = self.remembered_value()
            if known is not None:
                return known
            attempts = self._attempts
            with self._lock:
                if self._attempts == attempts:  # otherwise another caller has tried meanwhile
                    self._fetch()
                if self._known is not None:
                    return self._known
                if self._failure is not None:
                    raise copy(self._failure) from self._failure.__cause__

    def _fetch(self) -> None:
        self._failure = None
        self._fetched = BlockingRuntime.now()
        self._until = self._fetched + _FETCHING  # for the others, if the old value was not refused
        try:
            self._known = MaskedStr("".join(map(self._text_of, self._parts)))
        except ProviderKitError as error:
            self._failure = error
            if self._known is not None:
                _log.warning("%s cannot be fetched again, the old value stays in use: %s", self.origin, error)
        finally:
            self._until = BlockingRuntime.now() + _REMEMBERED
            self._refused = False
            self._attempts += 1

    def _text_of(self, part: str | tuple[str, str]) -> str:
        from provider_kit.config.secrets import fetch_secret

        if isinstance(part, str):
            return part
        scheme, where = part
        if scheme == "file" and not where.startswith("~"):  # the program may have changed to another folder since
            where = os.path.join(self._folder, where)
        return fetch_secret(scheme, where)


def _current_folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return ""


class SecretList:
    """Several keys, some of them stored elsewhere; calling it returns them all."""

    def __init__(self, keys: Sequence[str | SecretReference]) -> None:
        self._keys = tuple(keys)

    def __repr__(self) -> str:
        return f"<{len(self._keys)} keys>"

    def remembered_value(self) -> list[str] | None:
        """The keys, if none must be fetched now."""
        found = [key if isinstance(key, str) else key.remembered_value() for key in self._keys]
        return None if None in found else [key for key in found if key is not None]

    def forget_refused(self) -> None:
        """One of them was refused: those stored elsewhere are fetched with the next call."""
        for key in self._keys:
            if isinstance(key, SecretReference):
                key.forget_refused()

    def __call__(self) -> list[str]:
        """The keys."""
        return [key if isinstance(key, str) else key() for key in self._keys]
