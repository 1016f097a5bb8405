"""What answers, runs and conversations have cost."""

import asyncio
import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from provider_kit import (
    APITimeoutError,
    Budget,
    BudgetExceededError,
    ChatResponse,
    Client,
    Conversation,
    Message,
    ResponseLostError,
    ScriptedTransport,
    StreamError,
    Usage,
    tool,
)
from provider_kit.testing import FakeServer

KEY = "sk-test-0123456789"


def answer(prompt=1000, completion=100, model="gpt-4o-2024-11-20", **usage):
    return {
        "json": {
            "id": "x",
            "model": model,
            "choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": prompt, "completion_tokens": completion, **usage},
        }
    }


def streamed(*lines, end=True):
    text = "".join(f"data: {line}\n\n" for line in lines) + ("data: [DONE]\n\n" if end else "")
    return {"stream": [text.encode()], "headers": {"content-type": "text/event-stream"}}


def make(*answers, target="openai/gpt-4o", **options):
    options.setdefault("max_retries", 0)
    return Client(target, api_key=KEY, transport=ScriptedTransport(list(answers)), **options)


def test_an_answer_knows_its_cost(call):
    """By the model that answered, else by the one that was asked."""
    assert call.chat(make(answer()), "Hi").cost == Decimal("0.0035")
    assert call.chat(make(answer(model="a-deployment")), "Hi").cost == Decimal("0.0035")
    assert call.chat(make(answer(model="unknown"), target="openai/unheard"), "Hi").cost is None


@pytest.mark.parametrize("model", [["gpt-4o"], True, 7, {}, None, ""])
def test_a_name_that_is_none_is_no_model(call, model):
    """Some servers answer with one; the requested model counts."""
    assert call.chat(make(answer(model=model)), "Hi").cost == Decimal("0.0035")


def test_a_streamed_answer_knows_it_too(call):
    """From the usage of its last event."""
    piece = '{"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"Hi"}}]}'
    last = '{"model":"gpt-4o","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
    used = '{"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":100}}'
    _, reply = call.stream(make(streamed(piece, last, used)), "Hi")
    assert reply.cost == Decimal("0.0035")
    assert not reply.cost_is_minimum


def test_the_providers_own_figure_comes_first(call):
    """As OpenRouter and xAI report it."""
    reply = call.chat(make(answer(cost=0.25)), "Hi")
    assert reply.cost == Decimal("0.25")


def test_cached_tokens_audio_and_tiers_have_their_prices(call):
    """As the usage tells them apart."""
    cached = answer(prompt_tokens_details={"cached_tokens": 800})
    assert call.chat(make(cached), "Hi").cost == Decimal("0.0025")
    flex = answer(model="gpt-6-sol")
    flex["json"]["service_tier"] = "flex"
    assert call.chat(make(flex, target="openai/gpt-6-sol", options={"use_responses_api": False}), "Hi").cost == Decimal(
        "0.0015"
    )
    written = {
        "json": {
            "type": "message",
            "model": "claude-opus-4-5",
            "content": [{"type": "text", "text": "Hi"}],
            "stop_reason": "end_turn",
            "usage": {
                "input_tokens": 1000,
                "cache_creation_input_tokens": 10_000,
                "cache_creation": {"ephemeral_5m_input_tokens": 6000, "ephemeral_1h_input_tokens": 4000},
                "output_tokens": 500,
                "server_tool_use": {"web_search_requests": 2},
            },
        }
    }
    reply = call.chat(make(written, target="anthropic/claude-opus-4-5"), "Hi")
    assert reply.usage.details == {"cache_write_1h": 4000, "web_searches": 2}
    assert reply.cost == Decimal("0.115")


def test_an_answer_of_the_cache_costs_nothing(call):
    """Nothing was sent."""
    client = make(answer(), response_cache=True)
    assert call.chat(client, "Hi").cost == Decimal("0.0035")
    again = call.chat(client, "Hi")
    assert (again.cache, again.cost, again.usage.input_tokens) == ("hit", 0, 1000)


def test_vectors_have_a_cost(call):
    """Over all batches."""
    page = {"json": {"model": "text-embedding-3-small", "data": [{"index": 0, "embedding": [1]}], "usage": {}}}
    page["json"]["usage"] = {"prompt_tokens": 500_000, "total_tokens": 500_000}
    client = make(page, page, target="openai/text-embedding-3-small")
    assert call.embed(client, ["x"]).cost == Decimal("0.01")


def test_what_was_lost_makes_a_cost_a_minimum(call):
    """An attempt whose answer was lost may have been billed."""
    for late in (ResponseLostError("lost"), APITimeoutError("late", retryable=False)):
        reply = call.chat(make(late, answer(), max_retries=1, retry_on_read_timeout=True), "Hi")
    assert [attempt.may_be_billed for attempt in reply.attempts] == [True, False]
    assert (reply.cost, reply.cost_is_minimum) == (Decimal("0.0035"), True)


