"""A rate limiter on its own, from threads and from asyncio."""

import asyncio
import threading
import time

import pytest

from provider_kit import ConfigError, InvalidRequestError, RateLimiter, RateLimitExceededError, ScriptedTransport


class World:
    """The blocking half of a limiter, or the other one."""

    def __init__(self, name):
        self.name = name

    def wait(self, limiter, *args, **options):
        if self.name == "blocking":
            return limiter.acquire(*args, **options)
        return asyncio.run(limiter.aacquire(*args, **options))


@pytest.fixture(params=["blocking", "asyncio"])
def world(request):
    return World(request.param)


@pytest.fixture
def clock():
    """A clock that moves only when somebody waits."""
    return ScriptedTransport([])


def stretches(stamps, limit, seconds):
    """The shortest times in which one more than the limit went."""
    stamps = sorted(stamps)
    return [late - early for early, late in zip(stamps, stamps[limit:], strict=False) if late - early < seconds]


def test_no_more_than_the_limit_goes_in_any_second(world, clock):
    """And nobody waits longer than needed."""
    limiter = RateLimiter(2, clock=clock)
    times = []
    for _ in range(5):
        world.wait(limiter)
        times.append(clock.now())
    assert times == [1000.0, 1000.0, 1001.0, 1001.0, 1002.0]
    assert clock.sleeps == [1.0, 1.0]


def test_all_limits_are_kept_at_once(world, clock):
    """Seconds, minutes and days, each in a window of its own."""
    limiter = RateLimiter(2, requests_per_minute=3, requests_per_day=4, clock=clock)
    times = []
    for _ in range(5):
        world.wait(limiter)
        times.append(clock.now() - 1000.0)
    assert times == [0.0, 0.0, 1.0, 60.0, 86400.0]


def test_tokens_that_were_not_used_are_given_back(world, clock):
    """``done`` tells what was used, and the next one goes the earlier."""
    limiter = RateLimiter(tokens_per_minute=100, clock=clock)
    ticket = world.wait(limiter, 90)
    assert not limiter.try_acquire(50)
    limiter.done(ticket, 40)
    assert limiter.try_acquire(60)
    assert not limiter.try_acquire(1)
    assert clock.sleeps == []


def test_more_tokens_than_the_limit_go_alone(world, clock):
    """A request that is larger than the limit is not refused for ever."""
    limiter = RateLimiter(tokens_per_minute=100, clock=clock)
    world.wait(limiter, 1)
    world.wait(limiter, 5000)
    assert sum(clock.sleeps) == 60.0
    assert not limiter.try_acquire(1)


def test_what_would_take_too_long_fails_at_once_and_takes_no_room(world, clock):
    """The error says how long it would have been, and the queue is as it was."""
    limiter = RateLimiter(requests_per_minute=1, clock=clock)
    world.wait(limiter)
    for timeout in (10, 0, 59.9):
        with pytest.raises(RateLimitExceededError) as caught:
            world.wait(limiter, timeout=timeout)
        assert caught.value.retry_after == 60.0
        assert caught.value.retryable
    assert clock.sleeps == []
    assert len(limiter) == 0
    world.wait(limiter, timeout=60)
    assert sum(clock.sleeps) == 60.0


def test_no_timeout_is_needed_where_there_is_room(world, clock):
    """Not even one of nothing."""
    world.wait(RateLimiter(1, clock=clock), timeout=0)


def test_the_names_of_other_libraries_do_the_same(clock):
    """acquire, aacquire, try_acquire."""
    limiter = RateLimiter(requests_per_minute=3, clock=clock)
    assert limiter.acquire().admitted
    assert asyncio.run(limiter.aacquire()).admitted
    assert limiter.try_acquire()
    assert not limiter.try_acquire()


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param({}, id="none"),
        pytest.param({"requests_per_second": 0}, id="zero"),
        pytest.param({"requests_per_minute": -1}, id="negative"),
        pytest.param({"requests_per_day": True}, id="bool"),
        pytest.param({"tokens_per_minute": "many"}, id="text"),
        pytest.param({"requests_per_second": float("nan")}, id="not a number"),
        pytest.param({"requests_per_second": float("inf")}, id="infinite"),
        pytest.param({"requests_per_second": 0.5}, id="less than one"),
    ],
)
def test_a_limiter_without_a_limit_is_refused(limits):
    """When it is made, with a hint."""
    with pytest.raises(ConfigError) as caught:
        RateLimiter(**limits)
    assert caught.value.hint


