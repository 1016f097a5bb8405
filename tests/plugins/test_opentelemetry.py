"""What OpenTelemetry is told of each call: spans, metrics, events, and the trace onwards to the provider."""

import asyncio
import gc
import itertools
import json
import pickle
import subprocess
import sys
import threading
import time

import pytest
from asking import ask as ask_both
from asking import verbs, worlds
from opentelemetry import baggage, context, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from provider_kit import (
    Backoff,
    CallCancelledError,
    ChatResponse,
    Client,
    ConfigError,
    Image,
    InternalServerError,
    Message,
    MissingDependencyError,
    ProviderKitError,
    Race,
    Reply,
    ResponseCache,
    Router,
    ToolCallEnded,
    correlation,
    tool,
)
from provider_kit.engine.plugin import Plugin
from provider_kit.model.chat import ChatRequest
from provider_kit.plugins import otel_metrics
from provider_kit.plugins.opentelemetry import OpenTelemetry
from provider_kit.plugins.otel_attributes import DURATIONS, PROFILES, TOKENS
from provider_kit.plugins.otel_live import Collector, LiveCall, TracedHeaders
from provider_kit.testing import FakeServer
from provider_kit.testing import Reply as Answer


def ask(*arguments, **options):
    """The answer alone."""
    return ask_both(*arguments, **options)[1]


class Telemetry:
    """The SDK, with everything it was told."""

    def __init__(self):
        self._spans, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        self._logs = InMemoryLogRecordExporter()
        self.tracing = TracerProvider()
        self.tracing.add_span_processor(SimpleSpanProcessor(self._spans))
        self.metering = MeterProvider([self._reader])
        self.logging = LoggerProvider()
        self.logging.add_log_record_processor(SimpleLogRecordProcessor(self._logs))

    def plugin(self, **options):
        return OpenTelemetry(tracer_provider=self.tracing, meter_provider=self.metering, **options)

    @property
    def spans(self):
        return sorted(self._spans.get_finished_spans(), key=lambda span: span.start_time)

    @property
    def span(self):
        (only,) = self.spans
        return only

    def children(self, parent):
        inner = parent.get_span_context().span_id
        return [span for span in self.spans if span.parent is not None and span.parent.span_id == inner]

    @property
    def metrics(self):
        data = self._reader.get_metrics_data()
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def points(self, name):
        return list(self.metrics[name].data.data_points)

    @property
    def events(self):
        return [one.log_record for one in self._logs.get_finished_logs()]

    @property
    def everything(self):
        """All that was exported, as text."""
        spans = [(span.name, dict(span.attributes), span.status.description) for span in self.spans]
        events = [(event.event_name, dict(event.attributes), event.body) for event in self.events]
        return f"{spans} {events} {[metric.to_json() for metric in self.metrics.values()]}"


@pytest.fixture
def telemetry():
    made = Telemetry()
    yield made
    made.tracing.shutdown()
    made.metering.shutdown()
    made.logging.shutdown()


@pytest.fixture
def server():
    with FakeServer() as made:
        yield made


# ------------------------------------------------------------------------------------------------ spans


@worlds
@verbs
def test_a_call_is_a_span(server, telemetry, world, verb):
    """With the names of today's conventions; cached tokens are part of the input."""
    server.reply("Four.", input_tokens=10, cache_read=4)
    client = server.client(plugins=[telemetry.plugin()])
    answer = ask(client, world, verb, "2 + 2?", temperature=0.5, max_tokens=9, stop=["x"], response_format="json")
    span = telemetry.span
    assert (span.name, span.kind, span.status.status_code) == ("chat gpt-4o", SpanKind.CLIENT, StatusCode.UNSET)
    found = dict(span.attributes)
    usage = answer.usage
    assert usage.cache_read_tokens == 4
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.stop_sequences": ("x",),
        "gen_ai.output.type": "json",
        "gen_ai.response.model": answer.model,
        "gen_ai.response.id": answer.id,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "operation.cost": float(usage.cost),
        "server.address": "127.0.0.1",
        "provider_kit.correlation_id": answer.correlation_id,
    }
    assert expected.items() <= found.items()
    assert found["server.port"] > 0
    assert found.get("gen_ai.request.stream") is (True if verb == "stream" else None)
    assert ("gen_ai.response.time_to_first_chunk" in found) == (verb == "stream")
    assert span.end_time > span.start_time
    client.close()


@pytest.mark.parametrize(
    ("target", "name"), [("gemini/gemini-2.5-flash", "gcp.gemini"), ("mistral/mistral-small-latest", "mistral_ai")]
)
def test_providers_have_the_names_of_the_conventions(server, telemetry, target, name):
    """A provider that they do not know has its own."""
    with server.client(target, plugins=[telemetry.plugin()]) as client:
        client.chat("Hi")
    assert telemetry.span.attributes["gen_ai.provider.name"] == name


