"""A request and its deadline. A call never changes, and knows no provider, no HTTP and no key.

It may be handled twice, or by several handlers at once; :meth:`Call.replace` creates a changed copy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from attrs import define, evolve

from provider_kit.dialects.ollama_chat.management import OllamaCall
from provider_kit.errors import StreamError
from provider_kit.model.attempts import Attempt, numbered
from provider_kit.model.cancellation import CancelToken
from provider_kit.model.chat import ChatRequest, ChatResponse
from provider_kit.model.config import DEFAULT_TIMEOUT, DEFAULT_TOTAL_TIMEOUT, OnUnsupported, Timeout
from provider_kit.model.files import FileUpload
from provider_kit.model.models import EmbeddingRequest
from provider_kit.model.routing import RouteAttempt, Routing
from provider_kit.policies.retry import RetryPolicy
from provider_kit.transports.base import Runtime
from provider_kit.wire.http import Limits

__all__ = ["Call", "Route", "deadline_of", "make_limits"]

_NO_CONFIG: Mapping[str, Any] = MappingProxyType({})


@define(eq=False)
class Route:
    """How a router passed a call on."""

    #: Its decisions about the call.
    routing: Routing
    #: The names of the routers between it and the target, each followed by `` > ``.
    path: str = ""
    #: This attempt at the call; ``None`` if it goes to another router, which records its own.
    attempt: RouteAttempt | None = None
    #: Whether another target could answer now, so that this one need not be waited for.
    elsewhere: bool = False
    #: Called with the id of an answer, so that what continues it finds its target.
    note_answer: Callable[[str], object] | None = None
    #: The attempts of this target alone.
    own: tuple[Attempt, ...] = ()
    #: When it was passed on, on the clock.
    began: float = 0.0
    #: The sinks of the routers that also receive the events of their targets.
    sinks: tuple[Any, ...] = ()

    def complete(self, answer: ChatResponse, own: tuple[Attempt, ...]) -> None:
        """Attach the decisions to an answer, and to its own attempts those at earlier targets."""
        routing, attempt = self.routing, self.attempt
        answer.routing, self.own = routing, own
        if routing.earlier:
            answer.attempts = numbered((*routing.earlier, *own))
        if attempt is not None:
            attempt.used(*answer.unread_usage())
            if self.note_answer is not None and answer.id is not None:
                self.note_answer(answer.id)

    def attach_to(self, error: StreamError) -> None:
        """Attach the decisions to the error of a stream that broke off, and the attempts at earlier targets."""
        error.routing = self.routing
        error.attempts = numbered((*self.routing.earlier, *error.attempts))


@define(eq=False)
class Call:
    """One call. Treat it as immutable (a frozen class would cost more than all checks).

    Middleware receives it, and may pass on another one: ``call.replace(request=…)``.
    """

    #: ``chat``, ``stream``, ``models``, ``embed``, ``count_tokens``, ``health_check``, ``upload``, ``list_files``,
    #: ``delete_file``, ``ollama`` or ``pull``.
    operation: str
    #: The request; ``None`` for the list of models.
    request: ChatRequest | EmbeddingRequest | FileUpload | OllamaCall | None
    #: The blocking or asyncio runtime: clock and waits.
    runtime: Runtime
    #: When it was created, on the runtime's clock.
    started: float
    #: Time on the clock at which it must have ended.
    deadline: float | None = None
    #: Time on the clock until which it waits to be sent, where it has no deadline.
    start_by: float = math.inf
    #: Its timeouts; ``None`` for those of the handler.
    timeout: Timeout | None = None
    #: What to do with a parameter the model does not accept; ``None`` for the default.
    on_unsupported: OnUnsupported | None = None
    #: Whether the response cache may answer it.
    cached: bool = True
    #: Whether it is a health check, which no policy blocks.
    probing: bool = False
    #: The retry policy; ``None`` for the default.
    retry: RetryPolicy | None = None
    #: Its cancel token.
    cancel: CancelToken | None = None
    #: Whether a router may ask another target if the first one fails.
    fallback: bool = True
    #: How a router passed it on; ``None`` without a router.
    route: Route | None = None
    #: Its id, sent as ``X-Request-ID``; its events, log lines and errors have it, too.
    correlation_id: str = ""
    #: Your words for what it belongs to, for the usage ledger, metrics and budgets.
    tags: tuple[str, ...] = ()
    #: Settings of plugins for this call, by the name of the plugin.
    extension_config: Mapping[str, Any] = _NO_CONFIG
    #: The attempts of a middleware that calls on again.
    earlier: tuple[Attempt, ...] = ()

    @property
    def stream(self) -> bool:
        """Whether the answer is streamed."""
        return self.operation == "stream"

    @property
    def model(self) -> str | None:
        """The model that is asked."""
        return None if self.request is None else self.request.model

    def replace(self, **changes: Any) -> Call:
        """The same call with other fields."""
        return evolve(self, **changes)

    def passed_on(self, request: Any, deadline: float | None, cancel: CancelToken | None, route: Route) -> Call:
        """The same call for a target of a router; as :meth:`replace`, at a fraction of the cost."""
        return Call(
            self.operation,
            request,
            self.runtime,
            self.started,
            deadline,
            self.start_by,
            self.timeout,
            self.on_unsupported,
            self.cached,
            self.probing,
            self.retry,
            cancel,
            self.fallback,
            route,
            self.correlation_id,
            self.tags,
            self.extension_config,
        )


def deadline_of(timeout: Timeout | None, total: float | None, *, now: float, stream: bool) -> float | None:
    """Time on the clock at which a call must have ended.

    Args:
        timeout: Its timeouts, where set.
        total: Seconds for the whole call, where set; by default a stream has no limit, and a whole answer, which is
            silent until it is complete, 600 s.
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

    Without a user's timeout, a stream is timed by its content (30 s), and a whole answer is limited by its deadline
    alone.
    """
    if timeout is None:
        first = DEFAULT_TIMEOUT if stream else None
        return Limits(DEFAULT_TIMEOUT, first, first, deadline, max_bytes)
    first = timeout.first_token if stream else timeout.answer
    return Limits(_bound(timeout.connect), _bound(first), _bound(timeout.idle), deadline, max_bytes)


def _bound(seconds: float | None) -> float | None:
    """Convert infinity to ``None``, which HTTP libraries expect."""
    return None if seconds == math.inf else seconds
