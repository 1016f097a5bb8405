"""A router: who is asked, who answers, and what is told of it."""

import copy
import json
import pickle

import pytest

from provider_kit import (
    AllProvidersFailedError,
    AuthenticationError,
    BadRequestError,
    CallCancelledError,
    CancelToken,
    ConfigError,
    ContextLengthExceededError,
    DeadlineExceededError,
    Hedge,
    Image,
    InternalServerError,
    InvalidRequestError,
    Race,
    RateLimitError,
    Router,
    StreamError,
    Target,
)

PIXEL = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
    b"\x00\x00\x00\rIDATx\x9cc\xf8\xff\xff?\x00\x05\xfe\x02\xfe\xa75\x81\x84\x00\x00\x00\x00IEND\xaeB`\x82"
)


def test_the_first_target_is_asked(fleet, ask):
    """And nobody else."""
    answer = ask(fleet.router("abc"), "Hello")
    assert (answer.text, fleet.asked) == ("a", ["a"])
    assert answer.routing.target == "a"
    assert answer.metadata == {"strategy": "fallback", "fallback_provider": "a", "fallback_index": 0}


@pytest.mark.parametrize("status", [401, 402, 403, 404, 408, 409, 429, 500, 501, 502, 503, 504, 529])
@pytest.mark.parametrize("strategy", ["fallback", "round_robin", "least_busy", "latency", "cheapest"])
def test_every_failure_of_a_provider_is_left_for_the_next_one(fleet, ask, status, strategy):
    """Whatever the strategy is: the table of failures decides, and every strategy passes through it."""
    failures = [fleet.error(status)]

    def once(request):
        return failures.pop() if failures else None

    router = fleet.router("ab", strategy)
    answering = fleet.transport._script[0]
    fleet.transport._script[0] = lambda request: once(request) or answering(request)
    answer = ask(router, "Hello")
    first, second = answer.routing.attempts
    assert (first.outcome, first.status_code, second.outcome) == ("failed", status, "answered")
    assert first.target != second.target == answer.text
    assert [one.number for one in answer.attempts] == [1, 2]


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_mistake_of_the_caller_is_raised_at_once(fleet, ask, status):
    """Every provider would refuse it."""
    fleet.script("a", fleet.error(status))
    with pytest.raises(Exception) as caught:
        ask(fleet.router("ab"), "Hello")
    assert caught.value.status_code == status
    assert fleet.asked == ["a"]
    assert caught.value.routing.attempts[0].outcome == "failed"


def test_all_failing_is_one_error_with_every_attempt(fleet, ask):
    """With the errors of all targets, retryable if one of them is."""
    fleet.script("a", fleet.error(500, "broken"))
    fleet.script("b", fleet.error(401, "who are you"))
    with pytest.raises(AllProvidersFailedError) as caught:
        ask(fleet.router("ab"), "Hello")
    error = caught.value
    assert [type(one) for one in error.exceptions] == [InternalServerError, AuthenticationError]
    assert [one.provider for one in error.attempts] == ["a", "b"]
    assert error.retryable
    assert error.status_code == 503
    assert "broken" in str(error)
    assert "who are you" in str(error)
    assert error.routing.target is None
    again = pickle.loads(pickle.dumps(error))
    assert [one.outcome for one in again.routing.attempts] == ["failed", "failed"]


def test_it_is_not_retryable_if_no_failure_is(fleet, ask):
    """Two refused keys stay refused."""
    for name in "ab":
        fleet.script(name, fleet.error(401))
    with pytest.raises(AllProvidersFailedError) as caught:
        ask(fleet.router("ab"), "Hello")
    assert not caught.value.retryable


def test_fallback_false_asks_one(fleet, ask):
    """For a call: its error is that of the target."""
    fleet.script("a", fleet.error(500))
    with pytest.raises(InternalServerError) as caught:
        ask(fleet.router("ab"), "Hello", fallback=False)
    assert fleet.asked == ["a"]
    assert caught.value.routing.target is None


def test_one_target_raises_its_own_error(fleet, ask):
    """A router of one is as good as a client."""
    fleet.script("a", fleet.error(500))
    with pytest.raises(InternalServerError):
        ask(fleet.router("a"), "Hello")


