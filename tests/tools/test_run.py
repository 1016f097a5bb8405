"""The loop: ask, call, again; in both worlds, whole and streamed."""

import asyncio
import contextvars
import dataclasses
import decimal
import itertools
import threading
import time

import attrs
import pytest

from provider_kit import (
    Budget,
    BudgetExceededError,
    Image,
    InvalidRequestError,
    MaxStepsExceededError,
    Message,
    ProviderKitError,
    RateLimitError,
    RetryTool,
    StructuredOutputError,
    Text,
    Tool,
    ToolContext,
    dump_conversation,
    load_conversation,
    next_action,
    tool,
)
from provider_kit.tools.function import tools_of

PNG = b"\x89PNG\r\n\x1a\n" + bytes(32) + b"IEND"


def weather(city: str, days: int = 1) -> str:
    """Tell the weather."""
    return f"{city}: sunny for {days} days"


async def forecast(city: str) -> dict[str, str]:
    """Tell the weather of tomorrow."""
    await asyncio.sleep(0)
    return {"city": city}


@attrs.define
class Person:
    name: str
    age: int


@dataclasses.dataclass
class Sums:
    first: int
    double: int = dataclasses.field(init=False)
    seed: dataclasses.InitVar[int] = 5

    def __post_init__(self, seed):
        self.double = self.first * 2


def results(result):
    return [part.content for message in result.messages if message.role == "tool" for part in message.parts]


def test_a_function_is_called_and_its_result_answered(run, client, server):
    """The transcript has everything, the usage is that of both requests."""
    result = run(client, "What is the weather in Paris?", tools=[weather])
    assert result.text == "weather says: Paris: sunny for 1 days"
    assert [message.role for message in result.messages] == ["user", "assistant", "tool", "assistant"]
    assert result.new_messages == result.messages[1:]
    assert result.stopped_by == "answer"
    assert result.done
    assert [step.number for step in result.steps] == [1, 2]
    assert result.steps[0].outcomes[0].result.content == "Paris: sunny for 1 days"
    assert result.usage.total_tokens == sum(step.usage.total_tokens for step in result.steps)
    assert result.pending == ()
    assert result.parsed is None


def test_chat_and_stream_never_call_a_function(world, client, server):
    """They only tell the model about it."""

    def explode() -> str:
        """Explode."""
        raise AssertionError

    server.reply("", tool_calls=[("explode", {})])
    reply = world(client, "chat", "Go.", tools=[explode])
    assert [call.name for call in reply.tool_calls] == ["explode"]
    assert server.requests[-1].json["tools"][0]["function"]["name"] == "explode"


def test_functions_of_every_kind(run, client, server):
    """Plain, asynchronous, generators of both kinds, methods; in the order of the calls."""

    def count(n: int):
        """Count."""
        yield from range(n)

    async def count_later(n: int):
        """Count later."""
        for number in range(n):
            yield number

    def nothing() -> None:
        """Do nothing."""

    calls = [("weather", {"city": "A"}), ("forecast", {"city": "B"}), ("count", {"n": 3}), ("count_later", {"n": 4})]
    server.reply("", tool_calls=[*calls, ("nothing", {}), ("count", {"n": 0})])
    server.reply("done")
    result = run(client, "Go.", tools=[weather, forecast, count, count_later, nothing])
    assert results(result) == ["A: sunny for 1 days", '{"city":"B"}', "2", "3", "null", "null"]
    assert not any(outcome.error for outcome in result.steps[0].outcomes)


def test_events_of_a_streamed_run(run, client, server):
    """Text, calls as they grow, progress, results."""

    def count(n: int, context: ToolContext[None]):
        """Count."""
        context.progress("begun")
        yield from range(n)

    server.reply("Let me see.", tool_calls=[("count", {"n": 3})])
    server.reply("done")
    run(client, "Go.", tools=[count])
    if not run.streamed:
        return
    names = [type(event).__name__ for event in run.events]
    assert names.index("TextDelta") < names.index("ToolCallProgress") < names.index("ToolStarted")
    assert [event.value for event in run.events if type(event).__name__ == "ToolProgress"] == ["begun", 0, 1]
    grown = [event.arguments for event in run.events if type(event).__name__ == "ToolCallProgress"]
    assert grown[-1] == '{"n":3}'
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(grown))
    assert names.count("StepEnded") == 2
    assert "".join(event.text for event in run.events if type(event).__name__ == "TextDelta") == "Let me see.done"


