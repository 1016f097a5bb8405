"""Requests, answers, chunks and usage."""

import pickle
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from provider_kit.model.chat import ChatResponse, Chunk, ParameterWarning, ToolCallDelta
from provider_kit.model.messages import Message, Refusal, Text, Thinking, ToolCall
from provider_kit.model.usage import Usage

COUNT = st.none() | st.integers(0, 1000)


def test_totals_are_split_into_buckets_that_do_not_overlap():
    """What was cached is not counted as fresh, what was thought not as said."""
    usage = Usage.from_totals(100, 50, cache_read=60, cache_write=10, reasoning=20)
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (30, 30, 150)
    assert (usage.prompt_tokens, usage.completion_tokens) == (100, 50)


def test_what_is_unknown_stays_unknown():
    """Nothing is guessed."""
    usage = Usage()
    assert usage.prompt_tokens is None
    assert usage.completion_tokens is None
    assert Usage.from_totals(5, None).total_tokens is None


@given(COUNT, COUNT, COUNT, COUNT, COUNT, COUNT)
def test_no_bucket_is_ever_negative(prompt, completion, read, written, reasoning, total):
    """Even where a provider's numbers contradict each other."""
    usage = Usage.from_totals(
        prompt, completion, cache_read=read, cache_write=written, reasoning=reasoning, total=total
    )
    numbers = (usage.input_tokens, usage.output_tokens, usage.prompt_tokens, usage.completion_tokens)
    assert all(number is None or number >= 0 for number in numbers)


def test_a_chunk_tells_what_it_carries():
    """Most have text; the last one is done."""
    assert Chunk("a").content == "a"
    assert not Chunk("a").done
    assert Chunk("", finish_reason="stop").done
    assert not Chunk().has_content
    for chunk in (Chunk("a"), Chunk(thinking="t"), Chunk(refusal="r"), Chunk(tool_calls=[ToolCallDelta(0)])):
        assert chunk.has_content


def test_an_answer_gives_the_parts_of_its_message():
    """The text is also what it prints as."""
    call = ToolCall("c", "f", "{}")
    answer = ChatResponse(
        Message("assistant", [Thinking("t"), Text("Hi"), Refusal("no"), call]),
        "stop",
        usage=lambda: Usage(1, 2, cost=Decimal("0.5")),
    )
    assert (str(answer), answer.text, answer.thinking, answer.refusal) == ("Hi", "Hi", "t", "no")
    assert answer.tool_calls == [call]
    assert answer.cost == Decimal("0.5")
    assert "input_tokens=1" in repr(answer)


def test_usage_is_worked_out_once_and_only_when_asked_for():
    """An answer whose usage nobody reads does not pay for it."""
    asked = []
    answer = ChatResponse(Message("assistant", "Hi"), "stop", usage=lambda: asked.append(1) or Usage(1, 2))
    assert asked == []
    assert answer.usage is answer.usage
    assert asked == [1]


def test_answers_compare_and_pickle_although_usage_waits():
    """A pickled answer has its usage worked out and its headers as a dict."""
    answer = ChatResponse(Message("assistant", "Hi"), "stop", usage=lambda: Usage(1, 2), headers={"a": "b"})
    copy = pickle.loads(pickle.dumps(answer))
    assert copy == answer == ChatResponse(Message("assistant", "Hi"), "stop", usage=Usage(1, 2))
    assert copy.headers == {"a": "b"}
    assert copy.usage.input_tokens == 1


def test_a_warning_reads_as_a_sentence():
    """Parameter first."""
    assert str(ParameterWarning("seed", "not sent.")) == "seed: not sent."
