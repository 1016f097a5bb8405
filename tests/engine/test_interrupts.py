"""Interrupts between any two lines: no place, turn or lead is lost, and the client goes on."""

import gc
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager

import pytest

import provider_kit
from provider_kit import HTTPConfig, RateLimitConfig, ResponseCache
from provider_kit.testing import FakeServer

ROOT = os.path.dirname(provider_kit.__file__)
ANSWER = "20 + 22 = 42"

#: Where an interrupt strikes before a coroutine begins, or a connection is known to anybody, Python says so.
pytestmark = [
    pytest.mark.filterwarnings(
        "ignore::pytest.PytestUnraisableExceptionWarning",
        "ignore:unclosed <socket:ResourceWarning",
        "ignore:coroutine .* was never awaited:RuntimeWarning",
    ),
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs the signals of Unix"),
]


class Interrupt:
    """Raises at one of the lines of the library that the calling thread walks."""

    def __init__(self, at=0, error=KeyboardInterrupt):
        self.at = at
        self.error = error
        self.lines = 0
        self.where = ""
        #: Whether it struck where Python itself can tell nobody: in a callback of the garbage collector.
        self.unheard = False

    def _call(self, frame, event, arg):
        return self._line if frame.f_code.co_filename.startswith(ROOT) else None

    def _line(self, frame, event, arg):
        if event == "line":
            self.lines += 1
            if self.lines == self.at:
                self.where = f"{frame.f_code.co_filename[len(ROOT) + 1 :]}:{frame.f_lineno} {frame.f_code.co_name}"
                names = set()
                while frame is not None:
                    names.add(frame.f_code.co_name)
                    frame = frame.f_back
                self.unheard = not names.isdisjoint(("_lost", "_leader_lost", "__del__"))
                raise self.error
        return self._line

    @contextmanager
    def during(self):
        before = sys.gettrace()
        sys.settrace(self._call)
        try:
            yield self
        finally:
            sys.settrace(before)


def chat(client, **options):
    return client.chat("What is 20 + 22?", **options).text


def stream(client, **options):
    with client.stream("What is 20 + 22?", **options) as made:
        return "".join(chunk.text for chunk in made)


def stream_without_with(client, **options):
    return "".join(chunk.text for chunk in client.stream("What is 20 + 22?", **options))


OPTIONS = {
    "place": lambda: {"max_concurrency": 1},
    "ticket": lambda: {"rate_limit": RateLimitConfig(requests_per_minute=1_000_000)},
    "place and spaced tickets": lambda: {
        "max_concurrency": 1,
        "rate_limit": RateLimitConfig(requests_per_minute=100_000, pacing="smooth"),
    },
    "connection": lambda: {"http": HTTPConfig(max_connections=1)},
    "place and circuit": lambda: {"max_concurrency": 1, "circuit_breaker": True},
    "place and several keys": lambda: {"max_concurrency": 1, "api_keys": ["key-0123456789ab", "key-ba9876543210"]},
}


@pytest.fixture
def server():
    threads = threading.active_count()
    with FakeServer() as made:
        yield made
    gc.collect()  # connections that an interrupt left to the garbage collector
    assert threading.active_count() == threads


def nothing_is_held(client):
    """Neither a slot, nor a place in any queue, nor a lead."""
    admission, cache = client._admission, client._engine.parts.cache
    return (
        (admission.slots is None or (admission.slots.taken, len(admission.slots)) == (0, 0))
        and not any(len(limiter) for limiter in admission.rates.limiters.values())
        and (cache is None or not cache._flights._flights)
    )


@pytest.mark.parametrize("held", OPTIONS)
@pytest.mark.parametrize("verb", [chat, stream, stream_without_with])
def test_an_interrupt_between_any_two_lines_loses_nothing(server, verb, held):
    """The next call has all that the interrupted one had, at once."""
    client = server.client(max_retries=0, **OPTIONS[held]())
    assert verb(client) == ANSWER
    with Interrupt().during() as walk:
        verb(client)
    every = 1 if verb is chat else 5
    for at in range(1, walk.lines + 1, every):
        interrupt = Interrupt(at)
        with interrupt.during():
            try:
                verb(client)
            except KeyboardInterrupt:
                pass  # it may also have struck where Python swallows it, or not have come so far
        began = time.monotonic()
        assert verb(client, total_timeout=2) == ANSWER, interrupt.where
        assert time.monotonic() - began < 1, interrupt.where
        assert nothing_is_held(client), interrupt.where
    client.close()


class TimeIsUp(Exception):
    """What a task queue raises in a job that takes too long."""