def test_calls_run_at_once_and_keep_their_order(run, client, server):
    """Bounded by max_parallel_tools."""
    running, most = 0, 0
    lock = threading.Lock()

    def slow(number: int) -> int:
        """Be slow."""
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.05)
        with lock:
            running -= 1
        return number

    server.reply("", tool_calls=[("slow", {"number": n}) for n in range(6)])
    server.reply("done")
    result = run(client, "Go.", tools=[slow], max_parallel_tools=3)
    assert results(result) == [str(n) for n in range(6)]
    assert most == 3


def test_one_at_a_time_runs_in_the_callers_thread(client, server):
    """For libraries that are bound to their thread, as database connections often are."""
    seen = []

    def where() -> str:
        """Say where."""
        seen.append(threading.current_thread())
        return "here"

    server.reply("", tool_calls=[("where", {}), ("where", {})])
    server.reply("done")
    client.run("Go.", tools=[where], max_parallel_tools=1)
    assert seen == [threading.current_thread()] * 2


def test_the_context_has_the_circumstances(run, client, server):
    """Dependencies, id, step, messages and usage."""
    seen = []

    def look(context: ToolContext[dict[str, int]], key: str) -> int:
        """Look."""
        seen.append(context)
        return context.deps[key]

    server.reply("", tool_calls=[("look", {"key": "a"})])
    server.reply("done")
    result = run(client, "Go.", tools=[look], deps={"a": 7})
    assert results(result) == ["7"]
    (context,) = seen
    assert context.call_id == result.messages[1].tool_calls[0].id
    assert context.step == 1
    assert context.messages[0].text == "Go."
    assert context.usage.total_tokens


VARIABLE = contextvars.ContextVar("variable", default="unset")


def test_context_variables_reach_the_functions(run, client, server):
    """In whatever thread they run."""

    def plain() -> str:
        """Plain."""
        return VARIABLE.get()

    async def later() -> str:
        """Later."""
        return VARIABLE.get()

    server.reply("", tool_calls=[("plain", {}), ("later", {}), ("plain", {})])
    server.reply("done")
    token = VARIABLE.set("set")
    try:
        assert results(run(client, "Go.", tools=[plain, later])) == ["set"] * 3
    finally:
        VARIABLE.reset(token)


def test_errors_of_the_model_become_results(run, client, server):
    """An unknown tool, wrong arguments: it is told what is wrong, and may go on."""
    calls = [("wether", {"city": "A"}), ("weather", {"town": "A"}), ("weather", {"city": "A", "days": "2"})]
    server.reply("", tool_calls=calls)
    server.reply("done")
    result = run(client, "Go.", tools=[weather])
    unknown, wrong, right = (part for m in result.messages if m.role == "tool" for part in m.parts)
    assert unknown.is_error
    assert "There is no tool 'wether'. The tools are: weather." in unknown.content
    assert wrong.is_error
    assert "city: is missing" in wrong.content
    assert "no argument 'town'" in wrong.content
    assert right.content == "A: sunny for 2 days"
    assert not right.is_error


def test_an_exception_becomes_a_result_and_the_caller_keeps_it(run, client, server):
    """Its class and advice for the model, the exception itself for the program."""

    def fails() -> str:
        """Fail."""
        raise KeyError("sk-secret-in-the-text")

    server.reply("", tool_calls=[("fails", {})])
    server.reply("done")
    result = run(client, "Go.", tools=[fails])
    (content,) = results(result)
    assert content.startswith("The tool failed (KeyError).")
    assert "sk-secret" not in str(server.requests[-1].json)
    error = result.steps[0].outcomes[0].error
    assert isinstance(error, KeyError)
    assert "sk-secret" in str(error)


def test_a_tool_may_tell_the_model_what_to_do(run, client, server):
    """RetryTool's text is for the model."""

    def look(city: str) -> str:
        """Look."""
        if city == "Springfield":
            raise RetryTool("There are several; name the state.")
        return city

    server.reply("", tool_calls=[("look", {"city": "Springfield"})])
    server.reply("", tool_calls=[("look", {"city": "Springfield, IL"})])
    server.reply("done")
    result = run(client, "Go.", tools=[look])
    assert results(result) == ["There are several; name the state.", "Springfield, IL"]


