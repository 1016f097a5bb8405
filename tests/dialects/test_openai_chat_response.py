"""Chat answers in OpenAI's form, whole and streamed, of OpenAI and of everyone who imitates it."""

import base64
import json
import struct
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider_kit import Client, ScriptedTransport
from provider_kit.dialects.base import StreamFailure
from provider_kit.dialects.openai_chat import ChatQuirks, OpenAIChat
from provider_kit.dialects.openai_chat.response import read_usage
from provider_kit.errors import (
    APIError,
    AuthenticationError,
    InternalServerError,
    InvalidResponseError,
    OverloadedError,
    ProviderKitError,
    RateLimitError,
    StreamError,
    StreamIncompleteError,
)
from provider_kit.model.messages import Refusal, Text, Thinking, ToolCall
from provider_kit.model.models import Pricing
from provider_kit.model.usage import Usage

LENIENT = OpenAIChat(provider="acme")
STRICT = OpenAIChat(provider="acme", quirks=ChatQuirks(always_done=True))
SERVER = "http://127.0.0.1:9/v1"  # an unknown server, which need not end with [DONE]
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}


def answer(message=None, finish="stop", **more):
    return {
        "id": "a1",
        "created": 1_790_000_000,
        "model": "m-1",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": USAGE,
        **more,
    }


def chunk(delta=None, finish=None, **more):
    choice = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}
    return {"id": "a1", "created": 1_790_000_000, "model": "m-1", "choices": [choice], **more}


def call_piece(arguments="", **more):
    name = more.pop("name", None)
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    return chunk({"tool_calls": [{**more, "function": function}]})


LAST = {"id": "a1", "model": "m-1", "choices": [], "usage": USAGE}


# ------------------------------------------------------------------------------------------------ whole answers


def test_a_plain_answer_is_read_whole():
    """Text, reason, ids, time, model and usage."""
    read = LENIENT.parse_chat(answer({"role": "assistant", "content": "Hello", "refusal": None, "tool_calls": []}))
    assert read.message.content == "Hello"
    assert (read.message.origin, read.message.model) == ("openai_chat/acme", "m-1")
    assert (read.finish_reason, read.raw_finish_reason) == ("stop", "stop")
    assert (read.id, read.model, read.created) == ("a1", "m-1", 1_790_000_000)
    assert (read.usage.input_tokens, read.usage.output_tokens, read.usage.total_tokens) == (9, 4, 13)
    assert read.raw["id"] == "a1"


@pytest.mark.parametrize(
    ("message", "content"),
    [
        ({"content": None}, ""),
        ({}, ""),
        (None, ""),
        ({"content": [{"type": "text", "text": "a"}, "b", {"type": "x"}, 7]}, "ab"),
        ({"content": 7}, ""),
        ({"content": "a", "reasoning_content": "t"}, [Thinking("t"), Text("a")]),
        ({"content": "a", "reasoning": "t"}, [Thinking("t"), Text("a")]),
        ({"content": "a", "thinking": "t"}, [Thinking("t"), Text("a")]),
        ({"content": "a", "reasoning_content": "", "reasoning": "t"}, [Thinking("t"), Text("a")]),
        ({"content": "", "refusal": "no"}, [Refusal("no")]),
        (
            {"content": None, "function_call": {"name": "f", "arguments": "{}"}},
            [ToolCall("local", "f", "{}", local_id=True)],
        ),
        ({"content": "a", "function_call": {"name": ""}, "tool_calls": "x"}, "a"),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "t"}], "signature": "s"},
                    {"type": "text", "text": "a"},
                ]
            },
            [
                Thinking(
                    "t", native={"type": "thinking", "thinking": [{"type": "text", "text": "t"}], "signature": "s"}
                ),
                Text("a"),
            ],
        ),
        (
            {"content": [{"type": "thinking", "thinking": "t"}, {"type": "thinking", "thinking": "u"}]},
            [Thinking("tu")],
        ),
    ],
)
def test_content_is_read_in_every_form(message, content):
    """Null, lists, reasoning in every field, refusals, functions of old."""
    read = LENIENT.parse_chat(answer(message))
    for call in read.tool_calls:
        call.id = "local"
    assert read.message.content == content