@verbs
def test_the_older_names(server, telemetry, verb):
    """One switch for backends that read those."""
    server.reply("Hi", input_tokens=10, cache_write=3)
    with server.client("anthropic/claude-sonnet-4-5", plugins=[telemetry.plugin(semconv="genai_1_41")]) as client:
        ask(client, "blocking", verb, "Hi")
    found = telemetry.span.attributes
    assert found["gen_ai.system"] == found["gen_ai.provider.name"] == "anthropic"
    assert found["gen_ai.usage.cache_creation.input_tokens"] == 3
    assert "gen_ai.usage.cache_write.input_tokens" not in found
    names = set(telemetry.metrics)
    assert {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"} <= names
    assert not any("inference" in name for name in names)
    points = telemetry.points("gen_ai.client.token.usage")
    assert {point.attributes["gen_ai.token.type"] for point in points} == {"input", "output"}
    assert telemetry.metrics["gen_ai.client.token.usage"].unit == "{token}"


def test_the_names_of_openinference(server, telemetry):
    """Flattened messages, as Phoenix reads them, if content is captured."""
    server.reply(Answer(tool_calls=[("weather", {"city": "Paris"})]))
    with server.client(plugins=[telemetry.plugin(semconv="openinference", capture_content=True)]) as client:
        client.chat("Weather in Paris?", system="Be brief.", tools=[weather], temperature=0)
    found = telemetry.span.attributes
    expected = {
        "openinference.span.kind": "LLM",
        "llm.model_name": "gpt-4o",
        "llm.provider": "openai",
        "llm.invocation_parameters": '{"temperature":0}',
        "llm.input_messages.0.message.role": "system",
        "llm.input_messages.1.message.content": "Weather in Paris?",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "weather",
    }
    assert expected.items() <= dict(found).items()
    arguments = found["llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments"]
    assert json.loads(arguments) == {"city": "Paris"}
    assert json.loads(found["llm.tools.0.tool.json_schema"])["function"]["name"] == "weather"
    assert found["llm.token_count.total"] == found["llm.token_count.prompt"] + found["llm.token_count.completion"]
    assert found["llm.cost.total"] > 0


@pytest.mark.parametrize("semconv", PROFILES)
@verbs
def test_every_profile_without_content(server, telemetry, semconv, verb):
    """None of them exports what was asked or answered, nor a key."""
    server.reply("The secret answer.")
    plugin = telemetry.plugin(semconv=semconv, logger_provider=telemetry.logging)
    with server.client(plugins=[plugin], headers={"X-Own": "secret header"}) as client:
        ask(client, "blocking", verb, "The secret question?", system="Secret rule.", user="u1")
    assert len(telemetry.spans) == 1
    shown = telemetry.everything
    assert "ecret" not in shown
    assert "sk-fake" not in shown


@worlds
@verbs
def test_a_failure_is_an_error_of_its_span(server, telemetry, world, verb):
    """With whose fault it was, and the status of the answer."""
    server.always(400, message="no such thing")
    client = server.client(plugins=[telemetry.plugin()])
    with pytest.raises(ProviderKitError):
        ask(client, world, verb, "Hi")
    (span, attempt) = telemetry.spans
    assert span.status.status_code is StatusCode.ERROR
    assert "no such thing" in span.status.description
    assert span.attributes["error.type"] == "caller_invalid_request"
    assert span.attributes["http.response.status_code"] == 400
    assert (attempt.name, attempt.attributes["error.type"]) == ("attempt 1", "BadRequestError")
    client.close()


@worlds
@verbs
def test_attempts_are_spans_inside(server, telemetry, world, verb):
    """If there were several; with their times."""
    server.fault(503, times=2)
    client = server.client(plugins=[telemetry.plugin()], retry=Backoff(3, 0.01))
    ask(client, world, verb, "Hi")
    (call,) = [span for span in telemetry.spans if span.parent is None]
    attempts = telemetry.children(call)
    assert [one.name for one in attempts] == ["attempt 1", "attempt 2", "attempt 3"]
    assert [one.attributes.get("http.response.status_code") for one in attempts] == [503, 503, None]
    assert [one.status.status_code for one in attempts] == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
    assert all(a.end_time <= b.start_time for a, b in itertools.pairwise(attempts))
    assert call.status.status_code is StatusCode.UNSET
    assert call.start_time <= attempts[0].start_time + 5_000_000
    client.close()


def test_a_single_attempt_has_no_span_of_its_own(server, telemetry):
    """It would say what the call says."""
    with server.client(plugins=[telemetry.plugin()]) as client:
        client.chat("Hi")
    assert len(telemetry.spans) == 1


@worlds
def test_a_stream_that_its_reader_leaves(server, telemetry, world):
    """Is one span, which says so, and no error."""
    server.reply("one two three four five six")
    client = server.client(plugins=[telemetry.plugin()])
    if world == "blocking":
        with client.stream("Hi") as stream:
            next(iter(stream))
    else:

        async def main():
            async with client.astream("Hi") as stream:
                async for _ in stream:
                    break
            await client.aclose()

        asyncio.run(main())
    (span,) = [span for span in telemetry.spans if not span.name.startswith("attempt")]
    assert span.attributes["error.type"] == "caller_cancelled"
    assert span.status.status_code is StatusCode.UNSET
    (point,) = telemetry.points("gen_ai.client.inference.duration")
    assert (point.count, point.attributes["error.type"]) == (1, "caller_cancelled")
    client.close()


@worlds
def test_a_stream_that_breaks_off(server, telemetry, world):
    """Is an error, counted once."""
    server.reply("one two three four five six")
    server.fault(cut_after=3)
    client = server.client(plugins=[telemetry.plugin()], max_retries=0)
    with pytest.raises(ProviderKitError):
        ask(client, world, "stream", "Hi")
    (span,) = [span for span in telemetry.spans if not span.name.startswith("attempt")]
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "provider_connection_failed"
    (point,) = telemetry.points("gen_ai.client.inference.duration")
    assert point.count == 1
    client.close()


def test_a_cancelled_task(server, telemetry):
    """Ends its span, without an error."""
    server.fault(latency=5)
    client = server.client(plugins=[telemetry.plugin()])

    async def main():
        task = asyncio.create_task(client.achat("Hi"))
        while not server.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await client.aclose()

    asyncio.run(main())
    (span,) = [span for span in telemetry.spans if not span.name.startswith("attempt")]
    assert span.attributes["error.type"] == "caller_cancelled"
    assert span.status.status_code is StatusCode.UNSET


@worlds
@verbs
def test_an_answer_from_the_cache(server, telemetry, world, verb):
    """Is a span without tokens, and no inference."""
    client = server.client(plugins=[telemetry.plugin()], response_cache=ResponseCache())
    client.chat("Hi") if verb == "chat" else ask(client, "blocking", verb, "Hi")
    ask(client, world, verb, "Hi")
    first, second = telemetry.spans
    assert len(server.requests) == 1
    assert "provider_kit.cache" not in first.attributes
    assert second.attributes["provider_kit.cache"] == "hit"
    assert not any("usage" in name or "cost" in name for name in second.attributes)
    (point,) = telemetry.points("gen_ai.client.inference.duration")
    assert point.count == 1
    client.close()


@worlds
@verbs
def test_other_middleware_answers_in_its_place(telemetry, world, verb):
    """A span without tokens; nothing was sent."""

    class Closed(Plugin):
        name, priority = "closed", 950

        def pre_request(self, context):
            return ChatResponse(Message("assistant", "Closed."), "stop")

    client = Client("demo/echo", plugins=[telemetry.plugin(), Closed()])
    assert ask(client, world, verb, "Hi").text == "Closed."
    assert telemetry.span.attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert telemetry.metrics == {}
    client.close()


def test_other_middleware_refuses(telemetry):
    """Its error is that of the span, also after an answer."""

    class Refuses(Plugin):
        name, priority, required = "refuses", 950, True

        def pre_request(self, context):
            if context.chat.messages[-1].text == "before":
                raise InternalServerError("refused")

        def post_response(self, context, response):
            raise InternalServerError("not this answer")

    with Client("demo/echo", plugins=[telemetry.plugin(), Refuses()]) as client:
        for text in ("before", "after"):
            with pytest.raises(InternalServerError):
                client.chat(text)
    for span in telemetry.spans:
        assert span.status.status_code is StatusCode.ERROR
        assert span.attributes["error.type"] == "provider_server_error"


@worlds
def test_other_operations(telemetry, world):
    """Embeddings and lists of models have their own names, and are no inference."""
    with FakeServer() as server:
        client = server.client("openai/text-embedding-3-small", plugins=[telemetry.plugin()])
        if world == "blocking":
            client.embed(["a", "b"])
        else:

            async def main():
                await client.aembed(["a", "b"])
                await client.aclose()

            asyncio.run(main())
        client.close()
    span = telemetry.span
    assert span.name == "embeddings text-embedding-3-small"
    assert span.attributes["gen_ai.usage.input_tokens"] > 0
    assert set(telemetry.metrics) == {"gen_ai.client.operation.duration"}


# ------------------------------------------------------------------------------------------------ the trace


@worlds
@verbs
def test_the_trace_goes_on_to_the_provider(server, telemetry, world, verb):
    """The request has a traceparent whose trace is the caller's, and whose span is the call's."""
    client = server.client(plugins=[telemetry.plugin()])
    with telemetry.tracing.get_tracer("mine").start_as_current_span("mine") as mine:
        ask(client, world, verb, "Hi", extra_headers={"X-Own": "1"})
        assert trace.get_current_span() is mine
    (call,) = telemetry.children(telemetry.spans[0])
    headers = server.requests[-1].headers
    version, trace_id, span_id, flags = headers["traceparent"].split("-")
    assert (version, int(trace_id, 16)) == ("00", mine.get_span_context().trace_id)
    assert int(span_id, 16) == call.get_span_context().span_id
    assert int(flags, 16) & 1
    assert headers["x-own"] == "1"
    client.close()


def test_headers_of_the_user_win(server, telemetry):
    """Whatever their case."""
    with server.client(plugins=[telemetry.plugin()]) as client:
        client.chat("Hi", extra_headers={"TraceParent": "mine"})
    assert server.requests[-1].headers["traceparent"] == "mine"


def test_no_trace_goes_on_if_that_is_not_wanted(server, telemetry):
    """``propagate=False``; baggage is not sent either."""
    token = context.attach(baggage.set_baggage("tenant", "a"))
    try:
        with server.client(plugins=[telemetry.plugin(propagate=False)]) as client:
            client.chat("Hi")
        with server.client(plugins=[telemetry.plugin()]) as client:
            client.chat("Hi")
    finally:
        context.detach(token)
    without, with_it = (one.headers for one in server.requests)
    assert "traceparent" not in without
    assert "baggage" not in without
    assert with_it["baggage"] == "tenant=a"


@worlds
def test_the_span_is_current_while_the_call_is_made(server, telemetry, world):
    """What is inside it, such as the spans of an HTTP library, becomes a part of it."""
    seen = []

    class Inside(Plugin):
        name, priority = "inside", 950

        def pre_request(self, context):
            seen.append(trace.get_current_span().get_span_context().span_id)

    client = server.client(plugins=[telemetry.plugin(), Inside()])
    ask(client, world, "chat", "Hi")
    assert seen == [telemetry.span.get_span_context().span_id]
    assert trace.get_current_span() is trace.INVALID_SPAN
    client.close()


# ------------------------------------------------------------------------------------------------ routers


def routed(servers, plugins=(), of=(), strategy="fallback"):
    clients = [
        server.client(name=name, max_retries=0, plugins=list(of)) for name, server in zip("abc", servers, strict=False)
    ]
    return Router(clients, strategy, plugins=list(plugins)), clients


@worlds
@verbs
@pytest.mark.parametrize("where", ["router", "both", "both, each its own"])
def test_a_router_is_a_span_around_its_targets(telemetry, world, verb, where):
    """However many of them have the plugin, each target that was asked is one span."""
    with FakeServer() as bad, FakeServer() as good:
        bad.always(500)
        plugin = telemetry.plugin()
        own = {"router": [], "both": [plugin], "both, each its own": [telemetry.plugin()]}[where]
        router, clients = routed((bad, good), [plugin], own)
        ask(router, world, verb, "Hi")
        sent = [server.requests[-1].headers["traceparent"] for server in (bad, good)]
        for client in clients:
            client.close()
    (root,) = [span for span in telemetry.spans if span.parent is None]
    assert (root.kind, root.name) == (SpanKind.INTERNAL, "chat router")
    assert root.status.status_code is StatusCode.UNSET
    assert root.attributes["provider_kit.router.strategy"] == "fallback"
    assert "gen_ai.usage.input_tokens" not in root.attributes
    first, second = telemetry.children(root)
    assert (first.kind, second.kind) == (SpanKind.CLIENT, SpanKind.CLIENT)
    assert first.status.status_code is StatusCode.ERROR
    assert first.attributes["http.response.status_code"] == 500
    assert second.attributes["gen_ai.usage.output_tokens"] > 0
    assert first.end_time <= second.start_time + 1_000_000
    assert len(telemetry.spans) == 3 + len(telemetry.children(first))
    trace_id = root.get_span_context().trace_id
    assert {int(one.split("-")[1], 16) for one in sent} == {trace_id}
    points = telemetry.points("gen_ai.client.inference.duration")
    assert [point.count for point in points] == [1, 1]


@worlds
@verbs
def test_a_race_has_a_span_for_each_target(telemetry, world, verb):
    """The slower one was cancelled, which is no error."""
    with FakeServer() as slow, FakeServer() as fast:
        slow.always(latency=3)
        fast.always(latency=0.3)  # until the other has been asked
        router, clients = routed((slow, fast), [telemetry.plugin()], strategy=Race())
        ask(router, world, verb, "Hi")
        until = time.monotonic() + 5
        while len(telemetry.spans) < 3 and time.monotonic() < until:
            time.sleep(0.01)
        for client in clients:
            client.close()
    (root,) = [span for span in telemetry.spans if span.parent is None]
    targets = telemetry.children(root)
    assert len(targets) == 2
    assert all(span.status.status_code is StatusCode.UNSET for span in telemetry.spans)
    assert [span.attributes.get("provider_kit.lost", False) for span in targets].count(True) == 1


@verbs
def test_all_targets_fail(telemetry, verb):
    """The router's span is an error."""
    with FakeServer() as a, FakeServer() as b:
        a.always(500)
        b.always(500)
        router, clients = routed((a, b), [telemetry.plugin()])
        with pytest.raises(ProviderKitError):
            ask(router, "blocking", verb, "Hi")
        for client in clients:
            client.close()
    (root,) = [span for span in telemetry.spans if span.parent is None]
    assert root.status.status_code is StatusCode.ERROR
    assert root.attributes["error.type"] == "provider_server_error"
    assert [span.status.status_code for span in telemetry.children(root)] == [StatusCode.ERROR] * 2


@worlds
def test_calls_that_share_their_id(telemetry, server, world):
    """Are told apart, also at the same time."""
    client = server.client(plugins=[telemetry.plugin()])
    models = [f"m{number}" for number in range(8)]
    with correlation("one-request"):
        if world == "asyncio":

            async def main():
                await asyncio.gather(*(client.achat("Hi", model=model) for model in models))
                await client.aclose()

            asyncio.run(main())
        else:
            streams = [client.stream("Hi", model=model) for model in models]
            for stream in reversed(streams):
                list(stream)
    assert sorted(span.attributes["gen_ai.request.model"] for span in telemetry.spans) == models
    assert all(span.attributes["gen_ai.usage.output_tokens"] > 0 for span in telemetry.spans)
    client.close()


# ------------------------------------------------------------------------------------------------ tools


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"Sunny in {city}."


def tool_ended(**fields):
    now = time.time()
    known = {"tool": "weather", "tool_call_id": "call_1", "started": now - 0.5, "duration": 0.25, "outcome": "success"}
    known |= {
        "time": now,
        "provider": "openai",
        "correlation_id": "c1",
        "arguments": '{"city":"Paris"}',
        "result": "Sunny",
    }
    return ToolCallEnded(**known | fields)


def test_a_tool_is_a_span(telemetry):
    """Beside the calls, with its own times."""
    plugin = telemetry.plugin()
    with telemetry.tracing.get_tracer("mine").start_as_current_span("mine"):
        plugin.on_event(tool_ended())
    span, mine = sorted(telemetry.spans, key=lambda span: span.name)
    assert (span.name, span.kind) == ("execute_tool weather", SpanKind.INTERNAL)
    assert span.parent.span_id == mine.get_span_context().span_id
    assert abs(span.end_time - span.start_time - 250_000_000) < 1_000_000
    expected = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "weather", "gen_ai.tool.call.id": "call_1"}
    assert expected.items() <= dict(span.attributes).items()
    assert "Paris" not in telemetry.everything
    (point,) = telemetry.points("gen_ai.execute_tool.duration")
    assert (point.count, point.sum) == (1, 0.25)


