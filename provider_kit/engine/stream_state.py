"""The state of a stream while it arrives. It does not refer to the reply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from attrs import define, field

from provider_kit.dialects.base import Dialect, ParameterReport, StreamDecoder
from provider_kit.engine.attempts import Attempts
from provider_kit.engine.cache import Lookup
from provider_kit.engine.handler import End
from provider_kit.errors import (
    ProviderKitError,
)
from provider_kit.model.attempts import Attempt
from provider_kit.model.chat import ChatResponse
from provider_kit.model.messages import Message
from provider_kit.transports.base import ByteStream
from provider_kit.wire.response_headers import request_id

__all__ = ["StreamState"]


@define(eq=False)
class StreamState:
    """The state of a stream, shared by the generator and the object the user holds."""

    attempts: Attempts
    dialect: Dialect
    report: ParameterReport
    lookup: Lookup | None = None
    decoder: StreamDecoder | None = None
    #: An answer that came whole although a stream was requested.
    whole: ChatResponse | None = None
    body: ByteStream | None = None
    made: tuple[Attempt, ...] = ()
    ended: float | None = None
    #: The received bytes, for the cache.
    collected: list[bytes] | None = None
    collected_bytes: int = 0
    #: Whether it came from the cache.
    hit: bool = False
    #: Whether content has reached the reader, and whether the attempt's outcome is known.
    committed: bool = False
    settled: bool = False
    on_end: list[Callable[[End], object]] = field(factory=list)
    #: Chunks that were delivered.
    chunks: int = 0
    #: How it ended, once it has, and what went wrong.
    how: Literal["complete", "failed", "left"] | None = None
    failure: ProviderKitError | None = None

    def begin_attempt(self) -> None:
        """Discard the state of an earlier attempt, which delivered no content."""
        self.decoder = self.body = self.attempts.body = None
        self.committed = self.settled = False
        if self.collected:
            self.collected.clear()
            self.collected_bytes = 0

    @property
    def end(self) -> End | None:
        """How it ended, once it has."""
        return None if self.how is None else End(self.how, self.failure, self.response)

    @property
    def warnings(self) -> list[Any]:
        """Parameters that were not sent as given."""
        return self.report.warnings

    def response(self) -> ChatResponse:
        """The answer as far as it was received."""
        attempts = self.attempts
        if self.whole is not None:
            answer = self.whole
        elif self.decoder is not None:
            answer = self.decoder.response()
        else:
            answer = ChatResponse(Message("assistant", ""), "error")
        route = attempts.call.route
        if self.hit:
            if route is not None:
                route.complete(answer, ())
            return answer
        answer.provider = attempts.endpoint.name
        answer.price_by(attempts.endpoint.directory, attempts.model or "")
        answer.warnings = self.report.warnings
        answer.attempts = self.made or attempts.failures
        if not answer.attempts and self.how is None and self.committed:
            answer.attempts = attempts.all_at(attempts.runtime.now())
        first, ended, gaps = attempts.first_content, self.ended, self.chunks - 1
        between = None if first is None or ended is None or gaps < 1 else (ended - first) / gaps
        answer.timings = attempts.timings(first, ended, between)
        answer.correlation_id = attempts.call.correlation_id
        answer.cache = "miss" if self.collected is not None else None
        if self.body is not None:
            answer.headers = self.body.headers
            answer.request_id = request_id(self.body.headers)
        if route is not None:
            route.complete(answer, answer.attempts)
        return answer
