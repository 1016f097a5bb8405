"""Limits through a client: those configured, those told by headers, those of one's own, and calls in flight."""

import asyncio
import json
import threading
import time

import pytest

from provider_kit import (
    APIConnectionError,
    Client,
    InternalServerError,
    ProviderKitError,
    RateLimitConfig,
    RateLimiter,
    RateLimitExceededError,
    ResponseLostError,
    ScriptedTransport,
    StoreError,
)
from provider_kit.testing import FakeServer

KEYS = ["test-key-number-one-0001", "test-key-number-two-0002"]
START = 1000.0
#: Tokens that are claimed for "Hello" with ``max_tokens=95``.
CLAIM = 100


@pytest.fixture
def timed(scripted, answers):
    """A function: a client that is always answered, its transport, and when it sent what with which key."""

    def make(*script, **options):
        sent = []
        entries = list(script) or [answers.text()]

        def answer(request):
            sent.append((transport.now() - START, request.headers.get("Authorization", "")[-4:]))
            return entries.pop(0) if len(entries) > 1 else entries[0]

        client, transport = scripted(answer, repeat=True, **options)
        return client, transport, sent

    return make


def told(answers, **headers):
    """An answer with limits in its headers."""
    return answers.text(
        headers={f"x-ratelimit-{name.replace('_', '-')}": str(value) for name, value in headers.items()}
    )


def times(sent):
    return [round(when, 6) for when, _ in sent]


# ------------------------------------------------------------------------------------------------ configured


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_no_more_than_the_limit_is_sent_in_any_minute(call, timed, answers, verb):
    """Calls wait for their turn; whole and streamed ones count alike."""
    answer = answers.text() if verb == "chat" else answers.stream("Hi")
    client, _, sent = timed(answer, rate_limit=RateLimitConfig(requests_per_minute=2))
    for _ in range(5):
        getattr(call, verb)(client, "Hello")
    assert times(sent) == [0, 0, 60, 60, 120]


def test_a_day_and_a_minute_are_kept_at_once(call, timed):
    """Whichever is the longer wait."""
    client, _, sent = timed(rate_limit=RateLimitConfig(requests_per_minute=1, requests_per_day=2), total_timeout=1e6)
    for _ in range(3):
        call.chat(client, "Hello")
    assert times(sent) == [0, 60, 86400]


def test_each_attempt_counts(call, timed, answers):
    """The provider counts a retry too."""
    limit = RateLimitConfig(requests_per_minute=2)
    client, _, sent = timed(answers.error(500), answers.text(), rate_limit=limit)
    for _ in range(2):
        call.chat(client, "Hello")
    assert times(sent)[0] == 0
    assert times(sent)[2] == 60


def test_tokens_are_claimed_by_an_estimate_and_settled_with_what_was_used(call, timed):
    """The answer used 5 of the 100, so the rest is there for the next call at once."""
    client, transport, sent = timed(rate_limit=RateLimitConfig(tokens_per_minute=CLAIM + 10))
    for _ in range(3):
        call.chat(client, "Hello", max_tokens=95)
    assert times(sent) == [0, 0, 0]
    call.chat(client, "Hello", max_tokens=95)
    assert transport.now() - START == 60


def test_tokens_of_an_answer_that_tells_none_stay_claimed(call, timed, answers):
    """What was used is unknown, so the estimate stands."""
    silent = answers.text()
    del silent["json"]["usage"]
    client, _, sent = timed(silent, rate_limit=RateLimitConfig(tokens_per_minute=CLAIM + 10))
    for _ in range(2):
        call.chat(client, "Hello", max_tokens=95)
    assert times(sent) == [0, 60]


def test_tokens_of_a_call_that_was_refused_are_free_again(call, timed, answers):
    """An error uses none; an answer that was lost may have used all of them."""
    limit = RateLimitConfig(tokens_per_minute=CLAIM + 10)
    client, _, sent = timed(answers.error(400), answers.text(), rate_limit=limit, max_retries=0)
    with pytest.raises(ProviderKitError):
        call.chat(client, "Hello", max_tokens=95)
    call.chat(client, "Hello", max_tokens=95)
    assert times(sent) == [0, 0]
    client, _, sent = timed(ResponseLostError("gone"), answers.text(), rate_limit=limit, max_retries=0)
    with pytest.raises(ResponseLostError):
        call.chat(client, "Hello", max_tokens=95)
    call.chat(client, "Hello", max_tokens=95)
    assert times(sent) == [0, 60]


