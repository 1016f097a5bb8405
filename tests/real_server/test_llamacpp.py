"""The ``llamacpp`` provider against llama.cpp's own server, with a random model made on the spot."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from llama_server import running_server
from tiny_model import TOOL_CALL_BIAS, write_tiny_model

from provider_kit import Client, Tool
from provider_kit.errors import ContextLengthExceededError

SCHEMA = {
    "type": "object",
    "properties": {
        "answer": {"type": "boolean"},
        "colour": {"type": "string", "enum": ["red", "green"]},
        "count": {"type": "integer", "minimum": 0, "maximum": 99},
    },
    "required": ["answer", "colour", "count"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("llama")
    write_tiny_model(folder / "tiny.gguf")
    with running_server(folder / "tiny.gguf", log=folder / "server.log") as url:
        yield f"{url}/v1"


@pytest.fixture
def client(base_url: str) -> Iterator[Client]:
    with Client("llamacpp/tiny-random", base_url=base_url) as made:
        yield made


def test_it_answers_and_counts_tokens(call, client):
    """A whole answer has text, a finish reason and usage."""
    answer = call.chat(client, "Hello", max_tokens=16, seed=1)
    assert answer.text
    assert answer.finish_reason in ("length", "stop")
    assert answer.usage.completion_tokens <= 16
    assert answer.usage.prompt_tokens > 5
    assert answer.model == "tiny-random"


def test_a_stream_brings_the_same_text_as_the_whole_answer(call, client):
    """The same seed gives the same text, whole and streamed."""
    whole = call.chat(client, "Hello", max_tokens=24, seed=7, temperature=1.0)
    chunks, response = call.stream(client, "Hello", max_tokens=24, seed=7, temperature=1.0)
    assert response.text == whole.text == "".join(chunk.text for chunk in chunks)
    assert response.finish_reason == whole.finish_reason
    assert response.usage.completion_tokens == whole.usage.completion_tokens


def test_the_seed_decides_the_text(call, client):
    """Another seed gives another text."""
    texts = {call.chat(client, "Hello", max_tokens=24, seed=seed, temperature=1.0).text for seed in (1, 1, 2, 3)}
    assert len(texts) == 3


def test_a_stop_text_ends_the_answer(call, client):
    """The answer ends before the stop text."""
    whole = call.chat(client, "Hello", max_tokens=48, seed=3, temperature=1.0).text
    stop = whole[5:7]
    answer = call.chat(client, "Hello", max_tokens=48, seed=3, temperature=1.0, stop=stop)
    assert answer.finish_reason == "stop"
    assert answer.text == whole[: whole.index(stop)]


def test_a_json_schema_is_kept(call, client):
    """A schema forces even a random model to write valid JSON."""
    answer = call.chat(client, "Answer", response_format=SCHEMA, max_tokens=256, seed=5)
    value = json.loads(answer.text)
    assert isinstance(value["answer"], bool)
    assert value["colour"] in ("red", "green")
    assert 0 <= value["count"] <= 99


def test_tools_are_called(call, client):
    """A forced tool call arrives with its name and a JSON object, whole and streamed alike."""
    tool = Tool(
        "get_weather",
        "Weather of a city",
        {"type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}}, "required": ["city"]},
    )
    options = {
        "tools": [tool],
        "tool_choice": "required",
        "max_tokens": 400,
        "seed": 11,
        "extra_body": {"logit_bias": TOOL_CALL_BIAS},
    }
    whole = call.chat(client, "Weather?", **options)
    assert whole.finish_reason == "tool_calls"
    assert whole.tool_calls[0].name == "get_weather"
    assert whole.tool_calls[0].arguments["city"] in ("Rome", "Oslo")
    _, streamed = call.stream(client, "Weather?", **options)
    assert [c.arguments for c in streamed.tool_calls] == [c.arguments for c in whole.tool_calls]


def test_too_long_a_prompt_is_a_typed_error(call, client):
    """An overflow of the context window says so, whole and streamed."""
    for ask in (call.chat, call.stream):
        with pytest.raises(ContextLengthExceededError) as caught:
            ask(client, "x" * 5000)
        assert caught.value.status_code == 400
        assert "context window" in caught.value.hint


def test_models_are_listed_with_their_window(call, client):
    """The list tells the model and its context window."""
    (model,) = call.models(client)
    assert model.id == "tiny-random"
    assert model.context_window == 2048


def test_tokens_are_counted_by_the_server(call, client):
    """The count before the call is the prompt that the call then uses."""
    tokens = call.count_tokens(client, "Hello")
    assert tokens == call.chat(client, "Hello", max_tokens=1).usage.prompt_tokens


def test_a_stream_that_is_left_frees_the_only_slot(call, client):
    """Leaving a long stream early lets the next call in at once."""
    stream = client.stream("Hello", max_tokens=1500, seed=1, extra_body={"ignore_eos": True})
    next(stream)
    stream.close()
    assert stream.response.finish_reason == "error"
    assert call.chat(client, "Hello", max_tokens=4, timeout=5).text


def test_many_streams_in_a_row_survive_the_servers_closing(call, client):
    """The server closes after each stream although it promises to keep alive; no call fails for it."""
    answers = [call.stream(client, "Hello", max_tokens=3, seed=seed)[1] for seed in range(40)]
    assert all(answer.finish_reason in ("length", "stop") for answer in answers)


@pytest.mark.parametrize("count", [8])
def test_calls_at_once_queue_for_the_slot(client, count):
    """Calls beyond the server's slots wait and are all answered."""

    async def run() -> list[str]:
        answers = await asyncio.gather(*(client.achat("Hello", max_tokens=4, seed=n) for n in range(count)))
        return [answer.text for answer in answers]

    assert all(asyncio.run(run()))
