"""What a client tells whoever listens: one value for each decision it takes."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from attrs import define, field

from provider_kit.errors import ProviderKitError

__all__ = ["Event", "EventName"]

#: What happened. ``request``, ``success`` and ``error`` frame a call, ``attempt_failed`` each try in it.
EventName: TypeAlias = Literal[
    "request",
    "success",
    "error",
    "attempt_failed",
    "retry",
    "key_switch",
    "key_dead",
    "key_parked",
    "key_cooling",
    "key_wait",
    "token_refresh",
    "token_refresh_failed",
    "rate_limit",
    "rate_limit_learned",
    "concurrency_wait",
    "circuit_open",
    "circuit_half_open",
    "circuit_closed",
    "cache_hit",
    "cache_miss",
    "cache_store",
    "stream_start",
    "stream_end",
    "stream_abort",
    "store_failed",
    "store_back",
]


@define(kw_only=True)
class Event:
    """One decision or turn of a call. Holds no secret."""

    name: EventName
    #: Seconds since 1970.
    time: float
    provider: str
    model: str | None = None
    #: ``chat``, ``stream``, ``embed``, …
    operation: str | None = None
    #: Tells the calls of this process apart.
    call_id: str | None = None
    #: The provider's id of the request, where known.
    request_id: str | None = None
    #: Number of the attempt, 1 for the first.
    attempt: int | None = None
    #: Seconds waited, or to be waited.
    wait: float | None = None
    #: What went wrong.
    error: ProviderKitError | None = field(default=None, repr=lambda error: type(error).__name__)
    #: The end of the key concerned.
    key: str | None = None
    #: The event in words.
    message: str = ""
    #: Whatever else belongs to it.
    data: dict[str, Any] = field(factory=dict)
