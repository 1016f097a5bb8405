"""What a run must never do: hang, run what was cut, forget a decision, or take one budget for another."""

import asyncio
import math
import threading

import pytest

from provider_kit import (
    Budget,
    BudgetExceededError,
    InvalidRequestError,
    Message,
    StructuredOutputError,
    ToolCall,
    answer,
    approve,
    tool,
)
from provider_kit.model.usage import Usage
from provider_kit.tools.budget import Spending
from provider_kit.tools.execution import Executor
from provider_kit.transports.drive import run_to_completion
from provider_kit.transports.runtime_blocking import BlockingRuntime, BlockingWaiter


def test_no_result_is_waited_for_that_is_there(monkeypatch):
    """Two threads hand over their results at the same moment: after both lie there, the reader is woken."""
    both_there = threading.Barrier(2)
    asleep = threading.Event()
    original = BlockingWaiter.wait

    async def wait(waiter, seconds):
        asleep.set()
        await original(waiter, seconds)

    monkeypatch.setattr(BlockingWaiter, "wait", wait)

    def trace(frame, event, argument):
        if frame.f_code.co_qualname.endswith("Executor.run.<locals>.put") and event == "call":
            lines = []

            def each_line(frame, event, argument):
                if event == "line":
                    lines.append(frame.f_lineno)
                    if len(lines) == 2:  # the first line has appended the result
                        both_there.wait(10)
                return each_line

            return each_line
        return None

    def work(number: int) -> int:
        """Work."""
        asleep.wait(10)
        return number

    calls = [ToolCall(f"c{number}", "work", f'{{"number": {number}}}') for number in range(2)]
    results = []

    async def read():
        executor = Executor(BlockingRuntime(), {"work": tool(work)}, [], 1, Usage(), Spending(None, 0.0))
        async for outcome in executor.run(calls, limit=2, live=False):
            results.append(outcome.result.content)

    threading.settrace(trace)
    try:
        reader = threading.Thread(target=lambda: run_to_completion(read()), daemon=True)
        reader.start()
        reader.join(20)
    finally:
        threading.settrace(None)
    assert sorted(results) == ["0", "1"]


def test_a_single_call_at_a_time_stays_in_the_callers_thread_also_streamed(client, server):
    """As the option promises: a thread-bound database is used by tools of a streamed run, too."""
    server.reply("", tool_calls=[("where", {}), ("where", {})])
    server.reply("done")
    seen = []

    def where() -> str:
        """Tell where."""
        seen.append(threading.get_ident())
        return "here"

    list(client.stream_run("Go.", tools=[where], max_parallel_tools=1))
    assert seen == [threading.get_ident()] * 2


@pytest.mark.parametrize("approval", [False, True])
def test_a_cut_call_is_not_run_when_it_is_approved_later(run, client, server, approval):
    """The answer stands before results of other calls, in another process."""
    seen = []

    @tool(requires_approval=approval)
    def write(text: str) -> str:
        """Write."""
        seen.append(text)
        return "written"

    made = Message(
        "assistant",
        [ToolCall("a", "weather", '{"city": "Rome"}'), ToolCall("b", "write", '{"text": "all"')],
        incomplete=True,
    )

    def weather(city: str) -> str:
        """Tell the weather."""
        return city

    server.reply("done")
    first = run(client, [Message("user", "Go."), made], tools=[weather, write])
    if approval:
        assert first.stopped_by == "pending"
        first = run(client, first.messages, tools=[weather, write], decisions={"b": approve()})
    assert first.text == "done"
    assert seen == []
    assert "cut off" in str(first.messages)


def test_a_call_that_was_cut_before_its_arguments_is_not_run(run, client, server):
    """It would run with all its defaults."""
    seen = []

    def delete(path: str = "/everything") -> str:
        """Delete."""
        seen.append(path)
        return "deleted"

    server.reply("", tool_calls=[("delete", "")], finish_reason="length")
    server.reply("done")
    assert "cut off" in str(run(client, "Go.", tools=[delete]).messages)
    assert seen == []


def test_what_has_run_is_in_the_result_of_an_exceeded_budget(run, client, server):
    """Whoever continues does not run it again."""
    seen = []

    async def pay(number: int) -> str:
        """Pay."""
        await asyncio.sleep(0.1)
        seen.append(number)
        return "paid"

    def agent(question: str) -> str:
        """Ask an agent."""
        return client.run(question).text

    server.reply("", tool_calls=[("pay", {"number": 1}), ("agent", {"question": "q"})])
    with pytest.raises(BudgetExceededError) as caught:
        run(client, "Go.", tools=[pay, agent], budget=Budget(steps=1))
    told = [part.content for one in caught.value.result.messages if one.role == "tool" for part in one.parts]
    assert told == ["paid"]
    assert seen == [1]


def test_progress_that_is_the_last_that_was_read(client, server):
    """The tool has ended by then, and its result is kept."""
    server.reply("", tool_calls=[("count", {})])

    def count() -> object:
        """Count."""
        yield 1
        yield 2

    stream = client.stream_run("Go.", tools=[count], max_parallel_tools=1)
    for event in stream:
        if type(event).__name__ == "ToolProgress":
            break
    stream.close()
    assert [message.role for message in stream.result.messages] == ["user", "assistant", "tool"]


def test_the_seconds_of_a_budget_end_a_request(run, client, server):
    """With the error of the budget, and the result so far."""

    def act() -> str:
        """Act."""
        return "acted"

    server.fault(latency=0)
    server.fault(latency=3)
    server.reply("", tool_calls=[("act", {})])
    server.reply("done")
    with pytest.raises(BudgetExceededError) as caught:
        run(client, "Go.", tools=[act], budget=Budget(seconds=0.4))
    assert caught.value.limit == "seconds"
    assert [message.role for message in caught.value.result.messages] == ["user", "assistant", "tool"]


