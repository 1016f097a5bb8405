"""What Anthropic's Messages API answers, whole and streamed."""

import json

import pytest

from provider_kit import Client, Message, ScriptedTransport, Text, Thinking, ToolCall, Usage
from provider_kit.dialects.anthropic_messages import AnthropicMessages
from provider_kit.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ContextLengthExceededError,
    InternalServerError,
    InvalidResponseError,
    ModelNotFoundError,
    NotFoundError,
    NotSupportedError,
    OverloadedError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    RequestTooLargeError,
    StreamError,
    StreamIncompleteError,
)
from provider_kit.model.messages import Native

USAGE = {
    "input_tokens": 10,
    "cache_read_input_tokens": 200,
    "cache_creation_input_tokens": 30,
    "output_tokens": 50,
    "output_tokens_details": {"thinking_tokens": 20},
}


def make(*script, **options):
    """A client whose server answers from a script."""
    transport = ScriptedTransport(script)
    return Client("anthropic/claude-haiku-5-5", api_key="sk-ant-k", transport=transport, max_retries=0, **options)


def message(*blocks, stop_reason="end_turn", **more):
    """A whole answer."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-5-5",
        "content": list(blocks),
        "stop_reason": stop_reason,
        "usage": USAGE,
        **more,
    }


def text(words):
    """A text block."""
    return {"type": "text", "text": words}


def events(*payloads):
    """A stream of named events."""
    lines = [f"event: {payload['type']}\ndata: {json.dumps(payload, ensure_ascii=False)}\n\n" for payload in payloads]
    return "".join(lines).encode()


def start(index, **block):
    """The beginning of a block."""
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index, kind, **content):
    """A piece of a block."""
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **content}}


def stop(index):
    """The end of a block."""
    return {"type": "content_block_stop", "index": index}


OPENING = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-5-5",
        "content": [],
        "stop_reason": None,
        "usage": {
            "input_tokens": 10,
            "cache_read_input_tokens": 200,
            "cache_creation_input_tokens": 30,
            "output_tokens": 1,
        },
    },
}
PING = {"type": "ping"}
END = {"type": "message_stop"}


def closing(reason, **more):
    """The event with the reason and the last counts."""
    return {
        "type": "message_delta",
        "delta": {"stop_reason": reason, "stop_sequence": None, **more},
        "usage": {
            "input_tokens": 10,
            "cache_read_input_tokens": None,
            "output_tokens": 50,
            "output_tokens_details": {"thinking_tokens": 20},
        },
    }


#: Plain text, with a ping and characters of several bytes.
TEXT = events(
    OPENING,
    start(0, type="text", text=""),
    PING,
    delta(0, "text_delta", text="Grüß"),
    delta(0, "text_delta", text=" \u2028 dich"),
    stop(0),
    closing("end_turn"),
    END,
)
#: Thinking with a signature, hidden thinking, text and two calls, one without arguments.
TOOLS = events(
    OPENING,
    start(0, type="thinking", thinking="", signature=""),
    delta(0, "thinking_delta", thinking="Let me "),
    delta(0, "thinking_delta", thinking="see"),
    delta(0, "signature_delta", signature="EqQB+/=="),
    stop(0),
    start(1, type="redacted_thinking", data="Emw=="),
    stop(1),
    start(2, type="text", text=""),
    delta(2, "text_delta", text="Looking."),
    stop(2),
    start(3, type="tool_use", id="toolu_1", name="clock", input={}),
    delta(3, "input_json_delta", partial_json=""),
    PING,
    delta(3, "input_json_delta", partial_json='{"tz":'),
    delta(3, "input_json_delta", partial_json=' "UTC"}'),
    stop(3),
    start(4, type="tool_use", id="toolu_2", name="dice", input={}),
    stop(4),
    closing("tool_use"),
    END,
)
#: A tool the server ran, citations, and things nobody knows yet.
SERVER = events(
    OPENING,
    {"type": "something_new", "index": 9},
    start(0, type="server_tool_use", id="srvtoolu_1", name="web_search", input={}),
    delta(0, "input_json_delta", partial_json='{"query":"tea"}'),
    stop(0),
    start(1, type="web_search_tool_result", tool_use_id="srvtoolu_1", content=[{"type": "web_search_result"}]),
    stop(1),
    start(2, type="text", text=""),
    delta(2, "citations_delta", citation={"cited_text": "x"}),
    delta(2, "citations_delta", citation={"cited_text": "y"}),
    delta(2, "text_delta", text="Tea."),
    delta(2, "delta_of_tomorrow", text="?"),
    stop(2),
    closing("pause_turn"),
    END,
)
STREAMS = {"text": TEXT, "tools": TOOLS, "server": SERVER}


def facts(chunks, response):
    """What must not depend on how the network cut the bytes."""
    return (
        "".join(chunk.text for chunk in chunks),
        "".join(chunk.thinking for chunk in chunks),
        [delta for chunk in chunks for delta in chunk.tool_calls or ()],
        [chunk.finish_reason for chunk in chunks if chunk.done],
        response.message,
        response.finish_reason,
        response.usage,
    )


# ---------------------------------------------------------------------------------------------------- whole answers


def test_a_whole_answer_is_read(call):
    """Text, reason, model, id, request id and usage."""
    answer = call.chat(make({"json": message(text("Hi.")), "headers": {"request-id": "req_1"}}), "Hello")
    assert answer.message == Message("assistant", "Hi.", origin="anthropic_messages", model="claude-haiku-5-5")
    assert (answer.text, answer.finish_reason, answer.raw_finish_reason) == ("Hi.", "stop", "end_turn")
    assert (answer.id, answer.model, answer.request_id, answer.provider) == (
        "msg_1",
        "claude-haiku-5-5",
        "req_1",
        "anthropic",
    )
    assert answer.raw["content"] == [text("Hi.")]


def test_usage_falls_into_buckets_that_do_not_overlap(call):
    """input_tokens excludes the cache already; output_tokens includes thinking."""
    usage = call.chat(make({"json": message(text("Hi."))}), "Hello").usage
    assert usage == Usage(10, 30, 200, 30, 20, 290)
    assert (usage.prompt_tokens, usage.completion_tokens) == (240, 50)
    assert usage.raw == USAGE


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, Usage()),
        ("none", Usage()),
        ({}, Usage()),
        ({"input_tokens": 4}, Usage(4)),
        ({"input_tokens": "4", "output_tokens": [], "cache_read_input_tokens": {}}, Usage()),
        ({"input_tokens": 4, "output_tokens": 3}, Usage(4, 3, total_tokens=7)),
        (
            {"output_tokens": 3, "output_tokens_details": {"thinking_tokens": 9}},
            Usage(None, 0, reasoning_tokens=9),
        ),
    ],
)
def test_unknown_counts_are_none_and_none_is_negative(call, given, expected):
    """What the provider did not tell is not zero."""
    assert call.chat(make({"json": message(text("Hi."), usage=given)}), "Hello").usage == expected


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "pause"),
        ("refusal", "content_filter"),
        ("of_tomorrow", "other"),
        (None, "other"),
    ],
)
def test_reasons_to_stop_have_common_names(call, reason, finish):
    """The provider's own word stays beside the common one."""
    answer = call.chat(make({"json": message(text("Hi."), stop_reason=reason)}), "Hello")
    assert (answer.finish_reason, answer.raw_finish_reason) == (finish, reason)
    chunks, streamed = call.stream(make({"stream": [events(OPENING, closing(reason), END)]}), "Hello")
    assert (chunks[-1].finish_reason, streamed.finish_reason, streamed.raw_finish_reason) == (finish, finish, reason)


