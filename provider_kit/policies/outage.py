"""A store that cannot be used: skipped for a while, and reported once, not at every call."""

from __future__ import annotations

from attrs import define

__all__ = ["Outage"]

#: Seconds during which a failed store is not used.
_REST = 5.0


@define(eq=False)
class Outage:
    """Whether one store is out of service."""

    #: Time before which it is not used.
    until: float = float("-inf")
    told: bool = False

    def lasts(self, now: float) -> bool:
        """Whether the store is to be skipped now."""
        return now < self.until

    def begins(self, now: float) -> bool:
        """Record a failure; return whether it is a new outage."""
        self.until = now + _REST
        news, self.told = not self.told, True
        return news

    def ends(self) -> bool:
        """Record an answer; return whether an outage has ended."""
        news, self.told = self.told, False
        return news