def test_a_call_larger_than_the_limit_goes_alone(call, timed):
    """It is not refused for ever."""
    client, _, sent = timed(rate_limit=RateLimitConfig(tokens_per_minute=50))
    for _ in range(2):
        call.chat(client, "Hello", max_tokens=95)
    assert times(sent) == [0, 60]


def test_embedded_texts_count_their_tokens(call, timed):
    """A claim by their length, settled with what the provider counted."""
    payload = {"data": [{"index": 0, "embedding": [0.5]}], "model": "e", "usage": {"prompt_tokens": 40}}
    payload["usage"]["total_tokens"] = 40
    client, _, sent = timed({"json": payload}, rate_limit=RateLimitConfig(tokens_per_minute=130))
    for _ in range(3):
        call.embed(client, "a" * 320)  # claims 80
    assert times(sent) == [0, 0, 60]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"rate_limit": RateLimitConfig(requests_per_minute=1, max_wait=10)}, id="max_wait"),
        pytest.param({"rate_limit": RateLimitConfig(requests_per_minute=1), "total_timeout": 30}, id="deadline"),
        pytest.param({"rate_limiter": "own", "total_timeout": 30}, id="limiter"),
    ],
)
def test_a_wait_that_would_take_too_long_fails_at_once(call, timed, options):
    """Nothing is sent and no room is taken; the error says how long it would have been."""
    if "rate_limiter" in options:
        options = {**options, "rate_limiter": RateLimiter(requests_per_minute=1)}
    events = []
    client, transport, sent = timed(on_event=events.append, **options)
    call.chat(client, "Hello")
    for _ in range(5):
        with pytest.raises(RateLimitExceededError) as caught:
            call.chat(client, "Hello")
        assert caught.value.retry_after == 60
        assert (caught.value.provider, caught.value.attempts) == ("openai", ())
    assert transport.sleeps == []
    assert len(sent) == 1
    assert not [event for event in events if event.name == "rate_limit"]
    asyncio.run(transport.sleep(60))
    call.chat(client, "Hello")
    assert times(sent) == [0, 60]


def test_who_waits_is_told(call, timed):
    """One event for each wait, with its seconds."""
    events = []
    client, _, _ = timed(rate_limit=RateLimitConfig(requests_per_minute=1), on_event=events.append)
    for _ in range(2):
        call.chat(client, "Hello")
    assert [event.wait for event in events if event.name == "rate_limit"] == [60]


def test_limits_are_of_each_key(call, timed):
    """Two keys may send twice as much, and the one with the shorter wait goes first."""
    client, transport, sent = timed(api_key=None, api_keys=KEYS, rate_limit=RateLimitConfig(requests_per_minute=1))
    call.chat(client, "Hello")
    asyncio.run(transport.sleep(20))
    for _ in range(3):
        call.chat(client, "Hello")
    assert times(sent) == [0, 20, 60, 80]
    assert sent[0][1] != sent[1][1]
    assert [key for _, key in sent] == [sent[0][1], sent[1][1]] * 2


def test_a_limit_that_is_switched_off_is_none(call, timed):
    """``enabled=False`` keeps the numbers without minding them."""
    client, transport, _ = timed(rate_limit=RateLimitConfig(requests_per_minute=1, enabled=False))
    for _ in range(3):
        call.chat(client, "Hello")
    assert transport.sleeps == []


def test_lists_and_checks_are_not_limited(call, fake_server):
    """models() and health_check() neither wait nor count."""
    client = fake_server.client(rate_limit=RateLimitConfig(requests_per_minute=1, max_wait=1e-3))
    call.models(client)
    assert call.health_check(client)
    call.chat(client, "Hello")
    call.models(client)
    assert call.health_check(client)
    with pytest.raises(RateLimitExceededError):
        call.chat(client, "Hello")


# ------------------------------------------------------------------------------------------------ many at once