def test_a_refused_attempt_costs_nothing(call):
    """A 429 is not billed."""
    busy = {"status": 429, "json": {"error": {"message": "slow down"}}, "headers": {"retry-after": "0"}}
    reply = call.chat(make(busy, answer(), max_retries=1), "Hi")
    assert (len(reply.attempts), reply.cost_is_minimum) == (2, False)


def test_a_stream_that_broke_off_costs_at_least_what_is_known(call):
    """Anthropic tells the input first."""
    start = (
        'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant",'
        '"model":"claude-sonnet-4-5","content":[],"usage":{"input_tokens":1000,"output_tokens":1}}}\n\n'
        'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text",'
        '"text":""}}\n\nevent: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":'
        '"text_delta","text":"Hi"}}\n\n'
    )
    cut = {"stream": [start.encode()], "headers": {"content-type": "text/event-stream"}}
    with pytest.raises(StreamError) as caught:
        call.stream(make(cut, target="anthropic/claude-sonnet-4-5"), "Hi")
    partial = caught.value.partial
    assert partial.cost == Decimal("0.003015")
    assert partial.cost_is_minimum


def test_a_stream_that_was_left_costs_at_least_what_is_known():
    """Its reader stopped."""
    with FakeServer() as server:
        stream = server.client("anthropic/claude-sonnet-4-5").stream("Tell me a long story.")
        next(iter(stream))
        stream.close()
        assert stream.response.cost_is_minimum
        assert stream.response.cost > 0


# ------------------------------------------------------------------------------------------------ sums


def read_stream(world, talk, question):
    """A streamed turn to its end."""
    if world.name == "blocking":
        return list(talk.stream(question))

    async def read():
        return [chunk async for chunk in talk.astream(question)]

    return asyncio.run(read())


@tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city}"


@pytest.fixture
def server():
    with FakeServer() as made:
        yield made


def test_a_run_costs_what_its_steps_cost(world, server):
    """All of them."""
    server.reply("", tool_calls=[("weather", {"city": "Paris"})], input_tokens=1000, output_tokens=100)
    server.reply("Sunny.", input_tokens=2000, output_tokens=100)
    result = world(server.client("openai/gpt-4o"), "run", "Weather?", tools=[weather])
    assert [step.usage.cost for step in result.steps] == [Decimal("0.0035"), Decimal("0.006")]
    assert result.cost == Decimal("0.0095")
    assert not result.cost_is_minimum


def test_a_budget_of_money_ends_a_run(world, server):
    """Where the price is known; else it says what to do."""
    for _ in range(3):
        server.reply("", tool_calls=[("weather", {"city": "Paris"})], input_tokens=1000, output_tokens=100)
    client = server.client("openai/gpt-4o")
    with pytest.raises(BudgetExceededError, match="budget of cost is used up") as caught:
        world(client, "run", "Weather?", tools=[weather], budget=Budget(cost=0.005))
    assert caught.value.result.cost == Decimal("0.007")
    server.reset()
    with pytest.raises(BudgetExceededError, match="price of its answers is not known") as caught:
        world(server.client("openai/mystery"), "run", "Hello", budget=Budget(cost=1))
    assert "model_overrides" in caught.value.hint
    server.reset()
    priced = server.client("openai/mystery", model_overrides={"mystery": {"pricing": {"input": 1, "output": 1}}})
    assert world(priced, "run", "Hello", budget=Budget(cost=1)).cost > 0


def test_a_conversation_adds_up(world, server):
    """Over its turns, and over a restart."""
    client = server.client("openai/gpt-4o")
    talk = client.conversation()
    for _ in range(3):
        server.reply("Hi", input_tokens=1000, output_tokens=100)
        world(talk, "say", "Hello")
    assert talk.cost == Decimal("0.0105")
    assert Conversation.from_json(talk.to_json(), client).cost == Decimal("0.0105")
    assert client.conversation().cost is None


def test_a_turn_that_failed_makes_the_sum_a_minimum(world, server):
    """What was sent may be billed."""
    client = server.client("anthropic/claude-sonnet-4-5", max_retries=0)
    talk = client.conversation()
    server.reply("Hi", input_tokens=1000, output_tokens=100)
    world(talk, "say", "Hello")
    server.fault(cut_after=4)
    with pytest.raises(StreamError):
        read_stream(world, talk, "Go on.")
    assert talk.usage.cost_is_minimum
    assert talk.cost >= Decimal("0.0045")


def test_many_usages_add_up_without_a_chain():
    """The sum is the sum, however long."""
    from provider_kit.catalog.directory import ModelDirectory
    from provider_kit.model.usage import Quote

    prices = ModelDirectory("openai", "openai", "", (), 1.0)
    total = None
    for _ in range(3000):
        one = Usage(1000, 100)
        one.price_by(Quote(prices, ("gpt-4o",), None))
        total = one if total is None else total + one
    assert total.cost == Decimal("0.0035") * 3000
    assert total.input_tokens == 3_000_000


def test_an_unknown_cost_makes_a_sum_unknown_but_a_lost_one_a_minimum():
    """Two kinds of not knowing."""
    known, unknown, lost = Usage(1, cost=Decimal(1)), Usage(1), Usage(cost_is_minimum=True)
    assert (known + unknown).cost is None
    assert ((known + lost).cost, (known + lost).cost_is_minimum) == (1, True)
    assert (lost + lost).cost is None
    assert (known + known).cost == 2
    assert (known + lost).at_least().cost == 1


