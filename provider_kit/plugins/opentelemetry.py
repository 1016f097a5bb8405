"""A plugin that tells OpenTelemetry of each call: spans, metrics, events, and the trace onwards to the provider.

It needs the package ``opentelemetry-api`` alone, and imports it when it is created; what collects and exports, the SDK,
is yours. It never fails a call, keeps nothing of a call that has ended, and exports no key and no header. What is asked
and answered is left out unless you ask for it.

The names are those of https://github.com/open-telemetry/semantic-conventions-genai; see :mod:`.otel_attributes`.
"""

from __future__ import annotations

import gc
import logging
import os
import threading
from collections import deque
from functools import partial
from time import time_ns
from typing import Any
from weakref import ref

from provider_kit._version import __version__
from provider_kit.engine.call import Call
from provider_kit.engine.handler import CallNext, End, Reply
from provider_kit.engine.plugin import LOGGING, Plugin, PluginContext
from provider_kit.errors import CallCancelledError, ConfigError, MissingDependencyError, ProviderKitError
from provider_kit.model.attempts import Attempt
from provider_kit.model.call_events import CallEnded, RouterCallEnded, ToolCallEnded
from provider_kit.model.chat import ChatRequest, ChatResponse
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.fault_domains import error_type
from provider_kit.model.json_text import dumps_text
from provider_kit.plugins.otel_attributes import (
    PROFILES,
    Profile,
)
from provider_kit.plugins.otel_facts import CallFacts
from provider_kit.plugins.otel_live import Collector, LiveCall, TracedHeaders, current, watch_collector
from provider_kit.plugins.otel_metrics import INFERENCES, Events, Meters
from provider_kit.plugins.otel_settings import CaptureContent, SemanticConventions, chosen_content, chosen_profile
from provider_kit.transports.base import foreign_error

__all__ = ["OpenTelemetry"]

_LOG = logging.getLogger("provider_kit.plugins")