@pytest.mark.parametrize(
    ("outcome", "error_class", "kind", "status"),
    [
        ("error", "ValueError", "ValueError", StatusCode.ERROR),
        ("denied", None, "policy_tool_blocked", StatusCode.UNSET),
    ],
)
def test_a_tool_that_fails(telemetry, outcome, error_class, kind, status):
    """Denied is no error."""
    telemetry.plugin(capture_content=True).on_event(tool_ended(outcome=outcome, error_class=error_class))
    span = telemetry.span
    assert (span.attributes["error.type"], span.status.status_code) == (kind, status)
    assert span.attributes["gen_ai.tool.call.arguments"] == '{"city":"Paris"}'


@worlds
def test_a_run_with_a_tool(server, telemetry, world):
    """Two calls of the model, in one trace with what is around them."""
    server.reply(Answer(tool_calls=[("weather", {"city": "Paris"})]))
    server.reply("Sunny.")
    client = server.client(plugins=[telemetry.plugin(capture_content="SPAN_ONLY")])
    with telemetry.tracing.get_tracer("mine").start_as_current_span("mine"):
        if world == "blocking":
            result = client.run("Weather in Paris?", tools=[weather])
        else:

            async def main():
                try:
                    return await client.arun("Weather in Paris?", tools=[weather])
                finally:
                    await client.aclose()

            result = asyncio.run(main())
    assert result.text == "Sunny."
    (mine,) = [span for span in telemetry.spans if span.name == "mine"]
    calls = [span for span in telemetry.children(mine) if span.name == "chat gpt-4o"]
    assert [span.attributes["gen_ai.response.finish_reasons"] for span in calls] == [("tool_calls",), ("stop",)]
    sent = json.loads(calls[1].attributes["gen_ai.input.messages"])
    assert [part["type"] for message in sent for part in message["parts"]] == [
        "text",
        "tool_call",
        "tool_call_response",
    ]
    client.close()