class Timing:
    """A fake server that notes when it was asked and how many were being answered at once."""

    def __init__(self, latency=0.0):
        timing = self

        class Server(FakeServer):
            async def _answer(self, incoming):
                timing.stamps.append(time.monotonic())
                timing.inside += 1
                timing.most = max(timing.most, timing.inside)
                try:
                    await asyncio.sleep(latency)
                    return await super()._answer(incoming)
                finally:
                    timing.inside -= 1

        self.stamps, self.inside, self.most = [], 0, 0
        self.server = Server()

    def wait_for(self, count):
        end = time.monotonic() + 10
        while len(self.stamps) < count:
            assert time.monotonic() < end
            time.sleep(0.002)


@pytest.fixture
def timing():
    """A function: start a server that takes so many seconds for each answer."""
    made = []

    def make(latency=0.0):
        found = Timing(latency)
        found.server.start()
        made.append(found.server)
        return found

    yield make
    for server in made:
        server.stop()


def crowd(client, threads, tasks):
    """Calls from so many threads and from so many tasks of an event loop, all at once; what failed."""
    failures = []

    def work():
        try:
            client.chat("Hello")
        except Exception as error:
            failures.append(error)

    async def many():
        try:
            failures.extend(
                found
                for found in await asyncio.gather(
                    *(client.achat("Hello") for _ in range(tasks)), return_exceptions=True
                )
                if isinstance(found, BaseException)
            )
        finally:
            await client.aclose()

    workers = [threading.Thread(target=work) for _ in range(threads)]
    if tasks:
        workers.append(threading.Thread(target=lambda: asyncio.run(many())))
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    client.close()
    return failures


@pytest.mark.parametrize(("threads", "tasks"), [(16, 0), (0, 16), (8, 8)])
def test_threads_and_tasks_on_one_client_never_exceed_the_limit(timing, threads, tasks):
    """Sixteen calls at once, eight in any second: the server sees no ninth."""
    found = timing()
    limiter = RateLimiter(8)
    client = found.server.client(rate_limiter=limiter)
    assert crowd(client, threads, tasks) == []
    stamps = sorted(found.stamps)
    assert len(stamps) == 16
    # A request takes a moment on its way, so the last of one second may arrive close to the first of the next.
    assert all(late - early > 0.7 for early, late in zip(stamps, stamps[8:], strict=False))
    assert len(limiter) == 0


def test_cancelled_calls_leave_the_queue_and_nobody_is_stuck(fake_server):
    """Those behind them move up, and what they claimed is free."""
    limiter = RateLimiter(1)
    client = fake_server.client(rate_limiter=limiter)

    async def scenario():
        async with client:
            await client.achat("Hello")
            tasks = [asyncio.create_task(client.achat("Hello")) for _ in range(5)]
            while len(limiter) < 5:
                await asyncio.sleep(0)
            for task in tasks[:4]:
                task.cancel()
            began = time.monotonic()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(one) for one in ended[:4]] == [asyncio.CancelledError] * 4
            assert ended[4].text
            return time.monotonic() - began

    assert asyncio.run(scenario()) < 2
    assert len(limiter) == 0
    assert len(fake_server.requests) == 2


def test_tasks_cancelled_while_they_wait_for_a_configured_limit_leave_no_trace(fake_server):
    """The limit of a minute has as much room as before."""
    client = fake_server.client(rate_limit=RateLimitConfig(requests_per_minute=1), api_key=KEYS[0])

    async def scenario():
        async with client:
            await client.achat("Hello")
            tasks = [asyncio.create_task(client.achat("Hello")) for _ in range(3)]
            (windows,) = client._admission.rates.limiters.values()
            while len(windows) < 3:
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            return len(windows), windows.windows[0].used

    assert asyncio.run(scenario()) == (0, 1.0)


# ------------------------------------------------------------------------------------------------ of one's own


class Own:
    """A limiter that writes down what it is asked."""

    def __init__(self, wait=0.0):
        self.told, self.wait = [], wait

    def reserve(self, tokens, now):
        self.told.append(("reserve", tokens))
        return self.wait

    def settle(self, reserved, used, now):
        self.told.append(("settle", reserved, used))


def test_a_limiter_of_ones_own_is_asked_before_and_told_afterwards(call, timed):
    """With the estimate, then with what was really used; its wait is kept."""
    own = Own(2.5)
    client, transport, sent = timed(rate_limiter=own)
    call.chat(client, "Hello", max_tokens=95)
    assert own.told == [("reserve", CLAIM), ("settle", CLAIM, 5)]
    assert transport.sleeps == [2.5]
    assert times(sent) == [2.5]