def test_its_own_retries_come_first(fleet, ask):
    """A 500 is tried again at the target, before the next one is asked."""
    from provider_kit import Backoff

    fleet.script("a", fleet.error(500), fleet.error(500))
    router = fleet.router("ab", of={"retry": Backoff(1)})
    answer = ask(router, "Hello")
    assert fleet.asked == ["a", "a", "b"]
    assert len(answer.attempts) == 3
    assert len(answer.routing.attempts) == 2


def test_a_limited_target_is_not_waited_for_while_another_one_can_answer(fleet, ask):
    """Retry-After counts for the target, not for the caller."""
    from provider_kit import Backoff

    fleet.script("a", fleet.error(429, retry_after=30))
    answer = ask(fleet.router("ab", of={"retry": Backoff(3)}), "Hello")
    assert answer.text == "b"
    assert fleet.transport.sleeps == []


# ------------------------------------------------------------------------------------------------ streams


def test_a_stream_that_breaks_after_content_is_the_readers(fleet, call):
    """Nothing is delivered twice: what came is in error.partial, with what was decided."""
    fleet.script("a", fleet.streamed("One", " two", cut=True))
    with pytest.raises(StreamError) as caught:
        call.stream(fleet.router("ab"), "Hello")
    assert fleet.asked == ["a"]
    assert caught.value.partial.text == "One two"
    assert caught.value.routing.attempts[0].target == "a"


def test_the_record_tells_of_a_broken_stream(fleet, call):
    """And its target counts it."""
    router = fleet.router("ab")
    fleet.script("a", fleet.streamed("One", cut=True))
    with pytest.raises(StreamError) as caught:
        call.stream(router, "Hello")
    assert "broke off" in caught.value.routing.attempts[0].reason
    assert router.state()[0].failures == 1
    assert router.state()[0].in_flight == 0


def test_leaving_a_stream_frees_its_place(fleet):
    """It is neither a success nor a failure."""
    router = fleet.router("ab")
    with router.stream("Hello") as stream:
        next(iter(stream))
        assert router.state()[0].in_flight == 1
    assert router.state()[0].in_flight == 0
    assert router.state()[0].failures == 0
    assert fleet.transport.open_streams == 0


def test_a_slow_stream_is_left_before_its_reader_sees_it(fleet, call):
    """min_rate: characters per second; what was read of it is dropped."""

    def slowly(request):
        fleet.transport.pace = 2.0
        return fleet.streamed(*"slow")

    def quickly(request):
        fleet.transport.pace = 0.0
        return fleet.streamed("b")

    fleet.script("a", slowly)
    fleet.script("b", quickly)
    router = fleet.router("ab", min_rate=20)
    answer = call.stream(router, "Hello")[1]
    assert answer.text == "b"
    assert "characters per second" in answer.routing.attempts[0].reason
    assert fleet.transport.open_streams == 0


def test_a_fast_stream_is_delivered_whole(fleet, call):
    """With what was held back."""
    fleet.script("a", fleet.streamed(*["word "] * 100))
    chunks, answer = call.stream(fleet.router("ab", min_rate=20), "Hello")
    assert answer.text == "word " * 100
    assert "".join(chunk.text for chunk in chunks) == answer.text


def test_a_short_stream_is_never_too_slow(fleet, call):
    """It ended before anything could be said of its rate."""
    fleet.script("a", fleet.streamed("Hi"))
    assert call.stream(fleet.router("ab", min_rate=1000), "Hello")[1].text == "Hi"


# ------------------------------------------------------------------------------------------------ time


def test_one_deadline_for_all(fleet, ask):
    """While others could answer, a target may use half of what is left; the last one gets all of it."""
    seen = []

    original = fleet.transport.send
    opened = fleet.transport.open_stream

    async def send(request, limits):
        seen.append(limits.deadline - fleet.transport.now())
        return await original(request, limits)

    async def open_stream(request, limits):
        seen.append(limits.deadline - fleet.transport.now())
        return await opened(request, limits)

    fleet.transport.send, fleet.transport.open_stream = send, open_stream
    for name in "ab":
        fleet.script(name, fleet.error(500))
    ask(fleet.router("abc"), "Hello", total_timeout=40)
    assert seen == [20, 20, 40]


def test_a_target_that_used_up_its_share_is_left(fleet, call):
    """It is a failure of the target, not of the call."""
    fleet.script("a", fleet.after(20, DeadlineExceededError("too late")))
    answer = call.chat(fleet.router("ab"), "Hello", total_timeout=30)
    assert answer.text == "b"


