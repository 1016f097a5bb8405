"""Thousands of calls over several keys while the server refuses and fails: every one is answered, by the rules."""

import asyncio
import random
import threading
import time

import pytest

from provider_kit import Backoff, Client, RateLimitConfig, ScriptedTransport
from provider_kit.transports.drive import run_to_completion

KEYS = [f"sk-key-{number}-0123456789abcdef" for number in range(5)]
#: Enough tries that a call fails only if three out of ten answers are bad twelve times in a row.
PATIENT = Backoff(12, base=0.001)
#: Calls each key may make in a minute.
PER_MINUTE = 600
#: Forms in which a server may ask for a pause; with each, its seconds.
PAUSES = [
    ({"retry-after": "1"}, 1.0),
    ({"retry-after": "0.25"}, 0.25),
    ({"retry-after-ms": "40"}, 0.04),
    ({"retry-after-ms": "1500"}, 1.5),
    ({"retry-after": "7", "retry-after-ms": "100"}, 0.1),
    ({"retry-after": "0"}, 0.0),
]


class Upstream:
    """Refuses and fails three times out of ten, and keeps book of what each key does."""

    def __init__(self, clock, *, seed):
        self._clock = clock
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self.calls = {key: [] for key in KEYS}
        #: When a key that was refused may come again.
        self.free_from = dict.fromkeys(KEYS, 0.0)
        #: Calls with a key that was to rest, and by how many seconds they came too soon.
        self.too_soon = []
        self.bad = 0

    @property
    def count(self):
        return sum(map(len, self.calls.values()))

    def take(self, key):
        """A request came: the status and the headers to answer with."""
        with self._lock:
            now = self._clock()
            self.calls[key].append(now)
            if now < self.free_from[key]:
                self.too_soon.append(self.free_from[key] - now)
            draw = self._random.random()
            if draw >= 0.3:
                return 200, {}
            self.bad += 1
            if draw < 0.2:
                headers, seconds = self._random.choice(PAUSES)
                self.free_from[key] = max(self.free_from[key], now + seconds)
                return 429, headers
            return self._random.choice([500, 502, 503, 504, 529]), {}

    def most_in_a_minute(self, key):
        """The most calls of a key in any 60 seconds."""
        times = self.calls[key]
        most = first = 0
        for last, at in enumerate(times):
            while at - times[first] >= 60.0:
                first += 1
            most = max(most, last - first + 1)
        return most


def completion(text):
    message = {"role": "assistant", "content": text}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


def event_stream(wire_text):
    import json

    delta = json.dumps({"choices": [{"index": 0, "delta": {"content": wire_text}}]})
    end = json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    return [f"data: {delta}\n\n".encode(), f"data: {end}\n\ndata: [DONE]\n\n".encode()]


@pytest.mark.parametrize("limited", [False, True], ids=["without a limit", "with a limit"])
@pytest.mark.parametrize("seed", [1, 2])
def test_ten_thousand_calls_through_five_keys_are_all_answered(world, seed, limited):
    """On a scripted clock, exactly: no key beyond its limit, none asked while it rests, every request accounted for."""
    calls = 2500
    transport = ScriptedTransport([], repeat=True)
    upstream = Upstream(transport.now, seed=seed)

    def answer(request):
        key = {name.lower(): value for name, value in request.headers.items()}["authorization"].split()[1]
        transport._now += 0.002  # a call takes a moment
        status, headers = upstream.take(key)
        if status == 200:
            return {"json": completion("Hi")}
        return {"status": status, "headers": headers, "json": {"error": {"message": "not now"}}}

    transport._script = [answer]
    limit = RateLimitConfig(requests_per_minute=PER_MINUTE) if limited else None
    client = Client("openai/m", api_keys=KEYS, transport=transport, rate_limit=limit, retry=PATIENT)

    async def scenario():
        return [await world.call(client, "chat", "Hi") for _ in range(calls)]

    answers = world.run(scenario())
    assert [answer.text for answer in answers] == ["Hi"] * calls
    assert upstream.count == sum(len(answer.attempts) for answer in answers)
    assert upstream.bad == sum(len(answer.attempts) - 1 for answer in answers)
    assert upstream.bad > calls // 4
    assert upstream.too_soon == []
    assert min(map(len, upstream.calls.values())) > calls // 10
    if limited:
        most = [upstream.most_in_a_minute(key) for key in KEYS]
        assert max(most) <= PER_MINUTE
