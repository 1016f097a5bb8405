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
from collections.abc import Mapping
from contextvars import ContextVar
from functools import partial
from time import time_ns
from typing import Any, Literal, TypeAlias
from weakref import WeakSet

from provider_kit._version import __version__
from provider_kit.engine.call import Call
from provider_kit.engine.handler import CallNext, End, Reply
from provider_kit.engine.plugin import LOGGING, Plugin
from provider_kit.errors import CallCancelledError, ConfigError, MissingDependencyError, ProviderKitError
from provider_kit.model.call_events import CallEnded, RouterCallEnded, ToolCallEnded
from provider_kit.model.chat import Attempt, ChatRequest, ChatResponse
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.fault_domains import error_type
from provider_kit.model.json_text import dumps_text
from provider_kit.model.usage import Usage
from provider_kit.observability.labels import BoundedNames
from provider_kit.plugins.otel_attributes import (
    DURATIONS,
    OPERATIONS,
    PROFILES,
    TOKENS,
    Profile,
    modalities,
    provider_names,
    server_of,
)
from provider_kit.transports.base import one_line
from provider_kit.wire.redaction import redact

__all__ = ["CaptureContent", "OpenTelemetry", "SemanticConventions"]

_LOG = logging.getLogger("provider_kit.plugins")

#: The names that attributes have.
SemanticConventions: TypeAlias = Literal["genai", "genai_1_41", "openinference"]
#: Where prompts and answers are captured.
CaptureContent: TypeAlias = bool | Literal["NO_CONTENT", "SPAN_ONLY", "EVENT_ONLY", "SPAN_AND_EVENT"]

_CAPTURE = {
    "NO_CONTENT": (False, False),
    "SPAN_ONLY": (True, False),
    "EVENT_ONLY": (False, True),
    "SPAN_AND_EVENT": (True, True),
}
#: What ``OTEL_SEMCONV_STABILITY_OPT_IN`` may name; only the first one is OpenTelemetry's own.
_OPT_IN = {
    "gen_ai_latest_experimental": "genai",
    "gen_ai_1_41": "genai_1_41",
    "openinference": "openinference",
}
#: The operations that are inferences; embeddings are not.
_INFERENCES = ("chat", "stream")
_NOTHING_KNOWN = Usage()
_NONE_USED = (("unknown", 0),)
#: Models, and sets of names, that are told apart.
_MOST_MODELS, _MOST_SETS = 200, 2000


class _Live:
    """A call that has a span, until that has ended."""

    __slots__ = ("call_id", "context", "event", "is_router", "operation", "outer", "owner", "path", "seen", "span")

    def __init__(self, owner: OpenTelemetry, call: Call, is_router: bool, outer: _Live | None) -> None:
        self.owner = owner
        self.operation = call.operation
        self.call_id = call.correlation_id
        self.path = "" if call.route is None else call.route.path
        self.is_router = is_router
        #: The call it is a part of.
        self.outer = outer
        self.span: Any = None
        self.context: Any = None
        #: How it ended, as its event tells.
        self.event: CallEnded | None = None
        #: The ends of its targets, each of which may be told several times.
        self.seen: WeakSet[CallEnded] | None = None


class _TracedHeaders(dict[str, str]):
    """The headers of a request that belongs to a span. They tell whose the end of a call is, also where calls share
    their correlation id, and where it is told in another thread."""

    __slots__ = ("given", "live")

    given: Mapping[str, str] | None
    live: _Live

    def __init__(self, given: Mapping[str, str] | None, live: _Live) -> None:
        if type(given) is _TracedHeaders:
            given = given.given
        #: The user's own.
        self.given = given
        self.live = live
        if given:
            self.update(given)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


_current: ContextVar[_Live | None] = ContextVar("provider_kit_opentelemetry", default=None)


class _Collector:
    """The thread that collects garbage at this moment, 0 for none."""

    thread = 0