# ------------------------------------------------------------------------------------------------ metrics


@verbs
def test_metrics(server, telemetry, verb):
    """With the units and buckets of the conventions."""
    server.reply("one two three", input_tokens=10, cache_read=4)
    with server.client(plugins=[telemetry.plugin()]) as client:
        answer = ask(client, "blocking", verb, "Hi")
    usage, prefix = answer.usage, "gen_ai.client.inference"
    expected = {
        f"{prefix}.duration": "s",
        f"{prefix}.usage.input_tokens": "{token}",
        f"{prefix}.usage.output_tokens": "{token}",
        f"{prefix}.usage.cache_read.input_tokens": "{token}",
        f"{prefix}.operation.input_tokens": "{token}",
        f"{prefix}.operation.output_tokens": "{token}",
    }
    if verb == "stream":
        expected |= {f"{prefix}.time_to_first_chunk": "s", f"{prefix}.time_per_output_chunk": "s"}
    assert {name: metric.unit for name, metric in telemetry.metrics.items()} == expected
    points = {name: telemetry.points(name)[0] for name in expected}
    assert points[f"{prefix}.duration"].explicit_bounds == DURATIONS
    assert points[f"{prefix}.operation.input_tokens"].explicit_bounds == TOKENS
    assert points[f"{prefix}.usage.input_tokens"].value == usage.prompt_tokens
    assert points[f"{prefix}.usage.output_tokens"].value == usage.completion_tokens
    assert points[f"{prefix}.usage.cache_read.input_tokens"].value == 4
    assert points[f"{prefix}.operation.input_tokens"].sum == usage.prompt_tokens
    labels = points[f"{prefix}.usage.input_tokens"].attributes
    assert labels["gen_ai.token.modality"] == "text"
    assert labels["gen_ai.request.model"] == "gpt-4o"
    assert "gen_ai.token.modality" not in points[f"{prefix}.operation.input_tokens"].attributes