def test_text_of_the_old_completions_is_text():
    """``choices[0].text``."""
    assert LENIENT.parse_chat({"choices": [{"text": "Hi", "finish_reason": "stop"}]}).text == "Hi"


def test_reasoning_details_are_read_and_kept_to_be_sent_back():
    """The whole array, unmodified."""
    details = [
        {"type": "reasoning.summary", "summary": "t", "index": 0},
        {"type": "reasoning.text", "text": "u", "signature": "s", "index": 1},
        {"type": "reasoning.encrypted", "data": "x", "index": 2},
        "odd",
    ]
    read = LENIENT.parse_chat(answer({"content": "a", "reasoning_details": details}))
    assert read.thinking == "tu"
    assert read.message.extra == {"reasoning_details": details}


def test_tool_calls_are_read_in_every_form():
    """Arguments as text, as an object, empty or missing; ids missing, empty or "null"; custom tools."""
    custom = {"id": "c5", "type": "custom", "custom": {"name": "raw", "input": "x"}}
    calls = [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}, "extra_content": {"s": 1}},
        {"id": "", "function": {"name": "g", "arguments": {"a": 1}}},
        {"id": "null", "function": {"name": "h", "arguments": ""}},
        {"function": None},
        custom,
        "odd",
    ]
    read = LENIENT.parse_chat(answer({"content": "", "tool_calls": calls}, finish="stop"))
    first, second, third, fifth = read.tool_calls
    assert first == ToolCall("c1", "f", '{"a":1}', extra={"extra_content": {"s": 1}})
    assert (second.name, second.arguments, second.local_id) == ("g", {"a": 1}, True)
    assert (third.name, third.arguments, third.local_id) == ("h", {}, True)
    assert fifth == ToolCall("c5", "raw", "x", native=custom)
    assert len({call.id for call in read.tool_calls}) == 4
    assert read.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("raw", "calls", "reason"),
    [
        ("stop", False, "stop"),
        ("eos", False, "stop"),
        ("length", False, "length"),
        ("model_length", False, "length"),
        ("tool_calls", True, "tool_calls"),
        ("function_call", False, "tool_calls"),
        ("stop", True, "tool_calls"),
        ("", True, "tool_calls"),
        (None, True, "tool_calls"),
        ("length", True, "length"),
        ("content_filter", False, "content_filter"),
        ("error", False, "error"),
        ("insufficient_system_resource", False, "error"),
        ("", False, "other"),
        (None, False, "other"),
        ("tired", False, "other"),
        (7, False, "other"),
    ],
)
def test_finish_reasons_become_common_ones(raw, calls, reason):
    """Calls decide where the provider says stop, or nothing."""
    tool_calls = [{"id": "c", "function": {"name": "f", "arguments": "{}"}}] if calls else None
    read = LENIENT.parse_chat(answer({"content": "a", "tool_calls": tool_calls}, finish=raw))
    assert read.finish_reason == reason
    assert read.raw_finish_reason == (raw if isinstance(raw, str) else None)


@pytest.mark.parametrize(
    ("payload", "kind", "words"),
    [
        ({"error": {"message": "no", "code": 401}}, AuthenticationError, "no"),
        ({"error": "Rate limit exceeded"}, RateLimitError, "Rate limit exceeded"),
        ({"choices": [], "error": {"message": "m", "code": 503}}, OverloadedError, "m"),
        (
            {"choices": [{"error": {"message": "up", "code": 502}, "message": {"content": ""}}]},
            InternalServerError,
            "up",
        ),
        ({**answer({"content": "cut"}, "error"), "error": {"message": "up", "code": 502}}, InternalServerError, "up"),
        ({"code": "x", "message": "flat"}, APIError, "flat"),
        ({"object": "error", "message": "flat"}, InternalServerError, "flat"),
        ({"detail": "Not so"}, InternalServerError, "Not so"),
        ({"error": "busy", "code": "The service is currently unavailable"}, OverloadedError, "busy"),
        ({}, InvalidResponseError, "no choices"),
        ({"choices": []}, InvalidResponseError, "no choices"),
        ({"choices": None}, InvalidResponseError, "no choices"),
        ({"choices": ["odd"]}, InvalidResponseError, "no choices"),
        ([], InvalidResponseError, "no choices"),
        (None, InvalidResponseError, "no choices"),
        ("Hello", InvalidResponseError, "no choices"),
    ],
)
def test_an_answer_without_a_choice_is_an_error(payload, kind, words):
    """The error that it holds, in a 200 too, else that it is no answer."""
    with pytest.raises(kind, match=words) as caught:
        LENIENT.parse_chat(payload)
    assert caught.value.provider == "acme"


