"""Which key is used next, how long a call waits for one, and what it tells: on a scripted clock, in both worlds."""

import asyncio
import traceback

import pytest

from provider_kit import (
    AllKeysExhaustedError,
    AuthenticationError,
    Backoff,
    InsufficientQuotaError,
    KeyManager,
    OverloadedError,
    PermissionDeniedError,
    RateLimitError,
    StreamError,
)
from provider_kit.testing import FakeServer

KEYS = [f"key-number-{number}-{letter * 6}" for number, letter in enumerate("abcdef")]
FULL = Backoff(3, jitter=lambda wait: wait * 1.0)
DAILY = {
    "error": {
        "code": 429,
        "status": "RESOURCE_EXHAUSTED",
        "message": "quota",
        "details": [{"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}],
    }
}
GEMINI = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]}

verbs = pytest.mark.parametrize("verb", ["chat", "stream"])


def used(transport):
    """The keys that were sent, by their number."""
    return [KEYS.index(request.headers["Authorization"].removeprefix("Bearer ")) for request in transport.requests]


def locals_of(error):
    """The local variables of the library's frames below an error and its causes; the script's own words excepted."""
    shown = []
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            path = frame.f_code.co_filename
            if "provider_kit" in path and "scripted" not in path:
                shown.append(repr(frame.f_locals))
        error = error.__cause__ or error.__context__
    return "".join(shown)


@pytest.fixture
def keyed(scripted):
    """A function: a client with the first so many keys over a script, and its transport."""

    def make(*script, keys=3, **options):
        options.setdefault("retry", FULL)
        options.setdefault("api_keys", KEYS[:keys])
        return scripted(*script, api_key=None, **options)

    return make


@pytest.fixture
def good(answers):
    """A good answer to a verb."""
    return lambda verb: answers.text() if verb == "chat" else answers.stream("Hi")


# ------------------------------------------------------------------------------------------------ which key


@verbs
def test_a_call_that_has_used_its_keys_waits_for_one_of_them(call, keyed, answers, good, verb):
    """Three keys a call, also after a wait: the fourth and fifth are not burnt for one call."""
    limited = [answers.error(429, retry_after=str(seconds)) for seconds in (9, 5, 7)]
    client, transport = keyed(*limited, good(verb), keys=5)
    getattr(call, verb)(client, "Hello")
    assert used(transport) == [0, 1, 2, 1]
    assert transport.sleeps == [5.0]


@verbs
@pytest.mark.parametrize("second", [401, 402, 403])
def test_the_order_of_failures_does_not_matter(call, keyed, answers, good, verb, second):
    """A key that cools and one that is no good, in either order: the call waits for the one that cools."""
    limited, useless = answers.error(429, retry_after="4"), answers.error(second)
    for script, sent in (((limited, useless), [0, 1, 0]), ((useless, limited), [0, 1, 1])):
        client, transport = keyed(*script, good(verb), keys=2)
        getattr(call, verb)(client, "Hello")
        assert used(transport) == sent
        assert transport.sleeps == [4.0]


@verbs
def test_a_key_that_cools_too_long_is_not_waited_for_after_a_dead_one(call, keyed, answers, verb):
    """Then no key is left, and the error says when one is back."""
    client, transport = keyed(answers.error(429, retry_after="500"), answers.error(401), keys=2)
    with pytest.raises(AllKeysExhaustedError) as caught:
        getattr(call, verb)(client, "Hello")
    assert isinstance(caught.value.__cause__, AuthenticationError)
    assert caught.value.retry_after == 500
    assert len(caught.value.attempts) == len(transport.requests) == 2
    assert transport.sleeps == []


@verbs
def test_an_overload_stays_with_its_key_while_others_take_their_turns(call, keyed, answers, good, verb):
    """Not even in a pool of many does it reach a second key."""
    client, transport = keyed(*[answers.error(529)] * 3, good(verb), good(verb), keys=6)
    getattr(call, verb)(client, "Hello")
    getattr(call, verb)(client, "Hello")
    assert used(transport) == [0, 0, 0, 0, 1]


def test_a_forbidden_key_is_another_calls_key_again(call, keyed, answers):
    """403 says nothing of the next call."""
    client, transport = keyed(answers.error(403), *[answers.text()] * 3, keys=2)
    for _ in range(3):
        call.chat(client, "Hello")
    assert used(transport) == [0, 1, 0, 1]