def test_an_answer_that_json_cannot_hold_is_refused_before_anything_runs(run, client, server):
    """A decision is checked as a whole."""
    seen = []

    @tool(requires_approval=True)
    def pay(number: int) -> str:
        """Pay."""
        seen.append(number)
        return "paid"

    server.reply("", tool_calls=[("pay", {"number": 1}), ("pay", {"number": 2})])
    parked = run(client, "Go.", tools=[pay])
    first, second = parked.pending
    with pytest.raises(InvalidRequestError, match="cannot be written as JSON"):
        run(client, parked.messages, tools=[pay], decisions={first.id: approve(), second.id: answer({1, object()})})
    assert seen == []


@pytest.mark.parametrize("plain", [False, True])
def test_a_tool_that_was_cancelled_by_others_has_failed(run, client, server, plain):
    """The run was not."""

    async def wait() -> str:
        """Wait for a task that somebody cancels."""
        raise asyncio.CancelledError

    def fetch() -> str:
        """Fetch."""
        raise asyncio.CancelledError

    function = fetch if plain else wait
    server.reply("", tool_calls=[(function.__name__, {})])
    server.reply("done")
    result = run(client, "Go.", tools=[function])
    assert result.text == "done"
    assert result.steps[0].outcomes[0].result.is_error


def test_brackets_that_are_missing_are_not_added_to_arguments(run, client, server):
    """What a call does would depend on where the text was cut."""
    seen = []

    def delete(names: list[str], older_than_days: int = 0) -> str:
        """Delete."""
        seen.append(names)
        return "deleted"

    server.reply("", tool_calls=[("delete", '{"names": ["a"]')])
    server.reply("done")
    result = run(client, "Go.", tools=[delete])
    assert seen == []
    assert "not valid JSON: it ends before its last bracket" in str(result.messages)


def test_an_id_that_comes_again_is_made_distinct(run, client, server):
    """Some servers number the calls of each answer from 0; a decision must reach one call only."""
    from provider_kit.dialects.replies import ReplyCall

    def act(number: int) -> str:
        """Act."""
        return f"acted {number}"

    for number in range(3):
        server.reply("", tool_calls=[ReplyCall("act", {"number": number}, "call_0")])
    server.reply("done")
    result = run(client, "Go.", tools=[act])
    ids = [call.id for message in result.messages for call in message.tool_calls]
    assert len(set(ids)) == 3
    told = [part.tool_call_id for message in result.messages if message.role == "tool" for part in message.parts]
    assert told == ids
    assert [step.outcomes[0].call.id for step in result.steps[:3]] == ids


def test_the_budget_of_a_run_inside_a_tool_ends_that_tool_only(run, client, server):
    """The outer run has its own, and goes on."""

    def research(topic: str) -> str:
        """Search with a small budget."""
        return client.run(topic, tools=[act], budget=Budget(steps=1)).text

    def act() -> str:
        """Act."""
        return "acted"

    server.reply("", tool_calls=[("research", {"topic": "a"})])
    server.reply("", tool_calls=[("act", {})])
    server.reply("done")
    result = run(client, "Go.", tools=[research], budget=Budget(steps=10))
    assert result.text == "done"
    outcome = result.steps[0].outcomes[0]
    assert isinstance(outcome.error, BudgetExceededError)
    assert outcome.result.is_error


def test_a_budget_ends_a_single_step_with_its_result(world, client, server):
    """As a whole run."""

    def act() -> str:
        """Act."""
        return "acted"

    server.reply("", tool_calls=[("act", {}), ("act", {})])
    step = world(client, "step", "Go.", tools=[act])
    with pytest.raises(BudgetExceededError) as caught:
        world(client, "step", step.messages, tools=[act], budget=Budget(calls=1))
    assert caught.value.result.stopped_by == "budget"
    assert len(caught.value.result.messages) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ledger": "calls.db"}, "ledger must be a ledger"),
        ({"tool_timeout": 0}, "tool_timeout"),
        ({"tool_timeout": -1}, "tool_timeout"),
        ({"tool_timeout": math.nan}, "tool_timeout"),
    ],
)
def test_options_that_would_be_passed_over_are_refused(run, client, server, options, said):
    """Before anything is sent."""
    with pytest.raises(InvalidRequestError, match=said):
        run(client, "Go.", tools=[], **options)
    assert not server.requests


@pytest.mark.parametrize("amount", [{"seconds": math.nan}, {"cost": math.nan}, {"seconds": math.inf}])
def test_a_budget_is_a_number(amount):
    """One that compares with nothing would limit nothing."""
    with pytest.raises(InvalidRequestError, match="must be a number"):
        Budget(**amount)


def test_tokens_that_are_not_reported_are_no_zero():
    """A limit that cannot be kept is an error."""
    with pytest.raises(BudgetExceededError, match="does not report"):
        Spending(Budget(tokens=10), 0.0).add_step(Usage())


def test_a_single_step_returns_a_wrong_answer_at_once(world, client, server):
    """The correction belongs to the next step, of which this process may know nothing."""
    server.reply("no JSON")
    server.reply('{"value": 3}')
    result = world(client, "step", "How many?", output_type=int)
    assert result.done
    with pytest.raises(StructuredOutputError):
        _ = result.parsed
    assert len(server.requests) == 1


def test_a_run_asks_again_with_what_was_wrong(run, client, server):
    """And has the correction in its transcript."""
    server.reply("no JSON")
    server.reply('{"value": 3}')
    result = run(client, "How many?", output_type=int)
    assert result.parsed == 3
    assert [message.role for message in result.messages] == ["user", "assistant", "user", "assistant"]
