"""How a live answer ends, and how a wait does whose caller leaves. Both are called in any thread."""

from __future__ import annotations

from collections.abc import Callable

from provider_kit.engine.handler import End
from provider_kit.routing.routed_call_state import RoutedCallState, TargetAttempt

__all__ = ["Ending", "Leaving"]


class Ending:
    """Notes how a live answer has ended. It may be called in any thread."""

    __slots__ = ("asked", "now", "state")

    def __init__(self, routed: RoutedCallState, asked: TargetAttempt) -> None:
        self.state = routed.router.state
        self.now = routed.runtime.now
        self.asked = asked

    def __call__(self, end: End) -> None:
        """The answer has ended."""
        asked, now = self.asked, self.now()
        target, record = asked.target.state, asked.record
        record.duration = now - asked.begun
        if end.how == "complete":
            self.state.answered(target, asked.trial, now)
        elif end.how == "failed":
            self.state.failed(target, asked.trial, now, counts=True)
            record.reason = "the stream broke off" if end.error is None else f"the stream broke off: {end.error}"
        else:
            self.state.left(target, asked.trial, now)


class Leaving:
    """Wakes a wait when the caller leaves."""

    def __init__(self, wake: Callable[[], object]) -> None:
        self._wake = wake

    def leave(self) -> None:
        """The caller leaves."""
        self._wake()
