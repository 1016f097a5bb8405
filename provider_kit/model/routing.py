"""How a router came to an answer, or to none: what it decided, and every target it asked."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from attrs import define, field, fields, frozen

from provider_kit.model.usage import Quote, Usage

__all__ = ["ExplainedTarget", "RouteAttempt", "RouteExplanation", "RouteOutcome", "Routing", "TargetStatus"]

#: What became of a target that was asked: it answered; it failed; it was cancelled since another one answered first;
#: its answer is, or was, read only for its usage; or it has not answered yet.
RouteOutcome: TypeAlias = Literal["answered", "failed", "cancelled", "draining", "drained", "running"]


@define
class RouteAttempt:
    """One target that a router asked, with its own retries."""

    #: Name of the target; a target of a router inside a router has the names of both, ``group > target``.
    target: str
    #: Seconds since 1970 when it was asked.
    started: float = 0.0
    outcome: RouteOutcome = "running"
    provider: str = ""
    model: str = ""
    #: Seconds until it was left: with its first content, its whole answer, or its failure.
    duration: float = 0.0
    #: Seconds to its first content, or to its whole answer where none was streamed; ``None`` without any.
    first_token: float | None = None
    #: Why another target was asked, or the call given up; empty if it answered.
    reason: str = ""
    #: Name of the error's class.
    error: str | None = None
    status_code: int | None = None
    #: The end of the key that was used; empty where there is only one.
    key: str = ""
    #: Whether it was asked before an earlier one had ended: in a race, or as a hedge.
    concurrent: bool = False
    #: Whether it may be billed for an unknown amount: it was left, or its answer was lost.
    may_be_billed: bool = False
    _usage: Usage | Callable[[], Usage] | None = field(default=None, repr=False)
    _quote: Callable[[], Quote] | None = field(default=None, repr=False)

    def used(self, usage: Usage | Callable[[], Usage] | None, quote: Callable[[], Quote] | None = None) -> None:
        """Set what it used, and where its price is found; functions are called when that is asked for."""
        self._usage, self._quote = usage, quote

    @property
    def usage(self) -> Usage | None:
        """Tokens it used, as far as they are known."""
        usage = self._usage
        if usage is not None and not isinstance(usage, Usage):
            usage = self._usage = usage()
        if usage is not None and self._quote is not None:
            usage.price_by(self._quote())
            self._quote = None
        return usage

    @property
    def cost(self) -> Decimal | None:
        """Price in US dollars; ``None`` if unknown."""
        usage = self.usage
        return None if usage is None else usage.cost

    def __getstate__(self) -> dict[str, Any]:
        usage = self.usage
        if usage is not None:
            usage.cost  # noqa: B018  # it is looked up now; the prices are not pickled
        return {name: getattr(self, name) for name in _ATTEMPT_FIELDS} | {"_quote": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


_ATTEMPT_FIELDS = tuple(one.name for one in fields(RouteAttempt))


@define
class Routing:
    """The decisions of a router about one call: ``reply.routing``, ``error.routing``."""

    #: Name of the strategy.
    strategy: str
    #: Why the first target was chosen.
    reason: str = ""
    #: Every target that was asked, oldest first.
    attempts: list[RouteAttempt] = field(factory=list)
    #: Targets that could not answer this request, with the reason.
    excluded: dict[str, str] = field(factory=dict)
    #: Seconds that were waited for a target to return.
    waited: float = 0.0
    #: Whether several targets were asked at once, for the answer that came first or is best.
    raced: bool = False
    #: The failed attempts of the targets that were left, as :attr:`ChatResponse.attempts` lists them.
    earlier: tuple[Any, ...] = field(default=(), repr=False)

    @property
    def answered(self) -> RouteAttempt | None:
        """The target that answered."""
        return next((one for one in reversed(self.attempts) if one.outcome == "answered"), None)

    @property
    def target(self) -> str | None:
        """Name of the target that answered."""
        found = self.answered
        return None if found is None else found.target

    @property
    def fallback_index(self) -> int:
        """How many targets were left before one answered; 0 for the first one."""
        found = self.answered
        return len(self.attempts) - 1 if found is None else self.attempts.index(found)

    @property
    def cost(self) -> Decimal | None:
        """The price of everything that was asked, as far as it is known."""
        known = [cost for cost in (one.cost for one in self.attempts) if cost is not None]
        return sum(known, Decimal()) if known else None

    @property
    def cost_is_minimum(self) -> bool:
        """Whether more may have been billed, for answers that were lost or left."""
        return any(one.may_be_billed or one.outcome == "draining" for one in self.attempts)

    def metadata(self) -> dict[str, Any]:
        """The same in a few plain values."""
        found = self.answered
        if found is None:
            return {}
        made: dict[str, Any] = {"strategy": self.strategy}
        if self.raced:
            made["racing_winner"] = found.target
            made["racing_latency_ms"] = round((found.first_token or 0.0) * 1000, 3)
        else:
            made["fallback_provider"] = found.target
            made["fallback_index"] = self.fallback_index
        return made

    def trace(self) -> list[dict[str, Any]]:
        """Its attempts as rows for ``provider-kit route simulate --trace``, which are JSON."""
        return [
            {
                "time": one.started,
                "target": one.target,
                "first_token": one.first_token,
                "duration": one.duration,
                "error": one.error,
                "cost": None if one.cost is None else float(one.cost),
                "retry": number > 0,
            }
            for number, one in enumerate(self.attempts)
            if one.outcome in ("answered", "failed")
        ]

    def __str__(self) -> str:
        lines = [f"{self.strategy}: {self.reason}".rstrip(": ")]
        lines += [
            f"  {one.target}: {one.outcome} after {one.duration:.2f} s{f' ({one.reason})' if one.reason else ''}"
            for one in self.attempts
        ]
        return "\n".join([*lines, *(f"  {name}: not asked, {why}" for name, why in self.excluded.items())])


@frozen(kw_only=True)
class TargetStatus:
    """What a router knows of one target now."""

    name: str
    #: ``ready``; ``cooling``: it is not asked while another one can be; ``returning``: a few calls are let through.
    state: Literal["ready", "cooling", "returning"]
    #: Why it is not ready.
    reason: str = ""
    #: Seconds since 1970 when that began, and until when it lasts; ``None`` if it is ready.
    since: float | None = None
    until: float | None = None
    weight: float = 1.0
    priority: int = 0
    in_flight: int = 0
    requests: int = 0
    failures: int = 0
    #: Smoothed share of failures among its latest calls.
    error_share: float = 0.0
    #: Smoothed seconds to the first content; ``None`` if unknown.
    first_token: float | None = None
    #: Share of its quota that is left, as the provider tells; ``None`` if unknown.
    headroom: float | None = None
    #: The targets of a router inside the router.
    targets: tuple[TargetStatus, ...] = ()


@frozen
class ExplainedTarget:
    """One target, as a router would treat it now."""

    name: str
    #: Whether it would be asked, if those before it failed.
    asked: bool
    #: What matters about it: prices, windows, why it is out.
    notes: tuple[str, ...] = ()


@frozen
class RouteExplanation:
    """Who would be asked, and why: ``router.explain("…")``."""

    strategy: str
    #: Why the first one.
    reason: str
    #: The targets in the order in which they would be asked, then the others.
    targets: list[ExplainedTarget]

    def __str__(self) -> str:
        lines = [f"{self.strategy}: {self.reason}"]
        number = 0
        for one in self.targets:
            number += one.asked
            lines.append(f"  {f'{number}.' if one.asked else '-':<3}{one.name}: {', '.join(one.notes) or 'ready'}")
        return "\n".join(lines)