KEYS = """choices message delta content tool_calls function name arguments id index finish_reason usage error code type
detail details metadata text thinking reasoning_details refusal custom function_call x_groq prompt_tokens_details
completion_tokens_details prompt_tokens created model status cost violations loc msg response raw reason object"""
LEAVES = (
    st.none() | st.booleans() | st.integers(-5, 600) | st.sampled_from([float("nan"), "", "a", "error", "429", "{}"])
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*KEYS.split()]), inner, max_size=5),
    max_leaves=12,
)


@given(JSON, JSON, JSON)
def test_no_answer_ever_breaks_the_reader(payload, message, usage):
    """Any JSON is an answer or an error of this library."""
    for candidate in (payload, answer(message, usage=usage), answer({"content": "a", "tool_calls": [message]})):
        try:
            read = LENIENT.parse_chat(candidate)
            assert read.usage.total_tokens is None or read.usage.total_tokens >= 0
            assert isinstance(read.text, str)
        except APIError:
            pass


@given(st.lists(JSON | st.builds(chunk, JSON, JSON), max_size=4))
def test_no_stream_ever_breaks_the_reader(events):
    """Any events give an answer or an error of this library."""
    decoder = LENIENT.stream_decoder()
    data = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()
    try:
        for chunk in (*decoder.feed(data), *decoder.finish()):
            assert isinstance(chunk.text, str)
    except StreamFailure:
        pass
    assert isinstance(decoder.response().text, str)


# ------------------------------------------------------------------------------------------------ usage


@pytest.mark.parametrize(
    ("usage", "buckets"),
    [
        (None, (None, None, None, None, None, None)),
        ("odd", (None, None, None, None, None, None)),
        (USAGE, (9, 4, None, None, None, 13)),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 150,
                "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            (30, 30, 60, 10, 20, 150),
        ),
        ({"prompt_tokens": 10, "completion_tokens": 1, "prompt_cache_hit_tokens": 4}, (6, 1, 4, None, None, 11)),
        (
            {"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": {"cache_creation_input_tokens": 4}},
            (6, 1, None, 4, None, 11),
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 45,
                "completion_tokens_details": {"reasoning_tokens": 30},
            },
            (10, 5, None, None, 30, 45),
        ),
        (
            {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 8}},
            (5, 1, 8, None, None, 14),
        ),
        ({"prompt_tokens": -1, "completion_tokens": True, "total_tokens": "7"}, (None, None, None, None, None, None)),
        (
            {"prompt_tokens": 3.0, "prompt_tokens_details": [], "completion_tokens_details": None},
            (3, None, None, None, None, None),
        ),
    ],
)  # fmt: skip
def test_usage_is_split_into_buckets(usage, buckets):
    """With everybody's additions: caches of three spellings, reasoning beside the completion, odd values."""
    read = read_usage(usage)
    assert (
        read.input_tokens,
        read.output_tokens,
        read.cache_read_tokens,
        read.cache_write_tokens,
        read.reasoning_tokens,
        read.total_tokens,
    ) == buckets


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        ({"cost": 0.00123}, Decimal("0.00123")),
        ({"cost": "0.5"}, Decimal("0.5")),
        ({"cost": "free"}, None),
        ({"cost": True}, None),
        ({"cost_in_usd_ticks": 25_000_000}, Decimal("0.0025")),
        ({"cost_in_usd_ticks": "x"}, None),
        ({}, None),
    ],
)
def test_the_price_is_read_where_it_is_told(usage, cost):
    """In dollars, exactly."""
    assert read_usage({"prompt_tokens": 1, **usage}).cost == cost


# ------------------------------------------------------------------------------------------------ streams

