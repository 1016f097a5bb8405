"""Keys for calls of one's own: the next one where the key is to blame, in both worlds, and nothing is shown."""

import asyncio
import functools
import threading
import traceback

import pytest
import requests

from provider_kit import (
    AllKeysExhaustedError,
    AuthenticationError,
    AuthError,
    AuthErrorCode,
    BadRequestError,
    ConfigError,
    KeyManager,
    OverloadedError,
    PermissionDeniedError,
    RateLimitError,
)

KEYS = [f"key-number-{number}-{letter * 6}" for number, letter in enumerate("abcde")]


class Blocking:
    """``execute_with_failover``."""

    def run(self, manager, function):
        return manager.execute_with_failover(function)


class Asyncio:
    """``aexecute_with_failover`` with a plain function, which runs in a thread."""

    def run(self, manager, function):
        return asyncio.run(manager.aexecute_with_failover(function))


class Awaited:
    """``aexecute_with_failover`` with an asynchronous function."""

    def run(self, manager, function):
        async def asynchronous(key):
            await asyncio.sleep(0)
            return function(key)

        return asyncio.run(manager.aexecute_with_failover(asynchronous))


@pytest.fixture(params=[Blocking, Asyncio, Awaited], ids=lambda kind: kind.__name__.lower())
def execute(request):
    """All ways to execute a function."""
    return request.param().run


class Calls:
    """A function that fails as told, one entry for each call, and then returns the key's number."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.keys = []

    def __call__(self, key):
        self.keys.append(KEYS.index(key))
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        return self.keys[-1]


class SDKError(Exception):
    """As vendors' SDKs have it: the status on the error."""

    def __init__(self, status_code, response=None):
        super().__init__(f"Error code: {status_code}")
        self.status_code = status_code
        self.response = response


class StatusError(Exception):
    """As aiohttp has it: status and headers on the error."""

    def __init__(self, status, headers=None):
        super().__init__(f"{status}")
        self.status = status
        self.headers = headers


def answered(status, headers=None, body=b""):
    """An error as requests raises it for an answer."""
    response = requests.Response()
    response.status_code = status
    response.headers.update(headers or {})
    response._content = body
    return requests.HTTPError(f"{status} Error", response=response)


# ------------------------------------------------------------------------------------------------ failover


def test_keys_take_turns_over_calls(execute):
    """Each call begins with the next key."""
    manager, calls = KeyManager("openai", KEYS[:2]), Calls()
    assert [execute(manager, calls) for _ in range(3)] == [0, 1, 0]


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (AuthenticationError("wrong"), "dead"),
        (RateLimitError("slow", retry_after=9), "cooling"),
        (PermissionDeniedError("no"), "healthy"),
        (SDKError(401), "dead"),
        (SDKError(402), "parked"),
        (StatusError(429, {"Retry-After": "9"}), "cooling"),
        (answered(401), "dead"),
        (answered(403), "healthy"),
        (answered(429, {"retry-after": "9"}), "cooling"),
        (answered(429, body=b'{"error": {"message": "pay", "code": "insufficient_quota"}}'), "parked"),
        (RuntimeError("no idea"), "healthy"),
    ],
    ids=[
        "own 401",
        "own 429",
        "own 403",
        "sdk 401",
        "sdk 402",
        "aiohttp 429",
        "requests 401",
        "requests 403",
        "requests 429",
        "requests quota",
        "unknown",
    ],
)
def test_where_the_key_is_to_blame_the_next_one_takes_over(execute, error, state):
    """At once; errors of this library, of others with a status, and any other."""
    manager, calls = KeyManager("openai", KEYS[:3]), Calls(error)
    assert execute(manager, calls) == 1
    assert calls.keys == [0, 1]
    status = manager.status()[0]
    assert status.state == state
    if state == "cooling":
        assert 8 < status.available_in <= 9


@pytest.mark.parametrize(
    "error",
    [BadRequestError("bad"), OverloadedError("busy"), SDKError(400), SDKError(503), StatusError(500), answered(404)],
    ids=["own 400", "own 503", "sdk 400", "sdk 503", "aiohttp 500", "requests 404"],
)
def test_where_another_key_would_not_help_the_error_is_raised_as_it_is(execute, error):
    """No other key is burnt, and the key is not blamed."""
    manager, calls = KeyManager("openai", KEYS[:3]), Calls(error)
    with pytest.raises(type(error)) as caught:
        execute(manager, calls)
    assert caught.value is error
    assert calls.keys == [0]
    assert {status.state for status in manager.status()} == {"healthy"}
    assert manager.status()[0].failures == 0


@pytest.mark.parametrize("options", [{}, {"max_keys": 2}, {"strategy": "simple"}], ids=["three", "two", "simple"])
def test_only_so_many_keys_are_tried(execute, options):
    """Three, as many as were said, or all of a simple pool; the last failure is the cause."""
    errors = [RuntimeError(f"failure {number}") for number in range(5)]
    manager, calls = KeyManager("openai", KEYS, **options), Calls(*errors)
    with pytest.raises(AllKeysExhaustedError) as caught:
        execute(manager, calls)
    count = {"max_keys": 2, "strategy": 5}.get(next(iter(options), ""), 3)
    assert calls.keys == list(range(count))
    assert caught.value.__cause__ is errors[count - 1]
    assert caught.value.message == f"All {count} failover attempts failed, last error: failure {count - 1}"
    assert caught.value.code is AuthErrorCode.ALL_KEYS_EXHAUSTED
    assert caught.value.retryable


