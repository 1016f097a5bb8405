"""A provider that is overloaded for a while, and a circuit breaker that leaves it alone."""

import pytest

from provider_kit import Backoff, CircuitOpenError, OverloadedError
from provider_kit.model.config import CircuitBreakerConfig

QUICK = Backoff(base=0.001)


class Overload:
    """A fault that can be switched off."""

    def __init__(self):
        self.on = True

    def __call__(self, wire):
        if self.on:
            wire.refuse(503)
        else:
            wire.answer()


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_an_overloaded_provider_is_left_alone_and_found_again(fault_server, client, world, belongings, verb):
    """Of many calls only the first few reach it; while it rests none does; then a few try, and all go through."""
    overload = Overload()
    server = fault_server({"busy": overload})
    numbers = CircuitBreakerConfig(open_for=2.0, min_requests=3, half_open_requests=2)  # longer than thirty calls take
    made = client(server, retry=QUICK, circuit_breaker=numbers)

    async def one(number):
        try:
            return await world.call(made, verb, f"Prompt {number}", model="busy")
        except (OverloadedError, CircuitOpenError) as error:
            return error

    async def scenario():
        during = [await one(number) for number in range(30)]
        reached = server.requests["busy"]
        overload.on = False
        resting = await one(30)
        untouched = server.requests["busy"]
        await world.pause(2.05)
        after = [await one(number) for number in range(10)]
        state = made.circuit.state
        idle = await world.idle()
        await world.close(made)
        return during, reached, resting, untouched, after, state, idle

    stock = belongings()
    during, reached, resting, untouched, after, state, idle = world.run(scenario())
    assert isinstance(during[0], OverloadedError)
    assert {type(error) for error in during[1:]} == {CircuitOpenError}
    assert reached == untouched == 3
    assert reached == sum(len(error.attempts) for error in during)
    assert isinstance(resting, CircuitOpenError)
    assert 0 < resting.retry_after <= 2.0
    assert [answer.text for answer in after] == [f"Prompt {number}" for number in range(10)]
    assert state == "closed"
    assert idle
    assert stock.are_back()


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_a_burst_of_calls_meets_an_overload_together(fault_server, client, world, verb):
    """Those under way when the circuit opens end with the provider's error or the circuit's, and none tries again."""
    overload = Overload()
    server = fault_server({"busy": overload})
    made = client(server, retry=QUICK, circuit_breaker=CircuitBreakerConfig(open_for=0.3))

    async def scenario():
        ask = lambda: world.call(made, verb, "Say hello", model="busy")  # noqa: E731
        during = await world.all([ask] * 100, 8)
        reached = server.requests["busy"]
        overload.on = False
        await world.pause(0.35)
        after = [await ask() for _ in range(5)]
        idle = await world.idle()
        await world.close(made)
        return during, reached, after, idle

    during, reached, after, idle = world.run(scenario())
    assert {type(outcome) for outcome in during} == {OverloadedError, CircuitOpenError}
    assert reached == sum(len(outcome.attempts) for outcome in during)
    assert reached < 8 * 4  # the eight that were under way may have failed before they knew
    assert {answer.text for answer in after} == {"Say hello"}
    assert idle


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_a_provider_that_breaks_off_opens_the_circuit_too(fault_server, client, world, verb):
    """Lost answers count as failures; nothing is sent while the circuit is open."""
    server = fault_server({"lost": lambda wire: wire.reset(0.0)})
    made = client(server, retry=QUICK, circuit_breaker=True)

    async def scenario():
        kinds = []
        for _ in range(10):
            try:
                await world.call(made, verb, "Hi", model="lost")
            except Exception as error:
                kinds.append(type(error).__name__)
        await world.close(made)
        return kinds

    assert world.run(scenario()) == ["ResponseLostError"] * 3 + ["CircuitOpenError"] * 7
    assert server.requests["lost"] == 3
