"""Thousands of calls over several keys while the server refuses and fails: every one is answered, by the rules."""

import random
import threading
import time

import pytest

from provider_kit import Backoff, Client, RateLimitConfig, ScriptedTransport

KEYS = [f"sk-key-{number}-0123456789abcdef" for number in range(5)]
#: Enough tries that a call fails only if three out of ten answers are bad twelve times in a row.
PATIENT = Backoff(12, base=0.001)
#: Seconds that the sum of many numbers may be off.
ROUNDING = 1e-6
#: Calls each key may make in a minute.
PER_MINUTE = 600
#: Forms in which a server may ask for a pause; with each, its seconds.
PAUSES = [
    ({"Retry-After": "1"}, 1.0),
    ({"Retry-After": "0.25"}, 0.25),
    ({"Retry-After-Ms": "40"}, 0.04),
    ({"Retry-After-Ms": "1500"}, 1.5),
    ({"Retry-After": "7", "Retry-After-Ms": "100"}, 0.1),
    ({"Retry-After": "0"}, 0.0),
]
SHORT_PAUSES = [
    ({"Retry-After": "0.3"}, 0.3),
    ({"Retry-After-Ms": "30"}, 0.03),
    ({"Retry-After": "7", "Retry-After-Ms": "50"}, 0.05),
    ({"Retry-After": "0"}, 0.0),
]
#: Seconds a refusal may take to become known to calls under way, and how many times as long as this machine lets
#: a thread wait for its turn.
ON_ITS_WAY, LAGS = 0.15, 4


class Lag:
    """How long threads have to wait for their turn on this machine, measured while something else runs."""

    def __init__(self):
        self.longest = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._measure)

    def _measure(self):
        before = time.monotonic()
        while not self._over.wait(0.002):
            now = time.monotonic()
            self.longest, before = max(self.longest, now - before), now

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()


class Upstream:
    """Refuses and fails three times out of ten, and keeps book of what each key does."""

    def __init__(self, clock, *, seed, pauses):
        self._clock = clock
        self._pauses = pauses
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self.calls = {key: [] for key in KEYS}
        #: When a key that was refused may come again.
        self.free_from = dict.fromkeys(KEYS, 0.0)
        self._refused_at = dict.fromkeys(KEYS, 0.0)
        #: Calls with a key that was to rest: seconds since it was told so.
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
            if now < self.free_from[key] - ROUNDING:
                self.too_soon.append(now - self._refused_at[key])
            draw = self._random.random()
            if draw >= 0.3:
                return 200, {}
            self.bad += 1
            if draw < 0.2:
                headers, seconds = self._random.choice(self._pauses)
                if now + seconds > self.free_from[key]:
                    self.free_from[key], self._refused_at[key] = now + seconds, now
                return 429, headers
            return self._random.choice([500, 502, 503, 504, 529]), {}

    def most_in_a_minute(self, key):
        """The most calls of a key in any 60 seconds."""
        times = self.calls[key]
        most = first = 0
        for last, at in enumerate(times):
            while at - times[first] >= 60.0 - ROUNDING:
                first += 1
            most = max(most, last - first + 1)
        return most


def completion(text):
    message = {"role": "assistant", "content": text}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


@pytest.mark.parametrize("limited", [False, True], ids=["without a limit", "with a limit"])
@pytest.mark.parametrize("seed", [1, 2])
def test_ten_thousand_calls_through_five_keys_are_all_answered(world, seed, limited):
    """On a scripted clock, exactly: no key beyond its limit, none asked while it rests, every request accounted for."""
    calls = 2500
    transport = ScriptedTransport([], repeat=True)
    upstream = Upstream(transport.now, seed=seed, pauses=PAUSES)

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


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_hundreds_of_calls_at_once_over_real_connections_are_all_answered(fault_server, world, belongings, verb):
    """As above, sixteen at a time; what was on its way when a key was refused may still arrive."""
    calls = 300
    upstream = Upstream(time.monotonic, seed=3, pauses=SHORT_PAUSES)

    def play(wire):
        status, headers = upstream.take(wire.key)
        if status == 200:
            wire.answer()
        else:
            wire.refuse(status, *(f"{name}: {value}" for name, value in headers.items()))

    server = fault_server({"m": play})
    limit = RateLimitConfig(requests_per_minute=PER_MINUTE)
    client = Client("openai/m", base_url=server.url, api_keys=KEYS, rate_limit=limit, retry=PATIENT)

    async def scenario():
        prompts = [f"Prompt {number}" for number in range(calls)]
        answers = await world.all([lambda prompt=prompt: world.call(client, verb, prompt) for prompt in prompts], 16)
        idle = await world.idle()
        await world.close(client)
        return answers, idle

    stock = belongings()
    with Lag() as lag:
        answers, idle = world.run(scenario())
    assert [answer.text for answer in answers] == [f"Prompt {number}" for number in range(calls)]
    assert upstream.count == sum(len(answer.attempts) for answer in answers)
    assert upstream.bad == sum(len(answer.attempts) - 1 for answer in answers) > calls // 4
    known_after = ON_ITS_WAY + LAGS * lag.longest
    assert [since for since in upstream.too_soon if since > known_after] == []
    assert max(upstream.most_in_a_minute(key) for key in KEYS) <= PER_MINUTE
    assert idle
    assert stock.are_back()
