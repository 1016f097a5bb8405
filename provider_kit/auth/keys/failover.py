"""The failover loop around calls that the user makes, with one key after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from inspect import isawaitable, iscoroutinefunction
from typing import Any, Literal

from provider_kit.auth.keys.pool import KeyPool
from provider_kit.auth.keys.rotation import KeyRotation
from provider_kit.auth.keys.state import Key
from provider_kit.dialects.failures import error_from_response
from provider_kit.errors import AllKeysExhaustedError, APIError, AuthenticationError, AuthError, ProviderKitError
from provider_kit.policies.failure_rules import rule_for
from provider_kit.transports.base import Runtime
from provider_kit.wire.redaction import redact

__all__ = ["failover"]

#: Seconds after which a call that waits for a key checks whether one was added.
MAX_WAIT_SLICE = 30.0


class Renewing:
    """What a pool of tokens adds to the loop; plain keys need nothing more."""

    async def renew(self, key: Key) -> Literal["adopted", "renewed"] | None:
        """Ensure a valid token in the key's value; return whether it is another one, renewed here or elsewhere."""
        return None

    def refused(self, key: Key, sent: str) -> bool:
        """A token was refused; return whether to retry with a refreshed one."""
        return False

    async def retry_dead(self) -> bool:
        """Whether a credential that needed a login has a token again."""
        return False


async def failover(
    pool: KeyPool,
    function: Callable[[str], Any],
    waiting: Runtime,
    wait: bool | float,
    *,
    fetch: Callable[[], Awaitable[None]] | None = None,
    renewing: Renewing | None = None,
) -> Any:
    """Return the result of ``function(key)`` for the first key that works.

    Args:
        pool: The keys.
        function: Makes the call; sync or async.
        waiting: The blocking or asyncio runtime of the call.
        wait: Whether to wait while every key is cooling down: ``True``, ``False``, or seconds at most.
        fetch: Updates the keys; awaited before each attempt.
        renewing: Refreshes tokens.

    Raises:
        AllKeysExhaustedError: No key is left, or the maximum for one call has failed.
        Exception: What the function raised, if another key would not help.
    """
    rotation = KeyRotation()
    last: Exception | None = None
    while True:
        if fetch is not None:
            await fetch()
        used = rotation.used
        if last is not None and (rotation.exhausted(pool) or not pool.others(used)):
            raise _gave_up(pool, len(used), last) from last
        now = _now(pool)
        key = rotation.pick(pool, now)
        if key is None:
            if renewing is not None and not used and await renewing.retry_dead():
                continue
            rest = pool.soonest(now, used)
            allowed = float("inf") if wait is True else float(wait)
            if rest is None or rest > allowed:
                raise (pool.exhausted(now) if last is None else _gave_up(pool, len(used), last)) from last
            await waiting.sleep(min(rest, MAX_WAIT_SLICE))
            continue
        if renewing is not None:
            try:
                if await renewing.renew(key) == "adopted":
                    rotation.adopt(key)
            except AuthError as error:
                rotation.give_up(key)
                if len(pool) < 2:
                    raise
                last = error
                continue
        sent, began = key.value, _now(pool)
        try:
            if iscoroutinefunction(function):
                result = await function(sent)
            else:
                result = await waiting.call_blocking(function, sent)
                if isawaitable(result):
                    result = await result
        except Exception as error:  # the user's function may raise anything; it is re-raised, or the call is retried
            pool.observe(key, False, _now(pool) - began, None, waiting.time())
            understood = error if isinstance(error, ProviderKitError) else _understand(error)
            if understood is None and _is_callers_mistake(error):
                raise  # the key did not cause it, and another one would not help
            if (
                renewing is not None
                and isinstance(understood, AuthenticationError)
                and key.id not in rotation.renewed
                and renewing.refused(key, sent)
            ):
                rotation.renew(key)
                continue
            rotation.give_up(key)
            pool.report_failure(key.value, understood or error, _now(pool))
            if understood is not None and not rule_for(understood).other_key:
                raise
            last = error
            continue
        pool.observe(key, True, _now(pool) - began, None, waiting.time())
        pool.report_success(key.value, _now(pool))
        return result


def _is_callers_mistake(error: Exception) -> bool:
    """Whether an error is a bug in the program, not a failure of a provider or a connection."""
    mistakes = (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        NameError,
        AssertionError,
        SyntaxError,
        ArithmeticError,
        ImportError,
        NotImplementedError,
        RecursionError,
    )
    return isinstance(error, mistakes) and not isinstance(error, OSError)


def _now(pool: KeyPool) -> float:
    assert pool.clock is not None  # the caller has passed one
    return pool.clock()


def _gave_up(pool: KeyPool, tried: int, last: Exception) -> AllKeysExhaustedError:
    said = redact(str(last), pool.secrets)
    now = _now(pool)
    return AllKeysExhaustedError(
        f"All {tried} failover attempts failed, last error: {said}",
        retry_after=pool.exhausted(now).retry_after if len(pool) > 1 else pool.soonest(now),
        provider=pool.provider,
        hint="The cause of the last failure is above; status() shows the state of each key.",
    )


def _understand(error: Exception) -> APIError | None:
    """Classify an error of another library by its status."""
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
    with suppress(Exception):  # of an unread stream
        content = getattr(response, "content", b"")
        body = content if isinstance(content, bytes) else b""
    return error_from_response(status, lowered, body, provider="", overrides={})
