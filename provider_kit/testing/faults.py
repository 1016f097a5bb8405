"""Faults of the fake server, as one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import field, frozen

__all__ = ["Fault"]


@frozen(kw_only=True)
class Fault:
    """How one answer fails. Fields can be combined; all times are in seconds."""

    #: Wait before the answer begins.
    latency: float = 0.0
    #: Wait before the answer begins until this is true, for 30 s at most; asked in the thread of the server.
    wait_until: Callable[[], object] | None = None
    #: Answer with this error status, in the dialect's own error form.
    status: int | None = None
    #: The provider's error code to put into it.
    code: str | None = None
    #: The error's text.
    message: str | None = None
    #: ``Retry-After``: seconds, or any text for malformed ones.
    retry_after: float | str | None = None
    #: Further headers.
    headers: Mapping[str, str] = field(factory=dict)
    #: Wait between the events of a stream.
    token_delay: float = 0.0
    #: Hold the events of a stream back until it is complete, as a buffering proxy does.
    buffered: bool = False
    #: Close the connection after so many events of a stream (or bytes of a whole answer).
    cut_after: int | None = None
    #: Stop sending after so many events, but keep the connection open.
    stall_after: int | None = None
    #: Keep sending keep-alive comments while stalled.
    ping: bool = False
    #: Send the dialect's error event after so many events, then close.
    error_after: int | None = None
    #: Send bytes that are not HTTP.
    garbage: bool = False
    #: Answer 200 with JSON that is broken.
    malformed: bool = False
    #: Answer with a proxy's web page (status 502 unless ``status`` says otherwise).
    html: bool = False
    #: Reset the connection as soon as the request was read.
    reset: bool = False
    #: Answer 200 with an error object instead of an answer.
    embedded_error: bool = False
    #: Any body of your own, sent as it is.
    body: bytes | None = None
