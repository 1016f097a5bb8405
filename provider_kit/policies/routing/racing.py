"""Racing: several targets are asked at once, and the first answer, or the best one, is taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from attrs import field, frozen

from provider_kit.errors import ConfigError
from provider_kit.policies.routing.state import TargetState

__all__ = ["Race", "history_score"]

#: The score of a target without races.
_UNKNOWN = 0.5


def _seconds(instance: object, attribute: Any, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise ConfigError(f"Race({attribute.name}=…) must be seconds, not {value!r}.", hint="Race(timeout=5, grace=1).")


def _timeout(instance: object, attribute: Any, value: object) -> None:
    if value is not None:
        _seconds(instance, attribute, value)
        if not value:
            raise ConfigError("Race(timeout=0) would leave no time.", hint="Race(timeout=5), or None for no limit.")


def _judge(instance: Any, attribute: object, value: object) -> None:
    if value is not None and not callable(value):
        raise ConfigError(
            f"A judge must be a function of an answer, not {value!r}.",
            hint="Race(judge=lambda reply: len(reply.text)).",
        )
    if instance.winner == "quality" and value is None:
        raise ConfigError("Race(winner='quality') needs a judge.", hint="judge=lambda reply: len(reply.text).")


def _losers(instance: object, attribute: object, value: object) -> None:
    if value not in ("cancel", "drain"):
        raise ConfigError(f"losers must be 'cancel' or 'drain', not {value!r}.")


def _winner(instance: object, attribute: object, value: object) -> None:
    if value not in (None, "first", "weighted", "quality"):
        raise ConfigError(
            f"Race(winner=…) must be 'first', 'weighted' or 'quality', not {value!r}.",
            hint="first: the first answer; weighted: by history; quality: by the judge.",
        )


@frozen(kw_only=True)
class Race:
    """The strategy of asking all targets at once."""

    #: Which answer is taken: the ``first``; ``weighted``: of those that come within the grace period the one whose
    #: target won most often and is fastest; ``quality``: of those the one the judge rates highest. Default:
    #: ``quality`` with a judge, else ``first``.
    winner: Literal["first", "weighted", "quality"] | None = field(default=None, validator=_winner)
    #: Rates an answer by a number, higher is better; may be asynchronous for asyncio calls.
    judge: Callable[[Any], Any] | None = field(default=None, validator=_judge)
    #: Seconds within which one of them must have answered; a streamed answer must have begun. ``None``: no limit.
    timeout: float | None = field(default=5.0, validator=_timeout)
    #: Seconds to wait for the others after the first answer, where the best one is wanted.
    grace: float = field(default=1.0, validator=_seconds)
    #: What happens to the other answers, as in :class:`Hedge`.
    losers: Literal["cancel", "drain"] = field(default="cancel", validator=_losers)

    @property
    def mode(self) -> Literal["first", "weighted", "quality"]:
        """Which answer is taken."""
        return self.winner or ("first" if self.judge is None else "quality")


def history_score(target: TargetState, fastest: float) -> float:
    """The score of a target by its history, from 0 to 1: how often it won, and how fast it is.

    Args:
        target: The target.
        fastest: The shortest first-token time of those that are compared.
    """
    if not target.races:
        return _UNKNOWN
    speed = fastest / target.first_token if target.first_token and fastest else _UNKNOWN
    return 0.5 * target.wins / target.races + 0.5 * speed


def fastest_of(targets: Sequence[TargetState]) -> float:
    """The shortest first-token time that is known."""
    return min((target.first_token for target in targets if target.first_token), default=0.0)