def test_the_deadline_of_the_call_ends_it(fleet, call):
    """Then nobody else is asked."""
    fleet.script("a", fleet.after(31, DeadlineExceededError("too late")))
    with pytest.raises(DeadlineExceededError):
        call.chat(fleet.router("ab"), "Hello", total_timeout=30)
    assert fleet.asked == ["a"]


def test_a_cancelled_call_asks_nobody_else(fleet, ask):
    """Its caller does not want an answer any more."""
    token = CancelToken()
    fleet.script("a", lambda request: token.cancel() or fleet.error(500))
    with pytest.raises(CallCancelledError):
        ask(fleet.router("ab"), "Hello", cancel=token)
    assert fleet.asked == ["a"]


def test_it_waits_for_the_first_target_to_return(fleet, ask):
    """wait=: seconds; without it the one that returns first is asked at once."""
    router = fleet.router("ab", wait=60)
    fleet.script("a", fleet.error(429, retry_after=30))
    fleet.script("b", fleet.error(429, retry_after=10))
    with pytest.raises(AllProvidersFailedError) as caught:
        ask(router, "Hello")
    assert caught.value.retry_after == pytest.approx(10)
    assert caught.value.status_code == 429
    answer = ask(router, "Hello")
    assert answer.text == "b"
    assert answer.routing.waited == pytest.approx(10)
    assert fleet.transport.sleeps == [pytest.approx(10)]


# ------------------------------------------------------------------------------------------------ what is left


def test_fallback_on_classes_replaces_the_table(fleet, ask):
    """Only these are left for another target."""
    router = fleet.router("ab", fallback_on=RateLimitError)
    fleet.script("a", fleet.error(500), fleet.error(429))
    with pytest.raises(InternalServerError):
        ask(router, "Hello")
    assert ask(router, "Hello").text == "b"


def test_fallback_on_a_function_decides_or_leaves_it_to_the_table(fleet, ask):
    """True, False, or None for the usual rule."""
    decided = []

    def decide(outcome):
        decided.append(type(outcome).__name__)
        if isinstance(outcome, BadRequestError):
            return True
        return False if isinstance(outcome, RateLimitError) else None

    router = fleet.router("ab", fallback_on=decide)
    fleet.script("a", fleet.error(400), fleet.error(429), fleet.error(500))
    assert ask(router, "Hello").text == "b"
    with pytest.raises(RateLimitError):
        ask(router, "Hello")
    fleet.transport.advance(100)
    assert ask(router, "Hello").text == "b"
    assert "ChatResponse" in decided


def test_a_refusal_is_left_for_another_target(fleet, ask):
    """Also in a stream, which is then delivered when it is complete."""
    choice = {"index": 0, "message": {"role": "assistant", "content": None, "refusal": "No."}, "finish_reason": "stop"}
    router = fleet.router("ab", fallback_on="refusal")
    fleet.script("a", {"json": {"choices": [choice]}})
    answer = ask(router, "Hello")
    assert answer.text == "b"
    assert answer.routing.attempts[0].reason == "it refused"
    assert len(answer.attempts) == 2


def test_an_answer_of_the_wrong_form_is_left(fleet, ask):
    """By the schema of the request."""
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    router = fleet.router("ab", fallback_on=["invalid_output"])
    fleet.script("a", fleet.text("no idea"))
    fleet.script("b", fleet.text('{"age": 3}'))
    answer = ask(router, "Hello", response_format=schema)
    assert json.loads(answer.text) == {"age": 3}


def test_if_no_answer_is_accepted_the_last_one_is_returned(fleet, ask):
    """An answer that was paid is not thrown away."""
    router = fleet.router("ab", fallback_on=lambda outcome: True)
    answer = ask(router, "Hello")
    assert (answer.text, fleet.asked) == ("b", ["a", "b"])
    assert len(answer.attempts) == 2


def test_a_function_may_be_asynchronous(fleet, ask):
    """A function, or an object that is called; in either world."""

    class Decide:
        async def __call__(self, outcome):
            return isinstance(outcome, BadRequestError)

    async def decide(outcome):
        return isinstance(outcome, BadRequestError)

    for one in (decide, Decide()):
        fleet.script("a", fleet.error(400))
        assert ask(fleet.router("ab", fallback_on=one), "Hello").text == "b"


