"""Limits of a run, and what it has spent. A run inside a tool spends from the budgets of the runs around it, too."""

from __future__ import annotations

from contextvars import ContextVar
from decimal import Decimal
from math import isfinite
from typing import Any

from attrs import Attribute, define, field, frozen

from provider_kit.errors import BudgetExceededError, InvalidRequestError
from provider_kit.model.arguments import explained
from provider_kit.model.usage import Usage

__all__ = ["Budget", "Spending", "current_spending"]


def _check(_: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is None:
        return
    kinds = (int,) if attribute.name in ("steps", "calls", "tokens") else (int, float, Decimal)
    if isinstance(value, bool) or not isinstance(value, kinds) or not isfinite(value) or value < 0:
        kind = "a whole number" if kinds == (int,) else "a number"
        raise InvalidRequestError(f"Budget({attribute.name}=…) must be {kind} from 0 on, not {value!r}.")


@explained("Budget(tokens=20_000, seconds=60)")
@frozen(kw_only=True)
class Budget:
    """Limits of a run; those inside its tools count as well. ``None``: no limit."""

    #: Requests to the model.
    steps: int | None = field(default=None, validator=_check)
    #: Tool calls.
    calls: int | None = field(default=None, validator=_check)
    #: Tokens, in and out.
    tokens: int | None = field(default=None, validator=_check)
    #: US dollars; needs a model whose price is known, see ``client.model_info()``.
    cost: Decimal | float | None = field(default=None, validator=_check)
    #: Seconds, waits included.
    seconds: float | None = field(default=None, validator=_check)


@define(eq=False)
class Spending:
    """What a run has spent, and the runs around it."""

    budget: Budget | None
    started: float
    around: Spending | None = None
    steps: int = 0
    calls: int = 0
    tokens: int = 0
    cost: Decimal = Decimal(0)

    def add_step(self, usage: Usage) -> None:
        """Count an answer.

        Raises:
            BudgetExceededError: There is a limit of cost, and the provider reported none.
        """
        spent = usage.total_tokens or (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)
        is_known = any(n is not None for n in (usage.total_tokens, usage.prompt_tokens, usage.completion_tokens))
        one: Spending | None = self
        while one is not None:
            one.steps += 1
            one.tokens += spent
            if not is_known and one.budget is not None and one.budget.tokens is not None:
                raise one.exceeded(
                    "tokens",
                    "The run has a limit of tokens, but the provider does not report how many it used.",
                    hint="Use Budget(steps=…) for this provider.",
                )
            if one.budget is not None and one.budget.cost is not None:
                if usage.cost is None:
                    raise one.exceeded(
                        "cost",
                        "The run has a limit of cost, but the price of its answers is not known.",
                        hint="Use Budget(tokens=…), or tell the prices: Client('…', model_overrides={'my-model': "
                        "{'pricing': {'input': '1.50', 'output': '6'}}}).",
                    )
                one.cost += usage.cost
            one = one.around

    def add_lost(self, usage: Usage) -> None:
        """Count what a failed request has used; what is not known of it ends no run."""
        spent = (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)
        one: Spending | None = self
        while one is not None:
            one.tokens += spent
            if one.budget is not None and one.budget.cost is not None and usage.cost is not None:
                one.cost += usage.cost
            one = one.around

    def add_calls(self, count: int, now: float) -> None:
        """Count tool calls that are about to run.

        Raises:
            BudgetExceededError: There would be too many, or the time is over.
        """
        one: Spending | None = self
        while one is not None:
            limit = one.budget.calls if one.budget is not None else None
            if limit is not None and one.calls + count > limit:
                raise one.exceeded("calls", f"The budget of calls does not suffice: {one.calls + count} of {limit}.")
            one.calls += count
            one = one.around
        self.check_time(now)

    def check(self, now: float) -> None:
        """Check before a request.

        Raises:
            BudgetExceededError: A limit was reached.
        """
        one: Spending | None = self
        while one is not None:
            budget = one.budget
            if budget is not None:
                for name in ("steps", "tokens", "cost"):
                    limit, spent = getattr(budget, name), getattr(one, name)
                    if limit is not None and spent >= limit:
                        unit = " US dollars" if name == "cost" else ""
                        raise one.exceeded(name, f"The budget of {name} is used up: {spent} of {limit}{unit}.")
            one = one.around
        self.check_time(now)

    def check_time(self, now: float) -> None:
        """Check the time.

        Raises:
            BudgetExceededError: It is over.
        """
        one: Spending | None = self
        while one is not None:
            if one.budget is not None and one.budget.seconds is not None and now >= one.started + one.budget.seconds:
                raise one.exceeded("seconds", "The run has taken the seconds of its budget.")
            one = one.around

    def exceeded(self, limit: str, message: str, hint: str | None = None) -> BudgetExceededError:
        """The error for a limit of this run."""
        error = BudgetExceededError(message, limit=limit, hint=hint)
        error.spending = self
        return error

    def includes(self, error: BudgetExceededError) -> bool:
        """Whether an error is about the budget of this run, or of one around it."""
        one: Spending | None = self
        while one is not None:
            if error.spending is one:
                return True
            one = one.around
        return False

    def seconds_left(self, now: float) -> float | None:
        """Seconds until the first limit of time."""
        left: float | None = None
        one: Spending | None = self
        while one is not None:
            if one.budget is not None and one.budget.seconds is not None:
                own = one.started + one.budget.seconds - now
                left = own if left is None else min(left, own)
            one = one.around
        return left


#: The spending of the run whose tool is running.
current_spending: ContextVar[Spending | None] = ContextVar("provider_kit_spending", default=None)
