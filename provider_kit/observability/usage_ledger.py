"""The usage ledger: a sink that writes one row for each attempt of a call to an SQLite file."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from attrs import frozen

from provider_kit.errors import ConfigError, StoreError
from provider_kit.model.attempts import Attempt
from provider_kit.model.call_events import CallEnded
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.json_text import dumps_text, loads
from provider_kit.model.usage import Usage
from provider_kit.policies.after_fork import renew_after_fork
from provider_kit.stores.sqlite_usage import GROUPS, SQLiteUsage, dollars, picodollars

__all__ = ["UsageLedger", "UsageSum", "rows_of"]

_LOG = logging.getLogger("provider_kit")
#: Calls that are kept while the file cannot be written.
_MOST_WAITING = 1000


@frozen(kw_only=True)
class UsageSum:
    """What was used together by some attempts."""

    #: What they share: a day, a model and so on.
    name: str
    #: Attempts: requests that were sent, and answers from the response cache.
    attempts: int = 0
    #: Attempts that failed, were cancelled or lost, or came from the cache.
    failed: int = 0
    cancelled: int = 0
    cached: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    tokens: int = 0
    #: US dollars, as far as they are known.
    cost: Decimal = Decimal(0)
    #: Whether the cost of some is not known.
    cost_is_minimum: bool = False


class UsageLedger:
    """Writes down what every call has used: who was asked, how it ended, tokens and cost.

    One row for each attempt; ``outcome`` tells retries (``failed``), targets that were slower (``lost``), calls that
    were left (``cancelled``) and answers from the response cache (``cached``) from successes. No prompt, answer or key
    is written. Give it to clients and routers: ``Client("…", plugins=[UsageLedger()])``.

    Args:
        path: An SQLite file, readable by its owner only; default: that of the user's conversations
            (``PROVIDER_KIT_HISTORY``).

    Example:
        >>> from provider_kit import Client, UsageLedger
        >>> ledger = UsageLedger("usage.db")
        >>> reply = Client("demo/echo", plugins=[ledger]).chat("Hello", tags=["greetings"])
        >>> [(one.name, one.attempts, one.output_tokens) for one in ledger.sums("tag")]
        [('greetings', 1, 2)]
    """

    wanted_events = frozenset({CallEnded})
    follows_targets = True

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.store = SQLiteUsage(path)
        self.path = self.store.path
        self._waiting: deque[list[tuple[Any, ...]]] = deque()
        self._lost = 0
        self._down = False
        renew_after_fork(self)

    def _after_fork(self) -> None:
        self._waiting = deque()  # the parent process writes them

    def __reduce__(self) -> tuple[type[UsageLedger], tuple[str]]:
        return UsageLedger, (self.path,)

    @property
    def is_behind(self) -> bool:
        """Whether there are rows that could not be written yet."""
        return bool(self._waiting)

    def __eq__(self, other: object) -> bool:
        """Two ledgers of one file are one: a call is written once."""
        return isinstance(other, UsageLedger) and os.path.realpath(self.path) == os.path.realpath(other.path)

    def __hash__(self) -> int:
        return hash(os.path.realpath(self.path))

    def __repr__(self) -> str:
        return f"<UsageLedger {self.path}>"

    def __call__(self, event: CallEnded) -> None:
        """Write the rows of a call; one that was refused before anything was sent has none."""
        if event.outcome == "error" and not event.attempts:
            return
        if len(self._waiting) >= _MOST_WAITING:
            self._lost += 1
            self._waiting.popleft()
        self._waiting.append(rows_of(event))
        self.flush()

    def add_estimate(self, call: Any, response: Any, time: float, tokens: int, cost: int) -> None:
        """Write a row for what a call has probably used whose provider did not tell; its ``outcome`` is ``estimated``.

        Args:
            call: The call.
            response: Its answer as far as it was received.
            time: Seconds since 1970.
            tokens: Tokens.
            cost: In 10⁻¹² US dollars.
        """
        request = call.request
        nothing = (None,) * 6
        facts = (
            time,
            call.correlation_id,
            0,
            response.provider or "",
            call.model,
            None,
            call.operation,
            "estimated",
            None,
        )
        tags = dumps_text(list(call.tags))
        self._waiting.append([(*facts, getattr(request, "user", None), tags, 0.0, *nothing, tokens, cost)])
        self.flush()

    def flush(self) -> None:
        """Write what could not be written before. A file that cannot be used is reported once, and tried again."""
        while self._waiting:
            try:
                rows = self._waiting.popleft()
            except IndexError:  # another thread was faster
                return
            try:
                self.store.add(rows)
            except StoreError as error:
                self._waiting.appendleft(rows)
                if not self._down:
                    self._down = True
                    _LOG.warning("%s Usage is kept in memory until it can be written.", error.message)
                return
        if self._down:
            self._down = False
            lost, self._lost = self._lost, 0
            _LOG.warning("The usage ledger can be written again; %d calls were lost.", lost)

    def close(self) -> None:
        """Write what is left, and close the file. It can be used again."""
        self.flush()
        self.store.close()

    # -------------------------------------------------------------------------------------------- reading

    def rows(self, since: float | None = None, until: float | None = None) -> Iterable[dict[str, Any]]:
        """The rows of a time, oldest first, each as a dict; ``cost`` in US dollars, ``None`` if unknown.

        Args:
            since: Seconds since 1970.
            until: Seconds since 1970, itself not included.

        Raises:
            StoreError: The file cannot be read.
        """
        for row in self.store.select(since, until):
            yield {**row, "cost": dollars(row["cost"]), "tags": loads(row["tags"])}

    def sums(self, by: str = "day", *, since: float | None = None, until: float | None = None) -> list[UsageSum]:
        """What was used, by something that attempts share.

        Args:
            by: ``day`` (UTC), ``model``, ``provider``, ``key``, ``tag``, ``user``, ``operation`` or ``outcome``. An
                attempt with several tags counts for each of them.
            since: Seconds since 1970.
            until: Seconds since 1970, itself not included.

        Returns:
            Days in their order, all else by cost and tokens, the greatest first.

        Raises:
            ConfigError: ``by`` is something else.
            StoreError: The file cannot be read.
        """
        if by not in GROUPS:
            raise ConfigError(
                f"Usage cannot be summed up by {by!r}.", hint=f"{did_you_mean(by, GROUPS)}By {', '.join(GROUPS)}."
            )
        made = [_public(row) for row in self.store.sums(by, since, until)]
        if by == "day":
            return sorted(made, key=lambda one: one.name)
        return sorted(made, key=lambda one: (-one.cost, -one.tokens, one.name))

    def total(self, *, since: float | None = None, until: float | None = None) -> UsageSum:
        """What was used in all."""
        found = self.store.sums(None, since, until)
        return _public(found[0]) if found else UsageSum(name="total")


def _public(row: tuple[Any, ...]) -> UsageSum:
    name, attempts, failed, cancelled, cached, input_tokens, output_tokens, tokens, cost, unknown = row
    return UsageSum(
        name=name,
        attempts=attempts,
        failed=failed,
        cancelled=cancelled,
        cached=cached,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        tokens=tokens,
        cost=dollars(cost) or Decimal(0),
        cost_is_minimum=unknown,
    )


def rows_of(event: CallEnded) -> list[tuple[Any, ...]]:
    """The rows of a call, one for each attempt; the usage is that of the last one."""
    attempts: tuple[Attempt | None, ...] = event.attempts or (None,)
    user, tags = getattr(event.request, "user", None), dumps_text(list(event.tags))
    usage = event.usage
    rows = []
    for number, attempt in enumerate(attempts, 1):
        last = number == len(attempts)
        failed = attempt is not None and attempt.error is not None
        outcome = "failed" if failed else "success"
        if last:
            outcome = _outcome_of(event)
        used = (usage or Usage()) if last else Usage()
        billed = used.cost if last else None if attempt is not None and attempt.may_be_billed else Decimal(0)
        if last and usage is None:
            billed = None if attempt is not None and attempt.may_be_billed else Decimal(0)
        rows.append(
            (
                event.started if attempt is None or not attempt.started else attempt.started,
                event.correlation_id or "",
                number,
                event.provider,
                event.model,
                event.key_id,
                event.operation or "",
                outcome,
                event.error_type if last else attempt.error if attempt is not None else None,
                user,
                tags,
                event.duration if attempt is None else attempt.duration,
                event.first_token if last else None,
                used.input_tokens,
                used.output_tokens,
                used.cache_read_tokens,
                used.cache_write_tokens,
                used.reasoning_tokens,
                used.total_tokens or (used.prompt_tokens or 0) + (used.completion_tokens or 0),
                picodollars(billed),
            )
        )
    return rows


def _outcome_of(event: CallEnded) -> str:
    if event.cached:
        return "cached"
    if event.lost:
        return "lost"
    return {"success": "success", "error": "failed", "cancelled": "cancelled"}[event.outcome]