def test_a_function_that_raises_is_a_clear_error(fleet, ask):
    """It is named."""

    def broken(outcome):
        raise ValueError("oh")

    fleet.script("a", fleet.error(500))
    with pytest.raises(ConfigError, match="broken failed: ValueError: oh"):
        ask(fleet.router("ab", fallback_on=broken), "Hello")


# ------------------------------------------------------------------------------------------------ who can answer


def test_an_image_goes_to_a_model_that_sees(fleet, ask):
    """What is known of the models is looked at before one is chosen."""
    blind = fleet.client("a", model_overrides={"gpt-4o": {"supports": {"vision": False}}})
    router = Router([blind, fleet.client("b")])
    answer = ask(router, ["What is this?", Image(data=PIXEL, media_type="image/png")])
    assert (answer.text, fleet.asked) == ("b", ["b"])
    assert answer.routing.excluded == {"a/gpt-4o": "gpt-4o has no vision"}


def test_a_long_conversation_goes_to_a_larger_window(fleet, ask):
    """Those that are known to be too small are not asked."""
    small = fleet.client("a", model_overrides={"gpt-4o": {"context_window": 1000}})
    answer = ask(Router([small, fleet.client("b")]), "word " * 4000)
    assert (answer.text, fleet.asked) == ("b", ["b"])


def test_too_long_for_all_is_told_before_anything_is_sent(fleet, ask):
    """With the reason of each."""
    targets = [fleet.client(name, model_overrides={"gpt-4o": {"context_window": 1000}}) for name in "ab"]
    with pytest.raises(ContextLengthExceededError, match=r"a/gpt-4o: .* holds 1,000; b/gpt-4o"):
        ask(Router(targets), "word " * 4000)
    assert fleet.asked == []


def test_a_request_nobody_can_answer_says_why(fleet, ask):
    """Before anything is sent."""
    blind = [fleet.client(name, model_overrides={"gpt-4o": {"supports": {"vision": False}}}) for name in "ab"]
    with pytest.raises(InvalidRequestError, match="No target can answer this request: a/gpt-4o: gpt-4o has no vision"):
        ask(Router(blind), ["What is this?", Image(data=PIXEL, media_type="image/png")])
    assert fleet.asked == []


def test_a_request_that_continues_an_answer_is_pinned(fleet, ask):
    """Only the provider that keeps it can answer; the error says so."""
    router = fleet.router("ab")
    fleet.script("a", fleet.error(500))
    with pytest.raises(InternalServerError) as caught:
        ask(router, "And then?", extra_body={"previous_response_id": "resp_1"})
    assert fleet.asked == ["a"]
    assert "carries previous_response_id, which only a knows" in caught.value.hint


def test_it_is_pinned_to_the_target_that_gave_the_answer(fleet, call):
    """As the router remembers."""
    payload = {
        "id": "resp_7",
        "status": "completed",
        "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}],
    }
    targets = [Target(fleet.client(name, options={"use_responses_api": True}), name=name) for name in "ab"]
    router = Router(targets)
    fleet.script("a", fleet.error(500))
    fleet.script("b", {"json": payload}, {"json": payload})
    first = call.chat(router, "Hello")
    assert first.id == "resp_7"
    call.chat(router, "And then?", extra_body={"previous_response_id": "resp_7"})
    assert fleet.asked == ["a", "b", "b"]


# ------------------------------------------------------------------------------------------------ models


def test_model_names_an_alias_or_the_targets_that_serve_it(fleet, ask):
    """Others are not asked."""
    targets = [
        Target(fleet.client("a", "openai/gpt-4o"), name="a"),
        Target(fleet.client("b", "openai/gpt-4o-mini"), name="b"),
        Target(fleet.client("c", "openai/gpt-4.1"), name="c"),
    ]
    router = Router(targets, aliases={"cheap": ["gpt-4o-mini", "c"]})
    assert ask(router, "Hello", model="gpt-4o-mini").text == "b"
    assert ask(router, "Hello", model="c").text == "c"
    fleet.script("b", fleet.error(500))
    assert ask(router, "Hello", model="cheap").text == "c"
    assert json.loads(fleet.requests[-1].body)["model"] == "gpt-4.1"
    with pytest.raises(InvalidRequestError, match="No target of the router serves 'nothing'") as caught:
        ask(router, "Hello", model="nothing")
    assert "cheap" in caught.value.hint