class OpenTelemetry(Plugin):
    """Spans, metrics and events of each call, for OpenTelemetry.

    Register it with a client, a router, or both: a call of a router is a span around those of its targets. An attempt
    that failed, and a function that was called for the model, has a span of its own. The span is the current one until
    a call has its answer, or a stream its first content.

    Args:
        tracer_provider: Default: the global one.
        meter_provider: Default: the global one.
        logger_provider: Default: the global one. If given, each call is an event
            ``gen_ai.client.inference.operation.details``, too.
        semconv: The names of attributes: ``genai``, today's; ``genai_1_41``, those before 2026; ``openinference`` for
            Phoenix. Default: what ``OTEL_SEMCONV_STABILITY_OPT_IN`` names, else ``genai``.
        capture_content: Whether prompts, answers and the arguments of tools are exported. ``True`` for both spans and
            events, or one of the words of ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT``, which is the default.
        propagate: Whether requests carry the trace onwards, in the headers of the global propagator (``traceparent``).

    Raises:
        ConfigError: An argument cannot be used.
        MissingDependencyError: ``pip install provider-kit[opentelemetry]`` is missing.
    """

    name = "opentelemetry"
    version = __version__
    description = "Spans, metrics and events of each call, for OpenTelemetry."
    #: Just outside what logs, so that log records belong to the span.
    priority = LOGGING - 20
    required = False
    wanted_events = frozenset({CallEnded, RouterCallEnded, ToolCallEnded})

    def __init__(
        self,
        *,
        tracer_provider: Any = None,
        meter_provider: Any = None,
        logger_provider: Any = None,
        semconv: SemanticConventions | None = None,
        capture_content: CaptureContent | None = None,
        propagate: bool = True,
    ) -> None:
        try:
            from opentelemetry import context, metrics, trace
            from opentelemetry import propagate as propagation
        except ImportError as error:
            raise MissingDependencyError(
                "The plugin for OpenTelemetry needs opentelemetry-api.",
                hint="pip install provider-kit[opentelemetry]",
            ) from error
        chosen = chosen_profile() if semconv is None else semconv
        if chosen not in PROFILES:
            raise ConfigError(
                f"There are no semantic conventions {chosen!r}.",
                hint=f"{did_you_mean(str(chosen), PROFILES)}There are: {', '.join(PROFILES)}.",
            )
        self._profile: Profile = PROFILES[chosen]
        self._facts = CallFacts(self._profile)
        self._in_spans, self._in_events = chosen_content(capture_content)
        self._tracer_provider = tracer_provider or trace.get_tracer_provider()
        self._meter_provider = meter_provider or metrics.get_meter_provider()
        self._tracer: Any = self._tracer_provider.get_tracer("provider_kit", __version__)
        self._logs = Events(logger_provider)
        told = os.environ.get("OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT", "").lower()
        self._tells_details = (
            told == "true" if told in ("true", "false") else self._in_events or logger_provider is not None
        )
        self._meters = Meters(
            self._meter_provider.get_meter("provider_kit", __version__),
            self._profile if chosen != "openinference" else PROFILES["genai"],
            self._profile.metrics,
        )
        self._inject: Any = propagation.inject if propagate else None
        self._attach, self._detach = context.attach, context.detach
        self._with_span, self._get_current = trace.set_span_in_context, context.get_current
        self._client, self._internal = trace.SpanKind.CLIENT, trace.SpanKind.INTERNAL
        self._failed: Any = partial(trace.Status, trace.StatusCode.ERROR)
        #: The calls that have a span, by id; where an id is shared, the latest.
        self._open: dict[str, LiveCall] = {}
        #: What the garbage collector told; it may have interrupted a thread that holds a lock of the SDK.
        self._pending: deque[Any] = deque()
        if watch_collector not in gc.callbacks:
            gc.callbacks.append(watch_collector)

    # -------------------------------------------------------------------------------------------- spans

    async def around(self, context: PluginContext, call_next: CallNext) -> Reply:
        """Answer one call inside a span."""
        call = context.call
        try:
            live, passed = self._begin(call, context.is_router)
            token, attached = current.set(live), self._attach(live.context)
        except Exception:  # the SDK, an exporter or a propagator may raise anything; the call goes on
            self._complain()
            return await call_next(call)
        try:
            reply = await call_next(passed)
        except BaseException as error:
            self._end(live, None, error)
            raise
        finally:
            self._leave(token, attached)
        if reply.state is None:
            self._end(live, reply.answer, None)
        else:
            reply.on_end(partial(self._stream_ended, live))
        return reply

    def _leave(self, token: Any, attached: Any) -> None:
        try:
            self._detach(attached)
            current.reset(token)
        except ValueError:
            pass  # a call that was never ended is thrown away in another context

    def _begin(self, call: Call, is_router: bool) -> tuple[LiveCall, Call]:
        """The span of a call, and the call to pass on."""
        if self._pending:
            self._catch_up()
        live = LiveCall(self, call, is_router, current.get())
        name, attributes = self._facts.beginning(call.operation, call.model, is_router)
        live.span = self._tracer.start_span(
            name, kind=self._internal if is_router else self._client, attributes=attributes
        )
        live.context = self._with_span(live.span)
        if live.call_id:
            self._open[live.call_id] = live
        request = call.request
        if type(request) is ChatRequest:
            given = request.extra_headers
            if type(given) is TracedHeaders:
                given = given.given
            headers = TracedHeaders(given) if given else TracedHeaders()
            headers.given, headers.live = given, live
            if self._inject is not None:
                self._add_trace(headers, live.context)
            request = request.for_model(request.model)
            request.extra_headers = headers
            if call.earlier:
                call = call.replace(request=request)
            else:
                call = call.passed_on(request, call.deadline, call.cancel, call.route)  # type: ignore[arg-type]
        return live, call

    def _add_trace(self, headers: TracedHeaders, context: Any) -> None:
        carrier: dict[str, str] = {}
        self._inject(carrier, context)
        if headers:
            taken = {name.lower() for name in headers}
            carrier = {name: value for name, value in carrier.items() if name.lower() not in taken}
        headers.update(carrier)

    def _stream_ended(self, live: LiveCall, end: End) -> None:
        if Collector.thread == threading.get_ident():
            self._pending.append(partial(self._finish, live, end.response, end.error, end.how == "left", time_ns()))
        else:
            self._end(live, end, end.error, left=end.how == "left")

    def _end(self, live: LiveCall, answer: Any, error: BaseException | None, *, left: bool = False) -> None:
        try:
            if type(answer) is End:  # assembled only where its event did not come
                answer = answer.response if live.event is None and live.span.is_recording() else None
            self._finish(live, answer, error, left, None)
        except Exception:  # as above
            self._complain()

    def _finish(self, live: LiveCall, answer: Any, error: BaseException | None, left: bool, now: int | None) -> None:
        """End the span of a call."""
        span, event = live.span, live.event
        live.event = live.outer = None
        if self._open.get(live.call_id) is live:
            self._open.pop(live.call_id, None)
        if span.is_recording():
            if event is None:  # other middleware answered in its place
                cancelled = left or isinstance(error, CallCancelledError) or _is_exit(error)
                kind = "caller_cancelled" if cancelled else None if error is None else error_type(error)
                attributes = {} if kind is None else {"error.type": kind}
                if isinstance(answer, ChatResponse):
                    self._profile.response.read(answer, attributes)
                span.set_attributes(attributes)
            else:
                cancelled = event.outcome == "cancelled"
                self._describe(span, event, live.is_router)
                if len(event.attempts) > 1 or event.outcome != "success":
                    self._attempts(live.context, event)
                if error is not None and event.outcome == "success":  # other middleware did not like the answer
                    span.set_attribute("error.type", error_type(error))
            if error is not None and not cancelled:
                span.set_status(self._failed(_text_of(error)))
        span.end(now)

    def _describe(self, span: Any, event: CallEnded, is_router: bool) -> None:
        """Set what is known of a call."""
        attributes = self._facts.of(event, is_router)
        if self._in_spans:
            content = self._profile.content(event.request, event.response)
            attributes.update({name: _flat(value) for name, value in content.items()})
        span.set_attributes(attributes)

    def _attempts(self, context: Any, event: CallEnded) -> None:
        """The attempts at a call as spans inside its own, where they tell anything that it does not."""
        attempts = event.attempts
        if type(event) is RouterCallEnded or (len(attempts) < 2 and (not attempts or attempts[0].error is None)):
            return
        for attempt in attempts:
            self._attempt(context, attempt)

    def _attempt(self, context: Any, attempt: Attempt) -> None:
        attributes: dict[str, Any] = {"provider_kit.attempt": attempt.number, "provider_kit.waited": attempt.waited}
        if attempt.status_code is not None:
            attributes["http.response.status_code"] = attempt.status_code
        if attempt.error is not None:
            attributes["error.type"] = attempt.error
        span = self._past_span(context, f"attempt {attempt.number}", self._internal, attributes, attempt.started)
        if attempt.error is not None and attempt.error != CallCancelledError.__name__:
            span.set_status(self._failed(attempt.message))
        span.end(_nanoseconds(attempt.started + attempt.duration))

    def _past_span(self, context: Any, name: str, kind: Any, attributes: dict[str, Any], started: float) -> Any:
        return self._tracer.start_span(
            name, context, kind=kind, attributes=attributes, start_time=_nanoseconds(started) or None
        )

    # -------------------------------------------------------------------------------------------- events

    def on_event(self, event: Any) -> None:
        """Note the end of a call, or of a tool. It may be called in any thread, also by the garbage collector."""
        if Collector.thread == threading.get_ident():
            self._pending.append(partial(self._note, event))
            return
        if self._pending:
            self._catch_up()
        try:
            self._note(event)
        except Exception:  # as above
            self._complain()

    def _note(self, event: Any) -> None:
        if type(event) is ToolCallEnded:
            self._tool_ended(event)
            return
        found = self._find(event)
        if found is None:
            self._no_span(event, None)
            return
        live = found
        while live.owner is not self:
            if live.owner._tells_the_same(self):
                return  # another such plugin has seen it, nearer to the provider
            if live.outer is None:
                self._no_span(event, None)
                return
            live = live.outer
        own = type(event) is RouterCallEnded if live.is_router else True
        if own and event.path == live.path:
            if live.event is not event:
                live.event = event
                self._count(event, live.context)
            return
        # A target of a router, whose client does not have this plugin.
        seen = live.seen = [one for one in live.seen if one() is not None]
        if not any(one() is event for one in seen):
            seen.append(ref(event))
            self._no_span(event, live.context)

    def _find(self, event: CallEnded) -> LiveCall | None:
        """The innermost call with a span that an event belongs to."""
        headers = getattr(event.request, "extra_headers", None)
        if type(headers) is TracedHeaders:
            return headers.live
        return current.get() or self._open.get(event.correlation_id or "")

    def _tells_the_same(self, other: OpenTelemetry) -> bool:
        return self._tracer_provider is other._tracer_provider and self._meter_provider is other._meter_provider

    def _no_span(self, event: CallEnded, parent: Any) -> None:
        """A call that had no span while it was made has one now."""
        is_router = type(event) is RouterCallEnded
        name, attributes = self._facts.beginning(event.operation or "", event.model, is_router)
        kind = self._internal if is_router else self._client
        span = self._past_span(parent, name, kind, attributes, event.started)
        context = self._with_span(span, parent)
        if span.is_recording():
            self._describe(span, event, is_router)
            self._attempts(context, event)
            if event.outcome == "error":
                span.set_status(self._failed(_text_of(event.error)))
        self._count(event, context)
        span.end(_nanoseconds(event.time))

    def _count(self, event: CallEnded, context: Any) -> None:
        """Metrics and events of a call; a router's are those of its targets."""
        if type(event) is RouterCallEnded:
            return
        self._meters.call(event, context)
        if self._tells_details and event.operation in INFERENCES:
            shown = self._facts.beginning(event.operation, event.model, False)[1]
            attributes = self._facts.of(event, False)
            content = self._profile.content(event.request, event.response) if self._in_events else {}
            self._logs.emit(
                "gen_ai.client.inference.operation.details", "DEBUG", {**shown, **attributes, **content}, context
            )
        if event.outcome == "error" and event.error is not None:
            told = {"exception.type": type(event.error).__name__, "exception.message": _text_of(event.error)}
            self._logs.emit("gen_ai.client.operation.exception", "WARN", told, context)

    def _tool_ended(self, event: ToolCallEnded) -> None:
        """A function was called for the model: a span beside those of the calls."""
        profile, shown = self._profile, "execute_tool"
        attributes: dict[str, Any] = {profile.operation: shown}
        if profile.kind is not None:
            attributes[profile.kind] = profile.kinds[shown]
        profile.tool.read(event, attributes)
        failed = None
        if event.outcome != "success":
            failed = attributes["error.type"] = (
                "policy_tool_blocked" if event.outcome == "denied" else event.error_class or "tool_error"
            )
        if event.correlation_id:
            attributes["provider_kit.correlation_id"] = event.correlation_id
        if self._in_spans:
            content: dict[str, Any] = {}
            profile.tool_content.read(event, content)
            attributes.update({name: _flat(value) for name, value in content.items()})
        context = self._get_current()
        span = self._past_span(context, f"{shown} {event.tool}", self._internal, attributes, event.started)
        if event.outcome == "error":
            span.set_status(self._failed(event.error_class))
        self._meters.tool(event, failed, self._with_span(span, context))
        span.end(_nanoseconds(event.started + event.duration))

    # -------------------------------------------------------------------------------------------- the rest

    def _catch_up(self) -> None:
        """Do what the garbage collector left to be done."""
        pending = self._pending
        while pending:
            try:
                pending.popleft()()
            except IndexError:
                return  # another thread was faster
            except Exception:  # as above
                self._complain()

    def _complain(self) -> None:
        _LOG.exception("The plugin %s could not report a call; the call is not affected.", self.name)

    def close(self) -> None:
        """Report what is still to be reported."""
        self._catch_up()


# ------------------------------------------------------------------------------------------------ small things


def _flat(value: Any) -> Any:
    """A value as an attribute of a span may have it."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return "" if value is None else value
    try:
        return dumps_text(value)
    except (TypeError, ValueError, RecursionError):
        return str(value)


def _text_of(error: BaseException | None) -> str:
    """The text of an error; this library's own hold no secret."""
    if error is None:
        return ""
    return str(error) if isinstance(error, ProviderKitError) else foreign_error(error)


def _is_exit(error: BaseException | None) -> bool:
    return error is not None and not isinstance(error, Exception)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