def test_blocks_become_parts(call):
    """Every known block has its class, the rest is Native."""
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "text", "text": "a", "citations": [{"cited_text": "x"}]},
        {"type": "tool_use", "id": "t1", "name": "clock", "input": {"tz": "UTC"}},
        {"type": "tool_use", "id": "t2", "name": "dice"},
        {"type": "tool_use", "id": "t3", "name": "odd", "input": "{"},
        {"type": "mcp_tool_use", "id": "m"},
        "nonsense",
    ]
    answer = call.chat(make({"json": message(*blocks, stop_reason="tool_use")}), "Hello")
    assert answer.message.content == [
        Thinking("hm", signature="s", native=blocks[0]),
        Thinking("", native=blocks[1]),
        Text("a", extra={"citations": [{"cited_text": "x"}]}),
        ToolCall("t1", "clock", '{"tz":"UTC"}'),
        ToolCall("t2", "dice", "{}"),
        ToolCall("t3", "odd", "{"),
        Native("mcp_tool_use", blocks[6]),
    ]
    assert (answer.finish_reason, answer.thinking) == ("tool_calls", "hm")


def test_an_empty_answer_is_an_answer(call):
    """content may be empty, missing, or (at some servers) a string."""
    assert call.chat(make({"json": message()}), "Hello").text == ""
    assert call.chat(make({"json": message(content=None)}), "Hello").text == ""
    assert call.chat(make({"json": message(content="Hi.")}), "Hello").text == "Hi."