def test_a_model_the_provider_is_known_to_have_is_asked_there(fleet, ask):
    """Although no target stands for it."""
    router = fleet.router("ab")
    ask(router, "Hello", model="gpt-4.1")
    assert json.loads(fleet.requests[-1].body)["model"] == "gpt-4.1"


def test_models_tells_the_smallest_window(fleet, call):
    """A client that fills the window it was told must not be refused by the next target."""
    targets = [
        fleet.client("a", model_overrides={"gpt-4o": {"context_window": 100, "max_output_tokens": 50}}),
        fleet.client("b", model_overrides={"gpt-4o": {"context_window": 80, "max_output_tokens": 60}}),
    ]
    router = Router(targets, name="both")
    (own, *_) = call.models(router)
    assert (own.id, own.context_window, own.max_output_tokens) == ("both", 80, 50)
    assert router.model_info().context_window == 80
    assert fleet.asked == []


def test_embeddings_never_cross_models(fleet, call):
    """Vectors of different models cannot be compared."""
    vectors = {"json": {"data": [{"index": 0, "embedding": [1.0]}], "model": "m"}}
    targets = [
        fleet.client("a", "openai/text-embedding-3-small"),
        fleet.client("b", "openai/text-embedding-3-large"),
        fleet.client("c", "openai/text-embedding-3-small"),
    ]
    fleet.script("a", fleet.error(500))
    fleet.script("c", vectors)
    assert call.embed(Router(targets), ["x"]).vectors == [[1.0]]
    assert fleet.asked == ["a", "c"]


def test_defaults_of_a_target_apply_where_the_call_says_nothing(fleet, ask):
    """Those of its client, too."""
    client = fleet.client("a", defaults={"system": "Be brief.", "max_tokens": 9})
    router = Router([Target(client, defaults={"temperature": 0.5}), fleet.client("b")], defaults={"seed": 4})
    ask(router, "Hello", max_tokens=5)
    sent = json.loads(fleet.requests[-1].body)
    assert sent["temperature"] == 0.5
    assert sent["seed"] == 4
    assert 5 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))
    assert sent["messages"][0]["content"] == "Be brief."
    ask(router, "Hello", system="Be long.", temperature=1.0)
    sent = json.loads(fleet.requests[-1].body)
    assert sent["messages"][0]["content"] == "Be long."
    assert sent["temperature"] == 1.0


# ------------------------------------------------------------------------------------------------ groups


def test_a_router_in_a_router_is_one_target(fleet, ask):
    """Its attempts are in the one record."""
    inner = fleet.router("bc", name="cheap")
    router = Router([Target(fleet.client("a"), name="a"), inner])
    for name in "ab":
        fleet.script(name, fleet.error(500))
    answer = ask(router, "Hello")
    assert answer.text == "c"
    assert [one.target for one in answer.routing.attempts] == ["a", "cheap > b", "cheap > c"]
    assert [one.provider for one in answer.attempts] == ["a", "b", "c"]
    assert [one.number for one in answer.attempts] == [1, 2, 3]


def test_a_group_that_fails_is_left_for_the_next_target(fleet, ask):
    """As any other one."""
    router = Router([fleet.router("ab", name="first"), Target(fleet.client("c"), name="c")])
    for name in "ab":
        fleet.script(name, fleet.error(500))
    answer = ask(router, "Hello")
    assert answer.text == "c"
    assert [one.number for one in answer.attempts] == [1, 2, 3]


# ------------------------------------------------------------------------------------------------ more of a client


