"""What each failure leads to, row by row of the matrix, in both worlds, whole and streamed, over real HTTP."""

import socket

import pytest

from provider_kit import (
    AllKeysExhaustedError,
    APIConnectionError,
    APIError,
    AuthenticationError,
    Backoff,
    BadRequestError,
    Client,
    ContentFilterError,
    ContextLengthExceededError,
    DeadlineExceededError,
    InsufficientQuotaError,
    InternalServerError,
    NotFoundError,
    OverloadedError,
    PaymentRequiredError,
    PermissionDeniedError,
    ProviderKitError,
    RateLimitError,
    ResponseLostError,
    StreamError,
    StreamIncompleteError,
)
from provider_kit.errors import ConflictError, RequestTimeoutError, RequestTooLargeError, UnprocessableEntityError
from provider_kit.policies.failure_rules import FAILURE_RULES, KeyAction, rule_for
from provider_kit.testing import Fault

KEYS = ["key-number-one-aaaa", "key-number-two-bbbb", "key-number-three-cccc"]
QUICK = Backoff(2, base=0.001, jitter=lambda wait: wait)
DAILY = (
    b'{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"quota","details":[{"violations":'
    b'[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]},{"retryDelay":"34s"}]}}'
)

verbs = pytest.mark.parametrize("verb", ["chat", "stream"])


def used(server):
    """The keys the server saw, by their number."""
    sent = [
        request.headers.get("authorization", request.headers.get("x-goog-api-key", "")) for request in server.requests
    ]
    return [next(number for number, key in enumerate(KEYS, 1) if key in header) for header in sent]


@pytest.fixture
def ask(fake_server, call):
    """Call with so many keys after so many faults: what came of it, the keys used, the client."""

    def run(verb, faults, keys=1, target="openai/gpt-4o", **options):
        fake_server.requests.clear()
        for fault in faults:
            fake_server.fault(fault)
        options.setdefault("retry", QUICK)
        client = fake_server.client(target, api_key=None, api_keys=KEYS[:keys], **options)
        try:
            result = getattr(call, verb)(client, "What is 2 + 2?")
            outcome = result[1] if verb == "stream" else result
        except ProviderKitError as error:
            outcome = error
        assert len(outcome.attempts) == len(fake_server.requests)
        return outcome, used(fake_server), client

    return run


# ------------------------------------------------------------------------------------------------ the rows

FINAL = {
    "400": (Fault(status=400), BadRequestError),
    "404": (Fault(status=404), NotFoundError),
    "413": (Fault(status=413), RequestTooLargeError),
    "422": (Fault(status=422), UnprocessableEntityError),
    "501": (Fault(status=501), InternalServerError),
    "context": (Fault(status=400, code="context_length_exceeded"), ContextLengthExceededError),
    "filter": (Fault(status=400, code="content_filter"), ContentFilterError),
    "told not to": (Fault(status=500, headers={"x-should-retry": "false"}), InternalServerError),
}


@verbs
@pytest.mark.parametrize("keys", [1, 3])
@pytest.mark.parametrize("name", FINAL)
def test_what_is_refused_as_it_is_is_asked_once(ask, verb, keys, name):
    """No retry, no other key, and nothing against the key."""
    fault, kind = FINAL[name]
    error, seen, client = ask(verb, [fault], keys)
    assert type(error) is kind
    assert seen == [1]
    assert {status.state for status in client.keys.status()} == {"healthy"}


PASSING = {
    "408": (Fault(status=408), RequestTimeoutError),
    "409": (Fault(status=409), ConflictError),
    "500": (Fault(status=500), InternalServerError),
    "502": (Fault(status=502), InternalServerError),
    "504": (Fault(status=504), RequestTimeoutError),
    "503": (Fault(status=503), OverloadedError),
    "529": (Fault(status=529), OverloadedError),
    "told to": (Fault(status=400, headers={"x-should-retry": "true"}), BadRequestError),
}