TEXTS = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "Grüße, "}),
    chunk({"content": "Welt 😀"}),
    chunk(finish="stop"),
    LAST,
]
CALLS = [
    chunk({"role": "assistant", "content": None}),
    chunk({"content": "Let me see."}),
    call_piece("", index=0, id="c1", name="f"),
    call_piece('{"a":', index=0),
    call_piece("1}", index=0),
    call_piece("", index=1, id="c2", name="g"),
    chunk(finish="tool_calls"),
    LAST,
]
REASONING = [
    ": keep-alive",
    chunk({"role": "assistant", "reasoning_content": "Hm, "}),
    chunk({"reasoning": "yes"}),
    ": keep-alive",
    chunk({"content": "Yes."}, finish="length"),
    LAST,
]
DETAILS = [
    chunk(
        {"content": "", "reasoning": "a", "reasoning_details": [{"type": "reasoning.text", "text": "a", "index": 0}]}
    ),
    chunk(
        {
            "content": "",
            "reasoning_details": [
                {"type": "reasoning.text", "text": "b", "index": 0, "signature": None, "format": "x"}
            ],
        }
    ),
    chunk({"content": "", "reasoning_details": [{"type": "reasoning.text", "index": 0, "signature": "s"}, 7]}),
    chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x", "id": "r1"}]}),
    chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "y", "id": "r2"}]}),
    chunk({"content": "Yes"}, finish="stop", usage=USAGE),
]
LISTS = [
    chunk({"role": "assistant", "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]}),
    chunk({"content": [{"type": "text", "text": "Yes"}]}),
    chunk({"content": "."}, finish="stop", usage=USAGE),
]
REFUSAL = [chunk({"refusal": "I can"}), chunk({"refusal": "not."}), chunk(finish="stop")]
SAMPLES = {
    "texts": TEXTS,
    "calls": CALLS,
    "reasoning": REASONING,
    "details": DETAILS,
    "lists": LISTS,
    "refusal": REFUSAL,
}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", SAMPLES)
def test_a_stream_tells_the_same_wherever_it_is_cut(streams, name, end):
    """At every byte, in characters and line ends too."""
    streams.assert_cuts_do_not_matter(STRICT, streams.sse(*SAMPLES[name], end=end))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_stream_cut_short_never_looks_complete(streams, call, name):
    """Wherever the connection ends before the end mark, where the server always sends one."""
    data = streams.sse(*SAMPLES[name])
    streams.assert_truncation_is_noticed(call, "vllm/m", data, data.rindex(b"[DONE]") + 6)


@pytest.mark.parametrize("name", ["texts", "calls"])
def test_a_server_that_sends_no_end_mark_must_tell_a_reason(streams, call, name):
    """After the finish reason a stream may end between two events, nowhere else."""
    events = SAMPLES[name]
    data = streams.sse(*events, done=False)
    finish = data.index(b'"finish_reason": "')
    whole = [position for position in range(finish, len(data)) if data[:position].endswith((b"}", b"\n"))]
    allowed = {position for position in whole if data[:position].rstrip().endswith((b"}]}", b"}}"))}
    streams.assert_truncation_is_noticed(call, SERVER, data, len(data), allowed=allowed, client={"model": "m"})
    _, response = call.stream(Client(SERVER, model="m", transport=ScriptedTransport([{"stream": [data]}])), "Hi")
    assert response.finish_reason == ("stop" if name == "texts" else "tool_calls")


def test_a_stream_of_texts_is_read_whole(streams, call):
    """Pieces as they come, usage from the event without choices, one last chunk."""
    transport = ScriptedTransport([{"stream": [streams.sse(*TEXTS)]}])
    chunks, response = call.stream(Client(SERVER, model="m", transport=transport), "Hi")
    assert [chunk.text for chunk in chunks] == ["Grüße, ", "Welt 😀", ""]
    assert [chunk.done for chunk in chunks] == [False, False, True]
    assert chunks[-1].usage == response.usage
    assert response.message.content == "Grüße, Welt 😀"
    assert (response.finish_reason, response.raw_finish_reason) == ("stop", "stop")
    assert (response.id, response.model, response.created) == ("a1", "m-1", 1_790_000_000)
    assert response.usage.total_tokens == 13


def test_calls_in_pieces_are_put_together(streams):
    """Arguments concatenated, an empty string means none; deltas name their call."""
    complete, _, deltas, response = streams.read(STRICT, [streams.sse(*CALLS)])
    assert complete
    assert response.message.content == [Text("Let me see."), ToolCall("c1", "f", '{"a":1}'), ToolCall("c2", "g", "")]
    assert response.tool_calls[1].arguments == {}
    assert deltas == [(0, "c1", "f", ""), (0, None, None, '{"a":'), (0, None, None, "1}"), (1, "c2", "g", "")]
    assert response.finish_reason == "tool_calls"


def test_reasoning_is_read_from_every_field(streams):
    """And stays apart from the text."""
    response = streams.read(STRICT, [streams.sse(*REASONING)])[3]
    assert (response.thinking, response.text, response.finish_reason) == ("Hm, yes", "Yes.", "length")
    response = streams.read(STRICT, [streams.sse(*LISTS)])[3]
    assert (response.thinking, response.text) == ("Hm", "Yes.")


def test_reasoning_details_in_pieces_become_whole_blocks(streams):
    """The same index and type is one block; blocks with ids of their own stay apart; the signature comes late."""
    response = streams.read(STRICT, [streams.sse(*DETAILS)])[3]
    assert response.message.extra == {
        "reasoning_details": [
            {"type": "reasoning.text", "text": "ab", "index": 0, "format": "x", "signature": "s"},
            {"type": "reasoning.encrypted", "data": "x", "id": "r1"},
            {"type": "reasoning.encrypted", "data": "y", "id": "r2"},
        ]
    }
    assert response.thinking == "ab"


def test_a_refusal_is_streamed_as_one(streams):
    """Beside no text at all."""
    response = streams.read(STRICT, [streams.sse(*REFUSAL)])[3]
    assert (response.refusal, response.text, response.finish_reason) == ("I cannot.", "", "stop")


@pytest.mark.parametrize(
    ("events", "content", "reason"),
    [
        ([chunk({"content": "Hi"})], "Hi", "stop"),
        ([chunk({"refusal": "no"})], [Refusal("no")], "stop"),
        ([call_piece("{}", index=0, id="c", name="f")], [ToolCall("c", "f", "{}")], "tool_calls"),
        ([], "", "error"),
        ([chunk({"content": ""})], "", "error"),
        ([chunk({"content": "Hi"}, finish="")], "Hi", "stop"),
        ([chunk({"content": "Hi"}, finish="null"), chunk(finish="length")], "Hi", "length"),
    ],
)
def test_the_end_mark_without_a_reason_ends_an_answer(streams, events, content, reason):
    """Text makes it a stop, calls make it tool calls, nothing at all is an error; chunk and answer agree."""
    complete, told, _, response = streams.read(STRICT, [streams.sse(*events)])
    assert complete
    assert response.message.parts == ([Text(content)] if content and isinstance(content, str) else list(content))
    assert told[-1][3] == response.finish_reason == reason


@pytest.mark.parametrize("finish", ["", "null"])
def test_an_empty_reason_in_every_event_is_no_end(streams, call, finish):
    """Some gateways write one; a stream that ends after it was cut."""
    data = streams.sse(chunk({"content": "Hi"}, finish=finish), done=False)
    with pytest.raises(StreamIncompleteError) as caught:
        call.stream(Client(SERVER, model="m", transport=ScriptedTransport([{"stream": [data]}])), "Hi")
    assert caught.value.partial.text == "Hi"


def test_other_choices_are_not_mixed_in(streams):
    """Only the first of several answers is read."""
    other = chunk({"content": "other"})
    other["choices"][0]["index"] = 1
    both = chunk({"content": "one"})
    both["choices"].append(other["choices"][0])
    response = streams.read(STRICT, [streams.sse(other, both, "data:", "", chunk(finish="stop"))])[3]
    assert response.text == "one"


def test_the_first_event_may_have_neither_id_nor_model(streams):
    """Azure's filter results come before the answer."""
    first = {"id": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": []}
    response = streams.read(STRICT, [streams.sse(first, *TEXTS)])[3]
    assert (response.id, response.model, response.created) == ("a1", "m-1", None)
    response = streams.read(STRICT, [streams.sse(first, *TEXTS[:-1])])[3]
    assert (response.id, response.created) == ("a1", 1_790_000_000)


def test_usage_beside_groqs_name_is_found(streams):
    """``x_groq.usage`` in the last event."""
    events = [chunk({"content": "Hi"}), chunk(finish="stop", x_groq={"id": "r", "usage": USAGE})]
    assert streams.read(STRICT, [streams.sse(*events)])[3].usage.total_tokens == 13


def test_functions_of_old_are_streamed_as_calls(streams):
    """``function_call`` in pieces, without an id."""
    events = [
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": "{}"}}),
        chunk(finish="function_call"),
    ]
    response = streams.read(STRICT, [streams.sse(*events)])[3]
    assert response.message.content == [ToolCall("local", "f", "{}", local_id=True)]
    assert response.finish_reason == "tool_calls"
    assert streams.read(STRICT, [streams.sse(chunk({"function_call": {"arguments": ""}}))])[3].tool_calls == []


def test_what_comes_with_a_streamed_call_is_kept(streams):
    """A thought signature beside it, the input of a custom tool."""
    events = [
        chunk(
            {"tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": {"a": 1}}, "extra_content": {"s": 1}}]}
        ),
        chunk({"tool_calls": [{"index": 1, "id": "c2", "custom": {"name": "g", "input": "raw"}}, "odd"]}),
        chunk(finish=""),
    ]
    response = streams.read(STRICT, [streams.sse(*events)])[3]
    assert response.tool_calls == [
        ToolCall("c1", "f", '{"a":1}', extra={"extra_content": {"s": 1}}),
        ToolCall("c2", "g", "raw", native={"id": "c2", "type": "custom", "custom": {"name": "g", "input": "raw"}}),
    ]