def test_a_refusal_is_no_error(call):
    """HTTP 200 with the model's words, where it gives any."""
    details = {"type": "refusal", "category": "cyber", "explanation": "I would rather not."}
    answer = call.chat(make({"json": message(stop_reason="refusal", stop_details=details)}), "Hello")
    assert (answer.finish_reason, answer.refusal) == ("content_filter", "I would rather not.")
    stream = events(OPENING, closing("refusal", stop_details=details), END)
    _, streamed = call.stream(make({"stream": [stream]}), "Hello")
    assert (streamed.finish_reason, streamed.refusal) == ("content_filter", "I would rather not.")
    silent = message(text("Well"), stop_reason="refusal", stop_details={"category": "bio"})
    assert call.chat(make({"json": silent}), "Hello").refusal is None


@pytest.mark.parametrize("body", [{"hello": 1}, [], 5, None, "text"])
def test_an_answer_that_is_no_message_is_an_error(call, body):
    """The hint points to the base URL."""
    with pytest.raises(InvalidResponseError, match="not a message") as caught:
        call.chat(make({"json": body}), "Hello")
    assert "base_url" in caught.value.hint


def test_an_error_inside_a_success_is_an_error(call):
    """Gateways answer 200 with an error object."""
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    with pytest.raises(OverloadedError):
        call.chat(make({"json": body}), "Hello")


# ---------------------------------------------------------------------------------------------------- streams


def test_a_stream_of_text_is_read(call):
    """Chunks as they come, the last with reason and usage, and the assembled answer."""
    chunks, response = call.stream(make({"stream": [TEXT], "headers": {"request-id": "req_1"}}), "Hello")
    assert [chunk.text for chunk in chunks] == ["Grüß", " \u2028 dich", ""]
    assert [chunk.done for chunk in chunks] == [False, False, True]
    assert chunks[-1].finish_reason == "stop"
    assert chunks[-1].usage == response.usage == Usage(10, 30, 200, 30, 20, 290)
    assert response.message == Message(
        "assistant", "Grüß \u2028 dich", origin="anthropic_messages", model="claude-haiku-5-5"
    )
    assert (response.id, response.model, response.request_id) == ("msg_1", "claude-haiku-5-5", "req_1")
    assert chunks[0].raw["delta"]["text"] == "Grüß"


def test_a_stream_with_thinking_and_calls_is_read(call):
    """Thinking, signatures, hidden thinking and calls, each assembled in its place."""
    chunks, response = call.stream(make({"stream": [TOOLS]}), "Hello")
    signed = {"type": "thinking", "thinking": "Let me see", "signature": "EqQB+/=="}
    assert response.message.content == [
        Thinking("Let me see", signature="EqQB+/==", native=signed),
        Thinking("", native={"type": "redacted_thinking", "data": "Emw=="}),
        Text("Looking."),
        ToolCall("toolu_1", "clock", '{"tz": "UTC"}'),
        ToolCall("toolu_2", "dice", "{}"),
    ]
    assert response.finish_reason == "tool_calls"
    deltas = [delta for chunk in chunks for delta in chunk.tool_calls or ()]
    assert [(d.index, d.id, d.name, d.arguments) for d in deltas] == [
        (0, "toolu_1", "clock", ""),
        (0, None, None, '{"tz":'),
        (0, None, None, ' "UTC"}'),
        (1, "toolu_2", "dice", ""),
    ]