@pytest.mark.parametrize(
    ("outcome", "used"),
    [
        pytest.param(InternalServerError("no", status_code=500), 0, id="refused"),
        pytest.param(APIConnectionError("no route"), 0, id="not sent"),
        pytest.param(ResponseLostError("gone"), CLAIM, id="answer lost"),
    ],
)
def test_a_limiter_of_ones_own_hears_of_failures_too(call, timed, outcome, used):
    """Each claim is settled once, whatever becomes of the call."""
    own = Own()
    client, _, _ = timed(outcome, rate_limiter=own, max_retries=0)
    with pytest.raises(ProviderKitError):
        call.chat(client, "Hello", max_tokens=95)
    assert own.told == [("reserve", CLAIM), ("settle", CLAIM, used)]


def test_a_claim_of_a_call_that_is_never_sent_is_settled_with_nothing(call, timed):
    """Its deadline comes before its turn."""
    own = Own(90.0)
    client, _, sent = timed(rate_limiter=own, total_timeout=30)
    with pytest.raises(RateLimitExceededError) as caught:
        call.chat(client, "Hello", max_tokens=95)
    assert caught.value.retry_after == 90
    assert own.told == [("reserve", CLAIM), ("settle", CLAIM, 0)]
    assert sent == []


def test_a_claim_of_a_stream_that_is_abandoned_is_settled_as_it_was(timed, answers):
    """Nobody knows what it has used."""
    own = Own()
    client, _, _ = timed(answers.stream("one", "two"), rate_limiter=own)
    with client.stream("Hello", max_tokens=95) as stream:
        next(iter(stream))
    assert own.told == [("reserve", CLAIM), ("settle", CLAIM, CLAIM)]


def test_a_limiter_that_refuses_is_obeyed(call, timed):
    """Its error reaches the caller, and nothing is settled that was not claimed."""
    own = Own()
    own.reserve = lambda tokens, now: (_ for _ in ()).throw(RateLimitExceededError("not today", retry_after=5))
    client, _, sent = timed(rate_limiter=own)
    with pytest.raises(RateLimitExceededError, match="not today"):
        call.chat(client, "Hello")
    assert (own.told, sent) == ([], [])


def test_two_clients_share_one_limiter(call, answers):
    """Together they send no more than it allows, and tokens are given back to both."""
    transport = ScriptedTransport([answers.text()], repeat=True)
    limiter = RateLimiter(requests_per_minute=3, tokens_per_minute=CLAIM + 10, clock=transport)
    clients = [
        Client(f"{name}/m", api_key=KEYS[0], transport=transport, rate_limiter=limiter) for name in ("openai", "groq")
    ]
    when = []
    for number in range(4):
        call.chat(clients[number % 2], "Hello", max_tokens=95)
        when.append(transport.now() - START)
    assert when == [0, 0, 0, 60]
    assert limiter.try_acquire()


# ------------------------------------------------------------------------------------------------ told by headers


def test_told_limits_can_be_read_from_the_client(call, fake_server):
    """For each key and model, after real answers; refusals tell them too."""
    headers = {"x-ratelimit-limit-requests": "500", "x-ratelimit-remaining-requests": "499"}
    client = fake_server.client()
    assert client.rate_limits == []
    fake_server.fault(headers=headers)
    call.chat(client, "Hello")
    (info,) = client.rate_limits
    assert (info.model, info.requests.limit, info.requests.remaining) == ("gpt-4o", 500, 499)
    assert abs(info.updated - time.time()) < 60
    fake_server.fault(429, headers={**headers, "x-ratelimit-remaining-requests": "7"}, retry_after=0)
    call.chat(client, "Hello")
    assert client.rate_limits[0].requests.remaining == 7


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        pytest.param(
            {"limit_requests": 10, "remaining_requests": 0, "reset_requests": "60s"}, 6, id="a bucket in proportion"
        ),
        pytest.param(
            {"limit_requests_minute": 10, "remaining_requests_minute": 0, "reset_requests_minute": "45.5"},
            45.5,
            id="a window to its end",
        ),
    ],
)
def test_where_nothing_is_left_the_next_call_waits(call, timed, answers, headers, wait):
    """It would be refused, so it is not made before."""
    client, _, sent = timed(told(answers, **headers), answers.text())
    for _ in range(2):
        call.chat(client, "Hello")
    assert times(sent) == [0, wait]