@verbs
def test_a_policy_of_ones_own_may_insist_on_forbidden_keys(call, keyed, answers, good, verb):
    """It decides over the waits; the keys take their turns again."""
    client, transport = keyed(
        *[answers.error(403)] * 3, good(verb), keys=2, retry=lambda error, attempt: 2.0 if attempt < 3 else None
    )
    getattr(call, verb)(client, "Hello")
    assert used(transport) == [0, 1, 0, 1]
    assert transport.sleeps == [2.0, 2.0]


@verbs
def test_simple_keys_are_tried_in_turn_and_then_waited_for(call, keyed, answers, good, verb):
    """No key rests, but the provider's wish is kept once all of them failed."""
    client, transport = keyed(*[answers.error(429, retry_after="6")] * 4, good(verb), keys=4, key_strategy="simple")
    getattr(call, verb)(client, "Hello")
    assert used(transport)[:4] == [0, 1, 2, 3]
    assert transport.sleeps == [6.0]
    assert {status.state for status in client.keys.status()} == {"healthy"}


# ------------------------------------------------------------------------------------------------ waiting


@verbs
def test_a_policy_that_comes_back_sooner_than_the_provider_likes_is_obeyed(call, keyed, answers, good, verb):
    """With the only key nobody else is asked."""
    client, transport = keyed(
        answers.error(429, retry_after="30"), good(verb), keys=1, retry=lambda error, attempt: 0.5
    )
    getattr(call, verb)(client, "Hello")
    assert transport.sleeps == [0.5]


@pytest.mark.parametrize("options", [{"retry": "none"}, {"retry": Backoff.none()}, {"retry": None, "max_retries": 0}])
def test_where_nothing_is_tried_again_nothing_is_waited_for(call, keyed, answers, options):
    """However that was said: the owner of the only key may send whenever he likes."""
    client, transport = keyed(answers.error(429, retry_after="30"), answers.text(), keys=1, **options)
    with pytest.raises(RateLimitError):
        call.chat(client, "Hello")
    assert call.chat(client, "Hello").text == "Hi"
    assert transport.sleeps == []


@verbs
def test_the_next_call_waits_for_the_only_key(call, keyed, answers, good, verb):
    """Until the time that the provider named, and not longer."""
    client, transport = keyed(answers.error(429, retry_after="100"), good(verb), keys=1, total_timeout=50)
    with pytest.raises(RateLimitError):
        getattr(call, verb)(client, "Hello")
    getattr(call, verb)(client, "Hello", total_timeout=200)
    assert sum(transport.sleeps) == 100


@pytest.mark.parametrize(
    ("wait_for_key", "rest", "waits"),
    [(None, 120, True), (None, 121, False), (False, 1, False), (True, 500, True), (9, 9, True), (9, 9.5, False)],
    ids=["default", "default, too long", "no", "yes", "seconds", "seconds, too long"],
)
def test_how_long_a_call_waits_for_a_key(call, keyed, answers, wait_for_key, rest, waits):
    """Two minutes unless told otherwise; what it does not wait for, the error tells."""
    client, transport = keyed(answers.text(), keys=2, wait_for_key=wait_for_key, total_timeout=600)
    for key in KEYS[:2]:
        client.keys.rest(key, transport.now() + rest)
    if waits:
        call.chat(client, "Hello")
        assert sum(transport.sleeps) == rest
        return
    with pytest.raises(AllKeysExhaustedError, match="All 2 API keys for openai are currently unavailable") as caught:
        call.chat(client, "Hello")
    assert caught.value.retry_after == rest
    assert caught.value.attempts == ()
    assert transport.sleeps == transport.requests == []


def test_nobody_waits_for_a_key_beyond_the_deadline(call, keyed, answers):
    """The wait that does not fit is not begun, whatever ``wait_for_key`` says."""
    client, transport = keyed(answers.text(), keys=1, wait_for_key=True, total_timeout=50)
    client.keys.rest(KEYS[0], transport.now() + 50)
    with pytest.raises(AllKeysExhaustedError, match="The only API key for openai is unavailable") as caught:
        call.chat(client, "Hello")
    assert caught.value.retry_after == 50
    assert transport.sleeps == []