@pytest.mark.parametrize("awaited", [False, True])
def test_on_tool_error_decides_what_the_model_is_told(run, client, server, awaited):
    """A text, or an exception that ends the run."""

    def fails() -> str:
        """Fail."""
        raise ValueError("no")

    def told(error, call):
        return f"{call.name}: {type(error).__name__}, ask a human"

    async def told_later(error, call):
        return told(error, call)

    if awaited and run.world == "blocking":
        return  # nothing may be awaited there
    server.reply("", tool_calls=[("fails", {})])
    server.reply("done")
    result = run(client, "Go.", tools=[fails], on_tool_error=told_later if awaited else told)
    assert results(result) == ["fails: ValueError, ask a human"]

    def raises(error, call):
        raise error

    server.reply("", tool_calls=[("fails", {})])
    with pytest.raises(ValueError, match="no"):
        run(client, "Go.", tools=[fails], on_tool_error=raises)
    server.reset()


def test_results_of_any_type(run, client, server):
    """Objects as JSON, parts as parts, what is too long is cut with a note, what is no JSON is an error."""

    def person() -> Person:
        """Person."""
        return Person("Bob", 7)

    def mixed() -> list[object]:
        """Mixed."""
        return [Text("see"), Image(data=PNG, media_type="image/png"), {"a": decimal.Decimal("1.5")}]

    def long() -> str:
        """Long."""
        return "x" * 200_000

    def odd() -> object:
        """Odd."""
        return object()

    def part() -> Text:
        """Part."""
        return Text("x" * 200_000)

    def sums() -> Sums:
        """Sums."""
        return Sums(3)

    functions = [person, mixed, long, odd, part, sums]
    server.reply("", tool_calls=[(one.__name__, {}) for one in functions])
    server.reply("done")
    result = run(client, "Go.", tools=functions)
    one, two, three, four, five, six = results(result)
    assert one == '{"name":"Bob","age":7}'
    assert [type(part).__name__ for part in two] == ["Text", "Image", "Text"]
    assert two[2].text == '{"a":"1.5"}'
    assert len(three) < 51_000
    assert three.endswith("[The result was cut here: 50,000 of 200,000 characters are shown.]")
    assert "its result cannot be shown" in four
    assert len(five[0].text) < 51_000
    assert six == '{"first":3,"double":6}'


def test_a_tool_that_takes_too_long_is_reported(run, client, server):
    """The run goes on; a thread may still be running."""
    stop = threading.Event()

    @tool(timeout=0.05)
    def stuck() -> str:
        """Be stuck."""
        stop.wait(5)
        return "late"

    async def stuck_later() -> str:
        """Be stuck later."""
        await asyncio.sleep(5)
        return "late"

    server.reply("", tool_calls=[("stuck", {}), ("stuck_later", {})])
    server.reply("done")
    started = time.monotonic()
    result = run(client, "Go.", tools=[stuck, stuck_later], tool_timeout=0.05)
    assert time.monotonic() - started < 4
    stop.set()
    assert all("TimeoutError" in content for content in results(result))
    assert all(outcome.timed_out for outcome in result.steps[0].outcomes)


def test_cancelling_the_task_reaches_the_tools(client, server):
    """No task is left behind."""
    ended = []

    async def slow() -> str:
        """Be slow."""
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append(True)
            raise
        return "late"

    async def main():
        server.reply("", tool_calls=[("slow", {}), ("slow", {})])
        task = asyncio.create_task(client.arun("Go.", tools=[slow]))
        while len(asyncio.all_tasks()) < 4:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return len(asyncio.all_tasks())

    assert asyncio.run(main()) == 1
    assert ended == [True, True]


def test_a_forced_choice_is_forced_once(run, client, server):
    """Else it would never end."""
    result = run(client, "Hello", tools=[weather], tool_choice="weather")
    assert result.stopped_by == "answer"
    assert [one.json.get("tool_choice") for one in server.requests] == [
        {"type": "function", "function": {"name": "weather"}},
        "auto",
    ]


