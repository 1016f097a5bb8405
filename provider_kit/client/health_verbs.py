"""Whether a provider answers: ``health_check``, and ``test_connection`` with its phases; each twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from provider_kit.errors import ProviderKitError
from provider_kit.model.health import TestResult
from provider_kit.model.models import HealthStatus
from provider_kit.policies.retry import Backoff
from provider_kit.transports.drive import run_to_completion

if TYPE_CHECKING:
    from provider_kit.engine.middleware import LayeredHandler
    from provider_kit.transports.base import Transport

__all__ = ["HealthVerbs"]

#: Seconds for which the result of a test is kept.
_KEPT = 30.0


class HealthVerbs:
    """``health_check`` and ``test_connection``, each twice; both list the models, which costs nothing."""

    _tested: TestResult | None = None

    if TYPE_CHECKING:
        _handler: LayeredHandler

        def _blocking(self) -> Transport: ...
        def _asyncio(self) -> Transport: ...
        def _call(
            self, operation: str, runtime: Transport, request: Any, timeout: Any, *more: Any, **named: Any
        ) -> Any: ...
        async def _ask(self, call: Any) -> Any: ...

    def health_check(self, *, timeout: float = 10.0) -> HealthStatus:
        """Check whether the provider answers and accepts the key, by listing its models, which costs nothing.

        Args:
            timeout: Seconds the check may take.

        Returns:
            The status; never raises for a failure of the provider.
        """
        return run_to_completion(self._check_health(self._blocking(), timeout))

    async def ahealth_check(self, *, timeout: float = 10.0) -> HealthStatus:
        """As :meth:`health_check`."""
        return await self._check_health(self._asyncio(), timeout)

    def test_connection(self, *, timeout: float = 10.0, bypass_cache: bool = False) -> TestResult:
        """Test configuration, connection, key and the list of models, and tell which of them failed.

        Args:
            timeout: Seconds the test may take.
            bypass_cache: Test again, even if there is a result of the last 30 seconds.

        Returns:
            The result; never raises for a failure of the provider.
        """
        return run_to_completion(self._test(self._blocking(), timeout, bypass_cache))

    async def atest_connection(self, *, timeout: float = 10.0, bypass_cache: bool = False) -> TestResult:
        """As :meth:`test_connection`."""
        return await self._test(self._asyncio(), timeout, bypass_cache)

    async def _check_health(self, runtime: Transport, timeout: float) -> HealthStatus:
        found = await self._probe(runtime, timeout)
        took, time = found[1], runtime.time()
        if isinstance(found[0], ProviderKitError):
            return HealthStatus(False, str(found[0]), took, time, found[0])
        return HealthStatus(True, f"answers; {found[0]} models", took, time)

    async def _test(self, runtime: Transport, timeout: float, bypass_cache: bool) -> TestResult:
        kept, time = self._tested, runtime.time()
        if kept is not None and not bypass_cache and 0 <= time - kept.time < _KEPT:
            return kept
        found, took = await self._probe(runtime, timeout)
        name = str(getattr(self, "provider", None) or getattr(self, "name", ""))
        if isinstance(found, ProviderKitError):
            made = TestResult.of_error(found, name, took, runtime.time())
        else:
            made = TestResult(
                status="success",
                phase="completed",
                message=f"answers; {found} models",
                provider=name,
                models_count=found,
                duration=took,
                time=runtime.time(),
            )
        self._tested = made
        return made

    async def _probe(self, runtime: Transport, timeout: float) -> tuple[int | ProviderKitError, float]:
        """The number of models, or why they cannot be listed; and the seconds that took."""
        started = runtime.now()
        call = self._call("health_check", runtime, None, timeout, timeout, probing=True, retry=Backoff(0))
        try:
            return len(await self._ask(call)), runtime.now() - started
        except ProviderKitError as error:
            return error, runtime.now() - started