def test_a_stream_of_server_tools_is_kept_as_it_came(call):
    """Server blocks are Native, citations stay on their text, unknown events and pieces are passed over."""
    chunks, response = call.stream(make({"stream": [SERVER]}), "Hello")
    use, result, words = response.message.content
    assert use == Native(
        "server_tool_use",
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "tea"}},
    )
    assert result.data["content"] == [{"type": "web_search_result"}]
    assert words == Text("Tea.", extra={"citations": [{"cited_text": "x"}, {"cited_text": "y"}]})
    assert (response.finish_reason, [chunk.text for chunk in chunks if chunk.text or chunk.done]) == (
        "pause",
        ["Tea.", ""],
    )
    assert [part for chunk in chunks for part in chunk.parts or ()] == [use, result]
    assert (
        [note for chunk in chunks for note in chunk.citations or ()] == response.citations == words.extra["citations"]
    )


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_may_be_cut_anywhere_by_the_network(call, name):
    """Two pieces, cut at every byte, give the same as one."""
    data = STREAMS[name]
    whole = facts(*call.stream(make({"stream": [data]}), "Hello"))
    cuts = range(1, len(data))
    client = make(*[{"stream": [data[:cut], data[cut:]]} for cut in cuts])
    with call.in_one_loop():
        for cut in cuts:
            assert facts(*call.stream(client, "Hello")) == whole, cut


@pytest.mark.parametrize("line_end", [b"\r\n", b"\r"])
def test_line_ends_do_not_matter(call, line_end):
    """All three line ends of the standard are read."""
    expected = facts(*call.stream(make({"stream": [TOOLS]}), "Hello"))
    assert facts(*call.stream(make({"stream": [TOOLS.replace(b"\n", line_end)]}), "Hello")) == expected


@pytest.mark.parametrize("name", STREAMS)
def test_a_truncated_stream_never_looks_complete(call, name):
    """Cut anywhere before message_stop was there, it is an error that says so."""
    data = STREAMS[name]
    cuts = range(data.rindex(b"}") + 1)
    client = make(*[{"stream": [data[:cut]]} for cut in cuts])
    with call.in_one_loop():
        for cut in cuts:
            assert isinstance(call.stream_error(client, "Hello"), StreamIncompleteError), cut


def test_the_last_blank_line_may_be_missing(call):
    """Some servers close right after the last event."""
    _, response = call.stream(make({"stream": [TEXT.rstrip()]}), "Hello")
    assert response.finish_reason == "stop"
    assert response.text == "Grüß \u2028 dich"


def test_what_was_received_is_in_the_error(call):
    """partial holds the text, and says that it is not whole."""
    cut = TEXT[: TEXT.index(b"event: message_delta")]
    with pytest.raises(StreamIncompleteError) as caught:
        call.stream(make({"stream": [cut]}), "Hello")
    assert caught.value.partial.text == "Grüß \u2028 dich"
    assert caught.value.partial.finish_reason == "error"
    assert caught.value.partial.usage.input_tokens == 10


ERROR = {
    "type": "error",
    "error": {"type": "overloaded_error", "message": "Overloaded"},
    "request_id": "req_9",
}


def test_an_error_before_the_first_content_is_the_typed_error(call):
    """Nothing reached the caller, so it is the same error as without a stream."""
    with pytest.raises(OverloadedError) as caught:
        call.stream(make({"stream": [events(OPENING, PING, ERROR)]}), "Hello")
    assert caught.value.request_id == "req_9"
    assert caught.value.retryable


def test_an_error_after_content_is_a_stream_error(call):
    """The content is kept."""
    stream = events(OPENING, start(0, type="text", text=""), delta(0, "text_delta", text="Hi"), ERROR)
    with pytest.raises(StreamError, match="Overloaded") as caught:
        call.stream(make({"stream": [stream]}), "Hello")
    assert (caught.value.partial.text, caught.value.code, caught.value.request_id) == (
        "Hi",
        "overloaded_error",
        "req_9",
    )


@pytest.mark.parametrize(
    "data",
    [
        b'event: error\ndata: {"message": "broken"}\n\n',
        b'data: {"error": {"message": "broken"}}\n\n',
        b'event: error\ndata: {"message": "broken"}',
        b"data: nonsense\n\n",
        b"data: []\n\n",
    ],
)
def test_other_forms_of_failure_are_errors_too(call, data):
    """An event named error, an error without a type, and events that are no objects."""
    with pytest.raises(APIError):
        call.stream(make({"stream": [data]}), "Hello")


def test_events_nobody_needs_are_passed_over(call):
    """[DONE] of a gateway, empty data, comments."""
    data = b": hello\n\ndata: \n\ndata: [DONE]\n\n" + TEXT
    _, response = call.stream(make({"stream": [data]}), "Hello")
    assert response.text == "Grüß \u2028 dich"