def test_the_same_call_with_the_same_result_three_times_is_stopped(run, client, server):
    """Polling, whose results differ, is not."""
    for _ in range(5):
        server.reply("", tool_calls=[("weather", {"city": "A"})])
    result = run(client, "Go.", tools=[weather], max_steps=20)
    assert result.stopped_by == "repeat"
    assert len(result.steps) == 3
    server.reset()
    numbers = iter(range(10))

    def poll() -> int:
        """Poll."""
        return next(numbers)

    for _ in range(5):
        server.reply("", tool_calls=[("poll", {})])
    server.reply("done")
    assert run(client, "Go.", tools=[poll]).text == "done"


def test_too_many_steps_are_an_error_with_the_transcript(run, client, server):
    """Which can be continued."""
    for number in range(4):
        server.reply("", tool_calls=[("weather", {"city": f"A{number}"})])
    with pytest.raises(MaxStepsExceededError) as caught:
        run(client, "Go.", tools=[weather], max_steps=2)
    reached = caught.value.result
    assert len(server.requests) == 2
    assert [message.role for message in reached.messages] == ["user", "assistant", "tool", "assistant"]
    server.reset()
    server.reply("done")
    assert run(client, reached.messages, tools=[weather]).text == "done"


@pytest.mark.parametrize(
    ("budget", "limit"),
    [
        (Budget(steps=1), "steps"),
        (Budget(calls=0), "calls"),
        (Budget(tokens=1), "tokens"),
        (Budget(cost=0.000001), "cost"),
        (Budget(seconds=0), "seconds"),
    ],
)
def test_a_budget_ends_the_run(run, client, server, budget, limit):
    """With what was reached."""
    server.reply("", tool_calls=[("weather", {"city": "A"})])
    with pytest.raises(BudgetExceededError) as caught:
        run(client, "Go.", tools=[weather], budget=budget)
    assert caught.value.limit == limit
    assert caught.value.result.messages
    server.reset()


def test_a_run_inside_a_tool_spends_from_the_same_budget(client, server):
    """Nested agents cannot escape the limit."""

    def ask(question: str) -> str:
        """Ask another agent."""
        return client.run(question).text

    for number in range(6):
        server.reply("", tool_calls=[("ask", {"question": f"q{number}"})])
        server.reply(f"answer {number}")
    with pytest.raises(BudgetExceededError):
        client.run("Go.", tools=[ask], budget=Budget(steps=5))
    assert len(server.requests) == 5


def test_hooks_before_and_after_each_step(run, client, server):
    """The request may be changed, the transcript stays; False ends the run."""
    seen = []

    def before(plan):
        seen.append((plan.number, len(plan.messages)))
        plan.messages = [Message.system("Be brief."), *plan.messages]
        plan.options["temperature"] = 0
        if plan.number == 2:
            plan.tools = []

    def after(step):
        seen.append(("after", step.number, len(step.outcomes)))

    server.reply("", tool_calls=[("weather", {"city": "A"})])
    server.reply("done")
    result = run(client, "Go.", tools=[weather], before_step=before, after_step=after)
    assert seen == [(1, 1), ("after", 1, 1), (2, 3), ("after", 2, 0)]
    assert server.requests[0].json["messages"][0] == {"role": "system", "content": "Be brief."}
    assert server.requests[0].json["temperature"] == 0
    assert "tools" not in server.requests[1].json
    assert [message.role for message in result.messages] == ["user", "assistant", "tool", "assistant"]
    server.reply("", tool_calls=[("weather", {"city": "A"})])
    result = run(client, "Go.", tools=[weather], after_step=lambda step: False)
    assert result.stopped_by == "after_step"
    assert not result.done


def test_the_last_answer_has_a_type(run, client, server):
    """Wrong answers are told to the model; tools go on working meanwhile."""
    server.reply("", tool_calls=[("weather", {"city": "A"})])
    server.reply('{"name": "Bob"}')
    server.reply('{"name": "Bob", "age": 7}')
    result = run(client, "Go.", tools=[weather], output_type=Person)
    assert result.parsed == Person("Bob", 7)
    assert len(result.steps) == 3
    server.reply('{"name": "Bob"}')
    server.reply('{"name": "Bob"}')
    result = run(client, "Go.", output_type=Person)
    with pytest.raises(StructuredOutputError):
        result.parsed  # noqa: B018


