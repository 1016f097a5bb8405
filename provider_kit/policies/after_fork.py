"""A forked child has the state of its parent, but not its threads: what those held is nobody's any more."""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["renew_after_fork"]


class _Renewable(Protocol):
    def _after_fork(self) -> None: ...


_known: weakref.WeakSet[_Renewable] = weakref.WeakSet()


def renew_after_fork(state: _Renewable) -> None:
    """Let ``state`` make its lock anew, and forget who waits or holds something, in every forked child."""
    _known.add(state)


def _renew() -> None:
    for state in list(_known):
        state._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