def test_missing_fields_never_break_a_stream(call):
    """No index, no block, no delta, values of other types: what can be read is read."""
    data = events(
        {"type": "message_start"},
        {"type": "message_start", "message": "odd"},
        {"type": "content_block_start", "content_block": {"type": "text", "text": "A"}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "B"}},
        {"type": "content_block_start", "content_block": {"type": "tool_use"}},
        {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": '{"a":1}'}},
        {"type": "content_block_delta"},
        {"type": "content_block_delta", "delta": ["odd"]},
        {"type": "content_block_delta", "index": {}, "delta": {"type": "text_delta"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": None}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": 5}},
        {"type": "content_block_start", "index": 7},
        {"type": "content_block_start", "index": 8, "content_block": ["odd"]},
        {"type": "content_block_delta", "index": 9, "delta": {"type": "thinking_delta", "thinking": "T"}},
        {"type": "content_block_delta", "index": 9, "delta": {"type": "thinking_delta"}},
        {"type": "content_block_delta", "index": 10, "delta": {"type": "text_delta", "text": "C"}},
        {"type": "content_block_delta", "index": 11, "delta": {"type": "signature_delta"}},
        {"type": "message_delta", "delta": None, "usage": None},
        END,
    )
    chunks, response = call.stream(make({"stream": [data]}), "Hello")
    assert response.text == "AB5C"
    assert response.thinking == "T"
    assert [chunk.text for chunk in chunks if chunk.text] == ["A", "B", "5", "C"]
    assert response.tool_calls[0].arguments == {"a": 1}
    assert response.finish_reason == "tool_calls"
    assert (response.usage, response.model, response.id) == (Usage(), None, None)


def test_content_in_the_first_event_of_a_block_counts(call):
    """Text, thinking and arguments may already stand in content_block_start."""
    data = events(
        OPENING,
        start(0, type="thinking", thinking="T"),
        start(1, type="text", text="A"),
        start(2, type="tool_use", id="t1", name="clock", input={"tz": "UTC"}),
        start(3, type="tool_use", id="t2", name="dice", input={"preview": 1}),
        delta(3, "input_json_delta", partial_json='{"n":'),
        delta(3, "input_json_delta", partial_json="6}"),
        closing("tool_use"),
        END,
    )
    chunks, response = call.stream(make({"stream": [data]}), "Hello")
    assert (response.thinking, response.text) == ("T", "A")
    assert [call.arguments for call in response.tool_calls] == [{"tz": "UTC"}, {"n": 6}]
    assert chunks[0].thinking == "T"


def test_calls_made_by_code_keep_who_made_them(call):
    """The caller field belongs to the block and goes back with it."""
    made_by = {"type": "code_execution_20260521", "tool_id": "srvtoolu_1"}
    data = events(
        OPENING,
        start(0, type="tool_use", id="t1", name="clock", input={}, caller=made_by),
        delta(0, "input_json_delta", partial_json='{"tz":"UTC"}'),
        start(1, type="tool_use", id="t2", name="clock", input={}, caller=made_by),
        delta(1, "input_json_delta", partial_json='{"tz":'),
        closing("max_tokens"),
        END,
    )
    _, response = call.stream(make({"stream": [data]}), "Hello")
    whole, broken = response.tool_calls
    assert whole.native == {
        "type": "tool_use",
        "id": "t1",
        "name": "clock",
        "input": {"tz": "UTC"},
        "caller": made_by,
    }
    assert (broken.arguments_json, broken.native["input"]) == ('{"tz":', {})
    assert response.finish_reason == "length"


def test_a_decoder_ends_once():
    """A second message_stop, or one that comes with the end, changes nothing."""
    decoder = AnthropicMessages().stream_decoder()
    assert len(list(decoder.feed(events(OPENING, END, END)))) == 1
    decoder = AnthropicMessages().stream_decoder()
    assert list(decoder.feed(b'data: {"type":"ping"}')) == []
    assert list(decoder.finish()) == []
    assert not decoder.complete


def test_a_whole_answer_to_a_stream_is_taken(call):
    """Some servers do not stream; the caller sees chunks all the same."""
    chunks, response = call.stream(make({"json": message(text("Hi."))}), "Hello")
    assert [chunk.text for chunk in chunks] == ["Hi.", ""]
    assert (response.text, chunks[-1].finish_reason) == ("Hi.", "stop")


