"""A plugin that keeps spending within budgets: what a call may cost is reserved before it, and settled after it."""

from __future__ import annotations

import logging
import math
import os
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

from attrs import frozen

from provider_kit.engine.handler import CallNext, End, Reply
from provider_kit.engine.plugin import Plugin, PluginContext
from provider_kit.errors import BudgetExceededError, ConfigError, StoreError
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.json_text import loads
from provider_kit.observability.usage_ledger import UsageLedger
from provider_kit.plugins.budget_estimate import most_of
from provider_kit.plugins.settings import take_settings
from provider_kit.policies.after_fork import Forks, ForkSafeLock
from provider_kit.stores.sqlite_usage import dollars, picodollars
from provider_kit.transports.base import Wakeup

__all__ = ["BudgetPlugin", "BudgetStatus"]

_LOG = logging.getLogger("provider_kit.plugins")
_WINDOWS = ("hour", "day", "month", "total")
_SCOPES = ("all", "user", "tag", "key")
#: Seconds after which a call that waits looks again, since another process may have settled its calls.
_LOOK_AGAIN = 0.25


@frozen
class BudgetStatus:
    """The state of one budget."""

    #: Whose: a user, tag or key; empty for the budget of all.
    owner: str
    #: What was used and spent in this window, and what calls in flight have reserved.
    tokens: int
    cost: Decimal
    reserved_tokens: int
    reserved_cost: Decimal
    #: What is left; ``None`` where there is no limit.
    tokens_left: int | None
    cost_left: Decimal | None


