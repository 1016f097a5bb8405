"""The circuit breaker in calls: what counts, what is sent, what is told, in both worlds."""

import asyncio
import threading

import pytest

from provider_kit import (
    APIConnectionError,
    Backoff,
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitOpenError,
    Client,
    DeadlineExceededError,
    PoolTimeoutError,
    ProviderKitError,
    ResponseLostError,
    ScriptedTransport,
)

VERBS = ["chat", "stream"]


@pytest.fixture
def events():
    """Names of the events of a client made with ``on_event=events.add``."""

    class Events(list):
        def add(self, event):
            self.append(event)

        @property
        def circuit(self):
            return [event.name for event in self if event.name.startswith("circuit")]

    return Events()


@pytest.fixture
def fail(call):
    """A function: let so many calls fail, and return the last error."""

    def run(client, verb="chat", times=1):
        error = None
        for _ in range(times):
            with pytest.raises(ProviderKitError) as caught:
                getattr(call, verb)(client, "Hello")
            error = caught.value
        return error

    return run


def answer_of(answers, verb):
    return answers.text() if verb == "chat" else answers.stream("Hi")


@pytest.mark.parametrize("verb", VERBS)
def test_an_open_circuit_sends_nothing_and_says_until_when(fail, scripted, answers, verb):
    """After three failures; the error names the seconds that are left, and is no attempt."""
    client, transport = scripted(*[answers.error(500)] * 3, circuit_breaker=True, max_retries=0)
    fail(client, verb, 3)
    transport._now += 12
    error = fail(client, verb)
    assert type(error) is CircuitOpenError
    assert (error.retry_after, error.attempts) == (18.0, ())
    assert (error.provider, error.model, error.operation) == ("openai", "gpt-4o", verb)
    assert len(transport.requests) == 3
    assert (client.circuit.state, client.circuit.opens_in) == ("open", 18.0)


@pytest.mark.parametrize("verb", VERBS)
def test_it_closes_after_three_good_calls(call, fail, scripted, answers, verb, events):
    """And tells each turn once, in order."""
    script = [*[answers.error(503)] * 3, *[answer_of(answers, verb)] * 3]
    client, transport = scripted(*script, circuit_breaker=True, max_retries=0, on_event=events.add)
    fail(client, verb, 3)
    transport._now += 30
    assert client.circuit.state == "half_open"
    for _ in range(3):
        getattr(call, verb)(client, "Hello")
    assert client.circuit.state == "closed"
    assert events.circuit == ["circuit_open", "circuit_half_open", "circuit_closed"]
    opened = next(event for event in events if event.name == "circuit_open")
    assert (opened.wait, type(opened.error).__name__) == (30.0, "OverloadedError")


def test_one_failure_while_half_open_opens_it_again(fail, scripted, answers, events):
    """For another half minute."""
    client, transport = scripted(
        answers.error(500), repeat=True, circuit_breaker=True, max_retries=0, on_event=events.add
    )
    fail(client, times=3)
    transport._now += 30
    fail(client)
    error = fail(client)
    assert (type(error), error.retry_after) == (CircuitOpenError, 30.0)
    assert len(transport.requests) == 4
    assert events.circuit == ["circuit_open", "circuit_half_open", "circuit_open"]


def test_a_refusal_while_half_open_is_an_answer_and_closes_it(fail, scripted, answers, events):
    """Who refuses a request is there; that, too, is told."""
    script = [*[answers.error(500)] * 3, *[answers.error(400)] * 3]
    client, transport = scripted(*script, circuit_breaker=True, max_retries=0, on_event=events.add)
    fail(client, times=3)
    transport._now += 30
    fail(client, times=3)
    assert client.circuit.state == "closed"
    assert events.circuit == ["circuit_open", "circuit_half_open", "circuit_closed"]


COUNTED = {
    "server error": {"status": 500, "json": {"error": {"message": "x"}}},
    "overloaded": {"status": 529, "json": {"error": {"message": "x"}}},
    "timed out there": {"status": 408, "json": {"error": {"message": "x"}}},
    "conflict": {"status": 409, "json": {"error": {"message": "x"}}},
    "no JSON": {"body": b"<html>"},
    "unreachable": APIConnectionError("x"),
    "TLS refused": APIConnectionError("x", retryable=False),
    "answer lost": ResponseLostError("x"),
    "deadline": DeadlineExceededError("x"),
}
NOT_COUNTED = {
    "bad request": {"status": 400, "json": {"error": {"message": "x"}}},
    "key refused": {"status": 401, "json": {"error": {"message": "x"}}},
    "to be paid": {"status": 402, "json": {"error": {"message": "x"}}},
    "forbidden": {"status": 403, "json": {"error": {"message": "x"}}},
    "not found": {"status": 404, "json": {"error": {"message": "x"}}},
    "too large": {"status": 413, "json": {"error": {"message": "x"}}},
    "unprocessable": {"status": 422, "json": {"error": {"message": "x"}}},
    "rate limited": {"status": 429, "json": {"error": {"message": "x"}}},
    "not implemented": {"status": 501, "json": {"error": {"message": "x"}}},
}