def test_the_tokens_of_a_failure(server, telemetry):
    """Are none, of an unknown modality; how long it took is counted by whose fault it was."""
    server.always(400)
    with server.client(plugins=[telemetry.plugin()]) as client, pytest.raises(ProviderKitError):
        client.chat("Hi")
    (point,) = telemetry.points("gen_ai.client.inference.usage.input_tokens")
    assert (point.value, point.attributes["gen_ai.token.modality"]) == (0, "unknown")
    (point,) = telemetry.points("gen_ai.client.inference.duration")
    assert point.attributes["error.type"] == "caller_invalid_request"
    assert "gen_ai.client.inference.operation.input_tokens" not in telemetry.metrics


def test_tokens_of_pictures(server, telemetry):
    """Where a provider does not tell them apart from those of the text, their modality is unknown."""
    picture = Image(url="https://example.com/a.png")
    with server.client(plugins=[telemetry.plugin()]) as client:
        client.chat([Message.user("What is this?", picture)])
    (point,) = telemetry.points("gen_ai.client.inference.usage.input_tokens")
    assert point.attributes["gen_ai.token.modality"] == "unknown"


def test_models_are_bounded_in_metrics(telemetry, monkeypatch):
    """The first ones have their names; all further ones are ``other``."""
    monkeypatch.setattr(otel_metrics, "_MOST_MODELS", 3)
    with Client("demo/echo", plugins=[telemetry.plugin()]) as client:
        for number in range(10):
            client.chat("Hi", model=f"m{number}")
    points = telemetry.points("gen_ai.client.inference.duration")
    counts = {point.attributes["gen_ai.request.model"]: point.count for point in points}
    assert counts == {"m0": 1, "m1": 1, "m2": 1, "other": 7}
    assert sorted(span.attributes["gen_ai.request.model"] for span in telemetry.spans)[-1] == "m9"


