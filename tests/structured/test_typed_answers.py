"""Answers as values of a type: in both worlds, whole and streamed, right, almost right and wrong."""

import asyncio
import gc
import pickle
import typing

import attrs
import pytest

from provider_kit import (
    InvalidRequestError,
    PendingToolCallsError,
    StructuredOutputError,
    Tool,
    UnsupportedParameterError,
)
from provider_kit.testing import FakeServer


@attrs.define
class Person:
    """A person."""

    name: str
    age: int = attrs.field(validator=attrs.validators.ge(0))


@pytest.fixture(scope="module")
def server():
    with FakeServer() as made:
        yield made


@pytest.fixture
def client(server):
    server.reset()
    return server.client(max_retries=0)


GOOD = '{"name": "Bob", "age": 7}'


def test_an_answer_is_a_value_of_its_type(world, server, client):
    """The request carries the schema, the answer the value."""
    server.reply(GOOD)
    reply = world(client, "chat", "Who?", output_type=Person)
    assert reply.parsed == Person("Bob", 7)
    assert reply.text == GOOD
    sent = server.requests[-1].json["response_format"]["json_schema"]
    assert sent["name"] == "Person"
    assert sent["strict"] is True
    assert sent["schema"]["properties"]["age"] == {"type": "integer", "minimum": 0}
    assert pickle.loads(pickle.dumps(reply)).parsed == Person("Bob", 7)


def test_without_a_type_there_is_no_value(world, client):
    """And that is no accident: the type says None."""
    assert world(client, "chat", "Hello").parsed is None


@pytest.mark.parametrize(
    ("tp", "text", "value"),
    [
        (list[Person], '{"value": [{"name": "A", "age": 1}]}', [Person("A", 1)]),
        (list[Person], '[{"name": "A", "age": 1}]', [Person("A", 1)]),
        (int, '{"value": 3}', 3),
        (int, "3", 3),
        (typing.Literal["yes", "no"], "Yes", "yes"),
        (Person | None, '{"value": null}', None),
        (Person, f"Here you are:\n```json\n{GOOD}\n```", Person("Bob", 7)),
        (Person, '{"name": "Bob", "age": "7"}', Person("Bob", 7)),
    ],
)
def test_what_is_almost_right_costs_no_further_request(world, server, client, tp, text, value):
    """Wrapped or not, in a fence, with numbers as texts."""
    server.reply(text)
    assert world(client, "chat", "Who?", output_type=tp).parsed == value
    assert len(server.requests) == 1


def test_what_is_wrong_is_told_to_the_model_once(world, server, client):
    """The second answer counts; usage and attempts are those of both."""
    server.reply('{"name": "Bob", "age": -1}')
    server.reply(GOOD)
    reply = world(client, "chat", "Who?", output_type=Person)
    assert reply.parsed == Person("Bob", 7)
    assert len(server.requests) == len(reply.attempts) == 2
    asked = server.requests[-1].json["messages"]
    assert [message["role"] for message in asked] == ["user", "assistant", "user"]
    assert "age: must be at least 0, not -1" in asked[-1]["content"]
    assert reply.usage.total_tokens > 20


def test_the_same_mistake_twice_ends_it(world, server, client):
    """However many retries there are; the error has every answer."""
    for _ in range(9):
        server.reply('{"name": "Bob"}')
    reply = world(client, "chat", "Who?", output_type=Person, validation_retries=5)
    with pytest.raises(StructuredOutputError) as caught:
        reply.parsed  # noqa: B018
    error = caught.value
    assert len(server.requests) == 2
    assert error.reason == "invalid"
    assert [output.problems for output in error.outputs] == [("age: is missing",)] * 2
    assert error.outputs[0].text == '{"name": "Bob"}'
    assert error.problems == ("age: is missing",)
    assert error.response.text == '{"name": "Bob"}'
    assert pickle.loads(pickle.dumps(error)).reason == "invalid"