def test_a_client_with_options_is_an_agent(run, client, server):
    """Its tools are called by run, and never by chat."""
    agent = client.with_options(system="You plan trips.", tools=[weather])
    assert run(agent, "What is the weather in Rome?").text == "weather says: Rome: sunny for 1 days"
    assert server.requests[-1].json["messages"][0]["content"] == "You plan trips."


def test_a_failure_of_the_provider_is_raised(run, client, server):
    """As by chat."""
    server.fault(429)
    with pytest.raises(RateLimitError):
        run(client, "Go.", tools=[weather])


def test_step_by_step_in_a_queue(world, client, server):
    """Each job does one thing; between them the transcript is JSON."""
    server.reply("", tool_calls=[("weather", {"city": "A"})])
    server.reply("done")
    result = world(client, "step", "Go.", tools=[weather])
    jobs = 1
    while not result.done:
        assert result.stopped_by == "step"
        messages = load_conversation(dump_conversation(result.messages))
        result = world(client, "step", messages, tools=[weather])
        jobs += 1
    assert jobs == 3
    assert result.text == "done"


def test_what_happens_next_follows_from_the_messages():
    """A pure function."""
    tools = {one.name: one for one in tools_of([weather, Tool("elsewhere")])}
    asked = [Message.user("Go.")]
    assert next_action(asked, tools).kind == "ask"
    called = load_conversation(
        '[{"role": "user", "content": "Go."}, {"role": "assistant", "content": null, "tool_calls": ['
        '{"id": "1", "type": "function", "function": {"name": "weather", "arguments": "{}"}},'
        '{"id": "2", "type": "function", "function": {"name": "elsewhere", "arguments": "{}"}}]}]'
    )
    action = next_action(called, tools)
    assert action.kind == "call"
    assert [call.id for call in action.calls] == ["1"]
    assert [call.id for call in action.waiting] == ["2"]
    answered = [*called, Message.tool("1", "x")]
    assert next_action(answered, tools).kind == "wait"
    assert next_action([*answered, Message.tool("2", "x")], tools).kind == "ask"
    assert next_action([*asked, Message.assistant("Hi")], tools).kind == "done"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_steps": 0}, "at least 1"),
        ({"max_steps": "3"}, "max_steps"),
        ({"budget": 5}, "budget"),
        ({"before_step": 3}, "before_step"),
        ({"decisions": [1]}, "decisions must be a dict"),
        ({"decisions": {"x": 1}}, "no decision"),
        ({"tool_timeout": "long"}, "tool_timeout"),
        ({"tools": 3}, "tools must be a list"),
        ({"nonsense": 1}, "Unknown argument"),
    ],
)
def test_wrong_arguments_are_refused(run, client, server, options, said):
    """Before anything is sent."""
    with pytest.raises(InvalidRequestError, match=said):
        run(client, "Go.", **options)
    assert not server.requests


def test_a_cut_answer_does_not_run_a_cut_call(run, client, server):
    """Its arguments may be incomplete although they can be repaired."""
    seen = []

    def write(text: str) -> str:
        """Write."""
        seen.append(text)
        return "written"

    server.reply("", tool_calls=[("write", '{"text": "all"')], finish_reason="length")
    server.reply("done")
    result = run(client, "Go.", tools=[write])
    assert seen == []
    assert "cut off" in results(result)[0]


def test_a_stream_that_breaks_off_is_asked_for_again(server):
    """After a reset, so that whoever shows the text starts again."""
    client = server.client(max_retries=0)
    server.fault(cut_after=3)
    server.reply("one two three four")
    server.reply("five six")
    events = list(client.stream_run("Go."))
    names = [type(event).__name__ for event in events]
    assert names.count("RunReset") == 1
    after = events[names.index("RunReset") + 1 :]
    assert "".join(event.text for event in after if type(event).__name__ == "TextDelta") == "five six"
    server.reset()