@pytest.mark.parametrize("failure", COUNTED)
def test_a_failure_of_the_provider_counts(fail, scripted, failure):
    """As the table says."""
    client, _ = scripted(COUNTED[failure], repeat=True, circuit_breaker=True, max_retries=0)
    fail(client, times=3)
    assert client.circuit.state == "open"


@pytest.mark.parametrize("failure", NOT_COUNTED)
def test_a_refusal_does_not_count(fail, scripted, failure):
    """As the table says; it counts as an answer."""
    client, _ = scripted(NOT_COUNTED[failure], repeat=True, circuit_breaker=True, max_retries=0)
    fail(client, times=5)
    assert (client.circuit.state, client.circuit.requests, client.circuit.failures) == ("closed", 5, 0)


def test_a_stream_that_is_cut_after_content_counts(fail, scripted, answers):
    """A provider that breaks off is failing as well."""
    cut = {"stream": [answers.event("Hi")]}
    client, _ = scripted(cut, repeat=True, circuit_breaker=True)
    fail(client, "stream", 3)
    assert client.circuit.state == "open"


def test_a_call_stops_trying_when_its_own_failures_open_the_circuit(fail, scripted, answers):
    """The error is the provider's, with three attempts; no wait follows the third."""
    client, transport = scripted(
        answers.error(500), repeat=True, circuit_breaker=True, retry=Backoff(10, jitter=lambda wait: wait)
    )
    error = fail(client)
    assert [attempt.status_code for attempt in error.attempts] == [500, 500, 500]
    assert (len(transport.requests), len(transport.sleeps), error.attempts[-1].waited) == (3, 2, 0.0)


def test_one_breaker_serves_two_clients(fail, scripted, answers):
    """What one finds keeps the other away."""
    told = []
    breaker = CircuitBreaker(on_change=lambda old, new: told.append((old, new)))
    one, _ = scripted(answers.error(500), repeat=True, circuit_breaker=breaker, max_retries=0)
    other, transport = scripted(answers.text(), circuit_breaker=breaker)
    fail(one, times=3)
    assert type(fail(other)) is CircuitOpenError
    assert transport.requests == []
    assert told == [("closed", "open")]
    assert one.circuit == other.circuit


def test_numbers_of_ones_own_count(fail, scripted, answers):
    """Through the client, as a config."""
    numbers = CircuitBreakerConfig(min_requests=1, open_for=5, half_open_requests=1)
    client, transport = scripted(answers.error(500), repeat=True, circuit_breaker=numbers, max_retries=0)
    fail(client)
    assert fail(client).retry_after == 5.0
    transport._now += 5
    assert client.circuit.state == "half_open"


def test_without_a_breaker_there_is_no_circuit(fail, scripted, answers):
    """Nothing is kept back."""
    client, transport = scripted(answers.error(500), repeat=True, max_retries=0)
    fail(client, times=6)
    assert (client.circuit, len(transport.requests)) == (None, 6)


def test_a_health_check_is_not_kept_out_and_does_not_count(call, fail, scripted, answers):
    """It is how to find out whether the provider is back."""
    script = [*[answers.error(500)] * 3, {"json": {"data": [{"id": "m"}]}}, answers.error(500)]
    client, _ = scripted(*script, circuit_breaker=True, max_retries=0)
    fail(client, times=3)
    assert call.health_check(client).healthy
    assert not call.health_check(client).healthy
    assert client.circuit.state == "open"


@pytest.mark.parametrize("verb", ["models", "embed"])
def test_every_other_request_is_kept_out(call, fail, scripted, answers, verb):
    """The circuit is the provider's, not that of one kind of call."""
    client, _ = scripted(*[answers.error(500)] * 3, circuit_breaker=True, max_retries=0)
    fail(client, times=3)
    with pytest.raises(CircuitOpenError):
        getattr(call, verb)(client, *(["text"] if verb == "embed" else []))


