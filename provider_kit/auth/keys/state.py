"""The state of one API key, and what of it may be shown."""

from __future__ import annotations

from typing import Any

from attrs import define, field, frozen

from provider_kit.errors import AllKeysExhaustedError
from provider_kit.model.secrets import MASK

__all__ = ["Key", "KeyStatus", "all_keys_exhausted", "mask", "state_of"]


def mask(key: str) -> str:
    """A masked key: its last four characters, if it is long enough."""
    return f"…{key[-4:]}" if len(key) >= 16 else MASK


@define(eq=False)
class Key:
    """One key and its state. Changed by its pool only."""

    value: str = field(repr=False)
    #: A distinct name in logs and stores, which reveals nothing about the key.
    id: str
    weight: float = 1.0
    healthy: bool = True
    dead: bool = False
    #: Time before which it is not used.
    available_at: float = 0.0
    #: Why it is not used: ``cooling``, ``parked``, ``unhealthy``.
    state: str = ""
    #: Whether the provider named the time; else it is an estimate.
    server_specified: bool = False
    failures: int = 0
    successes: int = 0
    requests: int = 0
    cooled: int = 0
    probed: float = float("-inf")
    last_error: str | None = None
    #: Whether other processes know of its state.
    shared: bool = False
    #: Whether it was reset by hand, of which other processes do not know yet.
    reset: bool = False
    #: The name it is shown under; default: its last characters.
    label: str = ""
    #: Of a token: time from which it must be refreshed before use.
    fresh_until: float = float("inf")
    #: Of a token: the value the provider has refused.
    rejected: str | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """What may be shown of it."""
        return self.label or mask(self.value)


@frozen
class KeyStatus:
    """The state of one key, without the key itself."""

    #: The last characters of the key.
    key: str
    id: str
    #: ``healthy``, ``unhealthy``, ``cooling``, ``parked`` or ``dead``.
    state: str
    #: Seconds until it can be used again; 0 for now, ``None`` for a dead one.
    available_in: float | None
    #: Times it was used.
    requests: int
    #: Consecutive failures.
    failures: int
    #: Class of its last error.
    last_error: str | None
    weight: float


def state_of(key: Key, now: float) -> str:
    """``healthy``, ``unhealthy``, ``cooling``, ``parked`` or ``dead``."""
    if key.dead:
        return "dead"
    if key.available_at > now:
        return key.state
    return "healthy" if key.healthy else "unhealthy"


def all_keys_exhausted(
    count: int, back: float | None, probed: float, *, provider: str, **known: Any
) -> AllKeysExhaustedError:
    """The error for a call without a usable key.

    Args:
        count: How many keys there are.
        back: Seconds until the first of them can be used again; ``None``: all were refused.
        probed: Seconds until a refused one is tried again.
        provider: Name of their provider.
        known: Further arguments of the error.
    """
    known["provider"] = provider
    if not count:
        return AllKeysExhaustedError("There is no API key left.", **known, hint="Add one with add_key().")
    if back is None:
        return AllKeysExhaustedError(
            f"All {count} API keys for {provider} were refused; one is tried again in {probed:.0f} s.",
            **known,
            retry_after=probed,
            hint="Replace the keys: the provider calls each of them invalid or revoked. "
            "client.keys.status() tells more.",
        )
    if count == 1:
        text = f"The only API key for {provider} is unavailable (in backoff); it is back in {back:.0f} s."
    else:
        text = f"All {count} API keys for {provider} are currently unavailable; the first is back in {back:.0f} s."
    hint = f"Try again in {back:.0f} s, let calls wait for it (wait_for_key=True), or add a key."
    return AllKeysExhaustedError(text, **known, retry_after=back, hint=hint)
