"""A forked child has the state of its parent but not its threads: locks they held would never be released."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol

__all__ = ["ForkSafeLock", "Forks", "renew_after_fork"]


class _Renewable(Protocol):
    def _after_fork(self) -> None: ...


_known: weakref.WeakSet[_Renewable] = weakref.WeakSet()


def renew_after_fork(state: _Renewable) -> None:
    """In every forked child, let ``state`` replace its lock and drop its waiters and holders."""
    _known.add(state)


class Forks:
    """How many forks led to this process, so that what began in another one is told apart."""

    count = 0


def _renew() -> None:
    Forks.count += 1
    for state in list(_known):
        state._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


class ForkSafeLock:
    """A lock that is always free in a forked child."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        renew_after_fork(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def _after_fork(self) -> None:
        self._lock = threading.RLock()

    def __reduce__(self) -> tuple[type[ForkSafeLock], tuple[()]]:
        return ForkSafeLock, ()