def test_retries_are_counted(world, server, client):
    """Each with another mistake."""
    for age in (-1, -2, -3, -4):
        server.reply(f'{{"name": "Bob", "age": {age}}}')
    reply = world(client, "chat", "Who?", output_type=Person, validation_retries=2)
    with pytest.raises(StructuredOutputError):
        reply.parsed  # noqa: B018
    assert len(server.requests) == 3
    server.reset()
    server.reply('{"name": "Bob", "age": -1}')
    world(client, "chat", "Who?", output_type=Person, validation_retries=0)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("fields", "reason", "said"),
    [
        ({"text": '{"name": "Bob", "age": 7', "finish_reason": "length"}, "truncated", "cut off"),
        ({"text": '[{"name": "Bob", "age": 7}', "finish_reason": "length"}, "truncated", "cut off"),
        ({"text": "", "refusal": "I will not."}, "refused", "I will not."),
        ({"text": "no", "finish_reason": "content_filter"}, "refused", "declined"),
    ],
)
def test_a_refusal_and_a_cut_are_told_apart_and_not_asked_again(world, server, client, fields, reason, said):
    """Asking again would give the same."""
    server.reply(fields["text"], **{name: value for name, value in fields.items() if name != "text"})
    reply = world(client, "chat", "Who?", output_type=Person)
    with pytest.raises(StructuredOutputError, match=said) as caught:
        reply.parsed  # noqa: B018
    assert caught.value.reason == reason
    assert caught.value.hint
    assert len(server.requests) == 1


def test_a_whole_object_at_the_limit_of_tokens_is_whole(world, server, client):
    """Only its text decides."""
    server.reply(GOOD, finish_reason="length")
    assert world(client, "chat", "Who?", output_type=Person).parsed == Person("Bob", 7)


def test_an_empty_answer_is_asked_for_again(world, server, client):
    """Some models give one now and then."""
    server.reply("")
    server.reply(GOOD)
    assert world(client, "chat", "Who?", output_type=Person).parsed == Person("Bob", 7)
    assert [message["role"] for message in server.requests[-1].json["messages"]] == ["user", "user"]


def test_an_answer_that_asks_for_tools_has_no_value(world, server, client):
    """chat() never calls functions, so there is nothing to parse."""
    server.reply("", tool_calls=[("look", {})])
    reply = world(client, "chat", "Who?", output_type=Person, tools=[Tool("look")])
    with pytest.raises(PendingToolCallsError) as caught:
        reply.parsed  # noqa: B018
    assert [call.name for call in caught.value.calls] == ["look"]


def test_a_validator_of_ones_own(world, server, client):
    """It refuses by ValueError, and may return another value."""

    def check(person):
        if person.name == "Bob":
            raise ValueError("Bob is not a full name")
        return attrs.evolve(person, name=person.name.upper())

    server.reply(GOOD)
    server.reply('{"name": "Bob Ray", "age": 7}')
    assert world(client, "chat", "Who?", output_type=Person, validator=check).parsed == Person("BOB RAY", 7)
    assert "Bob is not a full name" in server.requests[-1].json["messages"][-1]["content"]


def test_an_asynchronous_validator_in_asyncio(server, client):
    """It is awaited."""

    async def check(person):
        await asyncio.sleep(0)

    server.reply(GOOD)
    reply = asyncio.run(client.achat("Who?", output_type=Person, validator=check))
    assert reply.parsed == Person("Bob", 7)