def test_a_key_that_fails_three_times_rests_and_comes_back(execute):
    """Meanwhile the others serve; its rest over it takes its turn again."""
    now = [0.0]
    manager = KeyManager("openai", KEYS[:2], clock=lambda: now[0])
    for _ in range(3):
        manager.report_failure(KEYS[0], RuntimeError("no idea"))
    calls = Calls()
    assert [execute(manager, calls) for _ in range(3)] == [1, 1, 1]
    now[0] = 1.0
    assert sorted(execute(manager, calls) for _ in range(4)) == [0, 0, 1, 1]
    assert manager.status()[0].state == "healthy"


def test_the_only_key_is_tried_by_every_call(execute):
    """It is never locked out on a guess."""
    manager, calls = KeyManager("openai", KEYS[:1]), Calls(*[RuntimeError("no idea")] * 5, AuthenticationError("wrong"))
    for _ in range(6):
        with pytest.raises(AllKeysExhaustedError):
            execute(manager, calls)
    assert execute(manager, calls) == 0


# ------------------------------------------------------------------------------------------------ waiting


@pytest.mark.parametrize(("wait", "waits"), [(True, True), (5, True), (False, False), (0.01, False)])
def test_whether_it_waits_for_a_key(execute, wait, waits):
    """Yes, no, or so many seconds; otherwise the error says when one is back."""
    manager, calls = KeyManager("openai", KEYS[:2], wait=wait), Calls()
    for key in KEYS[:2]:
        manager.report_failure(key, RateLimitError("slow", retry_after=0.2))
    if waits:
        execute(manager, calls)
        assert manager.status()[0].available_in == 0
        return
    with pytest.raises(AllKeysExhaustedError, match=r"All 2 API keys for .* are currently unavailable") as caught:
        execute(manager, calls)
    assert 0 < caught.value.retry_after <= 0.2
    assert calls.keys == []


def test_the_error_says_when_a_key_is_back(execute):
    """Of keys that cool, the first one; of dead ones, when one is tried again."""
    manager = KeyManager("openai", KEYS[:2])
    with pytest.raises(AllKeysExhaustedError) as caught:
        execute(manager, Calls(RateLimitError("slow", retry_after=50), RateLimitError("slow", retry_after=20)))
    assert 19 < caught.value.retry_after <= 20
    manager = KeyManager("openai", KEYS[:2])
    with pytest.raises(AllKeysExhaustedError) as caught:
        execute(manager, Calls(*[AuthenticationError("wrong")] * 2))
    assert 59 < caught.value.retry_after <= 60


def test_a_manager_without_keys_says_so(execute):
    """And nothing is called."""
    calls = Calls()
    with pytest.raises(AllKeysExhaustedError, match="There is no API key left") as caught:
        execute(KeyManager("openai", [], wait=True), calls)
    assert caught.value.retry_after is None
    assert calls.keys == []


# ------------------------------------------------------------------------------------------------ sources


def test_keys_of_a_function(execute):
    """Asked before each try; those that stay keep their state."""
    asked = []

    def keys():
        asked.append(1)
        return KEYS[:2]

    manager, calls = KeyManager("openai", keys), Calls(AuthenticationError("wrong"))
    assert execute(manager, calls) == 1
    assert execute(manager, calls) == 1
    assert len(asked) == 3


def test_a_single_key_of_a_function_is_one(execute):
    """Not a list of letters."""
    assert execute(KeyManager("openai", lambda: KEYS[0]), Calls()) == 0


def test_an_async_source_is_awaited_in_asyncio_and_refused_elsewhere():
    """The blocking half says what to do instead."""

    async def keys():
        await asyncio.sleep(0)
        return KEYS[:1]

    manager = KeyManager("openai", keys)
    assert asyncio.run(manager.aexecute_with_failover(Calls())) == 0
    with pytest.raises(AuthError, match="asynchronous"):
        manager.execute_with_failover(Calls())


@pytest.mark.parametrize("found", [[], None, 5, [None]], ids=repr)
def test_a_source_without_keys_is_an_error(execute, found):
    """Not a call without a key."""
    calls = Calls()
    with pytest.raises(AuthError, match="neither a key nor a list of keys"):
        execute(KeyManager("openai", lambda: found), calls)
    assert calls.keys == []


def test_weights_count_without_being_asked_for():
    """A dict gives each key its weight, and ``weighted`` is the strategy then."""
    values = iter([0.5, 0.6, 0.5, 0.6, 0.5, 0.9])
    manager = KeyManager("openai", {KEYS[0]: 3, KEYS[1]: 1}, choose=lambda: next(values))
    calls = Calls()
    assert manager.strategy == "weighted"
    # 0.5 ** (1 / 3) is above 0.6, below 0.9.
    assert [manager.execute_with_failover(calls) for _ in range(3)] == [0, 0, 1]
    assert KeyManager("openai", {KEYS[0]: 3}, strategy="random").strategy == "random"