# ---------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"type": "invalid_request_error", "message": "Odd."}, BadRequestError),
        (
            400,
            {"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens > 200000 maximum"},
            ContextLengthExceededError,
        ),
        (
            400,
            {
                "type": "invalid_request_error",
                "message": "Spent.",
                "details": {"error_code": "enforced_spend_limit_reached"},
            },
            PaymentRequiredError,
        ),
        (401, {"type": "authentication_error", "message": "invalid x-api-key"}, AuthenticationError),
        (402, {"type": "billing_error", "message": "No credit."}, PaymentRequiredError),
        (403, {"type": "permission_error", "message": "No."}, PermissionDeniedError),
        (404, {"type": "not_found_error", "message": "model: claude-none"}, ModelNotFoundError),
        (404, {"type": "not_found_error", "message": "Not found"}, NotFoundError),
        (413, {"type": "request_too_large", "message": "Big."}, RequestTooLargeError),
        (429, {"type": "rate_limit_error", "message": "Slow."}, RateLimitError),
        (500, {"type": "api_error", "message": "Internal."}, InternalServerError),
        (504, {"type": "timeout_error", "message": "Late."}, RequestTimeoutError),
        (529, {"type": "overloaded_error", "message": "Overloaded"}, OverloadedError),
    ],
)
def test_error_answers_become_typed_errors(call, status, error, kind):
    """By the code in details, then the type, then the words; the same in a stream."""
    answer = {"status": status, "json": {"type": "error", "error": error, "request_id": "req_1"}}
    for ask in (call.chat, call.stream):
        with pytest.raises(APIError) as caught:
            ask(make(answer), "Hello")
        assert type(caught.value) is kind
        assert caught.value.message == error["message"]
        assert (caught.value.status_code, caught.value.type) == (status, error["type"])
        assert (caught.value.request_id, caught.value.provider) == ("req_1", "anthropic")


def test_the_wish_to_wait_is_read(call):
    """retry-after counts in seconds."""
    body = {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow."}}
    with pytest.raises(RateLimitError) as caught:
        call.chat(make({"status": 429, "json": body, "headers": {"retry-after": "7"}}), "Hello")
    assert caught.value.retry_after == 7


# ---------------------------------------------------------------------------------------------------- the rest


def test_models_are_listed_over_all_pages(call):
    """A page tells where the next one begins."""
    first = {
        "id": "claude-a",
        "display_name": "Claude A",
        "created_at": "2026-01-02T00:00:00Z",
        "max_input_tokens": 1_000_000,
        "max_tokens": 128_000,
        "capabilities": {
            "batch": {"supported": True},
            "citations": {"supported": False},
            "effort": {"low": True},
            "pdf_input": True,
            "image_input": False,
        },
    }
    transport = ScriptedTransport(
        [
            {"json": {"data": [first, "odd"], "has_more": True, "last_id": "claude-a"}},
            {"json": {"data": [{"id": "claude-b", "created_at": "someday"}], "has_more": False, "last_id": "x"}},
        ]
    )
    models = call.models(Client("anthropic", api_key="k", transport=transport))
    assert [model.id for model in models] == ["claude-a", "claude-b"]
    assert models[0].name == "Claude A"
    assert (models[0].context_window, models[0].max_output_tokens) == (1_000_000, 128_000)
    assert models[0].capabilities == ("batch", "effort", "pdf_input")
    assert models[0].created == 1_767_312_000
    assert (models[0].provider, models[1].created, models[1].capabilities) == ("anthropic", None, ())
    assert [request.url.partition("?")[2] for request in transport.requests] == [
        "limit=1000",
        "limit=1000&after_id=claude-a",
    ]


@pytest.mark.parametrize("verb", ["models", "count_tokens"])
def test_a_list_that_is_none_is_an_error(call, verb):
    """Another API answered."""
    with pytest.raises(InvalidResponseError):
        getattr(call, verb)(make({"json": {"hello": 1}}), *(["Hello"] if verb == "count_tokens" else []))


def test_there_are_no_embeddings(call):
    """Anthropic has no such endpoint; nothing is sent."""
    with pytest.raises(NotSupportedError, match="embeddings"):
        call.embed(make(), "Hello")