@contextmanager
def alarms():
    """Let a timer raise in the middle of whatever runs; the function that sets it."""

    def handler(number, frame):
        raise TimeIsUp

    before, timer = signal.signal(signal.SIGALRM, handler), signal.getitimer(signal.ITIMER_REAL)[0]
    try:
        yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, timer)


@pytest.mark.parametrize("error", [KeyboardInterrupt, TimeIsUp, SystemExit])
def test_any_exception_between_any_two_lines_reaches_the_caller(server, error):
    """Whatever its class: it is not swallowed, not translated, and nothing is tried again because of it."""
    client = server.client(max_retries=3, max_concurrency=1)
    chat(client)
    with Interrupt().during() as walk:
        chat(client)
    lost = []
    for at in range(1, walk.lines + 1, 3):
        asked = len(server.requests)
        interrupt = Interrupt(at, error)
        with interrupt.during():
            try:
                chat(client)
                lost += [interrupt.where] if interrupt.where and not interrupt.unheard else []
            except error:
                pass
        assert len(server.requests) <= asked + 1, interrupt.where
        assert chat(client, total_timeout=2) == ANSWER, interrupt.where
        assert nothing_is_held(client), interrupt.where
    assert lost == []
    client.close()


def between_lines_of(client, verb):
    """How many lines a call walks whose answer is not kept yet."""
    client._engine.parts.cache.clear()
    with Interrupt().during() as walk:
        verb(client)
    return walk.lines


@pytest.mark.parametrize("verb", [chat, stream])
def test_an_interrupt_loses_no_lead(server, verb):
    """Who asked for what others want too, and was interrupted, is asked for no longer."""
    cache = ResponseCache(single_flight=True)
    client = server.client(max_retries=0, response_cache=cache)
    verb(client)
    for at in range(1, between_lines_of(client, verb) + 1, 1 if verb is chat else 5):
        cache.clear()
        interrupt = Interrupt(at)
        with interrupt.during():
            try:
                verb(client)
            except KeyboardInterrupt:
                pass
        cache.clear()
        began = time.monotonic()
        assert verb(client, total_timeout=2) == ANSWER, interrupt.where
        assert time.monotonic() - began < 1, interrupt.where
        assert nothing_is_held(client), interrupt.where
    client.close()


@pytest.mark.parametrize("held", OPTIONS)
@pytest.mark.parametrize("verb", [chat, stream])
def test_signals_lose_nothing(server, verb, held):
    """A hundred of them, each at another moment of a call, raising from their handler."""
    client = server.client(max_retries=0, **OPTIONS[held]())
    verb(client)
    began = time.monotonic()
    for _ in range(3):
        verb(client)
    usual = (time.monotonic() - began) / 3

    struck = 0
    with alarms() as set_alarm:
        for number in range(100):
            try:
                set_alarm(max(1e-5, usual * 1.2 * number / 100))
                try:
                    verb(client)
                finally:
                    set_alarm(0)
            except TimeIsUp:
                struck += 1
            assert verb(client, total_timeout=2) == ANSWER
            assert nothing_is_held(client)
    assert struck > 5
    client.close()


@pytest.mark.parametrize("verb", [chat, stream])
def test_a_signal_while_waiting_for_a_place_gives_up_the_wait(server, verb):
    """The one who holds the place goes on; who was interrupted is no longer in the queue."""
    client = server.client(max_concurrency=1, max_retries=0)
    server.fault(latency=0.4)
    answers = []
    holder = threading.Thread(target=lambda: answers.append(chat(client)))
    holder.start()
    while not server.requests:
        time.sleep(0.005)

    with alarms() as set_alarm, pytest.raises(TimeIsUp):
        set_alarm(0.1)
        verb(client)
    assert (client._admission.slots.taken, len(client._admission.slots)) == (1, 0)
    assert len(server.requests) == 1
    holder.join(5)
    assert answers == [ANSWER]
    assert verb(client, total_timeout=2) == ANSWER
    assert nothing_is_held(client)
    client.close()


@pytest.mark.parametrize("verb", [chat, stream])
def test_a_signal_while_waiting_for_the_rate_limit_gives_up_the_turn(server, verb):
    """What was not sent does not count: the next call waits no longer than it would have without."""
    client = server.client(max_retries=0, rate_limit=RateLimitConfig(requests_per_minute=150, pacing="smooth"))
    verb(client)
    began = time.monotonic()
    with alarms() as set_alarm:
        for _ in range(3):
            set_alarm(0.05)
            with pytest.raises(TimeIsUp):
                verb(client)
    assert verb(client, total_timeout=2) == ANSWER
    assert time.monotonic() - began < 0.8  # one place each 0.4 s
    assert len(server.requests) == 2
    assert nothing_is_held(client)
    client.close()