# ------------------------------------------------------------------------------------------------ failures in streams


@pytest.mark.parametrize(
    ("event", "words", "status"),
    [
        ({"error": {"message": "no room", "code": 503}}, "no room", 503),
        ({**chunk({"content": ""}, "error"), "error": {"message": "upstream", "code": 502}}, "upstream", 502),
        ({"choices": [{"delta": {}, "error": {"message": "upstream", "code": 502}}]}, "upstream", 502),
        (chunk(finish="error"), "ended the stream with 'error'", 200),
        (chunk(finish="insufficient_system_resource"), "insufficient_system_resource", 200),
        (chunk(x_groq={"error": "cut"}), "cut", 200),
        ({"object": "error", "message": "flat", "code": 400}, "flat", 400),
        ('event: error\ndata: {"message": "named"}\n', "named", 200),
        ('error: {"message": "prefixed", "code": 500}\n', "prefixed", 500),
        ('{"error": {"message": "bare", "code": 500}}\n', "bare", 500),
        ('{\n"detail": "bare"}\n', "bare", 200),
    ],
)
@pytest.mark.parametrize("after_content", [False, True])
def test_an_error_inside_a_stream_is_raised(streams, call, event, words, status, after_content):
    """Before the first content as what it is, after it as a StreamError with what was received."""
    events = [chunk({"content": "Hi"})] if after_content else []
    data = streams.sse(*events, event, done=False)
    client = Client(SERVER, model="m", transport=ScriptedTransport([{"stream": [data]}]), max_retries=0)
    with pytest.raises(ProviderKitError, match=words) as caught:
        call.stream(client, "Hi")
    error = caught.value
    assert isinstance(error, StreamError if after_content else APIError)
    assert error.status_code == status
    if after_content:
        assert (error.partial.text, error.partial.finish_reason) == ("Hi", "error")