class BudgetPlugin(Plugin):
    """Refuses calls that could exceed a budget, before anything is sent, with :exc:`BudgetExceededError`.

    What a call may cost at most is reserved in the usage ledger, for its estimated input and its longest answer
    (``max_tokens``), and given back once what it has cost is written there. So the sum is the ledger's own, in all
    processes that share the file, and cannot drift from it.

    Args:
        cost: US dollars in a window.
        tokens: Tokens in a window.
        per: Whose budget it is: of ``all`` calls, or of each ``user`` (``user=`` of the call), ``tag`` (``tags=``) or
            ``key`` (``extension_config={"budget": {"key": "team-a"}}``). Calls without one are not limited.
        window: ``hour``, ``day``, ``month`` (UTC), or ``total``.
        limits: Other limits for some owners: ``{"anna": {"cost": 5}}``.
        ledger: A :class:`UsageLedger` or its file; default: the user's own. It is added to the client.
        wait: Seconds to wait for calls in flight to give back what they do not need, where that may suffice.
        unknown_price: What to do if the price of a model is not known: ``refuse`` its calls, or ``allow`` them.
    """

    name = "budget"
    description = "Keeps spending within budgets."
    #: Inside of what changes requests, such as default settings.
    priority = 850
    required = True

    def __init__(
        self,
        cost: Decimal | float | None = None,
        tokens: int | None = None,
        per: Literal["all", "user", "tag", "key"] = "all",
        window: Literal["hour", "day", "month", "total"] = "day",
        limits: Mapping[str, Mapping[str, Any]] | None = None,
        ledger: UsageLedger | str | os.PathLike[str] | None = None,
        wait: float = 10.0,
        unknown_price: Literal["refuse", "allow"] = "refuse",
    ) -> None:
        self.cost = cost
        self.tokens = tokens
        self.per = per
        self.window = window
        self.limits = limits or {}
        self.ledger = ledger
        self.wait = wait
        self.unknown_price = unknown_price

    def init(self, config: Mapping[str, Any]) -> None:
        """Check the settings, and open the ledger.

        Raises:
            ConfigError: A setting is wrong, or there is no limit.
            StoreError: The ledger cannot be used.
        """
        take_settings(self, config, ("cost", "tokens", "per", "window", "limits", "ledger", "wait", "unknown_price"))
        _check_choice("per", self.per, _SCOPES)
        _check_choice("window", self.window, _WINDOWS)
        _check_choice("unknown_price", self.unknown_price, ("refuse", "allow"))
        if isinstance(self.wait, bool) or not isinstance(self.wait, (int, float)) or not 0 <= self.wait < math.inf:
            raise ConfigError(f"wait must be a number of seconds, not {self.wait!r}.")
        if not isinstance(self.limits, Mapping):
            raise ConfigError(f"limits must be a dict, not {self.limits!r}.", hint='limits={"anna": {"cost": 5}}')
        for limits in ({"cost": self.cost, "tokens": self.tokens}, *self.limits.values()):
            _check_limits(limits)
        if self.cost is None and self.tokens is None and not self.limits:
            raise ConfigError("The budget has no limit.", hint="BudgetPlugin(cost=10), in US dollars a day.")
        if not isinstance(self.ledger, UsageLedger):
            self.ledger = UsageLedger(self.ledger)
        self.sinks = (self.ledger,)
        self._lock = ForkSafeLock()
        self._waiting: set[Wakeup] = set()
        #: Reservations that could not be given back yet.
        self._unreleased: set[str] = set()
        self._sums: dict[tuple[str, str], tuple[int, int]] = {}
        self._last = 0
        self._window = ""
        self.ledger.store.clear_lost()

    @property
    def _ledger(self) -> UsageLedger:
        ledger = self.ledger
        if not isinstance(ledger, UsageLedger) or not hasattr(self, "_lock"):
            raise ConfigError("The budget has no client yet.", hint="Client(…, plugins=[budget])")
        return ledger

    # -------------------------------------------------------------------------------------------- calls

    async def around(self, context: PluginContext, call_next: CallNext) -> Reply:
        """Reserve, call, and settle.

        Raises:
            BudgetExceededError: The budget does not suffice, or the price of the model is not known.
        """
        if context.config.get("reserved") is self:
            return await call_next(context.call)  # a router with this plugin has reserved for its targets
        owners = self._owners(context)
        if self.per == "key" and owners:
            context.call = context.call.replace(tags=(*context.call.tags, f"key:{owners[0]}"))
        limits = {owner: self._limits_of(owner) for owner in owners}
        limits = {owner: both for owner, both in limits.items() if both != (None, None)}
        if not limits or context.operation not in ("chat", "stream", "embed"):
            return await call_next(context.call)
        id, forks = secrets.token_hex(8), Forks.count
        estimate = await self._reserve(id, context, limits)
        own = {**context.call.extension_config.get(self.name, {}), "reserved": self}
        try:
            reply = await call_next(
                context.call.replace(extension_config={**context.call.extension_config, self.name: own})
            )
        except BaseException:  # on cancellation too: what it does not need is given back
            self._release(id)
            raise

        def ended(end: End) -> None:
            if forks != Forks.count:
                return  # a copy of a stream of the parent process, which has it still
            try:
                if end.how != "complete":
                    self._charge(context, estimate, end.response)
            finally:
                self._release(id)

        reply.on_end(ended)
        return reply

    def _owners(self, context: PluginContext) -> list[str]:
        if self.per == "all":
            return [""]
        if self.per == "user":
            user = getattr(context.request, "user", None)
            return [user] if user else []
        if self.per == "tag":
            return list(dict.fromkeys(context.call.tags))
        key = context.config.get("key")
        return [str(key)] if key else []

    def _limits_of(self, owner: str) -> tuple[int | None, int | None]:
        own = self.limits.get(owner, {})
        return own.get("tokens", self.tokens), picodollars(own.get("cost", self.cost))

    def _charge(self, context: PluginContext, estimate: tuple[int, int], response: Any) -> None:
        """Write an estimate of what a stream has used that its reader left: its provider does not tell, but bills."""
        usage = getattr(response, "usage", None)
        if usage is None or (usage.total_tokens is not None and not usage.cost_is_minimum):
            return
        received = len(response.text + response.thinking) // 3 + 1
        found = context.estimate_cost()
        longest = found.max_output_tokens if found is not None else None
        share = min(1.0, received / longest) if longest else 1.0
        low = picodollars(found.low) if found is not None else None
        given = found.input_tokens.tokens if found is not None else estimate[0]
        tokens, cost = given + received, (low or 0) + int((estimate[1] - (low or 0)) * share)
        # What its provider told so far is in the ledger already.
        tokens = max(0, tokens - ((usage.prompt_tokens or 0) + (usage.completion_tokens or 0)))
        cost = max(0, cost - (picodollars(usage.cost) or 0))
        if tokens or cost:
            self._ledger.add_estimate(context.call, response, context.call.runtime.time(), tokens, cost)

    async def _reserve(
        self, id: str, context: PluginContext, limits: Mapping[str, tuple[int | None, int | None]]
    ) -> tuple[int, int]:
        tokens, cost = most_of(context, tuple(limits.values()), self.unknown_price == "refuse")
        runtime = context.call.runtime
        until = runtime.now() + self.wait
        while True:
            refused = self._try(id, context.correlation_id, tokens, cost, limits)
            if refused is None:
                return tokens, cost
            left = until - runtime.now()
            alone = self._fits_alone(refused, tokens, cost, limits[refused])
            if not alone or left <= 0:
                raise self._exceeded(refused, tokens, cost, limits[refused], context)
            wakeup = runtime.wakeup()
            self._waiting.add(wakeup)
            try:
                await wakeup.wait(min(left, _LOOK_AGAIN))
            finally:
                self._waiting.discard(wakeup)

    def _try(
        self, id: str, call: str, tokens: int, cost: int, limits: Mapping[str, tuple[int | None, int | None]]
    ) -> str | None:
        """Reserve; return the owner whose budget does not suffice, ``None`` if all do."""
        ledger = self._ledger
        for old in list(self._unreleased):
            ledger.store.release(old)
            self._unreleased.discard(old)
        ledger.flush()
        if ledger.is_behind:
            raise StoreError(
                f"The usage ledger {ledger.path} cannot be written, so a budget cannot be kept.",
                hint="Make room on the disk, or wait for the process that has locked it.",
            )
        with self._lock:
            self._turn_window()
            while True:
                accounts = [
                    (self._account(owner), *most, self._sums.get(self._names(owner), (0, 0)))
                    for owner, most in limits.items()
                ]
                refused, fresh = ledger.store.reserve(
                    id, call, tokens, cost, accounts, self._last, _window_start(self.window)
                )
                if not fresh:
                    break
                self._count(fresh)
        if not refused:
            return None
        return next(owner for owner in limits if self._account(owner) == refused)

    def _account(self, owner: str) -> str:
        return f"{self.per}:{owner} {self.window}:{self._window}"

    def _names(self, owner: str) -> tuple[str, str]:
        return ("tag", f"key:{owner}") if self.per == "key" else (self.per, owner)

    def _turn_window(self) -> None:
        window = _window_name(self.window)
        if window != self._window:
            self._window, self._last = window, 0
            self._sums.clear()

    def _count(self, rows: list[tuple[Any, ...]]) -> None:
        """Add rows of the ledger to the sums."""
        for number, _, user, tags, tokens, cost in rows:
            self._last = max(self._last, number)
            each = dict.fromkeys(loads(tags))
            names = [("all", ""), *((("user", user),) if user else ()), *(("tag", tag) for tag in each)]
            for name in names:
                used, spent = self._sums.get(name, (0, 0))
                self._sums[name] = (used + tokens, spent + (cost or 0))

    def _fits_alone(self, owner: str, tokens: int, cost: int, most: tuple[int | None, int | None]) -> bool:
        """Whether it would suffice if no other call had reserved anything."""
        used, spent = self._sums.get(self._names(owner), (0, 0))
        most_tokens, most_cost = most
        return (most_tokens is None or used + tokens <= most_tokens) and (
            most_cost is None or spent + cost <= most_cost
        )

    def _exceeded(
        self, owner: str, tokens: int, cost: int, most: tuple[int | None, int | None], context: PluginContext
    ) -> BudgetExceededError:
        status = self.status(owner)
        what = f"of {self.per} {owner!r}" if owner else "of all calls"
        needed: list[str] = []
        if most[1] is not None:
            left = max(status.cost_left or Decimal(0), Decimal(0))
            needed.append(f"${_shown(dollars(cost) or Decimal(0))} of ${_shown(left)} left")
        if most[0] is not None:
            needed.append(f"{tokens:,} of {max(status.tokens_left or 0, 0):,} tokens left")
        error = BudgetExceededError(
            f"The budget {what} for this {self.window} does not suffice: the call may need {', '.join(needed)}.",
            limit="cost" if most[1] is not None else "tokens",
            hint="Raise the budget, wait for the next window, or pass a smaller max_tokens."
            if getattr(context.request, "max_tokens", None)
            else "Pass max_tokens=: without it the longest answer of the model counts. Or raise the budget.",
        )
        error.provider = context.provider
        error.model, error.operation = context.model, context.operation
        return error

    def _release(self, id: str) -> None:
        try:
            self._ledger.store.release(id)
        except StoreError as error:  # the error of the call, if there is one, matters more
            _LOG.warning("%s What a call had reserved is given back later.", error.message)
            self._unreleased.add(id)
        for wakeup in list(self._waiting):
            wakeup.wake()

    # -------------------------------------------------------------------------------------------- looking

    def status(self, owner: str = "") -> BudgetStatus:
        """The state of a budget in this window.

        Args:
            owner: A user, tag or key; empty for the budget of all.

        Raises:
            StoreError: The ledger cannot be read.
        """
        ledger = self._ledger
        with self._lock:
            self._turn_window()
            self._count(ledger.store.rows_after(self._last, _window_start(self.window)))
            used, spent = self._sums.get(self._names(owner), (0, 0))
            held_tokens, held_cost = ledger.store.held(self._account(owner))
        most_tokens, most_cost = self._limits_of(owner)
        return BudgetStatus(
            owner,
            used,
            dollars(spent) or Decimal(0),
            held_tokens,
            dollars(held_cost) or Decimal(0),
            None if most_tokens is None else most_tokens - used - held_tokens,
            None if most_cost is None else dollars(most_cost - spent - held_cost),
        )

    def recount(self) -> int:
        """Count everything again from the ledger, and give back what was reserved by processes that were killed; return
        how many of their reservations there were.

        Raises:
            StoreError: The ledger cannot be used.
        """
        ledger = self._ledger
        with self._lock:
            self._last = 0
            self._sums.clear()
        return ledger.store.clear_lost()

    def close(self) -> None:
        """Close the ledger. It can be used again."""
        if isinstance(self.ledger, UsageLedger):
            self.ledger.close()


