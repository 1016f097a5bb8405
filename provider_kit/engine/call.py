"""What is asked, and how long it may take. A call never changes, and knows no provider, no HTTP and no key.

It may be handled twice, or by several handlers at once; whoever wants another one makes it with
:meth:`Call.replace`.
"""

from __future__ import annotations

import math
from typing import Any

from attrs import define, evolve

from provider_kit.model.cancellation import CancelToken
from provider_kit.model.chat import ChatRequest
from provider_kit.model.config import DEFAULT_TIMEOUT, DEFAULT_TOTAL_TIMEOUT, OnUnsupported, Timeout
from provider_kit.model.models import EmbeddingRequest
from provider_kit.policies.retry import RetryPolicy
from provider_kit.transports.base import Runtime
from provider_kit.wire.http import Limits

__all__ = ["Call", "deadline_of", "make_limits"]


@define(eq=False)
class Call:
    """One thing that is asked. Nobody changes it (making it frozen would cost more than all its checks).

    Middleware sees it, and may ask something else: ``call.replace(request=…)``.
    """

    #: ``chat``, ``stream``, ``models``, ``embed``, ``count_tokens`` or ``health_check``.
    operation: str
    #: What is asked; ``None`` for the list of models.
    request: ChatRequest | EmbeddingRequest | None
    #: The world it is asked in: its clock, and how one waits there.
    runtime: Runtime
    #: Clock reading at which it was made.
    started: float
    #: Clock reading at which all of it must have ended.
    deadline: float | None = None
    #: Clock reading until which it waits to be sent, where it has no deadline.
    start_by: float = math.inf
    #: Its clocks; ``None`` for those of whoever answers it.
    timeout: Timeout | None = None
    #: What becomes of a parameter that a model does not take; ``None`` for the usual.
    on_unsupported: OnUnsupported | None = None
    #: Whether the response cache may answer it.
    cached: bool = True
    #: Whether it is a check of a provider's health: nothing keeps it from being made.
    probing: bool = False
    #: When to try again; ``None`` for the usual.
    retry: RetryPolicy | None = None
    #: What calls it off.
    cancel: CancelToken | None = None

    @property
    def stream(self) -> bool:
        """Whether the answer is wanted piece by piece."""
        return self.operation == "stream"

    @property
    def model(self) -> str | None:
        """The model that is asked."""
        return None if self.request is None else self.request.model

    def replace(self, **changes: Any) -> Call:
        """The same call with other fields."""
        return evolve(self, **changes)


def deadline_of(timeout: Timeout | None, total: float | None, *, now: float, stream: bool) -> float | None:
    """Clock reading at which a call must have ended.

    Args:
        timeout: Its clocks, where somebody chose them.
        total: Seconds for all of it, where somebody said so; without a word of anybody's, a stream has no end
            and a whole answer, which is silent until it is done, 600 s.
        now: The clock.
        stream: Whether the answer is streamed.
    """
    if total is None and timeout is not None:
        total = timeout.total
    if total is None and not stream:
        total = DEFAULT_TOTAL_TIMEOUT
    return None if total is None or total == math.inf else now + total


def make_limits(timeout: Timeout | None, deadline: float | None, *, stream: bool, max_bytes: int) -> Limits:
    """The limits of each exchange of a call.

    Without a timeout of the user's, a stream is timed by content (30 s), while a whole answer is bounded by its
    deadline alone.
    """
    if timeout is None:
        first = DEFAULT_TIMEOUT if stream else None
        return Limits(DEFAULT_TIMEOUT, first, first, deadline, max_bytes)
    first = timeout.first_token if stream else timeout.answer
    return Limits(_bound(timeout.connect), _bound(first), _bound(timeout.idle), deadline, max_bytes)


def _bound(seconds: float | None) -> float | None:
    """No library's clock takes infinity; ``None`` is what they call it."""
    return None if seconds == math.inf else seconds