def _watch_collector(phase: str, info: Any) -> None:
    _Collector.thread = threading.get_ident() if phase == "start" else 0


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
        chosen = _chosen_profile() if semconv is None else semconv
        if chosen not in PROFILES:
            raise ConfigError(
                f"There are no semantic conventions {chosen!r}.",
                hint=f"{did_you_mean(str(chosen), PROFILES)}There are: {', '.join(PROFILES)}.",
            )
        self._profile: Profile = PROFILES[chosen]
        self._in_spans, self._in_events = _chosen_content(capture_content)
        self._tracer_provider = tracer_provider or trace.get_tracer_provider()
        self._meter_provider = meter_provider or metrics.get_meter_provider()
        self._tracer: Any = self._tracer_provider.get_tracer("provider_kit", __version__)
        self._logs = _Logs(logger_provider)
        told = os.environ.get("OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT", "").lower()
        self._tells_details = (
            told == "true" if told in ("true", "false") else self._in_events or logger_provider is not None
        )
        self._meters = _Meters(
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
        self._open: dict[str, _Live] = {}
        #: Names and attributes with which spans begin, and those of providers.
        self._beginnings: dict[Any, tuple[str, dict[str, Any]]] = {}
        self._endpoints: dict[tuple[str, str], dict[str, Any]] = {}
        #: What the garbage collector told; it may have interrupted whoever holds a lock of the SDK.
        self._pending: deque[Any] = deque()
        if _watch_collector not in gc.callbacks:
            gc.callbacks.append(_watch_collector)

    # -------------------------------------------------------------------------------------------- spans

    async def middleware(self, call: Call, call_next: CallNext) -> Reply:
        """Answer one call inside a span."""
        try:
            live, passed = self._begin(call, call_next)
            token, attached = _current.set(live), self._attach(live.context)
        except Exception:
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
            _current.reset(token)
        except ValueError:
            pass  # a call that was never ended is thrown away in another context

    def _begin(self, call: Call, call_next: CallNext) -> tuple[_Live, Call]:
        """The span of a call, and the call to pass on."""
        if self._pending:
            self._catch_up()
        is_router = _is_router(call_next)
        live = _Live(self, call, is_router, _current.get())
        name, attributes = self._beginning(call.operation, call.model, is_router)
        live.span = self._tracer.start_span(
            name, kind=self._internal if is_router else self._client, attributes=attributes
        )
        live.context = self._with_span(live.span)
        if live.call_id:
            self._open[live.call_id] = live
        request = call.request
        if type(request) is ChatRequest:
            headers = _TracedHeaders(request.extra_headers, live)
            if self._inject is not None:
                self._add_trace(headers, live.context)
            request = request.for_model(request.model)
            request.extra_headers = headers
            if call.earlier:
                call = call.replace(request=request)
            else:
                call = call.passed_on(request, call.deadline, call.cancel, call.route)  # type: ignore[arg-type]
        return live, call

    def _add_trace(self, headers: _TracedHeaders, context: Any) -> None:
        carrier: dict[str, str] = {}
        self._inject(carrier, context)
        if headers:
            taken = {name.lower() for name in headers}
            carrier = {name: value for name, value in carrier.items() if name.lower() not in taken}
        headers.update(carrier)

    def _beginning(self, operation: str, model: str | None, is_router: bool) -> tuple[str, dict[str, Any]]:
        """Name and attributes of a span, as samplers see it."""
        key = operation, model, is_router
        found = self._beginnings.get(key)
        if found is None:
            profile, shown = self._profile, OPERATIONS.get(operation, operation)
            attributes: dict[str, Any] = {profile.operation: shown}
            if model:
                attributes[profile.model] = model
            if profile.kind is not None:
                attributes[profile.kind] = "CHAIN" if is_router else profile.kinds.get(shown, "CHAIN")
            found = f"{shown} {model}" if model else shown, attributes
            _bounded(self._beginnings)[key] = found
        return found

    def _stream_ended(self, live: _Live, end: End) -> None:
        if _Collector.thread == threading.get_ident():
            self._pending.append(partial(self._finish, live, end.response, end.error, end.how == "left", time_ns()))
        else:
            self._end(live, end, end.error, left=end.how == "left")

    def _end(self, live: _Live, answer: Any, error: BaseException | None, *, left: bool = False) -> None:
        try:
            if type(answer) is End:  # assembled only where its event did not come
                answer = answer.response if live.event is None and live.span.is_recording() else None
            self._finish(live, answer, error, left, None)
        except Exception:
            self._complain()

    def _finish(self, live: _Live, answer: Any, error: BaseException | None, left: bool, now: int | None) -> None:
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
                self._attempts(live.context, event)
                if error is not None and event.outcome == "success":  # other middleware did not like the answer
                    span.set_attribute("error.type", error_type(error))
            if error is not None and not cancelled:
                span.set_status(self._failed(_text_of(error)))
        span.end(now)

    def _describe(self, span: Any, event: CallEnded, is_router: bool) -> None:
        """Set what is known of a call."""
        attributes = self._facts(event, is_router)
        if self._in_spans:
            content = self._profile.content(event.request, event.response)
            attributes.update({name: _flat(value) for name, value in content.items()})
        span.set_attributes(attributes)

    def _facts(self, event: CallEnded, is_router: bool) -> dict[str, Any]:
        """The attributes of a call, without its content."""
        profile, response = self._profile, event.response
        answer = response if isinstance(response, ChatResponse) else None
        if is_router:
            attributes: dict[str, Any] = {"provider_kit.router": event.provider}
            routing = None if answer is None else answer.routing
            if routing is not None:
                attributes["provider_kit.router.strategy"] = routing.strategy
                attributes["provider_kit.router.targets_asked"] = len(routing.attempts)
                if routing.target is not None:
                    attributes["provider_kit.router.target"] = routing.target
        else:
            attributes = dict(self._endpoint(event.provider, event.base_url))
        if event.correlation_id:
            attributes["provider_kit.correlation_id"] = event.correlation_id
        request = event.request
        if type(request) is ChatRequest:
            profile.request.read(request, attributes)
            if profile.parameters is not None:
                attributes.update(profile.parameters(request))
        if event.operation == "stream":
            profile.stream.read(event, attributes)
        if answer is not None:
            profile.response.read(answer, attributes)
        if event.cached:
            attributes["provider_kit.cache"] = "hit"
        elif not is_router:  # else the tokens of its targets would count twice
            usage = event.usage
            if usage is not None:
                profile.usage.read(usage, attributes)
        if event.outcome != "success":
            attributes["error.type"] = event.error_type
            status = getattr(event.error, "status_code", None)
            if status is not None:
                attributes["http.response.status_code"] = status
            if event.lost:
                attributes["provider_kit.lost"] = True
        if event.tags:
            attributes["provider_kit.tags"] = event.tags
        return attributes

    def _endpoint(self, provider: str, base_url: str) -> dict[str, Any]:
        key = provider, base_url
        found = self._endpoints.get(key)
        if found is None:
            found = _server_attributes(self._profile, provider, base_url)
            _bounded(self._endpoints)[key] = found
        return found

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
        if _Collector.thread == threading.get_ident():
            self._pending.append(partial(self._note, event))
            return
        if self._pending:
            self._catch_up()
        try:
            self._note(event)
        except Exception:
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
        if live.seen is None:
            live.seen = WeakSet()
        if event not in live.seen:
            live.seen.add(event)
            self._no_span(event, live.context)

    def _find(self, event: CallEnded) -> _Live | None:
        """The innermost call with a span that an event belongs to."""
        headers = getattr(event.request, "extra_headers", None)
        if type(headers) is _TracedHeaders:
            return headers.live
        return _current.get() or self._open.get(event.correlation_id or "")

    def _tells_the_same(self, other: OpenTelemetry) -> bool:
        return self._tracer_provider is other._tracer_provider and self._meter_provider is other._meter_provider

    def _no_span(self, event: CallEnded, parent: Any) -> None:
        """A call that had no span while it was made has one now."""
        is_router = type(event) is RouterCallEnded
        name, attributes = self._beginning(event.operation or "", event.model, is_router)
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
        if self._tells_details and event.operation in _INFERENCES:
            shown, attributes = self._beginning(event.operation, event.model, False)[1], self._facts(event, False)
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
            except Exception:
                self._complain()

    def _complain(self) -> None:
        _LOG.exception("The plugin %s could not report a call; the call is not affected.", self.name)

    def close(self) -> None:
        """Report what is still to be reported."""
        self._catch_up()


class _Labels:
    """The attributes of metrics of one kind of calls, each dict made once."""

    __slots__ = ("all", "by_modality", "by_type")

    def __init__(self, attributes: dict[str, Any]) -> None:
        self.all = attributes
        self.by_modality = {
            kind: {**attributes, "gen_ai.token.modality": kind} for kind in ("text", "image", "audio", "unknown")
        }
        self.by_type = {side: {**attributes, "gen_ai.token.type": side} for side in ("input", "output")}


class _Meters:
    """The metrics."""

    def __init__(self, meter: Any, profile: Profile, instruments: Any) -> None:
        self._profile = profile
        made: dict[str, Any] = {}
        by_measure: dict[str, list[Any]] = {}
        for one in instruments:
            if one.name not in made:
                made[one.name] = _instrument(meter, one)
            by_measure.setdefault(one.measures, []).append((made[one.name], one.divided_by))
        measured = by_measure.get
        self._duration, self._other = measured("duration", []), measured("other_duration", [])
        self._first_chunk, self._chunk = measured("first_chunk", []), measured("chunk", [])
        self._tool = measured("tool", [])
        self._sides = [(side, measured(side, [])) for side in ("input", "output")]
        parts = (
            ("cache_read_tokens", "input"),
            ("cache_write_tokens", "input"),
            ("reasoning_tokens", "output"),
        )
        self._parts = [(name, side, by_measure[name]) for name, side in parts if name in by_measure]
        self._models, self._answering = BoundedNames(_MOST_MODELS), BoundedNames(_MOST_MODELS)
        self._providers, self._tools = BoundedNames(_MOST_MODELS), BoundedNames(_MOST_MODELS)
        self._labels: dict[Any, _Labels] = {}

    def call(self, event: CallEnded, context: Any) -> None:
        """Count a call; an answer from the cache is none."""
        if event.cached:
            return
        labels = self._labels_of(event)
        inference = event.operation in _INFERENCES
        for instrument, _ in self._duration if inference else self._other:
            instrument.record(event.duration, labels.all, context)
        if not inference:
            return
        if event.operation == "stream":
            if event.first_token is not None:
                for instrument, _ in self._first_chunk:
                    instrument.record(event.first_token, labels.all, context)
            timings = getattr(event.response, "timings", None)
            if timings is not None and timings.between_chunks is not None:
                for instrument, _ in self._chunk:
                    instrument.record(timings.between_chunks, labels.all, context)
        self._tokens(event, event.usage or _NOTHING_KNOWN, labels, context)

    def _tokens(self, event: CallEnded, usage: Usage, labels: _Labels, context: Any) -> None:
        split: dict[str, tuple[tuple[str, int], ...]] = {}
        for side, instruments in self._sides:
            if side == "input":
                count, holders = usage.prompt_tokens, event.request.messages
            else:
                message = getattr(event.response, "message", None)
                count, holders = usage.completion_tokens, () if message is None else (message,)
            # Also of a failure that used nothing: so say the conventions.
            by_kind = split[side] = _NONE_USED if count is None else modalities(holders, usage, side, count)
            for instrument, divided_by in instruments:
                if divided_by == "modality":
                    for kind, number in by_kind:
                        instrument.add(number, labels.by_modality[kind], context)
                elif count is not None:
                    instrument.record(count, labels.by_type[side] if divided_by == "type" else labels.all, context)
        for name, side, instruments in self._parts:
            part = getattr(usage, name)
            if part:
                kind = split[side][0][0] if len(split[side]) == 1 else "unknown"
                for instrument, _ in instruments:
                    instrument.add(part, labels.by_modality[kind], context)

    def _labels_of(self, event: CallEnded) -> _Labels:
        model = self._models(event.model)
        answering = self._answering(getattr(event.response, "model", None))
        provider, failed = self._providers(event.provider), event.error_type
        key = event.operation, provider, event.base_url, model, answering, failed
        found = self._labels.get(key)
        if found is None:
            profile, operation = self._profile, event.operation or ""
            attributes = {profile.operation: OPERATIONS.get(operation, operation)}
            attributes.update(_server_attributes(profile, provider, event.base_url))
            attributes.update({profile.model: model} if model else {})
            attributes.update({"gen_ai.response.model": answering} if answering else {})
            attributes.update({"error.type": failed} if failed else {})
            found = _Labels(attributes)
            _bounded(self._labels)[key] = found
        return found

    def tool(self, event: ToolCallEnded, failed: str | None, context: Any) -> None:
        """Count the call of a tool."""
        attributes = {self._profile.operation: "execute_tool", "gen_ai.tool.name": self._tools(event.tool)}
        if failed is not None:
            attributes["error.type"] = failed
        for instrument, _ in self._tool:
            instrument.record(event.duration, attributes, context)


class _Logs:
    """Events, through the API of logs, which is still under development: without it there are none."""

    def __init__(self, provider: Any) -> None:
        self._logger: Any = None
        try:
            from opentelemetry import _logs

            provider = provider or _logs.get_logger_provider()
            self._logger = provider.get_logger("provider_kit", __version__)
            self._record: Any = _logs.LogRecord
            self._severities = {"DEBUG": _logs.SeverityNumber.DEBUG, "WARN": _logs.SeverityNumber.WARN}
        except (ImportError, AttributeError):
            self._logger = None

    def emit(self, name: str, severity: str, attributes: dict[str, Any], context: Any) -> None:
        """Emit an event."""
        if self._logger is None:
            return
        now = time_ns()
        fields: dict[str, Any] = {
            "timestamp": now,
            "observed_timestamp": now,
            "context": context,
            "severity_text": severity,
            "severity_number": self._severities[severity],
            "attributes": attributes,
            "event_name": name,
        }
        try:
            record = self._record(**fields)
        except TypeError:  # before 1.36
            _LOG.debug("This version of opentelemetry-api has no events.")
            self._logger = None
            return
        self._logger.emit(record)


# ------------------------------------------------------------------------------------------------ small things


def _chosen_profile() -> str:
    words = os.environ.get("OTEL_SEMCONV_STABILITY_OPT_IN", "").replace(" ", "").split(",")
    return next((_OPT_IN[word] for word in words if word in _OPT_IN), "genai")


def _chosen_content(given: Any) -> tuple[bool, bool]:
    """Whether prompts and answers are captured in spans, and in events.

    Raises:
        ConfigError: The argument is neither a bool nor one of the words.
    """
    if isinstance(given, bool):
        return given, given
    word = os.environ.get("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "") if given is None else given
    found = _CAPTURE.get(word.upper()) if isinstance(word, str) else None
    if found is None and given is not None:
        raise ConfigError(
            f"capture_content cannot be {given!r}.", hint=f"True, False, or one of {', '.join(_CAPTURE)}."
        )
    return found or (False, False)


def _is_router(call_next: Any) -> bool:
    """Whether the handler at the end of the middleware is a router's; the kind of a span is fixed when it begins."""
    handler, inner = call_next, getattr(call_next, "_inner", None)
    while inner is not None:
        handler, inner = inner, getattr(inner, "_inner", None)
    return bool(getattr(getattr(handler, "events", None), "is_router", False))


def _instrument(meter: Any, one: Any) -> Any:
    if one.kind == "counter":
        return meter.create_counter(one.name, unit=one.unit, description=one.description)
    bounds = DURATIONS if one.unit == "s" else TOKENS
    try:
        return meter.create_histogram(
            one.name, unit=one.unit, description=one.description, explicit_bucket_boundaries_advisory=bounds
        )
    except TypeError:  # before 1.30
        return meter.create_histogram(one.name, unit=one.unit, description=one.description)


def _server_attributes(profile: Profile, provider: str, base_url: str) -> dict[str, Any]:
    found: dict[str, Any] = dict(provider_names(profile, provider))
    server = server_of(base_url)
    if server is not None:
        found["server.address"], found["server.port"] = server
    return found


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
    return str(error) if isinstance(error, ProviderKitError) else one_line(redact(f"{type(error).__name__}: {error}"))


def _is_exit(error: BaseException | None) -> bool:
    return error is not None and not isinstance(error, Exception)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)


def _bounded(known: dict[Any, Any]) -> dict[Any, Any]:
    """A dict of what was made once; it is emptied before it grows too large."""
    if len(known) >= _MOST_SETS:
        known.clear()
    return known