def _shown(amount: Decimal) -> str:
    """An amount with as many digits as it needs, rounded to millionths."""
    return f"{round(amount, 6).normalize():f}"


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(
            f"{name} must be one of {', '.join(choices)}, not {value!r}.",
            hint=did_you_mean(str(value), choices).strip() or None,
        )


def _check_limits(limits: Any) -> None:
    if not isinstance(limits, Mapping):
        raise ConfigError(f"The limits of an owner must be a dict, not {limits!r}.", hint='{"cost": 5}')
    for name, value in limits.items():
        if name not in ("cost", "tokens"):
            raise ConfigError(f"A budget has no limit {name!r}.", hint="cost, in US dollars, and tokens.")
        kinds = (int,) if name == "tokens" else (int, float, Decimal)
        if value is not None and (isinstance(value, bool) or not isinstance(value, kinds) or not 0 <= value < math.inf):
            raise ConfigError(f"{name} of a budget must be a number from 0 on, not {value!r}.")


def _window_name(window: str) -> str:
    now = datetime.now(UTC)
    return {"hour": f"{now:%Y-%m-%d %H}", "day": f"{now:%Y-%m-%d}", "month": f"{now:%Y-%m}", "total": ""}[window]


def _window_start(window: str) -> float:
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    if window == "total":
        return 0.0
    if window != "hour":
        now = now.replace(hour=0)
    return (now.replace(day=1) if window == "month" else now).timestamp()