def test_leaving_a_streamed_run_early_frees_everything(client, server):
    """As breaking out of any stream does."""
    server.reply("one two three")
    with client.stream_run("Go.", tools=[weather]) as stream:
        for event in stream:
            assert event
            break
    with pytest.raises(TypeError, match="astream_run"):
        stream.__aiter__()

    async def main():
        server.reply("one two three")
        async with client.astream_run("Go.", tools=[weather]) as stream:
            async for event in stream:
                assert event
                break
        with pytest.raises(TypeError, match="stream_run"):
            iter(stream)

    asyncio.run(main())


def test_a_run_that_fails_later_keeps_what_it_has(client, server):
    """error.result of limits; other errors leave the transcript to the caller's conversation."""
    server.reply("", tool_calls=[("weather", {"city": "A"})])
    stream = client.stream_run("Go.", tools=[weather])
    with pytest.raises(ProviderKitError):
        for event in stream:
            if type(event).__name__ == "ToolFinished":
                server.fault(400)
    assert [message.role for message in stream.result.messages] == ["user", "assistant", "tool"]


def test_a_run_that_was_left_is_not_done(client, server):
    """Nor one that has not begun, nor one that failed."""
    server.reply("one two three four")
    stream = client.stream_run("Go.", output_type=Person)
    assert stream.result.stopped_by == "unfinished"
    assert not stream.result.done
    for event in stream:
        assert event
        break
    stream.close()
    assert not stream.result.done
    with pytest.raises(ProviderKitError, match="has not ended"):
        stream.result.parsed  # noqa: B018
    assert stream.result.text.startswith("one")


def test_the_outer_run_is_in_the_error_of_its_budget(client, server):
    """Not the one inside its tool; so the hint leads to the right messages."""

    def ask(question: str) -> str:
        """Ask another agent."""
        return client.run(question, tools=[weather]).text

    server.reply("", tool_calls=[("ask", {"question": "inner"})])
    server.reply("", tool_calls=[("weather", {"city": "A"})])
    with pytest.raises(BudgetExceededError) as caught:
        client.run("outer", tools=[ask], budget=Budget(steps=2))
    assert caught.value.result.messages[0].text == "outer"
    assert caught.value.result.stopped_by == "budget"
    assert not caught.value.result.done
    assert str(caught.value) == "The budget of steps is used up: 2 of 2."
    assert caught.value.__cause__.result.messages[0].text == "inner"


def test_an_agent_as_a_tool(run, client, server):
    """Its result is its value or its text; one that waits is a failure that the model is told of."""

    @tool(requires_approval=True)
    def pay() -> str:
        """Pay."""
        return "paid"

    def typed() -> object:
        """Typed."""
        return client.run("typed", output_type=Person)

    def plain() -> object:
        """Plain."""
        return client.run("plain")

    def waiting() -> object:
        """Waiting."""
        return client.run("waiting", tools=[pay])

    server.reply("", tool_calls=[("typed", {}), ("plain", {}), ("waiting", {})])
    server.reply('{"name": "Bob", "age": 7}')
    server.reply("words")
    server.reply("", tool_calls=[("pay", {})])
    server.reply("done")
    result = run(client, "Go.", tools=[typed, plain, waiting], max_parallel_tools=1)
    one, two, three = results(result)
    assert one == '{"name":"Bob","age":7}'
    assert two == "words"
    assert "waits for a decision" in three


def test_tools_of_a_step_may_be_others(run, client, server):
    """What before_step adds can be called."""

    def before(plan):
        plan.tools = [forecast]

    server.reply("", tool_calls=[("forecast", {"city": "A"})])
    server.reply("done")
    assert results(run(client, "Go.", before_step=before)) == ['{"city":"A"}']


def test_options_of_runs_belong_to_an_agent(run, client, server):
    """with_options takes them; those of the run win."""
    agent = client.with_options(tools=[weather], max_steps=1)
    server.reply("", tool_calls=[("weather", {"city": "A"})])
    with pytest.raises(MaxStepsExceededError, match="after 1 step"):
        run(agent, "Go.")
    server.reply("", tool_calls=[("weather", {"city": "A"})])
    server.reply("done")
    assert run(agent, "Go.", max_steps=2).text == "done"


def test_wrong_worlds_are_told(client):
    """What to write instead."""

    async def main():
        with pytest.raises(TypeError, match="is not awaited"):
            await client.astream_run("Go.")

    asyncio.run(main())
