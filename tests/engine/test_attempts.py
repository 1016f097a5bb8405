"""Trying again: when, how often, after how long, and what is told of it."""

import pytest

from provider_kit import (
    APIConnectionError,
    APITimeoutError,
    Backoff,
    BadRequestError,
    InternalServerError,
    InvalidRequestError,
    OverloadedError,
    RateLimitError,
    ResponseLostError,
    Timeout,
)
from provider_kit.engine.call import deadline_of, make_limits
from provider_kit.errors import DeadlineExceededError

FULL = Backoff(jitter=lambda wait: wait * 1.0)


def test_a_failure_that_may_pass_is_tried_again_after_growing_waits(call, scripted, answers):
    """Waits double; the answer lists every attempt with its error and its wait."""
    client, transport = scripted(
        answers.error(500), APIConnectionError("no route"), answers.error(503), answers.text(), retry=FULL
    )
    answer = call.chat(client, "Hello")
    assert transport.sleeps == [0.5, 1.0, 2.0]
    assert [(a.number, a.error, a.status_code, a.waited) for a in answer.attempts] == [
        (1, "InternalServerError", 500, 0.5),
        (2, "APIConnectionError", None, 1.0),
        (3, "OverloadedError", 503, 2.0),
        (4, None, None, 0.0),
    ]
    assert answer.attempts[1].message == "no route"
    assert answer.timings.total == 3.5


def test_jitter_keeps_waits_below_their_bound(call, scripted, answers):
    """By default the waits are random between nothing and the bound."""
    client, transport = scripted(answers.error(500), answers.error(500), answers.text())
    call.chat(client, "Hello")
    first, second = transport.sleeps
    assert 0 <= first <= 0.5
    assert 0 <= second <= 1.0


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_in_the_end_the_last_error_is_raised_with_all_attempts(call, scripted, answers, verb):
    """``max_retries`` tries after the first one, then the last error, which lists them all."""
    client, transport = scripted(
        answers.error(500),
        answers.error(503),
        answers.error(429),
        max_retries=2,
        retry=Backoff(2, jitter=lambda wait: wait * 0.0),
    )
    with pytest.raises(RateLimitError) as caught:
        getattr(call, verb)(client, "Hello")
    assert len(transport.requests) == 3
    assert [a.error for a in caught.value.attempts] == ["InternalServerError", "OverloadedError", "RateLimitError"]
    assert [a.number for a in caught.value.attempts] == [1, 2, 3]
    assert transport.open_streams == 0


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_a_failure_that_does_not_pass_is_raised_at_once(call, scripted, answers, verb):
    """A 400 is not tried again."""
    client, transport = scripted(answers.error(400))
    with pytest.raises(BadRequestError) as caught:
        getattr(call, verb)(client, "Hello")
    assert len(transport.requests) == len(caught.value.attempts) == 1
    assert transport.sleeps == []


def test_no_retries_means_none(call, scripted, answers):
    """``max_retries=0`` raises the first error."""
    client, transport = scripted(answers.error(500), max_retries=0)
    with pytest.raises(InternalServerError):
        call.chat(client, "Hello")
    assert len(transport.requests) == 1


@pytest.mark.parametrize(
    ("headers", "wait"),
    [({"retry_after": "7"}, 7.0), ({"retry_after_ms": "250"}, 0.25), ({"retry_after": "1m30s"}, 90.0)],
)
@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_the_providers_wish_is_kept(call, scripted, answers, verb, headers, wait):
    """``Retry-After`` goes before the computed wait."""
    good = answers.text() if verb == "chat" else answers.stream("Hi")
    client, transport = scripted(answers.error(429, **headers), good)
    getattr(call, verb)(client, "Hello")
    assert transport.sleeps == [wait]


def test_a_retry_after_of_zero_is_no_wait_at_all(call, scripted, answers):
    """``Retry-After: 0`` tries again at once."""
    client, transport = scripted(answers.error(429, retry_after="0"), answers.text())
    assert call.chat(client, "Hello").text == "Hi"
    assert transport.sleeps == []


def test_a_wish_to_wait_for_hours_is_an_error_now(call, scripted, answers):
    """Nobody waits an hour inside a call; the error tells how long it would take."""
    client, transport = scripted(answers.error(429, retry_after="3600"))
    with pytest.raises(RateLimitError) as caught:
        call.chat(client, "Hello")
    assert caught.value.retry_after == 3600
    assert transport.sleeps == []