def test_a_single_text_is_refused():
    """Its letters would be the keys."""
    with pytest.raises(ConfigError, match="must be a list"):
        KeyManager("openai", KEYS[0])


# ------------------------------------------------------------------------------------------------ asynchronous


def test_whatever_can_be_awaited_is():
    """Partials, objects that are called, and functions that return something to await."""

    async def answer(key, more=""):
        await asyncio.sleep(0)
        return key + more

    class Callable:
        async def __call__(self, key):
            return await answer(key)

    manager = KeyManager("openai", KEYS[:1])
    for function in (answer, functools.partial(answer, more=""), Callable(), lambda key: answer(key)):
        assert asyncio.run(manager.aexecute_with_failover(function)) == KEYS[0]


def test_a_plain_function_does_not_block_the_event_loop():
    """It runs in a worker thread; in the blocking half it runs where it is called."""
    manager = KeyManager("openai", KEYS[:1])
    main = threading.current_thread()
    assert manager.execute_with_failover(lambda key: threading.current_thread()) is main
    assert asyncio.run(manager.aexecute_with_failover(lambda key: threading.current_thread())) is not main


def test_a_cancelled_call_blames_no_key():
    """Somebody went away; the key had nothing to do with it."""
    manager = KeyManager("openai", KEYS[:2])

    async def hang(key):
        await asyncio.sleep(60)

    async def main():
        task = asyncio.create_task(manager.aexecute_with_failover(hang))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert [(status.requests, status.failures, status.last_error) for status in manager.status()] == [
        (1, 0, None),
        (0, 0, None),
    ]


def test_a_key_taken_away_in_the_middle_of_a_call_serves_it_to_its_end():
    """Threads go on with what they have; the next call has another key."""
    manager = KeyManager("openai", KEYS[:2])
    began, gone = threading.Event(), threading.Event()
    results = []

    def slow(key):
        began.set()
        assert gone.wait(5)
        return key

    thread = threading.Thread(target=lambda: results.append(manager.execute_with_failover(slow)))
    thread.start()
    assert began.wait(5)
    assert manager.remove_key(KEYS[0])
    gone.set()
    thread.join()
    assert results == [KEYS[0]]
    assert [manager.execute_with_failover(Calls()) for _ in range(2)] == [1, 1]
    assert len(manager.status()) == 1


def test_many_threads_share_one_manager():
    """With one dead key each call succeeds, and the key is found out once or a few times, not by every call."""
    manager = KeyManager("openai", KEYS[:3])
    refused, results = [], []

    def ask(key):
        if key == KEYS[1]:
            refused.append(key)
            raise AuthenticationError("wrong")
        return key

    def work():
        results.extend(manager.execute_with_failover(ask) for _ in range(100))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 800
    assert set(results) == {KEYS[0], KEYS[2]}
    assert 1 <= len(refused) <= 8
    assert manager.status()[1].state == "dead"


# ------------------------------------------------------------------------------------------------ showing


def test_no_key_is_shown(execute):
    """Not where the failure repeats it, not in the local variables of the library's frames."""
    manager = KeyManager("openai", KEYS[:2])
    calls = Calls(*(AuthenticationError(f"wrong key {KEYS[0]}") for _ in range(2)))
    with pytest.raises(AllKeysExhaustedError) as caught:
        execute(manager, calls)
    error = caught.value
    frames = [
        repr(frame.f_locals)
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if "provider_kit" in frame.f_code.co_filename
    ]
    assert any("KeyManager" in frame for frame in frames)
    shown = f"{error} {error!r} {vars(error)} {error.hint} {manager!r} {manager.status()} {frames}"
    # What the function itself said is its own, and hangs below as the cause.
    shown = shown.replace(repr(error.__cause__), "")
    assert [key for key in KEYS if key in shown] == []
    assert [status.key for status in manager.status()] == ["…aaaa", "…bbbb"]


@pytest.mark.parametrize(
    "wrong",
    [
        *({name: value} for name in ("max_keys", "unhealthy_after", "healthy_after") for value in ("3", 0, 1.5, True)),
        *({name: value} for name in ("first_backoff", "longest_backoff", "park") for value in ("a", -1, None)),
        *({"wait": value} for value in ("yes", -1, None)),
    ],
    ids=str,
)
def test_a_number_that_is_none_is_refused_at_once(wrong):
    """Not with the first failure, in whose place it would be raised."""
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        KeyManager("openai", KEYS, **wrong)


def test_keys_that_are_gone_do_not_count_as_tried(execute):
    """The source returned two others after the first was refused."""
    sets = [["key-of-yesterday-0001"], ["key-of-today-00000001", "key-of-today-00000002"]]
    manager, used = KeyManager("openai", lambda: sets[min(len(used), 1)]), []

    def ask(key):
        used.append(key)
        if len(used) < 3:
            raise AuthenticationError("no", status_code=401)
        return "fine"

    assert execute(manager, ask) == "fine"
    assert len(set(used)) == 3
