"""Three providers that fail in every way they can, and a router over them: nothing is lost, nothing comes twice."""

import asyncio
import os
import random
import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from provider_kit import Backoff, ChatResponse, Router, StreamError, Target
from provider_kit.testing import FakeServer, Fault, Reply

#: Calls in each world, whole and streamed. PROVIDER_KIT_CHAOS_CALLS=5000 runs as many.
CALLS = int(os.environ.get("PROVIDER_KIT_CHAOS_CALLS", "250"))
#: The share of requests that fail at a server; one of the three answers each question, so that 40 % fail in all.
SHARE = 0.6
KINDS = ("openai/gpt-4o", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash")
#: Each server fails in its own way.
FAULTS = (
    (
        Fault(status=500),
        Fault(status=503),
        Fault(status=429, retry_after=0.01),
        Fault(stall_after=0, ping=True),
        Fault(cut_after=0),
        Fault(cut_after=3),
    ),
    (Fault(malformed=True), Fault(status=529), Fault(stall_after=0, ping=True), Fault(cut_after=4)),
    (Fault(garbage=True), Fault(html=True), Fault(embedded_error=True), Fault(error_after=0), Fault(cut_after=2)),
)


def answer_to(asked):
    """An answer that tells its question, in several pieces."""
    number = re.search(r"question (\d+)", asked.turns[-1][1])[1]
    return Reply(text=f"The answer to question {number} has several words and ends here.")


class Unreliable(FakeServer):
    """Fails at its share of all requests; by the question, so that it is the same each time."""

    def __init__(self, index):
        super().__init__(respond=answer_to)
        self.index = index
        self.seen = Counter()

    async def _answer_as_told(self, incoming):
        number = int(re.search(rb"question (\d+)", incoming.body)[1])
        self.seen[number] += 1
        chance = random.Random(f"{number} {self.index} {self.seen[number]}")
        fails = number % 3 != self.index and chance.random() < SHARE
        self._faults.append(chance.choice(FAULTS[self.index]) if fails else Fault())
        return await super()._answer_as_told(incoming)


@pytest.fixture
def servers():
    with Unreliable(0) as a, Unreliable(1) as b, Unreliable(2) as c:
        yield a, b, c


def outcome_of(number, attempt):
    """What came of one call: an answer, or the part of a stream that broke off; anything else is an error here."""
    try:
        answer, delivered = attempt()
    except StreamError as error:
        partial = error.partial
        assert partial.text, "a stream that broke before its content is another target's"
        assert f"The answer to question {number} has".startswith(partial.text[:30]) or partial.text.startswith(
            f"The answer to question {number}"[: len(partial.text)]
        )
        return "broken", len(error.attempts), error.routing
    assert answer.text == delivered == f"The answer to question {number} has several words and ends here."
    return "answered", len(answer.attempts), answer.routing


@pytest.mark.long
@pytest.mark.timeout(550)
@pytest.mark.parametrize("strategy", ["fallback", "latency"])
@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize("world", ["blocking", "asyncio"])
def test_every_call_is_answered_or_broken_once(servers, world, verb, strategy):
    """A failure before content is another target's; after it, one StreamError with its part."""
    quick = Backoff(3, base=0.005, cap=0.02)
    clients = [
        server.client(kind, retry=quick, timeout=1.0, max_concurrency=64)
        for server, kind in zip(servers, KINDS, strict=True)
    ]
    router = Router([Target(client, name=name) for client, name in zip(clients, "abc", strict=True)], strategy)

    def blocking(number):
        def attempt():
            if verb == "chat":
                answer = router.chat(f"question {number}")
                return answer, answer.text
            with router.stream(f"question {number}") as stream:
                delivered = "".join(stream.text())
                return stream.response, delivered

        return outcome_of(number, attempt)

    async def awaited(number, places):
        async with places:
            found: list[object] = []
            try:
                if verb == "chat":
                    answer = await router.achat(f"question {number}")
                    found = [answer, answer.text]
                else:
                    async with router.astream(f"question {number}") as stream:
                        delivered = "".join([piece async for piece in stream.text()])
                    found = [stream.response, delivered]
            except StreamError as error:
                found = [error]

        def attempt():
            if isinstance(found[0], ChatResponse):
                return found
            raise found[0]

        return outcome_of(number, attempt)

    async def all_of():
        places = asyncio.Semaphore(32)
        try:
            return await asyncio.gather(*(awaited(number, places) for number in range(CALLS)))
        finally:
            for client in clients:
                await client.aclose()

    if world == "blocking":
        with ThreadPoolExecutor(16) as pool:
            outcomes = list(pool.map(blocking, range(CALLS)))
        for client in clients:
            client.close()
    else:
        outcomes = asyncio.run(all_of())
    counts = Counter(how for how, _, _ in outcomes)
    assert counts["answered"] + counts["broken"] == CALLS
    assert counts["broken"] == 0 if verb == "chat" else counts["broken"] > 0
    assert sum(attempts for _, attempts, _ in outcomes) == sum(len(server.requests) for server in servers)
    assert any(len(routing.attempts) > 1 for _, _, routing in outcomes)
    assert all(state.in_flight == 0 for state in router.state())
    until = time.monotonic() + 3
    while any(server.open_connections for server in servers) and time.monotonic() < until:
        time.sleep(0.01)
    assert [server.open_connections for server in servers] == [0, 0, 0]