@verbs
@pytest.mark.parametrize("keys", [1, 3])
@pytest.mark.parametrize("name", PASSING)
def test_what_may_pass_is_asked_again_with_the_same_key(ask, verb, keys, name):
    """With a wait, without burning another key; in the end the error is raised."""
    fault, kind = PASSING[name]
    answer, seen, _ = ask(verb, [fault, fault], keys)
    assert answer.text == "2 + 2 = 4"
    assert seen == [1, 1, 1]
    assert [attempt.error for attempt in answer.attempts] == [kind.__name__, kind.__name__, None]
    assert [attempt.waited for attempt in answer.attempts] == [0.001, 0.002, 0.0]
    error, seen, client = ask(verb, [fault] * 3, keys)
    assert type(error) is kind
    assert len(seen) == 3
    assert {status.state for status in client.keys.status()} == {"healthy"}


@verbs
def test_a_refused_key_is_dead_and_another_one_takes_over_at_once(ask, call, fake_server, verb):
    """No wait between them, and it is not used again."""
    answer, seen, client = ask(verb, [Fault(status=401)], 3)
    assert seen == [1, 2]
    assert answer.attempts[0].waited == 0.0
    assert [attempt.key for attempt in answer.attempts] == ["…aaaa", "…bbbb"]
    for _ in range(4):
        call.chat(client, "What is 2 + 2?")
    assert used(fake_server)[2:] == [3, 2, 3, 2]
    assert [status.state for status in client.keys.status()] == ["dead", "healthy", "healthy"]
    assert client.keys.status()[0].available_in is None


@verbs
def test_when_every_key_is_refused_the_error_says_so(ask, call, fake_server, verb):
    """It names when one is tried again, its cause is the last refusal, and nothing is sent meanwhile."""
    error, seen, client = ask(verb, [Fault(status=401)] * 3, 3)
    assert seen == [1, 2, 3]
    assert type(error) is AllKeysExhaustedError
    assert isinstance(error.__cause__, AuthenticationError)
    assert error.code.value == "all_keys_exhausted"
    assert 0 < error.retry_after <= 60
    with pytest.raises(AllKeysExhaustedError) as caught:
        call.chat(client, "Hello")
    assert caught.value.attempts == ()
    assert len(fake_server.requests) == 3


@verbs
def test_the_only_key_is_refused_with_the_providers_words(ask, call, verb):
    """It is tried again by the next call: its owner may have mended it."""
    error, seen, client = ask(verb, [Fault(status=401)], 1)
    assert type(error) is AuthenticationError
    assert seen == [1]
    assert client.keys.status()[0].state == "dead"
    for state in ("unhealthy", "healthy"):
        assert call.chat(client, "What is 2 + 2?").text == "2 + 2 = 4"
        assert client.keys.status()[0].state == state


@verbs
@pytest.mark.parametrize(
    ("fault", "kind"),
    [(Fault(status=402), PaymentRequiredError), (Fault(status=429, code="insufficient_quota"), InsufficientQuotaError)],
    ids=["402", "quota"],
)
def test_a_used_up_quota_parks_the_key(ask, verb, fault, kind):
    """For an hour; another one takes over at once. Alone, the error is raised and nothing is locked."""
    answer, seen, client = ask(verb, [fault], 3)
    assert seen == [1, 2]
    assert answer.attempts[0].error == kind.__name__
    status = client.keys.status()[0]
    assert status.state == "parked"
    assert 3590 < status.available_in <= 3600
    error, seen, _ = ask(verb, [fault], 1)
    assert type(error) is kind
    assert seen == [1]


@verbs
def test_a_daily_quota_parks_the_key_until_the_day_begins_anew(ask, verb):
    """Not for the 34 seconds that the same answer names."""
    fault = Fault(status=429, body=DAILY)
    answer, seen, client = ask(verb, [fault], 2, target="gemini/gemini-2.5-flash")
    assert seen == [1, 2]
    status = client.keys.status()[0]
    assert status.state == "parked"
    assert 34 < status.available_in <= 86400
    assert answer.attempts[0].error == "InsufficientQuotaError"