@pytest.mark.parametrize("tokens", [-1, float("nan"), float("inf"), "5", None, True], ids=repr)
def test_tokens_that_are_no_amount_are_refused(world, tokens):
    """They would spoil the count for everybody after them."""
    limiter = RateLimiter(tokens_per_minute=100)
    with pytest.raises(InvalidRequestError, match="tokens"):
        world.wait(limiter, tokens)
    with pytest.raises(InvalidRequestError, match="tokens"):
        limiter.try_acquire(tokens)
    ticket = world.wait(limiter, 100)
    with pytest.raises(InvalidRequestError, match="tokens"):
        limiter.done(ticket, tokens)
    assert not limiter.try_acquire(1)


@pytest.mark.parametrize("timeout", [-1, float("nan"), "5", True], ids=repr)
def test_a_timeout_that_is_no_time_is_refused(world, timeout):
    """Before a place in the queue is taken."""
    limiter = RateLimiter(1)
    with pytest.raises(InvalidRequestError, match="timeout"):
        world.wait(limiter, timeout=timeout)
    assert limiter.try_acquire()


def test_the_timeout_of_one_who_waits_behind_others_counts_their_turns(clock):
    """Each of the four before takes a minute."""
    limiter = RateLimiter(requests_per_minute=1, clock=clock)
    assert limiter.try_acquire()
    queue = [limiter.windows.ask(0, clock.now()) for _ in range(3)]
    with pytest.raises(RateLimitExceededError) as caught:
        limiter.acquire(timeout=200)
    assert caught.value.retry_after == 240.0
    assert len(limiter) == len(queue)


def test_who_runs_out_of_time_in_the_queue_is_told_how_long_it_would_still_take(clock):
    """Somebody before it was slower than foretold."""
    limiter = RateLimiter(requests_per_minute=1, clock=clock)
    assert limiter.try_acquire()
    waiting = limiter.windows.ask(0, clock.now())  # comes to its turn, and does not go
    with pytest.raises(RateLimitExceededError) as caught:
        limiter.acquire(timeout=200)
    assert sum(clock.sleeps) == 200.0
    assert caught.value.retry_after == 60.0
    assert (len(limiter), waiting.admitted) == (1, False)


def test_threads_and_tasks_together_never_exceed_the_limit():
    """Eight threads and eight tasks of an event loop wait in one queue, and all come through."""
    limiter = RateLimiter(8)
    stamps = []

    def work():
        limiter.acquire(timeout=30)
        stamps.append(time.monotonic())

    async def task():
        await limiter.aacquire(timeout=30)
        stamps.append(time.monotonic())

    async def tasks():
        await asyncio.gather(*(task() for _ in range(8)))

    threads = [threading.Thread(target=work) for _ in range(8)]
    threads.append(threading.Thread(target=lambda: asyncio.run(tasks())))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stamps) == 16
    # The stamp is taken a moment after the admission, so two may be a little closer than those.
    assert stretches(stamps, 8, 0.9) == []
    assert len(limiter) == 0


def test_cancelled_tasks_leave_the_queue_and_nobody_is_stuck():
    """The ones behind them move up."""
    limiter = RateLimiter(1)

    async def scenario():
        assert limiter.try_acquire()
        tasks = [asyncio.create_task(limiter.aacquire()) for _ in range(4)]
        while len(limiter) < 4:
            await asyncio.sleep(0)
        for task in tasks[:3]:
            task.cancel()
        began = time.monotonic()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in ended[:3]] == [asyncio.CancelledError] * 3
        assert ended[3].admitted
        return time.monotonic() - began

    assert asyncio.run(scenario()) < 1.5
    assert len(limiter) == 0


def test_tokens_given_back_wake_another_thread():
    """It waits for a minute at most, and goes at once."""
    limiter = RateLimiter(tokens_per_minute=100)
    ticket = limiter.acquire(100)
    done = []
    thread = threading.Thread(target=lambda: done.append(limiter.acquire(50)))
    began = time.monotonic()
    thread.start()
    while not len(limiter):
        time.sleep(0.001)
    limiter.done(ticket, 0)
    thread.join(20)
    assert done
    assert time.monotonic() - began < 20


def test_room_can_be_claimed_ahead_for_callers_that_wait_by_themselves():
    """As the protocol for limiters of one's own has it."""
    limiter = RateLimiter(1)
    assert [limiter.reserve(5, 10.0) for _ in range(3)] == [0.0, 1.0, 2.0]
    limiter.settle(5, 1, 10.0)
    assert limiter.reserve(5, 10.0) == 3.0
