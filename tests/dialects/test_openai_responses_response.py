"""Answers of the Responses API, whole and streamed."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from provider_kit import Client, ScriptedTransport
from provider_kit.dialects.base import ParameterReport, StreamFailure
from provider_kit.dialects.openai_responses import OpenAIResponses
from provider_kit.errors import (
    APIError,
    ContentFilterError,
    InternalServerError,
    InvalidResponseError,
    ProviderKitError,
    RateLimitError,
    StreamError,
)
from provider_kit.model.inputs import build_request
from provider_kit.model.messages import Message, Native, Refusal, Text, Thinking, ToolCall

DIALECT = OpenAIResponses(provider="openai")
USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
    "output_tokens": 50,
    "output_tokens_details": {"reasoning_tokens": 20},
    "total_tokens": 150,
}
REASONING = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "Hm,"}, {"type": "summary_text", "text": "so."}],
    "encrypted_content": "gAAA",
}
MESSAGE = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "phase": "final_answer",
    "content": [{"type": "output_text", "text": "Grüße 😀", "annotations": []}],
}
CALL = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "c1",
    "name": "f",
    "arguments": '{"a":1}',
    "status": "completed",
}


def response(*output, status="completed", **more):
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_790_000_000,
        "model": "m-1",
        "status": status,
        "output": list(output),
        "usage": USAGE,
        **more,
    }


# ------------------------------------------------------------------------------------------------ whole answers


def test_an_answer_is_read_item_by_item():
    """Reasoning, text, calls, hosted tools; each with its item to be sent back."""
    custom = {"type": "custom_tool_call", "id": "ct_1", "call_id": "c2", "name": "g", "input": "raw"}
    search = {"type": "web_search_call", "id": "ws_1"}
    read = DIALECT.parse_chat(response(REASONING, search, MESSAGE, CALL, custom, "odd"))
    assert read.message.content == [
        Thinking("Hm,\n\nso.", native=REASONING),
        Native("web_search_call", search),
        Text("Grüße 😀", extra={"item": MESSAGE}),
        ToolCall("c1", "f", '{"a":1}', native=CALL),
        ToolCall("c2", "g", "raw", native=custom),
    ]
    assert (read.message.origin, read.message.model) == ("openai_responses/openai", "m-1")
    assert (read.id, read.model, read.created, read.finish_reason) == ("resp_1", "m-1", 1_790_000_000, "tool_calls")
    usage = read.usage
    assert (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == (30, 60, 10)
    assert (usage.output_tokens, usage.reasoning_tokens, usage.total_tokens) == (30, 20, 150)


@pytest.mark.parametrize(
    ("item", "parts"),
    [
        ({"type": "message", "content": "Hi"}, [Text("Hi")]),
        ({"type": "message", "content": None}, []),
        ({"type": "message", "content": ["odd", {"type": "text", "text": "a"}]}, [Text("a")]),
        ({"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}, [Refusal("no")]),
        (
            {
                "type": "message",
                "content": [{"type": "output_text", "text": "a"}, {"type": "refusal", "refusal": "no"}],
            },
            [Text("a"), Refusal("no")],
        ),
        ({"type": "function_call", "id": "fc"}, [ToolCall("fc", "")]),
        (
            {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "word for word"}]},
            [Thinking("", verbatim="word for word")],
        ),
        ({}, [Native("None", {})]),
    ],
)
def test_items_are_read_in_every_form(item, parts):
    """Missing fields break nothing."""
    read = DIALECT.parse_chat(response(item)).message.parts
    for part in read:
        if isinstance(part, (Text, Refusal)):
            assert part.extra == {"item": item}
            part.extra = None
        elif not isinstance(part, Native):
            assert part.native == item
            part.native = None
    assert read == parts


def test_an_answer_goes_back_as_it_came():
    """An item with a text and a refusal in it goes back once."""
    both = {**MESSAGE, "content": [*MESSAGE["content"], {"type": "refusal", "refusal": "but no"}]}
    read = DIALECT.parse_chat(response(REASONING, both, CALL))
    conversation = [Message.user("Hi"), read.message, Message.tool("c1", "ok")]
    request = build_request(conversation, {}, default_model="m", defaults={})
    body = DIALECT.build_chat(request, stream=False, report=ParameterReport()).body
    assert json.dumps(body["input"][1:4]) == json.dumps([REASONING, both, CALL])


@pytest.mark.parametrize(
    ("changes", "reason", "raw"),
    [
        ({}, "stop", "completed"),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            "length",
            "max_output_tokens",
        ),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            "content_filter",
            "content_filter",
        ),
        ({"status": "incomplete", "incomplete_details": {"reason": "steered"}}, "other", "steered"),
        ({"status": "incomplete", "incomplete_details": None}, "other", "incomplete"),
        ({"status": "in_progress"}, "pause", "in_progress"),
        ({"status": "queued"}, "pause", "queued"),
        ({"status": "failed"}, "error", "failed"),
        ({"status": "cancelled"}, "error", "cancelled"),
        ({"status": None}, "other", None),
    ],
)
def test_statuses_become_common_reasons(changes, reason, raw):
    """With the reason of an incomplete answer."""
    read = DIALECT.parse_chat(response(MESSAGE, **changes))
    assert (read.finish_reason, read.raw_finish_reason) == (reason, raw)


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        ({"error": {"code": "rate_limit_exceeded", "message": "slow"}}, RateLimitError),
        (response(status="failed", error={"code": "server_error", "message": "m"}), InternalServerError),
        (response(status="failed", error={"code": "invalid_prompt", "message": "m"}), ContentFilterError),
        ({"code": "x"}, InvalidResponseError),
        ({}, InvalidResponseError),
        ([], InvalidResponseError),
        (None, InvalidResponseError),
    ],
)
def test_an_answer_without_output_is_an_error(payload, kind):
    """The one it holds, else that it is no answer."""
    with pytest.raises(kind):
        DIALECT.parse_chat(payload)


def test_an_answer_with_nothing_in_it_is_empty():
    """Not a crash."""
    assert DIALECT.parse_chat(response()).text == ""
    assert DIALECT.parse_chat({"output": "odd", "usage": 7}).usage.total_tokens is None


KEYS = """output content text summary type id call_id name arguments input status error code message usage refusal
input_tokens input_tokens_details output_tokens_details incomplete_details reason item delta output_index response
summary_index model created_at"""
TYPES = """message function_call custom_tool_call reasoning output_text refusal response.output_text.delta
response.output_item.added response.output_item.done response.completed response.failed
response.function_call_arguments.delta response.function_call_arguments.done response.reasoning_text.delta
response.reasoning_summary_text.delta response.refusal.delta response.created error failed incomplete"""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 9) | st.sampled_from([*TYPES.split(), ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*KEYS.split()]), inner, max_size=6),
    max_leaves=14,
)


@given(JSON, JSON)
def test_no_answer_ever_breaks_the_reader(payload, item):
    """Any JSON is an answer or an error of this library."""
    for candidate in (payload, response(item), response(MESSAGE, usage=item, incomplete_details=item)):
        try:
            read = DIALECT.parse_chat(candidate)
            assert isinstance(read.text + read.thinking, str)
            assert read.usage.total_tokens is None or read.usage.total_tokens >= 0
        except APIError:
            pass


EVENT = st.builds(lambda kind, more: {**more, "type": kind}, st.sampled_from(TYPES.split()), st.dictionaries(st.sampled_from(KEYS.split()), JSON, max_size=4))  # fmt: skip  # noqa: E501


@example([{"response": {"output": None, "usage": True}, "type": "message"}])
@example([{"response": {"output": None, "usage": "message"}, "type": "message"}])
@given(st.lists(EVENT | JSON, max_size=5))
def test_no_stream_ever_breaks_the_reader(events):
    """Any events give an answer or an error of this library."""
    decoder = DIALECT.stream_decoder()
    data = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()
    try:
        for chunk in (*decoder.feed(data), *decoder.finish()):
            assert isinstance(chunk.text + chunk.thinking + chunk.refusal, str)
    except StreamFailure:
        pass
    assert isinstance(decoder.response().text, str)


# ------------------------------------------------------------------------------------------------ streams


def event(kind, **more):
    return {"type": f"response.{kind}", **more}


def added(index, item):
    return event("output_item.added", output_index=index, item=item)


def done(index, item):
    return event("output_item.done", output_index=index, item=item)


CREATED = event("created", response={**response(status="in_progress"), "usage": None})
TEXTS = [
    CREATED,
    event("in_progress", response={**response(status="in_progress"), "usage": None}),
    added(0, {**MESSAGE, "content": []}),
    event("content_part.added", output_index=0, content_index=0, part={}),
    event("output_text.delta", output_index=0, delta="Grüße"),
    event("output_text.delta", output_index=0, delta=" 😀"),
    event("output_text.done", output_index=0, text="Grüße 😀"),
    done(0, MESSAGE),
    event("completed", response=response(MESSAGE)),
]
CUSTOM = {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "raw"}
CALLS = [
    CREATED,
    added(0, {"type": "reasoning", "id": "rs_1", "summary": []}),
    event("reasoning_summary_text.delta", output_index=0, summary_index=0, delta="Hm,"),
    event("reasoning_summary_text.delta", output_index=0, summary_index=1, delta="so."),
    done(0, REASONING),
    added(1, {**CALL, "arguments": ""}),
    event("function_call_arguments.delta", output_index=1, delta='{"a":'),
    event("function_call_arguments.delta", output_index=1, delta="1}"),
    event("function_call_arguments.done", output_index=1, arguments='{"a":1}'),
    done(1, CALL),
    added(2, {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": ""}),
    event("custom_tool_call_input.delta", output_index=2, delta="raw"),
    done(2, CUSTOM),
    event("completed", response=response(REASONING, CALL, CUSTOM)),
]  # fmt: skip
REFUSAL = [
    CREATED,
    added(0, {"type": "message", "content": []}),
    event("refusal.delta", output_index=0, delta="I can"),
    event("refusal.delta", output_index=0, delta="not."),
    event("incomplete", response=response(
        {"type": "message", "content": [{"type": "refusal", "refusal": "I cannot."}]},
        status="incomplete", incomplete_details={"reason": "content_filter"})),
]  # fmt: skip
BARE = [  # a server that tells neither items nor the final output
    event("reasoning_text.delta", output_index=0, delta="word for word"),
    event("output_text.delta", output_index=1, delta="Hi"),
    event("completed", response=response(status="completed")),
]
SAMPLES = {"texts": TEXTS, "calls": CALLS, "refusal": REFUSAL, "bare": BARE}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", SAMPLES)
def test_a_stream_tells_the_same_wherever_it_is_cut(streams, name, end):
    """At every byte, in characters and line ends too."""
    streams.assert_cuts_do_not_matter(DIALECT, streams.sse(*SAMPLES[name], done=False, end=end))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_stream_cut_short_never_looks_complete(streams, call, name):
    """Only its terminal event ends an answer."""
    data = streams.sse(*SAMPLES[name], done=False)
    streams.assert_truncation_is_noticed(call, "openai/gpt-6-luna", data, len(data.rstrip()))


def test_a_streamed_text_is_the_whole_answers(streams, call):
    """Pieces as they come, and at the end the same answer as without a stream."""
    transport = ScriptedTransport([{"stream": [streams.sse(*TEXTS)]}])
    client = Client("openai/gpt-6-luna", api_key="k-0123456789", transport=transport)
    chunks, read = call.stream(client, "Hi")
    assert [chunk.text for chunk in chunks] == ["Grüße", " 😀", ""]
    assert (chunks[-1].finish_reason, chunks[-1].usage) == ("stop", read.usage)
    assert read.message == DIALECT.parse_chat(response(MESSAGE)).message
    assert (read.id, read.model, read.usage.total_tokens) == ("resp_1", "m-1", 150)


def test_calls_are_streamed_in_pieces(streams):
    """With positions of their own; summaries as paragraphs."""
    complete, told, deltas, read = streams.read(DIALECT, [streams.sse(*CALLS, done=False)])
    assert complete
    assert "".join(entry[1] for entry in told) == "Hm,\n\nso." == read.thinking
    assert deltas == [
        (0, "c1", "f", ""),
        (0, None, None, '{"a":'),
        (0, None, None, "1}"),
        (1, "c2", "g", ""),
        (1, None, None, "raw"),
    ]
    assert [call.arguments_json for call in read.tool_calls] == ['{"a":1}', "raw"]
    assert read.message.content[0].native == REASONING
    assert read.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    "events",
    [
        [added(0, CALL)],
        [
            added(0, {**CALL, "arguments": ""}),
            event("function_call_arguments.done", output_index=0, arguments='{"a":1}'),
        ],
        [added(0, {**CALL, "arguments": ""}), done(0, CALL)],
        [
            added(0, {**CALL, "arguments": ""}),
            event("function_call_arguments.done", output_index=0),
            done(0, CALL),
            done(0, 7),
        ],
    ],
)
def test_arguments_that_come_whole_are_told_once(streams, events):
    """With the item, at its end, or only with the finished item."""
    _, _, deltas, read = streams.read(
        DIALECT, [streams.sse(*events, event("completed", response=response()), done=False)]
    )
    assert "".join(delta[3] for delta in deltas) == '{"a":1}'
    assert read.tool_calls == [ToolCall("c1", "f", '{"a":1}', native=read.tool_calls[0].native)]


def test_an_answer_cut_short_tells_what_was_received(streams):
    """Items that were not finished are closed as they stand, in their order."""
    events = [
        CREATED,
        added(0, {"type": "reasoning", "id": "rs_1"}),
        event("reasoning_summary_text.delta", output_index=0, delta="Hm"),
        event("reasoning_text.delta", output_index=0, delta="word"),
        event("refusal.delta", output_index=3, delta="no"),
        added(1, {"type": "message"}),
        event("output_text.delta", output_index=1, delta="Hi"),
        event("refusal.delta", output_index=1, delta="!"),
        added(2, {**CALL, "arguments": ""}),
        event("function_call_arguments.delta", output_index=2, delta='{"a'),
        event("function_call_arguments.delta", output_index=2, delta=""),
        event("output_text.delta", output_index=1, delta=""),
        added(4, 7),
    ]
    complete, _, _, read = streams.read(DIALECT, [streams.sse(*events, done=False)])
    assert not complete
    assert read.finish_reason == "error"
    assert (read.thinking, read.text, read.refusal) == ("Hm", "Hi", "!no")
    assert read.message.parts[0].verbatim == "word"
    assert read.tool_calls[0].arguments_json == '{"a'
    assert (read.id, read.model) == ("resp_1", "m-1")


def test_a_server_may_leave_out_the_positions(streams):
    """Deltas without ``output_index`` belong to one item."""
    events = [
        event("output_text.delta", delta="Hi"),
        event("output_text.delta", delta="!"),
        event("completed", response={}),
    ]
    _, _, _, read = streams.read(DIALECT, [streams.sse(*events, done=False)])
    assert read.text == "Hi!"


def test_unknown_events_are_passed_over(streams):
    """Pings, annotations, and whatever is added next year."""
    events = [{"type": "keepalive"}, {"x": 1}, event("brand_new", delta="no"), "data:", "", *TEXTS]
    assert streams.read(DIALECT, [streams.sse(*events)])[3].text == "Grüße 😀"


@pytest.mark.parametrize(
    ("last", "kind", "words"),
    [
        ({"type": "error", "code": "rate_limit_exceeded", "message": "slow", "param": None}, RateLimitError, "slow"),
        ({"type": "error", "error": {"code": "server_error", "message": "down"}}, InternalServerError, "down"),
        ({"error": {"message": "bare", "code": 429}}, RateLimitError, "bare"),
        ('event: error\ndata: {"message": "named"}\n', APIError, "named"),
        (
            event("failed", response=response(status="failed", error={"code": "server_error", "message": "down"})),
            InternalServerError,
            "down",
        ),
        (event("failed", response=None), InternalServerError, "failed"),
        (event("completed", response=response(status="failed")), InternalServerError, "failed"),
        ("data: [1]\n", InvalidResponseError, "not a JSON object"),
    ],
)
@pytest.mark.parametrize("after_content", [False, True])
def test_an_error_inside_a_stream_is_raised(streams, call, last, kind, words, after_content):
    """Before the first content as what it is, after it with what was received."""
    data = streams.sse(*(TEXTS[:5] if after_content else []), last, done=False)
    client = Client(
        "openai/gpt-6-luna", api_key="k-0123456789", transport=ScriptedTransport([{"stream": [data]}]), max_retries=0
    )
    with pytest.raises(ProviderKitError, match=words) as caught:
        call.stream(client, "Hi")
    if after_content:
        assert isinstance(caught.value, StreamError)
        assert (caught.value.partial.text, caught.value.partial.finish_reason) == ("Grüße", "error")
    else:
        assert isinstance(caught.value, kind)


def test_a_last_event_without_its_blank_line_counts(streams):
    """Also the one that ends the answer, or an end mark that is not needed."""
    assert streams.read(DIALECT, [streams.sse(*TEXTS, done=False).rstrip()])[0]
    assert streams.read(DIALECT, [streams.sse(*TEXTS, done=False), b"data: [DONE]"])[0]
    complete, told, _, read = streams.read(DIALECT, [streams.sse(*TEXTS[:5], done=False).rstrip()])
    assert not complete
    assert told[0][0] == read.text == "Grüße"
    assert not streams.read(DIALECT, [b"data: [DONE]"])[0]


def test_only_the_first_terminal_event_counts(streams):
    """Nothing after the end changes the answer."""
    data = streams.sse(*TEXTS, event("completed", response=response()), done=False)
    assert streams.assert_cuts_do_not_matter(DIALECT, data).text == "Grüße 😀"