def test_typed_answers_tools_and_conversations_work_over_it(fleet):
    """They stand on the same verbs."""
    fleet.script("a", fleet.error(500))
    fleet.script("b", fleet.text('{"value": 3}'))
    router = fleet.router("ab")
    assert router.chat("How many?", output_type=int).parsed == 3
    talk = router.conversation(system="Be brief.")
    assert talk.say("Hello").text == "a"
    assert talk.say("And?").text == "a"
    call = {"id": "c1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    wants = {"index": 0, "message": {"role": "assistant", "tool_calls": [call]}, "finish_reason": "tool_calls"}
    fleet.script("a", {"json": {"choices": [wants]}}, fleet.error(503))
    fleet.script("b", fleet.text("noon"))

    def now() -> str:
        """Tell the time."""
        return "12:00"

    result = router.run("What time is it?", tools=[now])
    assert result.text == "noon"


def test_with_options_shares_what_is_known(fleet):
    """And changes the calls."""
    router = fleet.router("ab")
    other = router.with_options(model="b", temperature=0.1)
    assert other.chat("Hello").text == "b"
    assert json.loads(fleet.requests[-1].body)["temperature"] == 0.1
    assert router.state()[1].requests == 1


def test_a_key_for_several_providers_is_refused(fleet):
    """It would be sent to all of them."""
    router = Router([fleet.client("a"), fleet.client("b", "groq/llama-3.3-70b-versatile")])
    with pytest.raises(ConfigError, match="One key cannot be that of several providers: groq, openai"):
        router.with_options(api_key="sk-of-one-user-0123456789")


def test_a_key_for_targets_of_one_provider_is_that_of_each(fleet):
    """The router of a user."""
    router = fleet.router("ab").with_options(api_key="sk-of-one-user-0123456789")
    fleet.script("a", fleet.error(500))
    assert router.chat("Hello").text == "b"
    assert {r.headers["Authorization"] for r in fleet.requests} == {"Bearer sk-of-one-user-0123456789"}


def test_health_check_is_that_of_any_target(fleet, call):
    """It is healthy while one of them answers."""
    fleet.script("a", fleet.error(500))
    fleet.script("b", {"json": {"data": [{"id": "m"}]}})
    assert call.health_check(fleet.router("ab")).healthy


def test_middleware_stands_around_the_whole_call(fleet, ask):
    """It sees one call, whoever answers."""
    seen = []

    async def note(call, call_next):
        reply = await call_next(call)
        seen.append(call.operation)
        return reply

    fleet.script("a", fleet.error(500))
    assert ask(fleet.router("ab", middleware=[note]), "Hello").text == "b"
    assert len(seen) == 1


def test_every_decision_is_an_event(fleet, ask):
    """For sinks and for the log."""
    events = []
    router = fleet.router("ab", on_event=events.append)
    fleet.script("a", fleet.error(429, retry_after=3))
    ask(router, "Hello")
    names = [event.name for event in events]
    assert names == ["route", "target_cooling", "failover", "route", "failover"]
    assert events[-1].message == "failed over to b, number 2"
    assert {event.provider for event in events} == {"router"}
    assert events[0].data == {"target": "a", "target_provider": "a", "target_model": "gpt-4o"}


def test_cost_and_usage_of_everything(fleet, ask):
    """The answer's own, and that of all targets together."""
    fleet.script("a", fleet.error(500))
    answer = ask(fleet.router("ab"), "Hello")
    assert answer.routing.cost == answer.cost
    assert not answer.cost_is_minimum
    assert answer.routing.answered.usage.output_tokens == answer.usage.output_tokens


def test_a_reply_pickles_with_its_routing(fleet):
    """For queues and caches."""
    answer = pickle.loads(pickle.dumps(fleet.router("ab").chat("Hello")))
    assert answer.routing.target == "a"
    assert answer.routing.attempts[0].usage.input_tokens == 3
    assert "a: answered" in str(answer.routing)


def test_explain_asks_nobody(fleet):
    """Who would be asked, and why."""
    router = fleet.router("ab")
    found = router.explain("Hello")
    assert fleet.asked == []
    assert [one.name for one in found.targets] == ["a", "b"]
    assert str(found).startswith("fallback: the first one in order")
    fleet.script("a", fleet.error(429, retry_after=30))
    router.chat("Hello")
    assert "out for 30 s: its rate limit is reached" in str(router.explain("Hello"))


# ------------------------------------------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Router([]), "at least one target"),
        (lambda: Router("demo/echo"), "must be a list"),
        (lambda: Router(["demo/echo", "demo/echo"]), "given twice"),
        (lambda: Router([Target("demo/echo", weight=-1)]), "0 or more"),
        (lambda: Router([Target("demo/echo", weight=float("nan"))]), "0 or more"),
        (lambda: Router([Target("demo/echo", weight=0)]), "All weights are 0"),
        (lambda: Router([Target("demo/echo", priority=1.5)]), "whole number"),
        (lambda: Router([Target("demo/echo", defaults={"temperatur": 1})]), "temperatur"),
        (lambda: Router([Target("demo/echo", defaults=3)]), "must be a dict"),
        (lambda: Router([3]), "A target must be"),
        (lambda: Router(["demo/echo"], "fastest"), "no strategy 'fastest'"),
        (lambda: Router(["demo/echo"], Hedge), "no strategy Hedge"),
        (lambda: Router(["demo/echo"], wait=-1), "wait must be"),
        (lambda: Router(["demo/echo"], sticky="session"), "sticky must be"),
        (lambda: Router(["demo/echo"], min_rate=0), "min_rate"),
        (lambda: Router(["demo/echo"], circuit_breaker=3), "circuit_breaker"),
        (lambda: Router(["demo/echo"], name=""), "name of a router"),
        (lambda: Router(["demo/echo"], fallback_on="refuse"), "does not know 'refuse'"),
        (lambda: Router(["demo/echo"], fallback_on=[ValueError]), "not ValueError"),
        (lambda: Router(["demo/echo"], fallback_on=3), "not 3"),
        (lambda: Router(["demo/echo"], aliases={"x": ["y"]}), "'y', which is no target"),
        (lambda: Router(["demo/echo"], aliases={"x": []}), "stands for no target"),
        (lambda: Router(["demo/echo"], aliases=["x"]), "must be a dict"),
        (lambda: Router(["demo/echo"], aliases={"router": ["echo"]}), "cannot be an alias"),
        (lambda: Router(["demo/echo"]).with_options(), "takes options"),
        (lambda: Hedge(after="fast"), "percentile"),
        (lambda: Hedge(after=0), "percentile"),
        (lambda: Hedge(budget=2), "share"),
        (lambda: Hedge(losers="kill"), "losers"),
        (lambda: Hedge(strategy="best"), "strategy"),
        (lambda: Hedge(window=0), "window"),
        (lambda: Race(winner="best"), "winner"),
        (lambda: Race(winner="quality"), "needs a judge"),
        (lambda: Race(judge=3), "function"),
        (lambda: Race(timeout=0), "no time"),
        (lambda: Race(grace=-1), "grace"),
    ],
)
def test_mistakes_are_told_when_it_is_made(make, words):
    """Before anything is sent."""
    with pytest.raises(ConfigError, match=words):
        make()


