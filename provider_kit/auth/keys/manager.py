"""Several API keys for code that makes its own calls: rotation, health and failover without a client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

from provider_kit.auth.keys.failover import failover
from provider_kit.auth.keys.options import check_wait
from provider_kit.auth.keys.pool import KeyPool
from provider_kit.auth.keys.sources import KeySource
from provider_kit.errors import ConfigError
from provider_kit.model.arguments import explained
from provider_kit.transports.base import Runtime
from provider_kit.transports.drive import run_to_completion
from provider_kit.transports.runtime_blocking import BlockingRuntime

__all__ = ["KeyManager"]

T = TypeVar("T")

#: Seconds after which a call that waits for a key checks whether one was added.
MAX_WAIT_SLICE = 30.0


@explained("KeyManager('openai', ['sk-…', 'sk-…'])")
class KeyManager(KeyPool):
    """The keys of one provider, with health, rotation and failover.

    Give it to a client (``Client("openai/…", api_keys=manager)``) or use it with calls of your own.

    Args:
        provider: Name of the provider, for errors.
        keys: The keys; a mapping gives each its weight (the strategy is ``weighted`` then); a sync or async callable
            returns them and is called before each call.
        wait: Whether to wait while every key is cooling down: ``True``, ``False``, or seconds at most.
        options: Options of :class:`KeyPool`: ``strategy``, ``max_keys``, ``unhealthy_after``,
            ``healthy_after``, ``first_backoff``, ``longest_backoff``, ``park``.

    Raises:
        AuthError: A key is empty or holds characters that are not allowed in a key.
        ConfigError: The strategy is unknown, or a number is none.

    Example:
        >>> from provider_kit import KeyManager
        >>> manager = KeyManager("openai", ["key-number-one", "key-number-two"])
        >>> manager.execute_with_failover(lambda key: f"called with {key}")
        'called with key-number-one'
    """

    def __init__(
        self,
        provider: str,
        keys: Iterable[str] | Mapping[str, float] | Callable[[], Any],
        *,
        wait: bool | float = False,
        **options: Any,
    ) -> None:
        if not (callable(keys) or isinstance(keys, Iterable)):
            raise ConfigError(
                f"KeyManager takes keys, not {keys!r}.",
                hint="Pass a list of keys, a dict that gives each its weight, or a function that returns them.",
            )
        if not isinstance(wait, bool):
            check_wait(wait=wait)
        source = keys if callable(keys) else None
        self._blocking = BlockingRuntime()
        options.setdefault("clock", self._blocking.now)
        if isinstance(keys, Mapping):
            options.setdefault("strategy", "weighted")
        super().__init__(provider, () if callable(keys) else keys, source=source, **options)
        self.wait = wait

    def execute_with_failover(self, function: Callable[[str], T]) -> T:
        """Call ``function(key)``; if it fails because of the key, call it with the next one.

        Args:
            function: Makes the call. Errors of this library, and any exception with a status (such as those of
                requests, aiohttp and the vendors' SDKs), are classified: another key is used if this one is refused,
                forbidden, rate limited or out of quota. Errors of the program (ValueError, TypeError, KeyError …) are
                raised at once; any other exception counts as a failure of the key.

        Returns:
            What the function returns.

        Raises:
            AllKeysExhaustedError: No key is left, or ``max_keys`` keys failed; the last failure is its
                cause.
            Exception: What the function raised, if another key would not help.
        """
        result: T = run_to_completion(self._execute(function, self._blocking))
        return result

    async def aexecute_with_failover(self, function: Callable[[str], Awaitable[T]] | Callable[[str], T]) -> T:
        """As :meth:`execute_with_failover`; the function may be asynchronous."""
        from provider_kit.transports.runtime_asyncio import AsyncioRuntime

        result: T = await self._execute(function, AsyncioRuntime())
        return result

    async def _execute(self, function: Callable[[str], Any], waiting: Runtime) -> Any:
        if self.source is None:
            return await failover(self, function, waiting, self.wait)
        source = KeySource((), function=self.source, provider=self.provider)

        async def fetch() -> None:
            self.set_keys(await source.fetch(waiting))

        return await failover(self, function, waiting, self.wait, fetch=fetch)