@pytest.mark.parametrize("verb", ["chat", "stream", "models", "embed"])
def test_the_deadline_is_shared_by_all_attempts_and_waits(call, scripted, answers, verb, late):
    """A wait that would outlive the total is not begun; what remains bounds each attempt."""
    seen = []

    def failing(request):
        return answers.error(500)

    client, transport = scripted(
        late(4, failing(None)),
        late(4, failing(None)),
        late(4, failing(None)),
        total_timeout=10,
        retry=Backoff(5, base=1, jitter=lambda wait: wait * 1.0),
    )
    real_send, real_open = transport.send, transport.open_stream

    async def send(request, limits):
        seen.append(limits.deadline)
        return await real_send(request, limits)

    async def open_stream(request, limits):
        seen.append(limits.deadline)
        return await real_open(request, limits)

    transport.send, transport.open_stream = send, open_stream
    arguments = () if verb == "models" else ("Hello",)
    with pytest.raises(InternalServerError) as caught:
        getattr(call, verb)(client, *arguments)
    assert seen == [1010.0, 1010.0]
    assert transport.sleeps == [1.0]
    assert [a.duration for a in caught.value.attempts] == [4.0, 4.0]


def test_a_lost_reply_is_not_asked_for_again(call, scripted):
    """Sent, but not answered: nobody knows what it cost, so the caller decides."""
    client, transport = scripted(ResponseLostError("gone"))
    with pytest.raises(ResponseLostError) as caught:
        call.chat(client, "Hello")
    assert len(transport.requests) == 1
    assert not caught.value.retryable


def test_a_lost_reply_of_ones_own_machine_is_asked_for_again(call, scripted):
    """On a local server nothing is billed."""
    client, transport = scripted(
        ResponseLostError("gone"),
        {"json": {"message": {"role": "assistant", "content": "Hi"}, "done": True, "done_reason": "stop"}},
        target="ollama/llama3.2",
        retry=FULL,
    )
    assert call.chat(client, "Hello").text == "Hi"
    assert len(transport.requests) == 2


def test_a_policy_of_your_own_decides(call, scripted, answers):
    """Any function of error and attempt is a policy."""
    seen = []

    def policy(error, attempt):
        seen.append((type(error), attempt, error.operation))
        return 3.0 if attempt < 3 else None

    client, transport = scripted(answers.error(400), answers.error(400), answers.error(400), retry=policy)
    with pytest.raises(BadRequestError):
        call.chat(client, "Hello")
    assert seen == [(BadRequestError, number, "chat") for number in (1, 2, 3)]
    assert transport.sleeps == [3.0, 3.0]


def test_keys_take_turns_over_attempts_too(call, scripted, answers):
    """A second attempt is made with the next key."""
    keys = ("test-key-aaaaaaaaaa", "test-key-bbbbbbbbbb")
    client, transport = scripted(
        answers.error(429, retry_after="0"), answers.text(), answers.text(), api_key=None, api_keys=keys
    )
    call.chat(client, "Hello")
    call.chat(client, "Hello")
    used = [request.headers["Authorization"].removeprefix("Bearer ") for request in transport.requests]
    assert used == [keys[0], keys[1], keys[0]]


def test_real_retries_over_http(call, fake_server):
    """Two overloads, then an answer; the server saw three requests."""
    fake_server.fault(529, retry_after=0.01, times=2)
    answer = call.chat(fake_server.client("anthropic/claude-sonnet-4-5"), "What is 2 + 3?")
    assert answer.text == "2 + 3 = 5"
    assert [a.error for a in answer.attempts] == ["OverloadedError", "OverloadedError", None]
    assert len(fake_server.requests) == 3


def test_a_total_timeout_bounds_slow_attempts_over_http(call, fake_server):
    """The deadline cuts an attempt in the middle, and it is not tried again."""
    fake_server.always(latency=2)
    with pytest.raises(DeadlineExceededError) as caught:
        call.chat(fake_server.client(), "Hello", total_timeout=0.1)
    assert len(caught.value.attempts) == 1
    assert 0.05 < caught.value.attempts[0].duration < 1.0


def test_a_timeout_of_yours_bounds_a_whole_answer(call, fake_server):
    """``timeout=`` set by the caller also ends the wait for an unstreamed answer."""
    fake_server.always(latency=2)
    with pytest.raises(APITimeoutError, match=r"no complete answer within 0\.1 s"):
        call.chat(fake_server.client(max_retries=0), "Hello", timeout=0.1)


