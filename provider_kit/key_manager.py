"""Several API keys, for code that makes its calls itself: rotation, health and failover without a client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from inspect import isawaitable, iscoroutinefunction
from typing import Any, TypeVar

from provider_kit.auth.api_keys import KeySource
from provider_kit.dialects.failures import error_from_response
from provider_kit.errors import AllKeysExhaustedError, APIError, ProviderKitError
from provider_kit.policies.key_pool import KeyPool
from provider_kit.policies.matrix import row_for
from provider_kit.transports.base import Waiting
from provider_kit.transports.blocking_waiting import BlockingWaiting
from provider_kit.transports.drive import run_to_completion
from provider_kit.wire.redaction import redact

__all__ = ["KeyManager"]

T = TypeVar("T")

#: Seconds after which a call that waits for a key looks whether one was added.
_LOOK_AGAIN = 30.0


class KeyManager(KeyPool):
    """The keys of one provider, with health, rotation and failover.

    Give it to a client (``Client("openai/…", api_keys=manager)``) or use it with calls of your own.

    Args:
        provider: Name of the provider, for errors.
        keys: The keys; a mapping gives each its weight (the strategy is ``weighted`` then); a sync or async
            callable returns them and is asked before each call.
        wait: Whether to wait while every key rests: ``True``, ``False``, or seconds at most.
        options: As :class:`KeyPool` has them: ``strategy``, ``max_keys``, ``unhealthy_after``,
            ``healthy_after``, ``first_backoff``, ``longest_backoff``, ``park``.

    Raises:
        AuthError: A key is empty or holds characters that no key has.
        ConfigError: The strategy is unknown.

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
        source = keys if callable(keys) else None
        self._blocking = BlockingWaiting()
        options.setdefault("clock", self._blocking.now)
        if isinstance(keys, Mapping):
            options.setdefault("strategy", "weighted")
        super().__init__(provider, () if callable(keys) else keys, source=source, **options)
        self.wait = wait

    def execute_with_failover(self, function: Callable[[str], T]) -> T:
        """Call ``function(key)``; if the key is the reason why it fails, call it with the next one.

        Args:
            function: Makes the call. Errors of this library, and any exception that has a status (as
                those of requests, aiohttp and the vendors' SDKs have), are understood: another key tries
                where this one is refused, forbidden, too fast or used up. Any other exception counts as a
                failure of the key.

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
        from provider_kit.transports.asyncio_waiting import AsyncioWaiting

        result: T = await self._execute(function, AsyncioWaiting())
        return result

    async def _execute(self, function: Callable[[str], Any], waiting: Waiting) -> Any:
        used: set[str] = set()
        last: Exception | None = None
        while True:
            if self.source is not None:
                self.set_keys(await KeySource((), function=self.source, provider=self.provider).fetch(waiting))
            most = len(self) if self.strategy == "simple" else self.max_keys
            if last is not None and (len(used) >= most or len(used) >= len(self)):
                raise self._gave_up(len(used), last) from last
            now = self._now(None)
            key = self.pick(now, exclude=used)
            if key is None:
                wait = self.soonest(now, used)
                allowed = float("inf") if self.wait is True else float(self.wait)
                if wait is None or wait > allowed:
                    raise (self.exhausted(now) if last is None else self._gave_up(len(used), last)) from last
                await waiting.sleep(min(wait, _LOOK_AGAIN))
                continue
            used.add(key.id)
            try:
                if iscoroutinefunction(function):
                    result = await function(key.value)
                else:
                    result = await waiting.call_blocking(function, key.value)
                    if isawaitable(result):
                        result = await result
            except Exception as error:
                understood = error if isinstance(error, ProviderKitError) else _understand(error)
                self.report_failure(key.value, understood or error, self._now(None))
                if understood is not None and not row_for(understood).other_key:
                    raise
                last = error
                continue
            self.report_success(key.value, self._now(None))
            return result

    def _gave_up(self, tried: int, last: Exception) -> AllKeysExhaustedError:
        said = redact(str(last), self.secrets)
        return AllKeysExhaustedError(
            f"All {tried} failover attempts failed, last error: {said}",
            retry_after=self._back_in(),
            provider=self.provider,
            hint="The cause of the last failure is above; status() tells how each key fares.",
        )

    def _back_in(self) -> float | None:
        now = self._now(None)
        return self.exhausted(now).retry_after if len(self) > 1 else self.soonest(now)


def _understand(error: Exception) -> APIError | None:
    """An error of another library, by the status it carries."""
    response = getattr(error, "response", None)
    for holder in (error, response):
        status = getattr(holder, "status_code", None) or getattr(holder, "status", None)
        if isinstance(status, int) and status >= 400:
            break
    else:
        return None
    headers = getattr(response, "headers", None) or getattr(error, "headers", None) or {}
    lowered = {str(name).lower(): str(value) for name, value in dict(headers).items()}
    body = b""
    with suppress(Exception):  # of a stream that nobody read
        content = getattr(response, "content", b"")
        body = content if isinstance(content, bytes) else b""
    return error_from_response(status, lowered, body, provider="", overrides={})