def test_a_key_that_is_added_frees_those_who_wait(call, keyed, answers):
    """A call that waits an hour for a key takes the one that comes after a minute."""
    client, transport = keyed(answers.text(), keys=1, wait_for_key=True, total_timeout=7200)
    client.keys.rest(KEYS[0], transport.now() + 3600)
    sleep = transport.sleep

    async def sleeping(seconds):
        await sleep(seconds)
        if transport.now() >= 1060:
            client.keys.add_key(KEYS[1])

    transport.sleep = sleeping
    call.chat(client, "Hello")
    assert used(transport) == [1]
    assert sum(transport.sleeps) < 120


def test_a_dead_pool_is_tried_again_after_a_minute(call, keyed, answers):
    """One call a minute finds out whether a key was mended; in between nothing is sent."""
    client, transport = keyed(*[answers.error(401)] * 2, answers.text(), answers.text(), keys=2, wait_for_key=False)
    with pytest.raises(AllKeysExhaustedError) as caught:
        call.chat(client, "Hello")
    assert caught.value.retry_after == 60
    transport._now += 59
    with pytest.raises(
        AllKeysExhaustedError, match="All 2 API keys for openai were refused; one is tried again in 1 s"
    ) as caught:
        call.chat(client, "Hello")
    assert caught.value.retry_after == 1
    assert len(transport.requests) == 2
    transport._now += 1
    assert call.chat(client, "Hello").text == "Hi"
    assert call.chat(client, "Hello").text == "Hi"
    assert used(transport) == [0, 1, 0, 0]


def test_a_daily_quota_of_one_model_does_not_lock_the_only_key(call, scripted):
    """The error says when the day begins anew, but other models may be asked meanwhile."""
    client, transport = scripted(
        {"status": 429, "json": DAILY}, {"json": GEMINI}, target="gemini/gemini-2.5-pro", api_key=KEYS[0]
    )
    with pytest.raises(InsufficientQuotaError) as caught:
        call.chat(client, "Hello")
    assert caught.value.daily
    time = transport.time()
    until = time + caught.value.retry_after
    assert 0 < caught.value.retry_after <= 86400
    assert (until - 8 * 3600) % 86400 == 0  # midnight Pacific standard time
    assert call.chat(client, "Hello", model="gemini-2.5-flash").text == "Hi"
    assert transport.sleeps == []


@verbs
def test_a_date_to_come_back_is_understood(call, keyed, answers, good, verb):
    """Compared with the answer's own date, or with our clock where it has none."""
    own = "Fri, 15 Jan 2027 08:16:40 GMT"  # what the scripted clock shows
    client, transport = keyed(answers.text(), keys=1)
    assert transport.time() == 1_800_001_000.0
    later = "Fri, 15 Jan 2027 08:16:52 GMT"
    wrong_clock = {"retry_after": "Sun, 01 Jan 2023 00:00:12 GMT", "date": "Sun, 01 Jan 2023 00:00:00 GMT"}
    for headers in ({"retry_after": later}, {"Retry_After": later}, {"retry_after": later, "date": own}, wrong_clock):
        client, transport = keyed(answers.error(429, **headers), good(verb), keys=1)
        getattr(call, verb)(client, "Hello")
        assert transport.sleeps == [12.0], headers


@verbs
@pytest.mark.parametrize(
    "headers",
    [
        {
            "anthropic_ratelimit_requests_limit": "10",
            "anthropic_ratelimit_requests_remaining": "0",
            "anthropic_ratelimit_requests_reset": "2027-01-15T08:18:40Z",
        },
        {"x_ratelimit_limit": "10", "x_ratelimit_remaining": "0", "x_ratelimit_reset": "1800001012000"},
        {
            "x_ratelimit_limit_requests": "10",
            "x_ratelimit_remaining_requests": "0",
            "x_ratelimit_reset_requests": "2m0s",
        },
    ],
    ids=["Anthropic", "OpenRouter", "OpenAI"],
)
def test_the_reset_of_a_limit_that_is_used_up_is_a_wish(call, keyed, answers, good, verb, headers):
    """Of a bucket that fills steadily until there is one request, of a window until it begins anew."""
    client, transport = keyed(answers.error(429, **headers), good(verb), keys=1)
    getattr(call, verb)(client, "Hello")
    assert transport.sleeps == [12.0]


# ------------------------------------------------------------------------------------------------ adding, removing


def test_the_last_key_taken_away_is_an_error_not_a_request_without_a_key(call, keyed, answers):
    """Nothing is sent that would be refused anyway."""
    client, transport = keyed(answers.text(), answers.text(), keys=1)
    call.chat(client, "Hello")
    assert client.keys.remove_key(KEYS[0])
    with pytest.raises(AllKeysExhaustedError, match="no API key left") as caught:
        call.chat(client, "Hello")
    assert caught.value.retry_after is None
    client.keys.add_key(KEYS[1])
    call.chat(client, "Hello")
    assert used(transport) == [0, 1]


