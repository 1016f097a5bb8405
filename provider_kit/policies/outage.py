"""A store that cannot be used: left alone for a while, and told of once, not at every call."""

from __future__ import annotations

from attrs import define

__all__ = ["Outage"]

#: Seconds during which a store that failed is not asked again.
_REST = 5.0


@define(eq=False)
class Outage:
    """Whether one store is out of use."""

    #: Clock reading before which it is not asked.
    until: float = float("-inf")
    told: bool = False

    def lasts(self, now: float) -> bool:
        """Whether it is better not asked."""
        return now < self.until

    def begins(self, now: float) -> bool:
        """It failed; whether that is news."""
        self.until = now + _REST
        news, self.told = not self.told, True
        return news

    def ends(self) -> bool:
        """It answered; whether that is news."""
        news, self.told = self.told, False
        return news