@pytest.mark.parametrize("event", ["data: nonsense\n", "data: [1]\n", "data: 7\n"])
def test_an_event_that_is_no_object_is_an_error(streams, call, event):
    """Not silently skipped: the answer would lack it."""
    client = Client(SERVER, model="m", transport=ScriptedTransport([{"stream": [streams.sse(event)]}]))
    with pytest.raises(InvalidResponseError, match="not a JSON object"):
        call.stream(client, "Hi")


def test_lines_that_are_no_error_are_passed_over(streams, call):
    """A stray line neither breaks an answer nor completes one."""
    data = streams.sse("hello there", "", '{"a": 1}', "", *TEXTS, done=False)
    _, response = call.stream(Client(SERVER, model="m", transport=ScriptedTransport([{"stream": [data]}])), "Hi")
    assert response.text == "Grüße, Welt 😀"


def test_a_last_event_without_its_blank_line_counts(streams):
    """The end mark, the usage, or the last text."""
    data = streams.sse(*TEXTS)
    assert streams.read(STRICT, [data.rstrip()])[0]
    last = streams.sse(chunk({"content": "Hi"}, finish="stop", usage=USAGE), done=False).rstrip()
    complete, told, _, response = streams.read(LENIENT, [last])
    assert complete
    assert told[0][0] == response.text == "Hi"
    assert response.usage.total_tokens == 13