@pytest.mark.parametrize("empty", [{}, KeyManager("openai", [])], ids=["dict", "manager"])
def test_no_keys_at_all_is_an_error(call, keyed, empty):
    """An empty dict or manager is no way to call without a key."""
    client, transport = keyed(api_keys=empty)
    with pytest.raises(AllKeysExhaustedError, match="no API key left"):
        call.chat(client, "Hello")
    assert transport.requests == []


def test_a_call_whose_key_is_taken_away_meanwhile_finishes(call, keyed, answers):
    """Its answer counts for nobody; the next call has another key."""

    def leaving(request):
        client.keys.remove_key(KEYS[0])
        return answers.text()

    client, transport = keyed(leaving, answers.text(), keys=2)
    assert call.chat(client, "Hello").text == "Hi"
    call.chat(client, "Hello")
    assert used(transport) == [0, 1]
    assert [status.key for status in client.keys.status()] == [f"…{KEYS[1][-4:]}"]


@verbs
def test_a_call_whose_key_is_taken_away_and_fails_goes_on_with_another(call, keyed, answers, good, verb):
    """Whatever the failure; what is gone is not used again."""

    def leaving(request):
        client.keys.remove_key(KEYS[0])
        return answers.error(503)

    client, transport = keyed(leaving, good(verb), keys=2)
    getattr(call, verb)(client, "Hello")
    assert used(transport) == [0, 1]


# ------------------------------------------------------------------------------------------------ sources


def test_keys_of_a_function_are_asked_for_before_every_attempt(call, keyed, answers):
    """Those that stay keep their state: a dead one is not used again."""
    asked = []

    def keys():
        asked.append(1)
        return KEYS[:2]

    client, transport = keyed(answers.error(401), answers.text(), answers.text(), api_keys=keys)
    call.chat(client, "Hello")
    call.chat(client, "Hello")
    assert used(transport) == [0, 1, 1]
    assert len(asked) == 3


def test_keys_of_an_async_function(call, keyed, answers):
    """One key or several, also where the call blocks, as long as it waits for nothing."""

    async def keys():
        return KEYS[:2]

    client, transport = keyed(answers.error(429), answers.text(), api_keys=keys)
    call.chat(client, "Hello")
    assert used(transport) == [0, 1]


def test_weights_of_a_dict(call, keyed, answers):
    """The heavier key is used more often."""
    client, transport = keyed(answers.text(), repeat=True, api_keys={KEYS[0]: 9, KEYS[1]: 1})
    for _ in range(120):
        call.chat(client, "Hello")
    sent = used(transport)
    assert 0 < sent.count(1) < sent.count(0)
    assert [status.weight for status in client.keys.status()] == [9.0, 1.0]


def test_a_key_manager_serves_clients_and_calls_of_ones_own(call, keyed, answers):
    """What one of them finds out the other one knows."""
    manager = KeyManager("openai", KEYS[:2])
    client, _ = keyed(answers.error(401), answers.text(), api_keys=manager)
    assert client.keys is manager
    call.chat(client, "Hello")
    assert manager.execute_with_failover(lambda key: KEYS.index(key)) == 1
    assert [status.state for status in manager.status()] == ["dead", "healthy"]


# ------------------------------------------------------------------------------------------------ telling


@verbs
def test_attempts_tell_everything_and_are_as_many_as_the_requests(call, keyed, answers, good, late, verb):
    """Number, provider, model, duration, error, message, status, wait, time and the end of the key."""
    client, transport = keyed(
        late(2, answers.error(401, message="wrong key")), late(3, answers.error(503)), good(verb), keys=2
    )
    result = getattr(call, verb)(client, "Hello")
    attempts = (result[1] if verb == "stream" else result).attempts
    assert [
        (a.number, a.provider, a.model, a.duration, a.error, a.message, a.status_code, a.waited, a.key)
        for a in attempts
    ] == [
        (1, "openai", "gpt-4o", 2.0, "AuthenticationError", "wrong key", 401, 0.0, "…aaaa"),
        (2, "openai", "gpt-4o", 3.0, "OverloadedError", "it failed", 503, 0.5, "…bbbb"),
        (3, "openai", "gpt-4o", 0.0, None, None, None, 0.0, "…bbbb"),
    ]
    began = 1_800_001_000.0
    assert [a.started for a in attempts] == pytest.approx([began, began, began + 0.5])
    assert len(attempts) == len(transport.requests)


