"""What may have been carried out, and billed, is not asked for again; what was surely not sent, is."""

import threading

import pytest

from provider_kit import APIConnectionError, Backoff, ResponseLostError, StreamIncompleteError

#: As many tries as by default, without the waits.
QUICK = Backoff(base=0.0, jitter=lambda seconds: 0.0)
RESETS = 250


def reset(wire):
    wire.reset(0.0)


async def attempts_of(world, client, verb, prompt, **options):
    """The error of a call and what its attempts were."""
    with pytest.raises(APIConnectionError) as caught:
        await world.call(client, verb, prompt, **options)
    return caught.value, [attempt.error for attempt in caught.value.attempts]


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_a_request_whose_answer_was_lost_is_sent_once(fault_server, client, world, belongings, verb):
    """Hundreds of resets after the whole request, retries on: the server sees each prompt exactly once."""
    seen = []

    def count_and_reset(wire):
        seen.append(wire.prompt)
        wire.reset(0.0)

    server = fault_server({"lost": count_and_reset})
    made = client(server, retry=QUICK)

    async def scenario():
        outcomes = [await attempts_of(world, made, verb, f"Prompt {n}", model="lost") for n in range(RESETS)]
        after = await world.call(made, verb, "Say hello")
        await world.close(made)
        return outcomes, after

    stock = belongings()
    outcomes, after = world.run(scenario())
    assert seen == [f"Prompt {n}" for n in range(RESETS)]
    for error, attempts in outcomes:
        assert type(error) is ResponseLostError
        assert not error.retryable
        assert attempts == ["ResponseLostError"]
    assert after.text == "Say hello"
    assert stock.are_back()


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_calls_at_once_whose_answers_are_lost_are_sent_once_each(fault_server, client, world, verb):
    """Also where they share the connections of a pool, some of which were used before."""
    server = fault_server({"lost": reset})
    made = client(server, retry=QUICK)

    async def scenario():
        ask = lambda model, n: lambda: world.call(made, verb, f"Prompt {n}", model=model)  # noqa: E731
        outcomes = await world.all([ask("lost" if n % 2 else "good", n) for n in range(RESETS)], 16)
        await world.close(made)
        return outcomes

    outcomes = world.run(scenario())
    assert [outcome.text for outcome in outcomes[::2]] == [f"Prompt {n}" for n in range(0, RESETS, 2)]
    assert {type(outcome) for outcome in outcomes[1::2]} == {ResponseLostError}
    assert server.requests == {"lost": RESETS // 2, "good": RESETS // 2}


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_a_lost_answer_is_asked_for_again_where_that_is_allowed(fault_server, client, world, verb):
    """``retry_on_read_timeout=True``: the server sees every attempt that the error lists."""
    server = fault_server({"lost": reset})
    made = client(server, retry=QUICK, retry_on_read_timeout=True)

    async def scenario():
        found = await attempts_of(world, made, verb, "Hi", model="lost")
        await world.close(made)
        return found

    error, attempts = world.run(scenario())
    assert isinstance(error, ResponseLostError)
    assert attempts == ["ResponseLostError"] * 4
    assert [attempt.number for attempt in error.attempts] == [1, 2, 3, 4]
    assert server.requests["lost"] == 4


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_an_answer_that_was_late_is_asked_for_again_where_that_is_allowed(fault_server, client, world, verb):
    """The second attempt's answer is returned, and the first one stands beside it."""

    def late_at_first(wire):
        if wire.count == 1:
            wire.hold()
        else:
            wire.answer()

    server = fault_server({"late": late_at_first})
    made = client(server, retry=QUICK, retry_on_read_timeout=True, timeout=0.2)

    async def scenario():
        answer = await world.call(made, verb, "Say hello", model="late")
        await world.close(made)
        return answer

    answer = world.run(scenario())
    assert answer.text == "Say hello"
    assert [attempt.error for attempt in answer.attempts] == ["APITimeoutError", None]
    assert server.requests["late"] == 2


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_a_late_answer_is_not_asked_for_again(fault_server, client, world, verb):
    """It may be on its way."""
    server = fault_server({"late": lambda wire: wire.hold()})
    made = client(server, retry=QUICK, timeout=0.1)

    async def scenario():
        found = await attempts_of(world, made, verb, "Hi", model="late")
        await world.close(made)
        return found

    _, attempts = world.run(scenario())
    assert attempts == ["APITimeoutError"]
    assert server.requests["late"] == 1


def test_a_stream_that_broke_after_content_is_not_asked_for_again(fault_server, client, world):
    """Its reader has seen the beginning; even where repeating is allowed, an answer cannot begin twice."""

    def break_off(wire):
        wire.send(wire.answer_head, wire.chunk(wire.token("Begun")))
        wire.reset()

    server = fault_server({"broken": break_off})
    made = client(server, retry=QUICK, retry_on_read_timeout=True)

    async def scenario():
        with pytest.raises(StreamIncompleteError) as caught:
            await world.call(made, "stream", "Hi", model="broken")
        await world.close(made)
        return caught.value

    error = world.run(scenario())
    assert error.partial.text == "Begun"
    assert len(error.attempts) == server.requests["broken"] == 1


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_a_connection_that_is_refused_is_tried_again(fault_server, client, world, verb):
    """Nothing was sent: as many attempts as the policy allows, and each one is listed."""
    server = fault_server()
    server.stop()
    made = client(server, retry=QUICK)

    async def scenario():
        found = await attempts_of(world, made, verb, "Hi")
        await world.close(made)
        return found

    error, attempts = world.run(scenario())
    assert type(error) is APIConnectionError
    assert attempts == ["APIConnectionError"] * 4


# ------------------------------------------------------------------------------------- connections that were idle

ENDINGS = {
    "closed": lambda wire, then: wire.half_close(then),
    "reset": lambda wire, then: (wire.reset(), then()),
}


@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_connection_that_ended_while_idle_is_not_used(fault_server, client, world, belongings, ending, verb):
    """Its end has arrived, whether or not the event loop has seen it: the next call goes out on a new one, once."""

    read, ended = threading.Semaphore(0), threading.Semaphore(0)

    def answer_and_end(wire):
        wire.answer()
        assert read.acquire(timeout=10)  # a reset that comes before the answer was read takes it away
        ENDINGS[ending](wire, ended.release)

    server = fault_server({"last": answer_and_end})
    made = client(server, retry=QUICK)

    async def scenario():
        answers = []
        for number in range(8):
            answers.append(await world.call(made, verb, f"Prompt {number}", model="last"))
            # Asyncio's loop stands still meanwhile, so that it learns of the end when it is too late.
            read.release()
            assert ended.acquire(timeout=10)
        await world.close(made)
        return answers

    stock = belongings()
    answers = world.run(scenario())
    assert [answer.text for answer in answers] == [f"Prompt {number}" for number in range(8)]
    assert {len(answer.attempts) for answer in answers} == {1}
    assert server.requests["last"] == server.connections == 8
    assert stock.are_back()


@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize("ending", ["half_close", "reset"])
def test_a_connection_that_ends_just_as_it_is_used_is_told(fault_server, client, world, ending, verb):
    """The request left and nobody knows who read it: the error says so, and it is not sent a second time."""
    server = fault_server()
    server.faults["good"] = lambda wire: (wire.answer(), wire.close_on_next(ending))
    made = client(server, retry=QUICK)

    async def scenario():
        first = await world.call(made, verb, "Say hello")
        found = await attempts_of(world, made, verb, "Hi", model="second")
        third = await world.call(made, verb, "Say goodbye", model="third")
        await world.close(made)
        return first, found, third

    first, (error, attempts), third = world.run(scenario())
    assert first.text == "Say hello"
    assert type(error) is ResponseLostError
    assert attempts == ["ResponseLostError"]
    assert third.text == "Say goodbye"
    assert server.requests == {"good": 1, "third": 1}
    assert server.begun == 3


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_a_race_between_closing_and_asking_never_sends_twice(fault_server, client, world, verb):
    """A server that closes idle connections about when the next call comes: answered or told as lost, once."""

    def answer_and_close_soon(wire):
        wire.answer()
        wire.pause(0.001 * (wire.count % 4))
        wire.reset(0.0)

    server = fault_server({"short-lived": answer_and_close_soon})
    made = client(server, retry=QUICK)

    async def scenario():
        outcomes = []
        for number in range(120):
            try:
                outcomes.append(await world.call(made, verb, f"Prompt {number}", model="short-lived"))
            except ResponseLostError as error:
                outcomes.append(error)
            await world.pause(0.001 * (number % 3))
        await world.close(made)
        return outcomes

    outcomes = world.run(scenario())
    answered = [outcome for outcome in outcomes if not isinstance(outcome, ResponseLostError)]
    assert len(answered) <= server.requests["short-lived"] <= 120
    assert len(answered) > 20
    assert {len(outcome.attempts) for outcome in outcomes} == {1}
    assert all(outcome.text == f"Prompt {number}" for number, outcome in enumerate(outcomes) if outcome in answered)


@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize("size", [10, 8_000_000], ids=["a short request", "a long request"])
@pytest.mark.parametrize("ending", ["half_close", "reset"])
def test_a_request_that_broke_off_on_its_way_is_told_as_lost(
    fault_server, client, world, belongings, size, ending, verb
):
    """Some of it had left; how much was read is unknown here, so it is not sent again unless that is allowed."""
    server = fault_server(accept=lambda wire: wire.close_on_next(ending))
    careful, free = client(server, retry=QUICK), client(server, retry=QUICK, retry_on_read_timeout=True)
    prompt = "x" * size

    async def scenario():
        found = await attempts_of(world, careful, verb, prompt), await attempts_of(world, free, verb, prompt)
        idle = await world.idle()
        await world.close(careful)
        await world.close(free)
        return *found, idle

    stock = belongings()
    (error, once), (_, repeated), idle = world.run(scenario())
    assert isinstance(error, ResponseLostError)
    assert once == ["ResponseLostError"]
    assert repeated == ["ResponseLostError"] * 4
    assert server.begun == 5
    assert idle
    assert stock.are_back()