# ------------------------------------------------------------------------------------------------ content and events


@verbs
def test_content_if_it_is_wanted(server, telemetry, verb):
    """In the form of the conventions' schemas, as JSON."""
    server.reply("Four.")
    with server.client(plugins=[telemetry.plugin(capture_content=True)]) as client:
        ask(client, "blocking", verb, "2 + 2?", system="Be brief.", tools=[weather])
    found = telemetry.span.attributes
    assert json.loads(found["gen_ai.system_instructions"]) == [{"type": "text", "content": "Be brief."}]
    assert json.loads(found["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "2 + 2?"}]}
    ]
    assert json.loads(found["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "Four."}]}
    ]
    (definition,) = json.loads(found["gen_ai.tool.definitions"])
    assert (definition["type"], definition["name"]) == ("function", "weather")
    assert "sk-fake" not in telemetry.everything


@pytest.mark.parametrize(
    ("word", "in_span", "in_event"),
    [
        (None, False, False),
        ("NO_CONTENT", False, False),
        ("SPAN_ONLY", True, False),
        ("event_only", False, True),
        ("SPAN_AND_EVENT", True, True),
        ("nonsense", False, False),
    ],
)
@pytest.mark.parametrize("given", [True, False])
def test_where_content_is_captured(server, telemetry, monkeypatch, word, in_span, in_event, given):
    """By an argument, or by the variable of OpenTelemetry."""
    options = {}
    if given and word != "nonsense":
        options["capture_content"] = word
    elif word is not None:
        monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", word)
    with server.client(plugins=[telemetry.plugin(logger_provider=telemetry.logging, **options)]) as client:
        client.chat("Hi")
    assert ("gen_ai.input.messages" in telemetry.span.attributes) is in_span
    (event,) = telemetry.events
    assert event.event_name == "gen_ai.client.inference.operation.details"
    assert ("gen_ai.input.messages" in event.attributes) is in_event
    if in_event:  # there it must be structured
        assert event.attributes["gen_ai.input.messages"][0]["role"] == "user"
    assert event.attributes["gen_ai.operation.name"] == "chat"
    assert event.span_id == telemetry.span.get_span_context().span_id


@verbs
def test_an_exception_is_an_event(server, telemetry, verb):
    """A warning that belongs to the span."""
    server.always(400, message="no such thing")
    plugin = telemetry.plugin(logger_provider=telemetry.logging)
    with server.client(plugins=[plugin]) as client, pytest.raises(ProviderKitError):
        ask(client, "blocking", verb, "Hi")
    (event,) = [one for one in telemetry.events if one.event_name == "gen_ai.client.operation.exception"]
    assert event.severity_number.value == 13
    assert event.attributes["exception.type"] == "BadRequestError"
    assert "no such thing" in event.attributes["exception.message"]
    (call,) = [span for span in telemetry.spans if span.parent is None]
    assert event.span_id == call.get_span_context().span_id


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("", "gen_ai.provider.name"),
        ("http, gen_ai_latest_experimental", "gen_ai.provider.name"),
        ("openinference", "llm.provider"),
    ],
)
def test_names_chosen_by_the_environment(telemetry, monkeypatch, word, name):
    """``OTEL_SEMCONV_STABILITY_OPT_IN`` counts where nothing is given."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", word)
    with Client("demo/echo", plugins=[telemetry.plugin()]) as client:
        client.chat("Hi")
    assert name in telemetry.span.attributes


@pytest.mark.parametrize("options", [{"semconv": "genia"}, {"capture_content": "SPANS"}, {"capture_content": 3}])
def test_arguments_that_cannot_be_used(options):
    """Are refused, and the error says what could be meant."""
    with pytest.raises(ConfigError, match=r"genia|SPANS|3"):
        OpenTelemetry(**options)


# ------------------------------------------------------------------------------------------------ it never fails a call


@worlds
@verbs
def test_without_an_sdk(server, world, verb):
    """The API alone does nothing; calls are as ever, and no trace is invented."""
    client = server.client(plugins=[OpenTelemetry()])
    assert ask(client, world, verb, "Hi").text
    assert "traceparent" not in server.requests[-1].headers
    client.close()


class _Broken:
    """Fails whatever is asked of it."""

    def __getattr__(self, name):
        raise RuntimeError("broken exporter")


@worlds
@verbs
@pytest.mark.parametrize("what", ["_tracer", "_meters", "_logs", "_facts"])
def test_it_never_fails_a_call(server, telemetry, world, verb, what, caplog):
    """What goes wrong in it is logged."""
    plugin = telemetry.plugin(logger_provider=telemetry.logging)
    setattr(plugin, what, _Broken())
    client = server.client(plugins=[plugin])
    assert ask(client, world, verb, "Hi").text
    assert "broken exporter" in caplog.text
    assert plugin._open == {}
    client.close()


@verbs
def test_it_keeps_nothing_of_calls_that_have_ended(server, telemetry, verb):
    """No entry, and no request."""
    plugin = telemetry.plugin()
    client = server.client(plugins=[plugin])
    for number in range(5):
        ask(client, "blocking", verb, f"Hi {number}")
    gc.collect()
    assert plugin._open == {}
    assert not plugin._pending
    assert not [one for one in gc.get_objects() if type(one) in (LiveCall, TracedHeaders)]
    client.close()


def test_a_stream_that_the_garbage_collector_ends(server, telemetry):
    """Is reported later: the collector may have interrupted whoever holds a lock of the SDK."""
    server.reply("one two three four five six")
    plugin = telemetry.plugin()
    client = server.client(plugins=[plugin])
    gc.disable()
    try:
        holder = [client.stream("Hi")]
        next(iter(holder[0]))
        holder.append(holder)
        del holder
        assert telemetry.spans == []
    finally:
        gc.enable()
    gc.collect()
    assert plugin._open.keys() <= {one.call_id for one in gc.get_objects() if type(one) is LiveCall}
    client.chat("Again")
    calls = [span for span in telemetry.spans if not span.name.startswith("attempt")]
    assert [span.attributes.get("error.type") for span in calls] == ["caller_cancelled", None]
    assert plugin._open == {}
    client.close()


def test_what_is_pending_is_reported_when_it_is_closed(telemetry):
    """And in the meantime nothing is lost."""
    plugin = telemetry.plugin()
    Collector.thread = threading.get_ident()
    try:
        plugin.on_event(tool_ended())
    finally:
        Collector.thread = 0
    assert telemetry.spans == []
    plugin.close()
    assert telemetry.span.name == "execute_tool weather"


def test_a_request_can_be_pickled(telemetry):
    """Without its span."""
    seen = []

    async def look(call, call_next):
        seen.append(call.request)
        return await call_next(call)

    class Inside(Plugin):
        name, priority = "inside", 950

        async def middleware(self, call, call_next):
            return await look(call, call_next)

    with Client("demo/echo", plugins=[telemetry.plugin(), Inside()]) as client:
        client.chat("Hi")
    copy = pickle.loads(pickle.dumps(seen[0]))
    assert isinstance(copy, ChatRequest)
    assert type(copy.extra_headers) is dict
    assert list(copy.extra_headers) == ["traceparent"]


@verbs
def test_middleware_that_replaces_the_headers(server, telemetry, verb):
    """Its call is still found."""

    class Inside(Plugin):
        name, priority = "inside", 950

        async def middleware(self, call, call_next):
            headers = {**call.request.extra_headers, "X-Own": "1"}
            return await call_next(call.replace(request=call.request.replace(extra_headers=headers)))

    with server.client(plugins=[telemetry.plugin(), Inside()]) as client:
        ask(client, "blocking", verb, "Hi")
    assert telemetry.span.attributes["gen_ai.usage.output_tokens"] > 0
    assert server.requests[-1].headers["x-own"] == "1"


def test_middleware_that_calls_on_twice(server, telemetry):
    """One span, two inferences."""

    class Twice(Plugin):
        name, priority = "twice", 950

        async def middleware(self, call, call_next):
            await (await call_next(call)).aclose()
            return await call_next(call)

    with server.client(plugins=[telemetry.plugin(), Twice()]) as client:
        client.chat("Hi")
    (point,) = telemetry.points("gen_ai.client.inference.duration")
    assert (point.count, len(telemetry.spans)) == (2, 1)


def test_spans_that_are_not_sampled(server):
    """Cost little, and the trace still goes on."""
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    tracing = TracerProvider(sampler=ALWAYS_OFF)
    with server.client(plugins=[OpenTelemetry(tracer_provider=tracing)]) as client:
        client.chat("Hi")
    assert server.requests[-1].headers["traceparent"].endswith("-02") or server.requests[-1].headers[
        "traceparent"
    ].endswith("-00")


def test_a_cancelled_call_by_its_token(server, telemetry):
    """As one whose caller left."""
    from provider_kit import CancelToken

    token = CancelToken()
    token.cancel()
    with server.client(plugins=[telemetry.plugin()]) as client, pytest.raises(CallCancelledError):
        client.chat("Hi", cancel=token)
    assert telemetry.span.attributes["error.type"] == "caller_cancelled"
    assert telemetry.span.status.status_code is StatusCode.UNSET


def test_a_missing_package(monkeypatch):
    """The error says how to install it."""
    for name in [name for name in sys.modules if name.split(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(MissingDependencyError, match="opentelemetry-api") as caught:
        OpenTelemetry()
    assert "provider-kit[opentelemetry]" in str(caught.value.hint)


def test_nothing_is_imported_when_it_is_not_used():
    """Neither the plugin nor OpenTelemetry."""
    code = (
        "import sys, provider_kit; provider_kit.Client('demo/echo').chat('x'); "
        "print([name for name in sys.modules if 'opentelemetry' in name or 'otel' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_module_imports_nothing_of_it_either():
    """Only who creates the plugin needs the package."""
    code = (
        "import sys, provider_kit.plugins.opentelemetry; "
        "print([name for name in sys.modules if name.split('.')[0] == 'opentelemetry'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_reply_of_its_own_that_is_live(telemetry):
    """Ends its span with its last chunk."""

    class Live(Plugin):
        name, priority = "live", 950

        async def middleware(self, call, call_next):
            return Reply.live(["one ", "two"])

    with Client("demo/echo", plugins=[telemetry.plugin(), Live()]) as client:
        stream = client.stream("Hi")
        first = next(iter(stream))
        assert (first.text, telemetry.spans) == ("one ", [])
        list(stream)
    assert telemetry.span.attributes["gen_ai.response.finish_reasons"] == ("stop",)
