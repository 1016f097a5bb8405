"""A checker that runs in the background, and tells when a provider stops answering, or answers again."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from provider_kit.client.health_verbs import HealthVerbs
from provider_kit.errors import ConfigError
from provider_kit.model.arguments import explained
from provider_kit.model.closing import Closing
from provider_kit.model.models import HealthStatus
from provider_kit.transports.base import Begun, Runtime, Wakeup
from provider_kit.transports.drive import run_to_completion

if TYPE_CHECKING:
    from provider_kit.client.client import Client
    from provider_kit.client.router import Router

__all__ = ["HealthChecker"]

_LOG = logging.getLogger("provider_kit")


@explained("HealthChecker({'openai': client}, interval=60)")
class HealthChecker(Closing):
    """Checks providers in the background, and tells when one of them stops answering, or answers again.

    ``with`` runs it in a thread, ``async with`` in a task. A router's targets are checked one by one; one that does not
    answer is not asked until the next check, and one that answers again is asked again at once.

    Args:
        checked: A client, a router, or several of them by name, such as the result of :func:`load_config`.
        interval: Seconds between two checks.
        timeout: Seconds each check may take.
        on_change: Called with the name and its :class:`HealthStatus` when it changes, and for the first check.
        on_check: Called with the name and its :class:`HealthStatus` after each check.

    Raises:
        ConfigError: An argument is invalid.

    Example:
        >>> from provider_kit import Client, HealthChecker
        >>> with HealthChecker({"demo": Client("demo")}, interval=60) as checker:
        ...     checker.check()["demo"].healthy
        True
    """

    def __init__(
        self,
        checked: Client | Router | Mapping[str, Client | Router],
        *,
        interval: float = 60.0,
        timeout: float = 10.0,
        on_change: Callable[[str, HealthStatus], object] | None = None,
        on_check: Callable[[str, HealthStatus], object] | None = None,
    ) -> None:
        for name, value in (("interval", interval), ("timeout", timeout)):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
                raise ConfigError(
                    f"{name} must be seconds above 0, not {value!r}.", hint="HealthChecker(…, interval=60)."
                )
        for name, function in (("on_change", on_change), ("on_check", on_check)):
            if function is not None and not callable(function):
                raise ConfigError(f"{name} must be a function, not {function!r}.", hint="Of the name and its status.")
        self._checked = _by_name(checked)
        self._interval = float(interval)
        self._timeout = float(timeout)
        self._on_change = on_change
        self._on_check = on_check
        self._status: dict[str, HealthStatus] = {}
        self._begun: Begun | None = None
        self._wakeup: Wakeup | None = None
        self._ends = False

    @property
    def status(self) -> dict[str, HealthStatus]:
        """The latest status of each, by name."""
        return dict(self._status)

    def check(self) -> dict[str, HealthStatus]:
        """Check all of them now."""
        return run_to_completion(self._check(False))

    async def acheck(self) -> dict[str, HealthStatus]:
        """As :meth:`check`."""
        return await self._check(True)

    async def _check(self, awaited: bool) -> dict[str, HealthStatus]:
        for name, (verbs, target) in self._checked.items():
            transport = verbs._asyncio() if awaited else verbs._blocking()
            one = verbs if target is None else _OneTarget(verbs, target)
            status = await one._check_health(transport, self._timeout)
            if target is not None:
                _tell_router(verbs, target, status, transport.now(), self._interval)
            self._note(name, status)
        return self.status

    def _note(self, name: str, status: HealthStatus) -> None:
        before = self._status.get(name)
        self._status[name] = status
        if before is None or before.healthy != status.healthy:
            level = logging.INFO if status.healthy else logging.WARNING
            _LOG.log(level, "%s %s: %s", name, "answers" if status.healthy else "does not answer", status.message)
            self._call(self._on_change, name, status)
        self._call(self._on_check, name, status)

    @staticmethod
    def _call(function: Callable[[str, HealthStatus], object] | None, name: str, status: HealthStatus) -> None:
        if function is not None:
            try:
                function(name, status)
            except Exception:  # a function of the user's may raise anything, and must not end the checks
                _LOG.exception("A function of the HealthChecker failed on %s; the checks continue.", name)

    # -------------------------------------------------------------------------------------------- background

    def start(self) -> None:
        """Check in the background, in a thread. Starting it again does nothing."""
        from provider_kit.transports.runtime_blocking import BlockingRuntime

        self._start(BlockingRuntime(), awaited=False)

    def _start(self, runtime: Runtime, *, awaited: bool) -> None:
        if self._begun is not None and not self._begun.done:
            return
        self._ends = False
        wakeup = self._wakeup = runtime.wakeup()
        self._begun = runtime.begin(lambda: self._run(wakeup, awaited))

    async def _run(self, wakeup: Wakeup, awaited: bool) -> None:
        while not self._ends:
            try:
                await self._check(awaited)
            except Exception:  # the result of this task is never read, so only the log can show it
                _LOG.exception("A health check failed unexpectedly; the checks continue.")
            if not self._ends:
                await wakeup.wait(self._interval)

    def close(self) -> None:
        """Stop checking; a check that runs is finished first."""
        self._ends = True
        if self._wakeup is not None:
            self._wakeup.wake()
        self._begun = None

    async def aclose(self) -> None:
        """Stop checking."""
        begun = self._begun
        self.close()
        if begun is not None:
            await begun.aclose()

    def __enter__(self) -> HealthChecker:
        self.start()
        return self

    async def __aenter__(self) -> HealthChecker:
        from provider_kit.transports.runtime_asyncio import AsyncioRuntime

        self._start(AsyncioRuntime(), awaited=True)
        return self


class _OneTarget(HealthVerbs):
    """The health of one target of a router."""

    def __init__(self, router: Any, target: Any) -> None:
        self._handler = target.handler
        self._router = router

    def _call(self, *args: Any, **options: Any) -> Any:
        return self._router._call(*args, **options)

    async def _ask(self, call: Any) -> Any:
        reply = await self._handler.handle(call)
        return reply.answer


def _by_name(checked: Any) -> dict[str, tuple[Any, Any]]:
    """What is checked: a client, or a router and one of its targets."""
    given = checked if isinstance(checked, Mapping) else {_name_of(checked): checked}
    found: dict[str, tuple[Any, Any]] = {}
    for name, one in given.items():
        if not isinstance(one, HealthVerbs):
            raise ConfigError(
                f"A HealthChecker checks clients and routers, not {one!r}.", hint="HealthChecker({'openai': client})."
            )
        handler = getattr(one, "inner_handler", None)
        if handler is None:
            found[name] = (one, None)
        else:
            for target in handler.targets:
                found[f"{name}: {target.name}" if isinstance(checked, Mapping) else target.name] = (one, target)
    if not found:
        raise ConfigError("There is nothing to check.", hint="HealthChecker({'openai': client}).")
    return found


def _name_of(one: Any) -> str:
    return str(getattr(one, "provider", None) or getattr(one, "name", "provider"))


def _tell_router(router: Any, target: Any, status: HealthStatus, now: float, interval: float) -> None:
    """Let a router know what a check found."""
    state = router.inner_handler.state
    if status.healthy:
        state.back(target.state, now)
    else:
        state.cool(target.state, interval, "a health check found that it does not answer", now)