def test_where_nothing_is_left_of_one_key_another_is_used(call, timed, answers):
    """Nobody waits while a key has room."""
    empty = told(answers, limit_requests_minute=10, remaining_requests_minute=0, reset_requests_minute=45)
    client, transport, sent = timed(empty, answers.text(), api_key=None, api_keys=KEYS)
    for _ in range(3):
        call.chat(client, "Hello")
    assert transport.sleeps == []
    assert sent[1][1] == sent[2][1] != sent[0][1]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="two minutes"),
        pytest.param({"rate_limit": RateLimitConfig(requests_per_minute=600, max_wait=300)}, id="max_wait"),
        pytest.param({"total_timeout": 100}, id="deadline"),
    ],
)
def test_a_told_wait_that_is_too_long_fails_at_once(call, timed, answers, options):
    """With the seconds it would have been; the limits configured lose no room by it."""
    empty = told(answers, limit_requests_day=10, remaining_requests_day=0, reset_requests_day=400)
    client, transport, sent = timed(empty, answers.text(), **options)
    call.chat(client, "Hello")
    for _ in range(3):
        with pytest.raises(RateLimitExceededError) as caught:
            call.chat(client, "Hello")
        assert caught.value.retry_after == 400
    assert transport.sleeps == []
    assert [windows.windows[0].used for windows in client._admission.rates.limiters.values()] in ([], [1.0])
    assert len(sent) == 1


def test_calls_that_would_not_wait_so_long_lengthen_nobodys_wait(call, timed, answers):
    """Each of them is told the same; the one that waits in the end waits for one refill."""
    empty = told(answers, limit_requests=10, remaining_requests=0, reset_requests="3000s")
    client, transport, sent = timed(empty, answers.text())
    call.chat(client, "Hello")
    for _ in range(3):
        with pytest.raises(RateLimitExceededError) as caught:
            call.chat(client, "Hello")
        assert caught.value.retry_after == pytest.approx(300)
    asyncio.run(transport.sleep(200))
    call.chat(client, "Hello")
    assert times(sent) == [0, 300]


def test_a_told_wait_is_bounded_by_what_was_configured_alone(call, timed, answers):
    """``max_wait`` takes the place of the usual two minutes, in either direction."""
    for most, wait, times_sent in ((30, 45, 1), (300, 250, 2)):
        empty = told(answers, limit_requests_minute=9, remaining_requests_minute=0, reset_requests_minute=wait)
        client, _, sent = timed(empty, answers.text(), rate_limit=RateLimitConfig(max_wait=most))
        call.chat(client, "Hello")
        if times_sent == 1:
            with pytest.raises(RateLimitExceededError):
                call.chat(client, "Hello")
        else:
            call.chat(client, "Hello")
        assert len(sent) == times_sent


def test_beyond_the_threshold_calls_are_spaced(call, timed, answers):
    """At 80 percent as the allowance fills up; with a threshold of 1 not at all."""
    nearly = told(answers, limit_requests=100, remaining_requests=15, reset_requests="51s")
    client, _, sent = timed(nearly, answers.text())
    for _ in range(4):
        call.chat(client, "Hello")
    assert times(sent) == [0, 0, 0.6, 1.2]
    client, _, sent = timed(nearly, answers.text(), rate_limit=RateLimitConfig(throttle_threshold=1))
    for _ in range(4):
        call.chat(client, "Hello")
    assert times(sent) == [0, 0, 0, 0]


def test_a_told_limit_that_is_lower_takes_the_place_of_a_configured_one(call, timed, answers):
    """A higher one does not."""
    config = RateLimitConfig(requests_per_minute=2)
    client, _, sent = timed(told(answers, limit_requests=1), answers.text(), rate_limit=config)
    for _ in range(3):
        call.chat(client, "Hello")
    assert times(sent) == [0, 60, 120]
    client, _, sent = timed(told(answers, limit_requests=50), answers.text(), rate_limit=config)
    for _ in range(3):
        call.chat(client, "Hello")
    assert times(sent) == [0, 0, 60]