@verbs
def test_what_a_key_may_not_do_another_one_may(ask, verb):
    """403: another key in this call; the key itself is not touched."""
    _, seen, client = ask(verb, [Fault(status=403)], 3)
    assert seen == [1, 2]
    assert {status.state for status in client.keys.status()} == {"healthy"}
    error, seen, _ = ask(verb, [Fault(status=403)] * 3, 3)
    assert type(error) is PermissionDeniedError
    assert seen == [1, 2, 3]


RETRY_AFTER = {
    "seconds": {"retry-after": "0.05"},
    "milliseconds": {"retry-after-ms": "50", "retry-after": "90"},
    "bucket reset": {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "500ms",
    },
    "window reset": {
        "x-ratelimit-limit-requests-minute": "10",
        "x-ratelimit-remaining-requests-minute": "0",
        "x-ratelimit-reset-requests-minute": "0.05",
    },
}


@verbs
@pytest.mark.parametrize("form", RETRY_AFTER)
def test_a_rate_limit_is_waited_for_with_the_only_key(ask, verb, form):
    """As long as the provider says, in whichever form."""
    answer, seen, _ = ask(verb, [Fault(status=429, headers=RETRY_AFTER[form])], 1)
    assert seen == [1, 1]
    assert answer.attempts[0].waited == pytest.approx(0.05)


@verbs
def test_a_rate_limit_sends_the_key_to_rest_and_another_one_takes_over(ask, call, fake_server, verb):
    """At once; the key is back when the provider said, and not before."""
    answer, seen, client = ask(verb, [Fault(status=429, retry_after=30)], 3)
    assert seen == [1, 2]
    assert answer.attempts[0].waited == 0.0
    for _ in range(4):
        call.chat(client, "Hello")
    assert used(fake_server)[2:] == [3, 2, 3, 2]
    status = client.keys.status()[0]
    assert status.state == "cooling"
    assert 29 < status.available_in <= 30


@verbs
def test_a_call_uses_three_keys_at_most(fake_server, call, verb):
    """Then it waits, or gives up."""
    keys = [f"key-number-{number}-abcdefgh" for number in range(5)]
    for _ in range(5):
        fake_server.fault(429, retry_after=30)
    client = fake_server.client(api_key=None, api_keys=keys, max_retries=0)
    with pytest.raises(RateLimitError) as caught:
        getattr(call, verb)(client, "Hello")
    assert len(caught.value.attempts) == len(fake_server.requests) == 3


@verbs
def test_an_answer_that_may_have_been_billed_is_not_asked_for_again(ask, verb):
    """Unless the caller allows it."""
    error, seen, _ = ask(verb, [Fault(reset=True)], 3)
    assert isinstance(error, ResponseLostError)
    assert seen == [1]
    answer, seen, _ = ask(verb, [Fault(reset=True)], 3, retry_on_read_timeout=True)
    assert answer.text == "2 + 2 = 4"
    assert seen == [1, 1]


@verbs
def test_a_late_answer_is_not_asked_for_again(ask, verb):
    """Unless the caller allows it."""
    late = Fault(latency=2)
    error, seen, _ = ask(verb, [late], 1, timeout=0.5)
    assert isinstance(error, APIConnectionError)
    assert not error.retryable
    assert seen == [1]
    answer, seen, _ = ask(verb, [late], 1, timeout=0.5, retry_on_read_timeout=True)
    assert answer.text == "2 + 2 = 4"
    assert len(seen) == 2


