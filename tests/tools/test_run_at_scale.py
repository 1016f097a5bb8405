"""Long runs and wide steps, over verbs that answer at once; and what only some verbs do."""

import asyncio
import gc
import time
import tracemalloc

import pytest

from provider_kit import ChatResponse, Client, Message, Native, ToolCall, Usage
from provider_kit.structured.verbs import AsyncioAsking, BlockingAsking
from provider_kit.tools.loop import Run
from provider_kit.transports.drive import run_to_completion


def work(x: int) -> str:
    """Work."""
    return str(x)


class Verbs:
    """Asks for so many calls in so many steps, and counts."""

    def __init__(self, steps, calls=1):
        self.steps = steps
        self.calls = calls
        self.asked = 0

    def chat(self, messages, **options):
        self.asked += 1
        usage = Usage(1, 1, total_tokens=2)
        if self.asked > self.steps:
            return ChatResponse(Message("assistant", "done"), "stop", None, usage)
        numbers = range(self.calls)
        calls = [ToolCall(f"c{self.asked}_{n}", "work", f'{{"x": {self.asked * 1000 + n}}}') for n in numbers]
        return ChatResponse(Message("assistant", calls), "tool_calls", None, usage)

    async def achat(self, messages, **options):
        return self.chat(messages, **options)

    stream = astream = None


def ran(world, verbs, **options):
    asking = BlockingAsking(verbs) if world.name == "blocking" else AsyncioAsking(verbs)

    async def main():
        return await Run(asking, "Go.", None, {"tools": [work], "max_steps": 10_000, **options}).to_end()

    return run_to_completion(main()) if world.name == "blocking" else asyncio.run(main())


def test_anything_with_the_verbs_can_run(world):
    """The loop stands on them alone."""
    result = ran(world, Verbs(2))
    assert result.text == "done"
    assert len(result.steps) == 3


def test_a_thousand_steps_need_little_more_than_their_messages(world):
    """Memory and time of a step do not grow."""
    ran(world, Verbs(10))
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        result = ran(world, Verbs(1000))
        kept = tracemalloc.get_traced_memory()[0] - before
        assert len(result.messages) == 2002
        assert kept / 1000 < 4000
        del result
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 200_000
    finally:
        tracemalloc.stop()


def test_a_hundred_calls_of_one_step(world):
    """All of them run, in order, in no more threads than are allowed."""
    result = ran(world, Verbs(1, 100), max_parallel_tools=100)
    contents = [part.content for message in result.messages if message.role == "tool" for part in message.parts]
    assert contents == [str(1000 + n) for n in range(100)]


def test_a_step_costs_little(world):
    """A bound with a wide margin; benchmarks/agents.py measures."""
    started = time.process_time()
    ran(world, Verbs(300))
    assert (time.process_time() - started) / 300 < 0.002


class Paused:
    """A provider whose own tool pauses the answer once."""

    def __init__(self):
        self.sent = []

    def chat(self, messages, **options):
        self.sent.append(list(messages))
        if len(self.sent) == 1:
            call = Native("server_tool_use", {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}})
            return ChatResponse(Message("assistant", [call]), "pause")
        return ChatResponse(Message("assistant", "found"), "stop")

    async def achat(self, messages, **options):
        return self.chat(messages, **options)

    stream = astream = None


def test_a_tool_that_the_provider_runs_is_not_answered(world):
    """What it paused with goes back as it is."""
    verbs = Paused()
    result = ran(world, verbs)
    assert result.text == "found"
    assert verbs.sent[1][1].parts[0].type == "server_tool_use"
    assert [message.role for message in result.messages] == ["user", "assistant", "assistant"]


@pytest.mark.parametrize("form", [{"type": "web_search"}, {"type": "code_interpreter"}])
def test_a_native_tool_is_sent_as_it_is(scripted_body, form):
    """Beside functions."""
    assert form in scripted_body(tools=[work, form])["tools"]


@pytest.fixture
def scripted_body():
    from provider_kit import ScriptedTransport
    from provider_kit.model.json_text import loads

    def body(**options):
        answer = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}]}
        transport = ScriptedTransport([{"json": answer}])
        Client("openai/gpt-4o", api_key="test-key-0123456789", transport=transport).run("Go.", **options)
        return loads(transport.requests[0].body)

    return body