def test_a_limit_of_a_day_does_not_lower_that_of_a_minute(call, timed, answers):
    """Groq tells requests of a day under the name that others use for those of a minute."""
    config = RateLimitConfig(requests_per_minute=2)
    client, _, sent = timed(told(answers, limit_requests=1), answers.text(), target="groq/m", rate_limit=config)
    for _ in range(3):
        call.chat(client, "Hello")
    assert times(sent) == [0, 0, 60]


def test_a_told_limit_of_nothing_breaks_no_queue(call, timed, answers):
    """It says nothing that could be kept."""
    client, _, sent = timed(told(answers, limit_requests=0), rate_limit=RateLimitConfig(requests_per_minute=1))
    for _ in range(2):
        call.chat(client, "Hello")
    assert times(sent) == [0, 60]


# ------------------------------------------------------------------------------------------------ the day, in a file


@pytest.fixture
def kept(tmp_path):
    """Limits of a day that are kept in a file."""
    return RateLimitConfig(requests_per_day=2, persist=str(tmp_path / "daily.json"))


def test_the_count_of_a_day_survives_a_new_client(call, timed, kept):
    """The second program may send what the first one has left."""
    client, _, sent = timed(rate_limit=kept)
    call.chat(client, "Hello")
    again, _, sent_again = timed(rate_limit=kept)
    call.chat(again, "Hello")
    with pytest.raises(RateLimitExceededError) as caught:
        call.chat(again, "Hello")
    assert caught.value.retry_after == pytest.approx(86400)
    third, _, _ = timed(rate_limit=kept)
    with pytest.raises(RateLimitExceededError):
        call.chat(third, "Hello")
    assert (len(sent), len(sent_again)) == (1, 1)


def test_a_call_waits_for_the_day_if_it_may(call, timed, kept):
    """Until the first request is a day old."""
    client, _, _ = timed(rate_limit=kept)
    for _ in range(2):
        call.chat(client, "Hello")
    again, _, sent = timed(rate_limit=kept, total_timeout=1e6)
    call.chat(again, "Hello")
    assert times(sent) == [86400]


def test_a_damaged_count_is_moved_aside_and_calls_go_on(call, timed, kept, tmp_path):
    """It is kept for whoever may want to look."""
    (tmp_path / "daily.json").write_text("{not json")
    client, _, sent = timed(rate_limit=kept)
    call.chat(client, "Hello")
    assert len(sent) == 1
    assert (tmp_path / "daily.json.damaged").read_text() == "{not json"
    assert len(json.loads((tmp_path / "daily.json").read_text())) == 1


def test_a_count_that_cannot_be_kept_goes_on_in_memory_and_says_so_once(call, timed, tmp_path):
    """The limit holds in this process all the same, and it is told when the file is back."""
    (tmp_path / "file").write_text("")
    events = []
    config = RateLimitConfig(requests_per_day=4, persist=str(tmp_path / "file" / "daily.json"))
    client, _, sent = timed(rate_limit=config, on_event=events.append)
    for _ in range(3):
        call.chat(client, "Hello")
    failed = [event for event in events if event.name == "store_failed"]
    assert len(failed) == 1
    assert isinstance(failed[0].error, StoreError)
    (tmp_path / "file").unlink()
    call.chat(client, "Hello")
    assert len([event for event in events if event.name == "store_back"]) == 1
    with pytest.raises(RateLimitExceededError):
        call.chat(client, "Hello")
    assert len(sent) == 4


def test_a_count_that_cannot_be_kept_is_an_error_if_asked_for(call, timed, tmp_path):
    """``on_store_failure='raise'``: nothing is sent without a count."""
    (tmp_path / "file").write_text("")
    config = RateLimitConfig(requests_per_day=2, persist=str(tmp_path / "file" / "daily.json"))
    client, _, sent = timed(rate_limit=config, on_store_failure="raise")
    with pytest.raises(StoreError, match="daily count"):
        call.chat(client, "Hello")
    assert sent == []


# ------------------------------------------------------------------------------------------------ calls in flight


@pytest.mark.parametrize(("threads", "tasks"), [(12, 0), (0, 12), (6, 6)])
def test_no_more_calls_are_in_flight_than_allowed(timing, threads, tasks):
    """Across threads and an event loop; all come through, and no place is left taken."""
    found = timing(0.02)
    client = found.server.client(max_concurrency=3)
    assert crowd(client, threads, tasks) == []
    assert len(found.stamps) == 12
    assert 2 <= found.most <= 3
    assert (client._admission.slots.taken, len(client._admission.slots)) == (0, 0)