def test_two_names_cannot_be_the_same(fleet):
    """Given names; those it makes itself are numbered."""
    with pytest.raises(ConfigError, match="Two targets have the name 'x'"):
        Router([Target(fleet.client("a"), name="x"), Target(fleet.client("b"), name="x")])
    assert Router([fleet.client("a"), fleet.client("a", api_key="sk-another-0123456789")]).targets == [
        "a/gpt-4o",
        "a/gpt-4o#2",
    ]


def test_clients_of_the_callers_stay_open(fleet):
    """The router closes only what it made."""
    router = Router(["demo/echo", fleet.client("a")])
    router.close()
    assert not fleet.transport.closed


def test_a_wrong_fallback_of_a_call_is_told(fleet):
    """Before anything is sent."""
    with pytest.raises(InvalidRequestError, match="fallback of a call must be True or False"):
        fleet.router("ab").chat("Hello", fallback="no")
    assert fleet.asked == []


def test_cheapest_without_a_known_price_is_last_with_a_warning(fleet, call, caplog):
    """It is not taken for free."""
    unknown = Target(fleet.client("a", model_overrides={}, target="openai/my-own-model"), name="a")
    with caplog.at_level("WARNING", "provider_kit.routing"):
        assert call.chat(Router([unknown, Target(fleet.client("b"), name="b")], "cheapest"), "Hello").text == "b"
    assert "prices of a are unknown" in caplog.text


def test_it_can_be_copied_and_pickled(fleet):
    """With its options; who is out is learned anew."""
    router = fleet.router("ab", "round_robin", seed=1).with_options(model="b", temperature=0.5)
    for made in (copy.copy(router), copy.deepcopy(router)):
        assert made.chat("Hello").text == "b"
        assert json.loads(fleet.requests[-1].body)["temperature"] == 0.5
    again = pickle.loads(pickle.dumps(Router(["demo/echo", Target("demo/count", weight=2)], Hedge(), name="mine")))
    assert (again.name, again.strategy, again.targets) == ("mine", "hedge", ["demo/echo", "demo/count"])
    assert again.chat("Hello").text == "Hello"