@pytest.mark.parametrize("timeout", [Timeout(None, None, None), float("inf"), Timeout(total=float("inf"))], ids=repr)
def test_a_wait_without_limit_is_possible(call, fake_server, timeout):
    """``None`` and infinity wait without limit."""
    client = fake_server.client()
    assert call.chat(client, "What is 2 + 3?", timeout=timeout, total_timeout=float("inf")).text == "2 + 3 = 5"
    assert call.stream(client, "What is 2 + 3?", timeout=timeout)[1].text == "2 + 3 = 5"


@pytest.mark.parametrize(
    ("timeout", "total", "stream", "expected"),
    [
        (None, None, True, (30, 30, 30, None)),
        (None, None, False, (30, None, None, 700)),
        (None, 5, False, (30, None, None, 105)),
        (None, 5, True, (30, 30, 30, 105)),
        (Timeout(1, 2, 3), None, True, (1, 2, 3, None)),
        (Timeout(1, 2, 3, answer=9), None, False, (1, 9, 3, 700)),
        (Timeout(1, 2, 3), None, False, (1, None, 3, 700)),
        (Timeout(1, 2, 3, 4), None, False, (1, None, 3, 104)),
        (Timeout(1, 2, 3, 4), 9, False, (1, None, 3, 109)),
        (Timeout(None, None, None), None, True, (None, None, None, None)),
    ],
)
def test_the_clocks_of_a_call(timeout, total, stream, expected):
    """Without a wish a stream is timed by content, a whole answer by its total."""
    deadline = deadline_of(timeout, total, now=100.0, stream=stream)
    limits = make_limits(timeout, deadline, stream=stream, max_bytes=7)
    assert (limits.connect, limits.first, limits.idle, limits.deadline) == expected
    assert limits.max_bytes == 7


@pytest.mark.parametrize(
    ("client_options", "call_options", "deadline"),
    [
        ({"total_timeout": 50}, {}, 1050.0),
        ({"total_timeout": 50}, {"total_timeout": 5}, 1005.0),
        ({"total_timeout": 50}, {"timeout": Timeout(total=5)}, 1005.0),
        ({"total_timeout": 50}, {"timeout": 7}, 1050.0),
        ({"timeout": Timeout(total=50)}, {}, 1050.0),
        ({"timeout": Timeout(total=50)}, {"total_timeout": 5}, 1005.0),
        ({"timeout": Timeout(total=50), "total_timeout": 40}, {}, 1040.0),
        ({"defaults": {"total_timeout": 9}}, {}, 1009.0),
        ({"defaults": {"total_timeout": 9}}, {"total_timeout": 5}, 1005.0),
        ({"defaults": {"timeout": Timeout(total=9)}}, {}, 1009.0),
        ({}, {"timeout": Timeout(total=8), "total_timeout": 5}, 1005.0),
    ],
)
def test_the_total_of_a_call_goes_before_the_clients(call, scripted, answers, client_options, call_options, deadline):
    """What is nearer to the call wins, in whichever of the two ways it is said."""
    client, transport = scripted(answers.text(), **client_options)
    real = transport.send
    seen = []

    async def send(request, limits):
        seen.append(limits.deadline)
        return await real(request, limits)

    transport.send = send
    call.chat(client, "Hello", **call_options)
    assert seen == [deadline]


@pytest.mark.parametrize("name", ["timeout", "total_timeout"])
@pytest.mark.parametrize("value", ["x", -1, 0, True, float("nan"), [], (1, 2, 3), {"wrong": 1}], ids=repr)
def test_a_time_that_is_none_is_refused(call, scripted, name, value):
    """A timeout that makes no sense is refused before anything is sent."""
    client, transport = scripted()
    for verb in (call.chat, call.stream):
        with pytest.raises(InvalidRequestError):
            verb(client, "Hello", **{name: value})
    assert transport.requests == []


def test_an_overload_is_an_internal_error(scripted):
    """``except InternalServerError`` catches an overload too."""
    assert issubclass(OverloadedError, InternalServerError)


@pytest.mark.parametrize("wait", [9.9, 10.0, 10.1])
def test_a_wait_that_ends_with_the_deadline_is_not_begun(call, scripted, answers, wait):
    """Nothing could be sent after it: the failure is told at once."""
    client, transport = scripted(
        answers.error(500), answers.text(), total_timeout=10, retry=Backoff(1, jitter=lambda _: wait)
    )
    if wait < 10:
        assert call.chat(client, "Hello").text == "Hi"
        assert transport.sleeps == [wait]
        return
    with pytest.raises(InternalServerError) as caught:
        call.chat(client, "Hello")
    assert transport.sleeps == []
    assert len(caught.value.attempts) == 1