def test_details_add_up():
    """Each by its name."""
    one, other = Usage(details={"web_searches": 1}), Usage(details={"web_searches": 2, "input_audio": 5})
    assert (one + other).details == {"web_searches": 3, "input_audio": 5}
    assert (one + Usage()).details == {"web_searches": 1}


def test_an_answer_is_copied_and_pickled_with_its_cost(call):
    """The directory it came from is not."""
    reply = call.chat(make(answer()), "Hi")
    for made in (pickle.loads(pickle.dumps(reply)), copy.deepcopy(reply)):
        assert made.cost == Decimal("0.0035")
        assert made.usage == reply.usage
    assert len(pickle.dumps(reply)) < 5000


def test_an_answer_made_by_hand_has_no_cost():
    """Nothing is known of it."""
    assert ChatResponse(Message("assistant", "Hi"), "stop").cost is None


def test_the_last_piece_of_a_stream_knows_its_cost(call):
    """For those who keep no answer."""
    piece = '{"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}'
    used = '{"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":100}}'
    chunks, _ = call.stream(make(streamed(piece, used)), "Hi")
    assert [chunk.usage.cost for chunk in chunks if chunk.usage is not None] == [Decimal("0.0035")]


def test_an_override_of_the_requested_name_wins_over_the_answers(call):
    """Providers answer with a dated name."""
    client = make(answer(), model_overrides={"gpt-4o": {"pricing": {"input": 1, "output": 1}}})
    assert call.chat(client, "Hi").cost == Decimal("0.0011")


def test_a_tier_without_prices_has_no_cost(call):
    """It would be a guess."""
    scaled = answer()
    scaled["json"]["service_tier"] = "scale"
    assert call.chat(make(scaled), "Hi").cost is None
    for tier in ("default", "standard", "auto"):
        usual = answer()
        usual["json"]["service_tier"] = tier
        assert call.chat(make(usual), "Hi").cost == Decimal("0.0035")


def test_output_that_was_not_counted_is_not_free(call):
    """Unless it is free."""
    uncounted = answer()
    del uncounted["json"]["usage"]["completion_tokens"]
    assert call.chat(make(uncounted), "Hi").cost is None
    free = make(uncounted, model_overrides={"*": {"pricing": {"input": 1, "output": 0}}})
    assert call.chat(free, "Hi").cost == Decimal("0.001")


def test_searches_of_the_responses_api_are_billed(call):
    """They stand among its output."""
    search = {"type": "web_search_call", "id": "w", "status": "completed"}
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}
    found = {
        "json": {
            "object": "response",
            "status": "completed",
            "model": "gpt-6-sol",
            "output": [search, said, search],
            "usage": {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100},
        }
    }
    usage = call.chat(make(found, target="openai/gpt-6-sol"), "Hi").usage
    assert usage.details == {"web_searches": 2}


@pytest.mark.parametrize(
    ("told", "cost"),
    [
        ({"cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.2}}, "0.21"),
        ({"cost": 0.01, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.2}}, "0.01"),
        ({"cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": None}}, "0.01"),
    ],
)
def test_a_key_of_ones_own_is_billed_twice(call, told, cost):
    """By OpenRouter, and by the provider whose key it was."""
    assert call.chat(make(answer(**told), target="openrouter/a/b"), "Hi").cost == Decimal(cost)


def test_costs_may_be_asked_for_in_many_threads():
    """The first that asks looks it up."""
    with ThreadPoolExecutor(8) as pool:
        for _ in range(50):
            usage = make(answer()).chat("Hi").usage
            assert set(pool.map(lambda _, one=usage: one.cost, range(8))) == {Decimal("0.0035")}


def test_a_question_for_the_cost_changes_nothing(call):
    """Two answers of the same tokens stay equal."""
    one, other = call.chat(make(answer()), "Hi").usage, call.chat(make(answer()), "Hi").usage
    assert one == other
    assert one.cost == Decimal("0.0035")
    assert one == other
    assert repr(one) == repr(other)


def test_an_answer_at_its_limit_is_no_minimum(call):
    """Its length is what was asked for, and all of it is billed."""
    full = answer()
    full["json"]["choices"][0]["finish_reason"] = "length"
    assert not call.chat(make(full), "Hi").cost_is_minimum


def test_a_lost_try_of_a_step_counts(world, server):
    """Its stream broke off; the next one succeeds."""
    client = server.client("anthropic/claude-sonnet-4-5", max_retries=0)
    server.fault(cut_after=4)
    server.reply("Whole.", input_tokens=1000, output_tokens=100)

    async def read():
        async with client.astream_run("Hi") as stream:
            async for _ in stream:
                pass
            return stream.result

    def read_blocking():
        with client.stream_run("Hi") as stream:
            list(stream)
            return stream.result

    result = read_blocking() if world.name == "blocking" else asyncio.run(read())
    assert result.cost_is_minimum
    assert result.usage.input_tokens > 1000