def test_the_only_key_is_not_named(call, keyed, answers):
    """There is nothing to tell apart."""
    client, _ = keyed(answers.error(503), answers.text(), keys=1)
    assert [attempt.key for attempt in call.chat(client, "Hello").attempts] == ["", ""]


def test_events_tell_of_keys(call, keyed, answers):
    """Death, rest, change and wait, each with the end of the key only."""
    told = []
    client, transport = keyed(
        answers.error(401), answers.error(429, retry_after="3"), answers.text(), keys=2, on_event=told.append
    )
    call.chat(client, "Hello")
    names = [(event.name, event.key) for event in told if event.name.startswith("key_")]
    assert names == [("key_dead", "…aaaa"), ("key_switch", "…bbbb"), ("key_cooling", "…bbbb")]
    client.keys.rest(KEYS[1], transport.now() + 100)
    told.clear()
    transport._script.append(answers.text())
    call.chat(client, "Hello")
    assert [event.wait for event in told if event.name == "key_wait"] == [100.0]
    assert not [key for event in told for key in KEYS if key in repr(event)]


@verbs
@pytest.mark.parametrize("status", [401, 402, 403, 429, 503])
def test_no_key_stands_in_an_error_its_attempts_or_its_traceback(call, keyed, answers, verb, status):
    """Not even where the provider repeats the key in its words."""
    message = f"bad {' '.join(KEYS[:3])}"
    client, _ = keyed(*[answers.error(status, message=message, retry_after="999")] * 6, wait_for_key=False)
    with pytest.raises((AllKeysExhaustedError, PermissionDeniedError, RateLimitError, OverloadedError)) as caught:
        getattr(call, verb)(client, "Hello")
    error = caught.value
    shown = "".join(traceback.format_exception(error)) + locals_of(error)
    shown += repr(error) + repr(error.attempts) + repr(vars(error)) + repr(client.keys.status()) + repr(client.keys)
    assert [key for key in KEYS if key in shown] == []


@verbs
def test_quotas_used_up_everywhere_are_all_keys_exhausted(call, keyed, answers, verb):
    """With the last refusal as its cause and the hour as the time to come back."""
    client, _ = keyed(*[answers.error(402, message="no credit")] * 3)
    with pytest.raises(
        AllKeysExhaustedError, match="All 3 API keys for openai are currently unavailable; the first is back in 3600 s"
    ) as caught:
        getattr(call, verb)(client, "Hello")
    error = caught.value
    assert error.retry_after == 3600
    assert error.__cause__.status_code == 402
    assert (error.provider, error.model, error.operation) == ("openai", "gpt-4o", verb)
    assert "no credit" in str(error)
    assert [attempt.status_code for attempt in error.attempts] == [402, 402, 402]


def test_a_limit_told_in_the_middle_of_a_stream_sends_the_key_to_rest(call, keyed, answers):
    """The caller has content, so it is an error; the next call takes another key."""
    event = answers.data({"error": {"message": "slow down", "code": "rate_limit_exceeded"}})
    broken = {"stream": [answers.event("Hel"), event]}
    client, transport = keyed(broken, answers.stream("Hi"), answers.stream("Hi"), keys=2)
    with pytest.raises(StreamError) as caught:
        call.stream(client, "Hello")
    assert caught.value.partial.text == "Hel"
    for _ in range(2):
        call.stream(client, "Hello")
    assert used(transport)[:2] == [0, 1]
    assert len(caught.value.attempts) == 1


def test_many_calls_at_once_find_the_key_that_works():
    """In whichever order the dead ones are found out, no call fails and every request is some call's attempt."""
    with FakeServer(key=KEYS[1]) as server:
        client = server.client(api_key=None, api_keys=KEYS[:3])

        async def many():
            async with client:
                return await asyncio.gather(*(client.achat("What is 2 + 2?") for _ in range(30)))

        answers = asyncio.run(many())
        assert {answer.text for answer in answers} == {"2 + 2 = 4"}
        assert sum(len(answer.attempts) for answer in answers) == len(server.requests)
        assert [status.state for status in client.keys.status()] == ["dead", "healthy", "dead"]
        client.chat("Hello")
        client.close()
        assert len(server.requests) == sum(len(answer.attempts) for answer in answers) + 1