@verbs
def test_what_cannot_be_delivered_is_tried_again(call, verb):
    """Nobody listens: nothing was sent, so it is tried as often as the policy says."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        client = Client(f"http://127.0.0.1:{free.getsockname()[1]}/v1", model="m", retry=QUICK)
        with pytest.raises(APIConnectionError) as caught:
            getattr(call, verb)(client, "Hello")
    assert len(caught.value.attempts) == 3


@verbs
@pytest.mark.parametrize(
    ("fault", "seen_keys"),
    [
        (Fault(embedded_error=True, code="server_error"), [1, 1]),
        (Fault(embedded_error=True, code="invalid_api_key"), [1, 2]),
        (Fault(embedded_error=True, code="rate_limit_exceeded"), [1, 2]),
    ],
    ids=["server_error", "invalid_api_key", "rate_limit_exceeded"],
)
def test_an_error_inside_a_200_counts_as_what_its_code_says(ask, verb, fault, seen_keys):
    """Successful by its status only."""
    answer, seen, _ = ask(verb, [fault], 3)
    assert answer.text == "2 + 2 = 4"
    assert seen == seen_keys


@pytest.mark.parametrize("fault", [Fault(error_after=0), Fault(cut_after=0)], ids=["error event", "cut"])
def test_a_stream_that_fails_before_its_first_content_is_asked_for_again(ask, fault):
    """Unseen by the caller."""
    answer, seen, _ = ask("stream", [fault], 1)
    assert answer.text == "2 + 2 = 4"
    assert len(seen) == 2


def test_a_stream_that_fails_after_content_is_an_error_with_what_there_is(ask):
    """And is not asked for again."""
    error, seen, _ = ask("stream", [Fault(cut_after=3)], 3)
    assert type(error) is StreamIncompleteError
    assert error.partial.text
    assert error.partial.finish_reason == "error"
    assert len(seen) == 1


@verbs
def test_one_deadline_holds_over_attempts_keys_and_waits(ask, verb):
    """A wait that does not fit is not begun."""
    error, seen, _ = ask(verb, [Fault(status=429, retry_after=5)] * 3, 3, total_timeout=2)
    assert type(error) is RateLimitError
    assert seen == [1, 2, 3]
    error, seen, _ = ask(verb, [Fault(latency=1)], 1, total_timeout=0.2)
    assert isinstance(error, DeadlineExceededError)


def test_a_policy_of_ones_own_is_obeyed(ask):
    """It decides over waits; changes of the key are not its business."""
    asked = []

    def policy(error, attempt):
        asked.append((type(error).__name__, attempt))
        return 0.001 if attempt < 3 else None

    error, seen, _ = ask("chat", [Fault(status=400)] * 3, 3, retry=policy)
    assert isinstance(error, APIError)
    assert seen == [1, 1, 1]
    assert asked == [("BadRequestError", 1), ("BadRequestError", 2), ("BadRequestError", 3)]


# ------------------------------------------------------------------------------------------------ the table


def test_every_row_can_be_reached():
    """No row is hidden by one above it."""
    hidden = []
    for number, row in enumerate(FAILURE_RULES):
        samples = []
        for kind in row.errors:
            sample = kind("x")
            if row.retryable is not None:
                sample.retryable = row.retryable
            samples.append(sample)
        if not any(rule_for(sample) is row for sample in samples):
            hidden.append(number)
    assert hidden == []


def test_what_the_table_calls_final_says_of_itself_that_it_is():
    """``retryable`` of an error and the column agree."""
    for row in FAILURE_RULES:
        for kind in row.errors:
            error = kind("x")
            sent = isinstance(error, (APIError, APIConnectionError, StreamError))
            if row.retryable is None and rule_for(error) is row and sent:
                assert error.retryable == (row.same_key in ("backoff", "no other key")), (row.failure, kind)


def test_only_failures_of_the_key_change_the_key():
    """And only those let another key take over, but for 403, which may be the model's."""
    for row in FAILURE_RULES:
        assert row.key is KeyAction.UNTOUCHED or row.other_key, row
        assert not (row.other_key and row.breaker), row