def test_a_stream_that_its_caller_leaves_is_no_outcome(scripted, answers):
    """While half open, it makes room for another trial."""
    numbers = CircuitBreakerConfig(half_open_requests=1)
    script = [*[answers.error(500)] * 3, *[answers.stream("a", "b")] * 5, answers.text()]
    client, transport = scripted(*script, circuit_breaker=numbers, max_retries=0)
    for _ in range(3):
        with pytest.raises(ProviderKitError):
            client.chat("Hello")
    transport._now += 30
    for _ in range(5):
        with client.stream("Hello") as stream:
            next(stream)
    assert client.circuit.state == "half_open"
    client.chat("Hello")
    assert client.circuit.state == "closed"


class Stuck(ScriptedTransport):
    """Answers nothing where it is told to."""

    async def send(self, request, limits):
        if not self._script:
            self.requests.append(request)
            await asyncio.Event().wait()
        return await super().send(request, limits)


def test_trials_that_are_cancelled_make_room_for_others(answers):
    """However many; the first one that is let end closes it."""
    transport = Stuck([answers.error(500)] * 3)
    numbers = CircuitBreakerConfig(half_open_requests=1)
    client = Client(
        "openai/gpt-4o", api_key="test-key-0123456789", transport=transport, circuit_breaker=numbers, max_retries=0
    )

    async def main():
        for _ in range(3):
            with pytest.raises(ProviderKitError):
                await client.achat("Hello")
        transport._now += 30
        for _ in range(4):
            task = asyncio.create_task(client.achat("Hello"))
            await asyncio.sleep(0)
            with pytest.raises(CircuitOpenError):
                await client.achat("Hello")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        transport._script.append(answers.text())
        await client.achat("Hello")

    asyncio.run(main())
    assert client.circuit.state == "closed"


def test_a_trial_that_is_cancelled_while_it_tells_its_failure_is_no_lost_one(answers):
    """An asynchronous listener may take its time; the circuit has the outcome by then."""
    transport = ScriptedTransport([answers.error(500)] * 3 + [answers.error(401)], repeat=True)
    numbers = CircuitBreakerConfig(half_open_requests=1)
    never = []

    async def listen(event):
        if never and event.name == "key_dead":
            await never[0].wait()

    client = Client(
        "openai/gpt-4o",
        api_keys=["test-key-0123456789", "test-key-9876543210"],
        transport=transport,
        circuit_breaker=numbers,
        max_retries=0,
        on_event=listen,
    )

    async def main():
        for _ in range(3):
            with pytest.raises(ProviderKitError):
                await client.achat("Hello")
        transport._now += 30
        never.append(asyncio.Event())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.achat("Hello")

    asyncio.run(main())
    assert client.circuit.state == "closed"


def test_many_threads_send_three_trials_at_most(fake_server):
    """The others fail at once while those are under way."""
    client = fake_server.client(circuit_breaker=CircuitBreakerConfig(open_for=0.05), max_retries=0)
    fake_server.fault(500, times=3)
    for _ in range(3):
        with pytest.raises(ProviderKitError):
            client.chat("Hello")
    fake_server.reset()
    fake_server.always(latency=0.5)
    while client.circuit.state == "open":
        threading.Event().wait(0.01)
    barrier = threading.Barrier(12)
    outcomes = []

    def ask():
        barrier.wait()
        try:
            outcomes.append(client.chat("Hello").text and "answer")
        except CircuitOpenError:
            outcomes.append("kept out")

    numbers = [threading.Thread(target=ask) for _ in range(12)]
    for thread in numbers:
        thread.start()
    for thread in numbers:
        thread.join()
    client.close()
    assert sorted(outcomes) == ["answer"] * 3 + ["kept out"] * 9
    assert client.circuit.state == "closed"


@pytest.mark.parametrize("verb", VERBS)
def test_what_says_nothing_of_the_provider_counts_for_neither_side(fail, scripted, answers, verb):
    """A full pool, between two failures: two of two calls failed, not two of ten."""
    neutral = [PoolTimeoutError("No connection became free in time.")] * 8
    config = CircuitBreakerConfig(min_requests=2, failure_ratio=0.9)
    script = [answers.error(500), *neutral, answers.error(500)]
    client, transport = scripted(*script, circuit_breaker=config, max_retries=0)
    fail(client, verb, times=10)
    assert isinstance(fail(client, verb), CircuitOpenError)
    assert len(transport.requests) == 10