def test_a_whole_answer_in_place_of_a_stream_is_taken(call):
    """Some servers cannot stream and answer with JSON."""
    transport = ScriptedTransport([{"json": answer({"content": "Hi"})}])
    chunks, response = call.stream(Client(SERVER, model="m", transport=transport), "Hi")
    assert [chunk.text for chunk in chunks] == ["Hi", ""]
    assert response.text == "Hi"


# ------------------------------------------------------------------------------------------------ models, embeddings


def test_models_are_read_with_what_their_servers_add():
    """Windows, limits, prices and abilities under everybody's names."""
    listed = {
        "data": [
            {"id": "a", "created": 1_790_000_000, "owned_by": "x"},
            {
                "id": "b",
                "name": "Bee",
                "description": "d",
                "context_length": 1000,
                "top_provider": {"max_completion_tokens": 100},
                "pricing": {"prompt": "0.000001", "completion": "-1", "input_cache_read": "NaN"},
                "supported_parameters": ["tools"],
            },
            {
                "id": "c",
                "capabilities": {"vision": True, "audio": False},
                "max_context_length": 5,
                "created": "2026-01-01",
            },
            {"name": "d", "meta": {"n_ctx_train": 7}, "capabilities": 7, "created": "?"},
            {"id": "e", "context_window": True, "max_model_len": 9.0, "created": None},
            {},
            "odd",
        ]
    }
    models, cursor = LENIENT.parse_models(listed)
    assert cursor is None
    assert [model.id for model in models] == ["a", "b", "c", "d", "e"]
    a, b, c, d, e = models
    assert (a.created, a.context_window, a.provider) == (1_790_000_000.0, None, "acme")
    assert (b.name, b.description, b.context_window, b.max_output_tokens) == ("Bee", "d", 1000, 100)
    assert (b.pricing, b.capabilities) == (Pricing(input=Decimal(1)), ("tools",))
    assert (c.context_window, c.capabilities) == (5, ("vision",))
    assert c.created is not None
    assert (d.context_window, d.capabilities, d.created) == (7, (), None)
    assert e.context_window == 9
    assert LENIENT.parse_models([{"id": "x"}])[0][0].id == "x"
    assert LENIENT.parse_models({"models": [{"model": "x"}]})[0][0].id == "x"
    assert LENIENT.parse_models({"data": None}) == ([], None)
    with pytest.raises(InvalidResponseError):
        LENIENT.parse_models({"x": 1})


def test_embeddings_are_read_in_the_order_of_the_inputs():
    """Numbers or base64 of little-endian floats, sorted by their index."""
    packed = base64.b64encode(struct.pack("<2f", 0.5, 0.25)).decode()
    found = LENIENT.parse_embed(
        {"data": [{"index": 1, "embedding": [1, 2]}, {"index": 0, "embedding": packed}], "model": "m", "usage": USAGE}
    )
    assert found.vectors == [[0.5, 0.25], [1.0, 2.0]]
    assert (found.model, found.usage.total_tokens) == ("m", 13)
    assert LENIENT.parse_embed({"data": []}).usage == Usage()


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"data": {}},
        {"data": [{}]},
        {"data": [7]},
        {"data": [{"embedding": 7}]},
        {"data": [{"embedding": ["x"]}]},
        {"data": [{"embedding": "AAA="}]},
        {"data": [{"embedding": "?"}]},
    ],
)
def test_embeddings_that_are_none_are_an_error(payload):
    """Of this library, whatever the server sent."""
    with pytest.raises(InvalidResponseError):
        LENIENT.parse_embed(payload)


def test_nothing_after_the_end_mark_counts(streams):
    """Wherever the bytes are cut, even between the two."""
    data = streams.sse(*TEXTS) + streams.sse(chunk({"content": "more"}))
    assert streams.assert_cuts_do_not_matter(STRICT, data).text == "Grüße, Welt 😀"