def test_places_are_given_in_the_order_of_asking(fake_server):
    """First come, first served."""
    client = fake_server.client(max_concurrency=1)

    async def scenario():
        async with client:
            await asyncio.gather(*(client.achat(f"number {number}") for number in range(8)))

    asyncio.run(scenario())
    asked = [request.json["messages"][-1]["content"] for request in fake_server.requests]
    assert asked == [f"number {number}" for number in range(8)]


def test_a_place_is_free_again_after_an_error(call, timed, answers):
    """Whatever came of the call; a retry takes a place anew."""
    events = []
    client, _, sent = timed(
        answers.error(400),
        APIConnectionError("no route"),
        ValueError("a bug"),
        answers.error(500),
        answers.text(),
        max_concurrency=1,
        max_retries=1,
        on_event=events.append,
    )
    for failure in (ProviderKitError, ValueError):
        with pytest.raises(failure):
            call.chat(client, "Hello")
    call.chat(client, "Hello")
    assert len(sent) == 5
    assert client._admission.slots.taken == 0
    assert not [event for event in events if event.name == "concurrency_wait"]


def test_a_place_is_free_again_when_the_limit_of_a_minute_refuses(call, timed):
    """A call that fails before it is sent holds nothing."""
    client, _, _ = timed(max_concurrency=1, rate_limit=RateLimitConfig(requests_per_minute=1, max_wait=1))
    call.chat(client, "Hello")
    for _ in range(2):
        with pytest.raises(RateLimitExceededError):
            call.chat(client, "Hello")
    assert client._admission.slots.taken == 0


def test_a_place_is_free_again_when_a_call_is_cancelled(fake_server):
    """One in flight, one in the queue; the third goes on."""
    client = fake_server.client(max_concurrency=1)
    fake_server.fault(latency=20)

    async def scenario():
        async with client:
            first = asyncio.create_task(client.achat("first"))
            while not fake_server.requests:
                await asyncio.sleep(0.002)
            second, third = (asyncio.create_task(client.achat(text)) for text in ("second", "third"))
            while len(client._admission.slots) < 2:
                await asyncio.sleep(0)
            second.cancel()
            first.cancel()
            await asyncio.gather(first, second, return_exceptions=True)
            return (await asyncio.wait_for(third, 10)).text

    assert asyncio.run(scenario())
    assert (client._admission.slots.taken, len(client._admission.slots)) == (0, 0)
    assert [request.json["messages"][-1]["content"] for request in fake_server.requests] == ["first", "third"]


@pytest.mark.parametrize("how", ["closed", "dropped"])
def test_a_place_is_free_again_when_a_stream_is_abandoned(fake_server, how):
    """After its first chunk, with and without a word, in both worlds."""
    client = fake_server.client(max_concurrency=1)
    fake_server.reply("one two three four five six")
    stream = client.stream("Hello")
    next(stream)
    assert client._admission.slots.taken == 1
    if how == "closed":
        stream.close()
    del stream
    assert client._admission.slots.taken == 0

    async def scenario():
        async with client:
            fake_server.reply("one two three four five six")
            stream = client.astream("Hello")
            await anext(stream)
            assert client._admission.slots.taken == 1
            if how == "closed":
                await stream.aclose()
            del stream
            return (await asyncio.wait_for(client.achat("Hello"), 10)).text

    assert asyncio.run(scenario())
    assert client._admission.slots.taken == 0


def test_a_call_that_gets_no_place_before_its_deadline_fails(fake_server):
    """It says why, and leaves the queue."""
    client = fake_server.client(max_concurrency=1, api_key=KEYS[0])
    fake_server.fault(latency=20)
    events = []
    client._engine.parts.events.sinks = (events.append,)

    async def scenario():
        async with client:
            first = asyncio.create_task(client.achat("first"))
            while not fake_server.requests:
                await asyncio.sleep(0.002)
            with pytest.raises(RateLimitExceededError, match="1 calls were in flight"):
                await client.achat("second", total_timeout=0.05)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)

    asyncio.run(scenario())
    assert [event.name for event in events].count("concurrency_wait") == 1
    assert (client._admission.slots.taken, len(client._admission.slots)) == (0, 0)
    assert len(fake_server.requests) == 1