def test_local_checks_can_be_switched_off(server):
    """The value is still built, and nothing is asked again."""
    server.reset()
    client = server.client(validation=False)
    server.reply('{"value": ["a", "a"]}')
    assert client.chat("Who?", output_type=list[str]).parsed == ["a", "a"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"output_type": Person, "response_format": "json"}, "Both output_type and response_format"),
        ({"output_type": Person, "validation_retries": -1}, "validation_retries"),
        ({"output_type": Person, "validation_retries": True}, "validation_retries"),
        ({"output_type": Person, "validator": 3}, "validator must be a function"),
        ({"output_type": object()}, "no JSON Schema"),
        ({"validation_retries": 2}, "validation_retries"),
        ({"max_steps": 2}, "max_steps"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_sent(world, server, client, options, said):
    """With what to write instead."""
    with pytest.raises(InvalidRequestError, match=said) as caught:
        world(client, "chat", "Who?", **options)
    assert caught.value.hint or "whole number" in str(caught.value) or "function" in str(caught.value)
    assert not server.requests


def test_files_and_prompt_are_attached_once(world, server, client, tmp_path):
    """Also where the model is asked again."""
    path = tmp_path / "note.txt"
    path.write_text("Bob is 7.")
    server.reply("{}")
    server.reply(GOOD)
    reply = world(client, "chat", prompt="Who?", files=[path], output_type=Person, system="Be brief.")
    assert reply.parsed == Person("Bob", 7)
    sent = str(server.requests[-1].json["messages"])
    assert sent.count("Bob is 7.") == 1
    assert sent.count("Be brief.") == 1


def test_what_a_provider_does_not_enforce_is_a_warning_or_an_error(world, server):
    """As every parameter: on_unsupported decides."""
    server.reset()
    client = server.client("anthropic/claude-sonnet-4-5")
    server.reply(GOOD)
    reply = world(client, "chat", "Who?", output_type=Person)
    assert [str(warning) for warning in reply.warnings] == [
        "output_type: this API does not enforce age: minimum; it was described to the model, and is checked here."
    ]
    with pytest.raises(UnsupportedParameterError):
        world(client, "chat", "Who?", output_type=Person, on_unsupported="raise")


# -------------------------------------------------------------------------------------------- streams


def read(world, stream, method):
    if world.name == "blocking":
        return list(getattr(stream, method)()) if method else list(stream)

    async def collect():
        return [one async for one in (getattr(stream, method)() if method else stream)]

    return asyncio.run(collect())


def stream_of(world, client, *args, **options):
    return getattr(client, "stream" if world.name == "blocking" else "astream")(*args, **options)


TWO = '{"value": [{"name": "Ada Lovelace", "age": 36}, {"name": "Bob", "age": 7}]}'


def test_a_stream_grows_into_the_value(world, server, client):
    """Partial values only grow; the last is the whole."""
    server.reply(TWO)
    stream = stream_of(world, client, "Who?", output_type=list[Person])
    partials = read(world, stream, "partials")
    assert partials[-1] == [{"name": "Ada Lovelace", "age": 36}, {"name": "Bob", "age": 7}]
    assert len(partials) >= 3
    assert stream.response.parsed == [Person("Ada Lovelace", 36), Person("Bob", 7)]


def test_items_come_one_by_one(world, server, client):
    """Each as soon as it is closed, as an object."""
    server.reply(TWO)
    stream = stream_of(world, client, "Who?", output_type=list[Person])
    assert read(world, stream, "items") == [Person("Ada Lovelace", 36), Person("Bob", 7)]


def test_items_of_an_answer_in_a_fence_and_broken_json(world, server, client):
    """What the view does not reach is read at the end."""
    server.reply("```json\n[{'name': 'A', 'age': 1}, {'name': 'B', 'age': 2},]\n```")
    stream = stream_of(world, client, "Who?", output_type=list[Person])
    assert read(world, stream, "items") == [Person("A", 1), Person("B", 2)]


def test_a_wrong_item_is_an_error_with_its_number(world, server, client):
    """Before the rest is read."""
    server.reply('{"value": [{"name": "A", "age": 1}, {"name": "B", "age": -1}]}')
    stream = stream_of(world, client, "Who?", output_type=list[Person])
    with pytest.raises(StructuredOutputError, match=r"\[1\]\.age"):
        read(world, stream, "items")
    gc.collect()


def test_a_stream_is_never_asked_again(world, server, client):
    """Its reader has seen it already."""
    server.reply('{"name": "Bob"}')
    stream = stream_of(world, client, "Who?", output_type=Person)
    read(world, stream, None)
    with pytest.raises(StructuredOutputError, match="age: is missing"):
        stream.response.parsed  # noqa: B018
    assert len(server.requests) == 1


def test_before_the_end_there_is_no_value(world, server, client):
    """And never None by accident."""
    server.reply(TWO)
    stream = stream_of(world, client, "Who?", output_type=list[Person])
    with pytest.raises(StructuredOutputError, match="not ended"):
        stream.response.parsed  # noqa: B018
    read(world, stream, None)
    assert stream.response.parsed


def test_partials_need_a_type_and_items_a_list(world, server, client):
    """A clear error."""
    with pytest.raises(InvalidRequestError, match="no output_type"):
        read(world, stream_of(world, client, "Who?"), "partials")
    with pytest.raises(InvalidRequestError, match="needs a list"):
        read(world, stream_of(world, client, "Who?", output_type=Person), "items")
    assert stream_of(world, client, "Who?").response.parsed is None


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"output_type": Person("a", 1)}, "Pass the class Person, not an instance"),
        ({"output_type": [Person]}, "Write list[Person]"),
        ({"output_type": (Person, int)}, "Person | int"),
        ({"output_type": {"type": "object"}}, "response_format="),
        ({"response_format": Person}, "output_type=Person"),
        ({"response_model": Person}, "It is called output_type here"),
        ({"functions": []}, "It is called tools here"),
        ({"retries": 3}, "validation_retries"),
        ({"max_parallel_tools": 3}, "client.run"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_likely_mistakes_get_the_right_hint(world, client, options, hint):
    """Names of other libraries, instances for classes."""
    with pytest.raises(InvalidRequestError) as caught:
        world(client, "chat", "Who?", **options)
    assert hint in caught.value.hint


def test_a_validator_that_says_true_or_false_is_a_mistake(world, client, server):
    """It would take the place of the answer."""
    server.reply(GOOD)
    with pytest.raises(InvalidRequestError, match="validator returned False"):
        world(client, "chat", "Who?", output_type=Person, validator=lambda person: person.age > 100)
