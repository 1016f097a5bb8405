"""Streams as servers write them against their own documentation: odd numbers, repeated ends, calls in pieces."""

import json

import pytest

from provider_kit import Client, Message, ScriptedTransport
from provider_kit.dialects.anthropic_messages import AnthropicMessages
from provider_kit.dialects.openai_chat import OpenAIChat
from provider_kit.dialects.openai_responses import OpenAIResponses
from provider_kit.errors import StreamIncompleteError
from provider_kit.model.messages import Native, Text

SERVER = "http://127.0.0.1:9/v1"  # an unknown server, which need not end with [DONE]
CLAUDE = "anthropic/claude-sonnet-4-5"
GEMINI = "gemini/gemini-2.5-flash"
RESPONSES = "openai/gpt-5"
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}


def lines(*events, done=False):
    """Events, or JSON texts as they are, as an event stream. Halves of characters are escaped."""
    texts = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return "".join(f"data: {text}\n\n" for text in [*texts, *(["[DONE]"] if done else [])]).encode()


def piece(delta=None, finish=None, **more):
    """An event of the chat API; ``index`` is 0 unless given, and left out if it is ``...``."""
    index = more.pop("index", 0)
    choice = {"delta": {} if delta is None else delta, "finish_reason": finish}
    if index is not ...:
        choice["index"] = index
    if "message" in more:
        choice["message"] = more.pop("message")
    if delta is ...:
        del choice["delta"]
    return {"id": "a1", "model": "m-1", "choices": [choice], **more}


def call_piece(arguments="", name=None, **more):
    """An event with a piece of one tool call."""
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    return piece({"tool_calls": [{**more, "function": function}]})


def joined_calls(chunks):
    """What the deltas of each call make together: id, name, arguments."""
    calls = {}
    for chunk in chunks:
        for delta in chunk.tool_calls or ():
            call = calls.setdefault(delta.index, [None, "", ""])
            call[0] = delta.id or call[0]
            call[1] += delta.name or ""
            call[2] += delta.arguments
    return [tuple(call) for call in calls.values()]


@pytest.fixture
def told(exchange):
    """A function: what a stream tells, in its chunks and in its answer alike."""

    def run(*events, target=SERVER, done=False, **client):
        options = {"model": "m", **client} if target is SERVER else client
        data = events[0] if isinstance(events[0], bytes) else lines(*events, done=done)
        seen = exchange(target, "Hi", answer={"stream": [data]}, verb="stream", client=options)
        answer = seen.response
        assert "".join(chunk.text for chunk in seen.chunks) == answer.text
        assert "".join(chunk.thinking for chunk in seen.chunks) == answer.thinking
        assert "".join(chunk.refusal for chunk in seen.chunks) == (answer.refusal or "")
        assert [chunk.done for chunk in seen.chunks] == [False] * (len(seen.chunks) - 1) + [True]
        assert (seen.chunks[-1].finish_reason, seen.chunks[-1].usage) == (answer.finish_reason, answer.usage)
        calls = [(None if call.local_id else call.id, call.name, call.arguments_json) for call in answer.tool_calls]
        streamed = joined_calls(seen.chunks)
        assert [call[1:] for call in streamed] == [call[1:] for call in calls]
        for (given, *_), call in zip(streamed, answer.tool_calls, strict=True):
            assert given in (call.id, None)
        assert len({call.id for call in answer.tool_calls}) == len(calls)
        return seen

    return run


def calls_of(seen):
    """The calls of an answer; ``None`` for an id that was made here."""
    return [(None if call.local_id else call.id, call.name, call.arguments_json) for call in seen.response.tool_calls]


# ------------------------------------------------------------------------------------------ which choice is ours


@pytest.mark.parametrize(
    "numbers",
    [
        [0, 0, 0],
        [1, 1, 1],
        [7, 7, 7],
        [0, 1, 2],
        [1, 2, 3],
        ["0", "0", "0"],
        ["1", "1", "1"],
        ["0", "1", "2"],
        [None, None, None],
        [..., ..., ...],
        [0, None, ...],
        [0, ..., 0],
        [-1, -1, -1],
    ],
    ids=str,
)
def test_one_answer_is_read_however_it_is_numbered(told, numbers):
    """From 0, from 1, by the chunk, as text, not at all."""
    texts = [piece({"content": text}, index=index) for text, index in zip("abc", numbers, strict=True)]
    seen = told(*texts, piece(finish="stop", index=numbers[-1]), done=True)
    assert (seen.response.text, seen.response.finish_reason) == ("abc", "stop")


def test_a_single_piece_with_a_number_of_its_own_is_the_answer(told):
    """Nothing follows that could say otherwise."""
    seen = told(piece({"content": "all"}, "stop", index=1))
    assert (seen.response.text, seen.response.finish_reason) == ("all", "stop")


@pytest.mark.parametrize("last", [3, 2, ...])
def test_a_count_of_chunks_may_reach_the_reason(told, last):
    """The reason has the next number, the last one again, or none."""
    seen = told(
        *[piece({"content": text}, index=index) for index, text in enumerate("abc")], piece({}, "stop", index=last)
    )
    assert (seen.response.text, seen.response.finish_reason) == ("abc", "stop")


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([0, 1, 0, 1], "ac"), ([1, 0, 1, 0], "bd"), ([0, 0, 1, 1], "ab"), ([0, 2, 1, 0], "ad"), ([0, 2, 0, 2], "ac")],
    ids=str,
)
def test_answers_side_by_side_are_told_apart(told, numbers, text):
    """A number that comes back is one of several answers; the first one is ours."""
    pieces = [piece({"content": text}, index=index) for text, index in zip("abcd", numbers, strict=True)]
    ends = [piece({}, "length" if index else "stop", index=index) for index in sorted(set(numbers))]
    seen = told(*pieces, *ends, done=True)
    assert (seen.response.text, seen.response.finish_reason) == (text, "stop")


def test_answers_in_one_event_are_told_apart(told):
    """Whatever their order in it."""

    def both(*choices, finish=None):
        made = [{"index": index, "delta": {"content": text}, "finish_reason": finish} for index, text in choices]
        return {"id": "a1", "choices": made}

    seen = told(both((1, "x"), (0, "a")), both((0, "b"), (1, "y")), both((1, "z"), (0, "c"), finish="stop"), done=True)
    assert seen.response.text == "abc"


def test_what_begins_after_our_end_is_another_answer(told):
    """One answer after the other, as some servers write several."""
    seen = told(piece({"content": "ours"}, "stop"), piece({"content": "theirs"}, "length", index=1), done=True)
    assert (seen.response.text, seen.response.finish_reason) == ("ours", "stop")


@pytest.mark.parametrize("wanted", [{"n": 3}])
def test_several_answers_that_begin_with_their_role_are_told_apart(exchange, wanted):
    """As OpenAI streams them."""
    roles = [piece({"role": "assistant", "content": ""}, index=index) for index in range(3)]
    texts = [piece({"content": text}, index=index) for text in "ab" for index in range(3)]
    ends = [piece({}, "stop", index=index) for index in range(3)]
    answer = {"stream": [lines(*roles, *texts, *ends, done=True)]}
    seen = exchange(SERVER, "Hi", answer=answer, verb="stream", client={"model": "m"}, extra_body=wanted)
    assert seen.response.text == "ab"


def candidate(text, index=0, finish=None):
    """An event of Gemini's."""
    made = {"content": {"role": "model", "parts": [{"text": text}]}}
    if index is not ...:
        made["index"] = index
    if finish is not None:
        made["finishReason"] = finish
    return {"candidates": [made], "responseId": "r1", "modelVersion": "g-1"}


@pytest.mark.parametrize(
    "numbers",
    [[0, 0, 0], [1, 1, 1], [0, 1, 2], [1, 2, 3], ["0", "0", "0"], [None, None, None], [..., ..., ...]],
    ids=str,
)
def test_one_candidate_is_read_however_it_is_numbered(told, numbers):
    """As the choices of the chat API."""
    first, second, third = numbers
    seen = told(candidate("a", first), candidate("b", second), candidate("c", third, "STOP"), target=GEMINI)
    assert (seen.response.text, seen.response.finish_reason, seen.response.id) == ("abc", "stop", "r1")


def test_candidates_side_by_side_are_told_apart(told):
    """By numbers that come back, and within one event."""
    alternating = [candidate("a"), candidate("x", 1), candidate("b"), candidate("y", 1), candidate("c", 0, "STOP")]
    assert told(*alternating, target=GEMINI).response.text == "abc"
    both = {"candidates": candidate("x", 1, "STOP")["candidates"] + candidate("a", 0, "STOP")["candidates"]}
    assert told(both, target=GEMINI).response.text == "a"


# ------------------------------------------------------------------------------------ messages in place of deltas

FIRST = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
SECOND = {"id": "c2", "type": "function", "function": {"name": "g", "arguments": '{"b":2}'}}
BOTH = [("c1", "f", '{"a":1}'), ("c2", "g", '{"b":2}')]
WHOLE = {"role": "assistant", "content": "Hello", "reasoning_content": "Hmm", "tool_calls": [FIRST, SECOND]}


@pytest.mark.parametrize(
    "delta", [..., None, {}, {"role": "assistant"}, {"content": ""}, {"content": None, "tool_calls": []}], ids=str
)
def test_a_last_message_that_repeats_everything_is_not_doubled(told, delta):
    """Text, reasoning and calls; beside no delta, an empty one, or one that is null."""
    last = piece(delta, "tool_calls", message=WHOLE)
    last["choices"][0]["delta"] = None if delta is None else last["choices"][0].get("delta")
    if delta is ...:
        del last["choices"][0]["delta"]
    seen = told(
        piece({"reasoning_content": "Hm"}),
        piece({"reasoning_content": "m"}),
        piece({"content": "Hel"}),
        piece({"content": "lo"}),
        piece({"tool_calls": [{"index": 0, **FIRST}]}),
        piece({"tool_calls": [{"index": 1, **SECOND}]}),
        last,
    )
    assert (seen.response.text, seen.response.thinking) == ("Hello", "Hmm")
    assert calls_of(seen) == BOTH
    assert seen.response.finish_reason == "tool_calls"


@pytest.mark.parametrize("delta", [..., {}, {"role": "assistant", "content": ""}], ids=str)
def test_a_message_alone_is_the_answer(told, delta):
    """A server that streams nothing, in one event."""
    seen = told(piece(delta, "tool_calls", message=WHOLE))
    assert (seen.response.text, seen.response.thinking) == ("Hello", "Hmm")
    assert calls_of(seen) == BOTH


def test_what_only_the_last_message_tells_counts(told):
    """Text after calls in deltas, calls after a text in deltas."""
    seen = told(piece({"tool_calls": [{"index": 0, **FIRST}]}), piece({}, "tool_calls", message=WHOLE))
    assert (seen.response.text, calls_of(seen)) == ("Hello", BOTH)
    seen = told(piece({"content": "Hello"}), piece({}, "tool_calls", message=WHOLE))
    assert (seen.response.text, seen.response.thinking, calls_of(seen)) == ("Hello", "Hmm", BOTH)


@pytest.mark.parametrize(
    "texts", [["Hel", "lo", " you"], ["Hel", "Hello", "Hello you"], ["Hello you", "", "Hello you"]], ids=str
)
def test_messages_may_be_pieces_or_all_so_far(told, texts):
    """Increments and growing snapshots."""
    *first, last = [{"role": "assistant", "content": text} for text in texts]
    seen = told(*[piece(..., message=message) for message in first], piece(..., "stop", message=last))
    assert (seen.response.text, seen.response.finish_reason) == ("Hello you", "stop")


def test_calls_in_growing_messages_are_told_once(told):
    """With their ids, whole in each message."""
    one, two = {"content": "x", "tool_calls": [FIRST]}, {"content": "x", "tool_calls": [FIRST, SECOND]}
    seen = told(piece(..., message=one), piece(..., message=two), piece(..., "tool_calls", message=two))
    assert (seen.response.text, calls_of(seen)) == ("x", BOTH)


def test_a_refusal_repeated_in_a_message_is_not_doubled(told):
    """As the text."""
    seen = told(
        piece({"refusal": "I can"}), piece({"refusal": "not"}), piece({}, "stop", message={"refusal": "I cannot"})
    )
    assert seen.response.refusal == "I cannot"


def test_a_picture_repeated_in_a_message_is_not_doubled(told):
    """Told in a delta first."""
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    seen = told(piece({"images": [picture]}), piece({}, "stop", message={"content": "", "images": [picture]}))
    assert [image.url for image in seen.response.images] == ["https://example.org/a.png"]
    assert [chunk.parts for chunk in seen.chunks if chunk.parts] == [seen.response.images]


def test_a_last_delta_with_the_whole_text_again_is_not_doubled(told):
    """A text long enough that it cannot be chance."""
    texts = ["Hello there, ", "how are you?"]
    seen = told(*[piece({"content": text}) for text in texts], piece({"content": "".join(texts)}, "stop"))
    assert seen.response.text == "Hello there, how are you?"


# ------------------------------------------------------------------------------------------------- tool calls

CALLS = {
    "ids that change with an index": (
        [
            call_piece("", "f", index=0, id="x1"),
            call_piece('{"a":', index=0, id="x2"),
            call_piece("1}", index=0, id="x3"),
        ],
        [("x1", "f", '{"a":1}')],
    ),
    "ids that change without an index": (
        [call_piece("", "f", id="x1"), call_piece('{"a":', id="x2"), call_piece("1}", id="x3")],
        [("x1", "f", '{"a":1}')],
    ),
    "ids that change beside the same name": (
        [call_piece('{"a":', "f", index=0, id="x1"), call_piece("1}", "f", index=0, id="x2")],
        [("x1", "f", '{"a":1}')],
    ),
    "the same id for two calls": (
        [call_piece('{"a":1}', "f", index=0, id="x"), call_piece('{"b":2}', "g", index=1, id="x")],
        [("x", "f", '{"a":1}'), (None, "g", '{"b":2}')],
    ),
    "the same id for two calls of one tool": (
        [call_piece('{"a":1}', "f", index=0, id="x"), call_piece('{"a":1}', "f", index=1, id="x")],
        [("x", "f", '{"a":1}'), (None, "f", '{"a":1}')],
    ),
    "the same id in pieces without an index": (
        [
            call_piece('{"a":', "f", id="x"),
            call_piece("1}", id="x"),
            call_piece('{"a":', "f", id="x"),
            call_piece("2}", id="x"),
        ],
        [("x", "f", '{"a":1}'), (None, "f", '{"a":2}')],
    ),
    "the same index for two calls": (
        [call_piece('{"a":1}', "f", index=0, id="x1"), call_piece('{"b":2}', "g", index=0, id="x2")],
        [("x1", "f", '{"a":1}'), ("x2", "g", '{"b":2}')],
    ),
    "the same index for two calls without arguments": (
        [call_piece("{}", "f", index=0, id="x1"), call_piece("{}", "f", index=0, id="x2")],
        [("x1", "f", "{}"), ("x2", "f", "{}")],
    ),
    "no ids": (
        [call_piece('{"a":1}', "f", index=0), call_piece('{"b":2}', "g", index=1)],
        [(None, "f", '{"a":1}'), (None, "g", '{"b":2}')],
    ),
    "neither ids nor an index": (
        [call_piece("", "f"), call_piece('{"a":'), call_piece("1}"), call_piece("", "f"), call_piece('{"a":2}')],
        [(None, "f", '{"a":1}'), (None, "f", '{"a":2}')],
    ),
    "empty and null ids": (
        [
            call_piece("", "f", index=0, id=""),
            call_piece('{"a":1}', index=0, id=None),
            call_piece("", index=0, id="null"),
        ],
        [(None, "f", '{"a":1}')],
    ),
    "a late id": ([call_piece("", "f", index=0), call_piece('{"a":1}', index=0, id="x")], [("x", "f", '{"a":1}')]),
    "a name in two pieces": (
        [call_piece("", "get_", index=0, id="x"), call_piece('{"a":1}', "weather", index=0)],
        [("x", "get_weather", '{"a":1}')],
    ),
    "a name that grows": (
        [call_piece("", "get_", index=0, id="x"), call_piece('{"a":1}', "get_weather", index=0, id="x")],
        [("x", "get_weather", '{"a":1}')],
    ),
    "the name in each piece": (
        [call_piece(text, "f", index=0, id="x") for text in ("", '{"a":', "1}", "")],
        [("x", "f", '{"a":1}')],
    ),
    "an object as opening": (
        [call_piece("{}", "f", index=0, id="x"), call_piece('{"a":', index=0), call_piece("1}", index=0)],
        [("x", "f", '{"a":1}')],
    ),
    "null as opening": (
        [call_piece("null", "f", index=0, id="x"), call_piece('{"a":1}', index=0)],
        [("x", "f", '{"a":1}')],
    ),
    "an object that stays": ([call_piece("{}", "f", index=0, id="x"), call_piece("", index=0)], [("x", "f", "{}")]),
    "null that stays": ([call_piece("null", "f", index=0, id="x")], [("x", "f", "")]),
    "arguments once more": (
        [call_piece('{"a":', "f", index=0, id="x"), call_piece("1}", index=0), call_piece('{"a":1}', index=0)],
        [("x", "f", '{"a":1}')],
    ),
    "the call once more": (
        [
            call_piece('{"a":', "f", index=0, id="x"),
            call_piece("1}", index=0),
            call_piece('{"a":1}', "f", index=0, id="x"),
        ],
        [("x", "f", '{"a":1}')],
    ),
    "an empty custom beside the function": (
        [piece({"tool_calls": [{"index": 0, "id": "x", "custom": {}, "function": FIRST["function"]}]})],
        [("x", "f", '{"a":1}')],
    ),
    "arguments as an object": (
        [piece({"tool_calls": [{"index": 0, "id": "x", "function": {"name": "f", "arguments": {"a": 1}}}]})],
        [("x", "f", '{"a":1}')],
    ),
    "interleaved by index": (
        [
            call_piece("", "f", index=0, id="x1"),
            call_piece("", "g", index=1, id="x2"),
            call_piece('{"a":', index=0),
            call_piece('{"b":', index=1),
            call_piece("1}", index=0),
            call_piece("2}", index=1),
        ],
        [("x1", "f", '{"a":1}'), ("x2", "g", '{"b":2}')],
    ),
    "interleaved by id": (
        [
            call_piece("", "f", id="x1"),
            call_piece("", "g", id="x2"),
            call_piece('{"a":', id="x1"),
            call_piece('{"b":', id="x2"),
            call_piece("1}", id="x1"),
            call_piece("2}", id="x2"),
        ],
        [("x1", "f", '{"a":1}'), ("x2", "g", '{"b":2}')],
    ),
    "interleaved under names that are repeated": (
        [
            call_piece('{"a":', "f", index=0),
            call_piece('{"a":', "f", index=1),
            call_piece("1}", "f", index=0),
            call_piece("2}", "f", index=1),
        ],
        [(None, "f", '{"a":1}'), (None, "f", '{"a":2}')],
    ),
    "an index that counts pieces": (
        [call_piece("", "f", index=0, id="x"), call_piece('{"a":', index=1), call_piece("1}", index=2)],
        [("x", "f", '{"a":1}')],
    ),
    "an index from 1": (
        [call_piece("", "f", index=1, id="x"), call_piece('{"a":1}', index=1)],
        [("x", "f", '{"a":1}')],
    ),
    "a function of old": (
        [
            piece({"function_call": {"name": "f", "arguments": ""}}),
            piece({"function_call": {"arguments": '{"a":'}}),
            piece({"function_call": {"arguments": "1}"}}),
        ],
        [(None, "f", '{"a":1}')],
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_one_call_stays_one_and_two_stay_two(told, name):
    """Whatever labels its pieces have."""
    pieces, calls = CALLS[name]
    seen = told(*pieces, piece(finish="tool_calls"), done=True)
    assert calls_of(seen) == calls
    assert seen.response.finish_reason == "tool_calls"


@pytest.mark.parametrize("name", [name for name, (_, calls) in CALLS.items() if all(call[0] for call in calls)])
def test_calls_are_the_same_wherever_the_stream_is_cut(streams, name):
    """At every byte."""
    pieces, calls = CALLS[name]
    data = lines(*pieces, piece(finish="tool_calls"), done=True)
    answer = streams.assert_cuts_do_not_matter(OpenAIChat(provider="acme"), data)
    assert [(call.id, call.name, call.arguments_json) for call in answer.tool_calls] == calls


@pytest.mark.parametrize(
    ("target", "events"),
    [
        (SERVER, [*CALLS["the same id for two calls"][0], piece(finish="tool_calls")]),
        (
            GEMINI,
            [
                {
                    "candidates": [
                        {"content": {"parts": [{"functionCall": {"id": "x", "name": "f", "args": {"a": 1}}}]}}
                    ]
                },
                {
                    "candidates": [
                        {
                            "content": {"parts": [{"functionCall": {"id": "x", "name": "g", "args": {"b": 2}}}]},
                            "finishReason": "STOP",
                        }
                    ]
                },
            ],
        ),
        (
            CLAUDE,
            [
                {
                    "type": "content_block_start",
                    "index": index,
                    "content_block": {"type": "tool_use", "id": "x", "name": name, "input": given},
                }
                for index, (name, given) in enumerate([("f", {"a": 1}), ("g", {"b": 2})])
            ]
            + [{"type": "message_delta", "delta": {"stop_reason": "tool_use"}}, {"type": "message_stop"}],
        ),
    ],
    ids=["chat", "gemini", "anthropic"],
)
def test_calls_with_the_same_id_can_each_be_answered(told, call, target, events):
    """The second one gets an id of its own, in the message that goes back too."""
    seen = told(*events, target=target)
    first, second = seen.response.tool_calls
    assert (first.id, first.arguments, second.name, second.arguments) == ("x", {"a": 1}, "g", {"b": 2})
    assert second.local_id
    options = {"model": "m"} if target is SERVER else {}
    transport = ScriptedTransport([{"status": 400, "json": {"error": {"message": "only the request matters"}}}])
    client = Client(target, transport=transport, max_retries=0, api_key="test-key-0123456789", **options)
    talk = [Message.user("Hi"), seen.response.message, Message.tool(first.id, "one"), Message.tool(second.id, "two")]
    with pytest.raises(Exception, match="only the request matters"):
        call.chat(client, talk)
    sent = transport.requests[0].body.decode()
    assert sent.index("one") < sent.index("two")
    if target is not GEMINI:  # which pairs calls and results by name and order
        assert sent.count(f'"{second.id}"') == 2
        assert sent.count('"x"') == 2


# -------------------------------------------------------------------------------------------------- Anthropic

BEGIN = {"type": "message_start", "message": {"id": "m1", "model": "c-1", "usage": {"input_tokens": 3}}}
STOP = {"type": "message_stop"}
TEXT = {"type": "text", "text": ""}
TOOL = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}


def start(index, block):
    """The start of a block."""
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index, kind, **fields):
    """A piece of a block."""
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def text(index, words):
    """A piece of text."""
    return delta(index, "text_delta", text=words)


def given(index, words):
    """A piece of a tool's input."""
    return delta(index, "input_json_delta", partial_json=words)


def stop(index):
    """The end of a block."""
    return {"type": "content_block_stop", "index": index}


def ends(reason):
    """The reason to stop, and the end."""
    return [{"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 4}}, STOP]


BLOCKS = {
    "a text begun again": ([start(0, TEXT), text(0, "Hel"), start(0, TEXT), text(0, "lo"), stop(0)], "Hello", []),
    "a text begun again with words": (
        [start(0, TEXT), text(0, "Hel"), start(0, {"type": "text", "text": "lo"}), stop(0)],
        "Hello",
        [],
    ),
    "a text begun again after its end": (
        [start(0, TEXT), text(0, "Hel"), stop(0), start(0, TEXT), text(0, "lo"), stop(0)],
        "Hello",
        [],
    ),
    "a call begun again": (
        [start(0, TOOL), given(0, '{"a":'), start(0, TOOL), given(0, "1}"), stop(0)],
        "",
        [("t1", "f", '{"a":1}')],
    ),
    "another call at the same index": (
        [start(0, TOOL), given(0, '{"a":1}'), start(0, {**TOOL, "id": "t2"}), given(0, '{"b":2}'), stop(0)],
        "",
        [("t1", "f", '{"a":1}'), ("t2", "f", '{"b":2}')],
    ),
    "a call at the index of a text": (
        [start(0, TEXT), text(0, "Hi"), start(0, TOOL), given(0, '{"a":1}'), stop(0)],
        "Hi",
        [("t1", "f", '{"a":1}')],
    ),
    "every block at index 0": (
        [start(0, TEXT), text(0, "Hi"), stop(0), start(0, TOOL), given(0, '{"a":1}'), stop(0)],
        "Hi",
        [("t1", "f", '{"a":1}')],
    ),
    "no index at all": (
        [
            {"type": "content_block_start", "content_block": TEXT},
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hi"}},
            {"type": "content_block_stop"},
            {"type": "content_block_start", "content_block": TOOL},
            {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": '{"a":1}'}},
            {"type": "content_block_stop"},
        ],
        "Hi",
        [("t1", "f", '{"a":1}')],
    ),
    "input without a start": ([given(0, '{"a":'), given(0, "1}"), stop(0)], "", [(None, "", '{"a":1}')]),
    "text without a start": ([text(0, "He"), text(0, "y")], "Hey", []),
    "a start after its first text": ([text(0, "He"), start(0, TEXT), text(0, "y"), stop(0)], "Hey", []),
    "deltas nobody knows": (
        [start(0, TEXT), text(0, "a"), delta(0, "sparkle_delta", sparkle="*"), text(0, "b"), stop(0)],
        "ab",
        [],
    ),
    "an input that is announced": ([start(0, {**TOOL, "input": {"a": 1}}), stop(0)], "", [("t1", "f", '{"a":1}')]),
    "an input that is announced and not ended": ([start(0, {**TOOL, "input": {"a": 1}})], "", [("t1", "f", '{"a":1}')]),
    "an input that is announced and streamed": (
        [start(0, {**TOOL, "input": {"a": 1}}), given(0, '{"a":'), given(0, "1}"), stop(0)],
        "",
        [("t1", "f", '{"a":1}')],
    ),
    "an empty object before the input": (
        [start(0, TOOL), given(0, "{}"), given(0, '{"a":1}'), stop(0)],
        "",
        [("t1", "f", '{"a":1}')],
    ),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_in_an_odd_order_lose_nothing(told, name):
    """Begun twice, never begun, all at one index."""
    events, words, calls = BLOCKS[name]
    seen = told(BEGIN, *events, *ends("tool_use" if calls else "end_turn"), target=CLAUDE)
    assert (seen.response.text, calls_of(seen)) == (words, calls)
    assert seen.response.finish_reason == ("tool_calls" if calls else "stop")
    assert (seen.response.id, seen.response.usage.input_tokens, seen.response.usage.output_tokens) == ("m1", 3, 4)


@pytest.mark.parametrize("name", ["a text begun again", "a call begun again", "an input that is announced"])
def test_blocks_are_the_same_wherever_the_stream_is_cut(streams, name):
    """At every byte."""
    events, words, calls = BLOCKS[name]
    answer = streams.assert_cuts_do_not_matter(AnthropicMessages(provider="acme"), lines(BEGIN, *events, *ends("x")))
    assert answer.text == words
    assert [(call.id, call.name, call.arguments_json) for call in answer.tool_calls] == calls


def test_a_compaction_is_kept_and_is_a_pause(told):
    """Its summary comes in deltas of its own; the conversation is sent back to go on."""
    begun = {"type": "compaction", "content": None}
    pieces = [delta(0, "compaction_delta", content=words) for words in ("So ", "far")]
    seen = told(BEGIN, start(0, begun), *pieces, stop(0), *ends("compaction"), target=CLAUDE)
    kept = [Native("compaction", {"type": "compaction", "content": "So far"})]
    assert seen.response.message.content == kept
    assert [part for chunk in seen.chunks for part in chunk.parts or ()] == kept
    assert (seen.response.finish_reason, seen.response.raw_finish_reason) == ("pause", "compaction")


def test_blocks_nobody_knows_are_kept_with_their_deltas(told):
    """Texts are put together, lists grow."""
    pieces = [delta(0, "sparkle_delta", words="a", rays=[1]), delta(0, "sparkle_delta", words="b", rays=[2])]
    seen = told(BEGIN, start(0, {"type": "sparkle", "words": ""}), *pieces, stop(0), *ends("end_turn"), target=CLAUDE)
    assert seen.response.message.content == [Native("sparkle", {"type": "sparkle", "words": "ab", "rays": [1, 2]})]


def test_nothing_after_the_end_of_a_message_is_delivered(told):
    """Though it came in the same read."""
    begun = [BEGIN, start(0, TEXT), text(0, "Hi"), stop(0), *ends("end_turn")]
    seen = told(*begun, text(0, " more"), start(1, TEXT), text(1, "!"), STOP, target=CLAUDE)
    assert (seen.response.text, seen.response.finish_reason) == ("Hi", "stop")


def test_nothing_after_the_last_line_of_ollama_is_delivered(told):
    """Though it came in the same read."""
    answer = [
        {"message": {"content": "Hi"}, "done": False},
        {"message": {"content": ""}, "done": True, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 2},
        {"message": {"content": " more"}, "done": False},
        {"message": {"content": ""}, "done": True, "done_reason": "length"},
    ]
    seen = told("".join(json.dumps(line) + "\n" for line in answer).encode(), target="ollama/m")
    assert (seen.response.text, seen.response.finish_reason, seen.response.usage.total_tokens) == ("Hi", "stop", 5)


# ---------------------------------------------------------------------------------------------- Responses API

CREATED = {"type": "response.created", "response": {"id": "r1", "model": "g-1", "status": "in_progress"}}


def event(kind, **fields):
    """An event of the Responses API."""
    return {"type": f"response.{kind}", **fields}


def completed(output=None):
    """The last event; ``None`` leaves the items out."""
    told = {"id": "r1", "model": "g-1", "status": "completed", "usage": {"input_tokens": 3, "output_tokens": 2}}
    return event("completed", response=told if output is None else {**told, "output": output})


def said(words, **fields):
    """A message."""
    return {"type": "message", "id": "m1", "content": [{"type": "output_text", "text": words, **fields}]}


def function(arguments="", number=1, **fields):
    """A call."""
    return {
        "type": "function_call",
        "id": f"f{number}",
        "call_id": f"c{number}",
        "name": "f",
        "arguments": arguments,
        **fields,
    }


def thought(*words):
    """Reasoning, paragraph by paragraph."""
    return {"type": "reasoning", "id": "t1", "summary": [{"type": "summary_text", "text": part} for part in words]}


def without(item, *names):
    """An item that lacks some fields."""
    return {name: value for name, value in item.items() if name not in names}


ITEMS = [thought("a", "b"), said("Hi"), function('{"a":1}'), function('{"a":2}', 2)]
TOLD = ("Hi", "a\n\nb", [("c1", "f", '{"a":1}'), ("c2", "f", '{"a":2}')])
LATE = {
    "response.completed": [completed(ITEMS)],
    "output_item.done": [
        *[event("output_item.done", output_index=number, item=item) for number, item in enumerate(ITEMS)],
        completed([]),
    ],
    "output_item.done and once more": [
        *[event("output_item.done", output_index=number, item=item) for number, item in enumerate(ITEMS)],
        completed(ITEMS),
    ],
    "output_item.done without places": [*[event("output_item.done", item=item) for item in ITEMS], completed(ITEMS)],
    "output_item.done without places and ids": [
        *[event("output_item.done", item=without(item, "id")) for item in ITEMS],
        completed([without(item, "id") for item in ITEMS]),
    ],
    "the done of each field": [
        event("reasoning_summary_text.done", output_index=0, summary_index=0, text="a"),
        event("reasoning_summary_text.done", output_index=0, summary_index=1, text="b"),
        event("output_text.done", output_index=1, content_index=0, text="Hi"),
        event("output_item.added", output_index=2, item=function()),
        event("function_call_arguments.done", output_index=2, item_id="f1", arguments='{"a":1}'),
        event("function_call_arguments.done", output_index=3, arguments='{"a":2}', name="f", call_id="c2"),
        completed(),
    ],
    "deltas, and an end that is empty": [
        event("reasoning_summary_text.delta", output_index=0, summary_index=0, delta="a"),
        event("reasoning_summary_text.delta", output_index=0, summary_index=1, delta="b"),
        event("output_item.done", output_index=0, item={"type": "reasoning", "summary": []}),
        event("output_text.delta", output_index=1, content_index=0, delta="Hi"),
        event("output_item.done", output_index=1, item={"type": "message", "content": []}),
        event("output_item.added", output_index=2, item=function()),
        event("function_call_arguments.delta", output_index=2, delta='{"a":1}'),
        event("output_item.done", output_index=2, item=function()),
        event("output_item.added", output_index=3, item=function(number=2)),
        event("function_call_arguments.delta", output_index=3, delta='{"a":2}'),
        event("output_item.done", output_index=3, item=function(number=2, name="")),
        completed([]),
    ],
    "deltas with ids only": [
        event("output_item.added", item=thought()),
        event("reasoning_summary_text.delta", item_id="t1", summary_index=0, delta="a"),
        event("reasoning_summary_text.delta", item_id="t1", summary_index=1, delta="b"),
        event("output_text.delta", item_id="m1", delta="Hi"),
        event("output_item.added", item=function()),
        event("output_item.added", item=function(number=2)),
        event("function_call_arguments.delta", item_id="f1", delta='{"a":'),
        event("function_call_arguments.delta", item_id="f2", delta='{"a":'),
        event("function_call_arguments.delta", item_id="f1", delta="1}"),
        event("function_call_arguments.delta", item_id="f2", delta="2}"),
        completed(),
    ],
    "ids that change with each event": [
        event("reasoning_summary_text.delta", output_index=0, item_id="p", summary_index=0, delta="a"),
        event("reasoning_summary_text.done", output_index=0, item_id="q", summary_index=1, text="b"),
        event("output_text.delta", output_index=1, item_id="r", delta="H"),
        event("output_text.delta", output_index=1, item_id="s", delta="i"),
        event("output_item.added", output_index=2, item=function(id="t")),
        event("function_call_arguments.delta", output_index=2, item_id="u", delta='{"a":1}'),
        event("output_item.done", output_index=2, item=function('{"a":1}', id="v")),
        event("output_item.done", output_index=3, item=function('{"a":2}', 2, id="w")),
        completed(ITEMS),
    ],
}


@pytest.mark.parametrize("name", LATE)
def test_what_is_told_late_reaches_the_chunks(told, name):
    """Text, reasoning and calls, with ids and names, once each."""
    seen = told(CREATED, *LATE[name], target=RESPONSES)
    answer = seen.response
    assert (answer.text, answer.thinking, calls_of(seen)) == TOLD
    assert joined_calls(seen.chunks) == TOLD[2]
    assert (answer.id, answer.model, answer.finish_reason) == ("r1", "g-1", "tool_calls")
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (3, 2, 5)


@pytest.mark.parametrize("name", LATE)
def test_late_words_are_the_same_wherever_the_stream_is_cut(streams, name):
    """At every byte."""
    answer = streams.assert_cuts_do_not_matter(OpenAIResponses(provider="openai"), lines(CREATED, *LATE[name]))
    assert (answer.text, answer.thinking) == TOLD[:2]


@pytest.mark.parametrize(
    "late",
    [
        [event("refusal.done", output_index=0, content_index=0, refusal="I cannot")],
        [event("content_part.done", output_index=0, part={"type": "refusal", "refusal": "I cannot"})],
        [event("output_item.done", item={"type": "message", "content": [{"type": "refusal", "refusal": "I cannot"}]})],
        [
            event("refusal.delta", output_index=0, content_index=0, delta="I can"),
            event("refusal.done", output_index=0, content_index=0, refusal="I cannot"),
        ],
    ],
)
def test_a_refusal_told_late_reaches_the_chunks(told, late):
    """By its own end, its part, its item."""
    seen = told(CREATED, *late, completed(), target=RESPONSES)
    assert (seen.response.refusal, seen.response.text) == ("I cannot", "")


def test_an_empty_text_in_the_end_wipes_nothing(told):
    """A message whose only part is empty."""
    streamed = event("output_text.delta", output_index=0, content_index=0, delta="Hi")
    done = event("output_item.done", output_index=0, item=said(""))
    assert told(CREATED, streamed, done, completed([said("")]), target=RESPONSES).response.text == "Hi"


def test_text_told_in_part_is_completed(told):
    """What the end has beyond the deltas."""
    events = [
        event("output_text.delta", output_index=0, content_index=0, delta="A"),
        event("content_part.done", output_index=0, content_index=0, part={"type": "output_text", "text": "AB"}),
        event("output_text.delta", output_index=0, content_index=1, delta="C"),
        event("output_text.done", output_index=0, content_index=1, text="CD"),
    ]
    assert told(CREATED, *events, completed(), target=RESPONSES).response.text == "ABCD"


def test_calls_of_xais_own_tools_are_not_the_callers(told):
    """They are kept, as parts, and the answer is no call; at OpenAI they are calls."""
    item = {"type": "custom_tool_call", "id": "x1", "call_id": "c1", "name": "x_search", "input": "cats"}
    events = [
        CREATED,
        event("output_item.added", output_index=0, item={**item, "input": ""}),
        event("custom_tool_call_input.delta", output_index=0, delta="cats"),
        event("output_item.done", output_index=0, item=item),
        event("output_text.delta", output_index=1, content_index=0, delta="Hi"),
        completed([item, said("Hi")]),
    ]
    seen = told(*events, target="xai/grok-4")
    assert calls_of(seen) == []
    assert (seen.response.text, seen.response.finish_reason) == ("Hi", "stop")
    kept = [part for part in seen.response.message.parts if not isinstance(part, Text)]
    assert kept == [Native("custom_tool_call", item)]
    assert [part for chunk in seen.chunks for part in chunk.parts or ()] == kept
    seen = told(*events, target=RESPONSES)
    assert calls_of(seen) == [("c1", "x_search", "cats")]
    assert seen.response.finish_reason == "tool_calls"


# ------------------------------------------------------------------------------------------ halves of characters

HIGH, LOW = "\ud83d", "\ude00"


def arguments(words, **more):
    """A piece of a call's arguments."""
    return call_piece(words, index=0, **more)


HALVES = {
    "text": ([piece({"content": f"a{HIGH}"}), piece({"content": f"{LOW}b"})], "a😀b", ""),
    "text with other events between": (
        [piece({"content": f"a{HIGH}"}), {"choices": []}, piece({"content": ""}), piece({"content": LOW})],
        "a😀",
        "",
    ),
    "reasoning": ([piece({"reasoning_content": f"a{HIGH}"}), piece({"reasoning_content": f"{LOW}b"})], "", "a😀b"),
    "reasoning with text between": (
        [piece({"reasoning": HIGH}), piece({"content": "x"}), piece({"reasoning": LOW})],
        "x",
        "😀",
    ),
    "two characters one after the other": (
        [piece({"content": HIGH}), piece({"content": LOW + HIGH}), piece({"content": LOW})],
        "😀😀",
        "",
    ),
    "whole pairs": ([piece({"content": f"a{HIGH}{LOW}"}), piece({"content": f"{HIGH}{LOW}b"})], "a😀😀b", ""),
    "a first half alone": ([piece({"content": f"a{HIGH}"}), piece({"content": "b"})], "a\ufffdb", ""),
    "a second half alone": ([piece({"content": "a"}), piece({"content": f"{LOW}b"})], "a\ufffdb", ""),
    "a first half at the end": ([piece({"content": f"a{HIGH}"})], "a\ufffd", ""),
    "a half in the middle": ([piece({"content": f"a{HIGH}b"}), piece({"content": f"c{LOW}d"})], "a\ufffdbc\ufffdd", ""),
    "two first halves": (
        [piece({"content": HIGH}), piece({"content": HIGH}), piece({"content": LOW})],
        "\ufffd😀",
        "",
    ),
}


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("name", HALVES)
def test_halves_of_characters_are_joined_or_replaced(told, name, done):
    """Never lost, never alone."""
    events, words, reasoning = HALVES[name]
    seen = told(*events, piece(finish="stop"), done=done)
    assert (seen.response.text, seen.response.thinking) == (words, reasoning)


@pytest.mark.parametrize("name", HALVES)
def test_halves_are_the_same_wherever_the_stream_is_cut(streams, name):
    """At every byte, between the halves and within their escapes."""
    events, words, _ = HALVES[name]
    data = lines(*events, piece(finish="stop"), done=True)
    assert streams.assert_cuts_do_not_matter(OpenAIChat(provider="acme"), data).text == words


@pytest.mark.parametrize(
    ("pieces", "given"),
    [
        ([f'{{"a":"{HIGH}', f'{LOW}"}}'], "😀"),
        ([f'{{"a":"{HIGH}', '"}'], "\ufffd"),
        (['{"a":"\\ud83d', '\\ude00"}'], "😀"),
        (['{"a":"\\ud8', '3d\\ude00"}'], "😀"),
        (['{"a":"\\ud83d', '"}'], "\ufffd"),
    ],
    ids=["halves", "a half", "escapes", "cut escapes", "half an escape"],
)
def test_halves_in_arguments_are_joined_or_replaced(told, call, pieces, given):
    """As characters of the text, and as escapes within it; the call can be sent back."""
    first, second = pieces
    seen = told(arguments(first, name="f", id="c1"), arguments(second), piece(finish="tool_calls"))
    (made,) = seen.response.tool_calls
    assert made.arguments == {"a": given}
    made.arguments_json.encode()
    transport = ScriptedTransport([{"json": {"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]}}])
    client = Client(SERVER, model="m", transport=transport, max_retries=0, api_key="test-key-0123456789")
    call.chat(client, [Message.user("Hi"), seen.response.message, Message.tool("c1", "done")])
    back = json.loads(transport.requests[0].body)["messages"][1]["tool_calls"][0]["function"]["arguments"]
    assert back == made.arguments_json


@pytest.mark.parametrize(
    ("target", "events"),
    [
        (CLAUDE, [BEGIN, start(0, TEXT), text(0, f"a{HIGH}"), text(0, f"{LOW}b"), stop(0), *ends("end_turn")]),
        (CLAUDE, [BEGIN, text(0, f"a{HIGH}"), {"type": "ping"}, text(0, f"{LOW}b"), *ends("end_turn")]),
        (GEMINI, [candidate(f"a{HIGH}"), candidate(f"{LOW}b", 0, "STOP")]),
        (
            RESPONSES,
            [
                CREATED,
                event("output_text.delta", output_index=0, content_index=0, delta=f"a{HIGH}"),
                event("output_text.delta", output_index=0, content_index=0, delta=f"{LOW}b"),
                event("output_text.done", output_index=0, content_index=0, text="a😀b"),
                completed([said("a😀b")]),
            ],
        ),
    ],
    ids=["anthropic", "anthropic with a ping", "gemini", "responses"],
)
def test_halves_are_joined_in_every_dialect(told, target, events):
    """In the text that is delivered and in the answer."""
    assert told(*events, target=target).response.text == "a😀b"


def test_halves_are_joined_in_ollamas_lines(told):
    """Text and reasoning at once; one that stays alone is replaced."""
    answer = [
        {"message": {"content": f"a{HIGH}", "thinking": HIGH}},
        {"message": {"content": f"{LOW}b", "thinking": LOW}},
        {"message": {"content": HIGH}},
        {"message": {"content": ""}, "done": True, "done_reason": "stop"},
    ]
    seen = told("".join(json.dumps(line) + "\n" for line in answer).encode(), target="ollama/m")
    assert (seen.response.text, seen.response.thinking) == ("a😀b\ufffd", "😀")


@pytest.mark.parametrize("kind", ["thinking_delta", "input_json_delta"])
def test_halves_are_joined_in_thinking_and_input_of_claude(told, kind):
    """In blocks of every kind."""
    if kind == "thinking_delta":
        events = [
            start(0, {"type": "thinking", "thinking": ""}),
            delta(0, kind, thinking=HIGH),
            delta(0, kind, thinking=LOW),
        ]
        assert told(BEGIN, *events, stop(0), *ends("end_turn"), target=CLAUDE).response.thinking == "😀"
    else:
        events = [start(0, TOOL), given(0, f'{{"a":"{HIGH}'), given(0, f'{LOW}"}}')]
        (made,) = told(BEGIN, *events, stop(0), *ends("tool_use"), target=CLAUDE).response.tool_calls
        assert made.arguments == {"a": "😀"}


# --------------------------------------------------------------------------------------------------------- ends

UNMARKED = [piece({"content": "Hi"}), piece(finish="length", usage=USAGE)]


@pytest.mark.parametrize("target", ["cerebras/m", "qwen/m", "fireworks/m", SERVER])
def test_a_reason_ends_the_answer_where_the_end_mark_may_be_missing(told, target):
    """Servers that do not always send [DONE]."""
    seen = told(*UNMARKED, target=target)
    assert (seen.response.text, seen.response.finish_reason, seen.response.usage.total_tokens) == ("Hi", "length", 13)
    assert not seen.response.message.incomplete


@pytest.mark.parametrize("target", ["openai/gpt-4o", "vllm/m", "groq/m", "openrouter/m", "deepseek/m", "mistral/m"])
def test_a_missing_end_mark_is_an_error_that_says_nothing_else_is_missing(call, target):
    """Servers that always send [DONE]; the partial answer is whole, with the real reason."""
    options = {"use_responses_api": False} if target.startswith("openai/") else {}
    transport = ScriptedTransport([{"stream": [lines(*UNMARKED)]}])
    client = Client(target, transport=transport, max_retries=0, api_key="test-key-0123456789", **options)
    with pytest.raises(StreamIncompleteError, match="What was received is whole") as caught:
        call.stream(client, "Hi")
    partial = caught.value.partial
    assert (partial.text, partial.finish_reason, partial.raw_finish_reason) == ("Hi", "length", "length")
    assert (partial.usage.total_tokens, partial.message.incomplete) == (13, False)
    assert transport.open_streams == 0


@pytest.mark.parametrize("target", ["cerebras/m", "openrouter/m"])
def test_an_end_before_any_reason_is_an_error_everywhere(call, target):
    """What was received is kept, and is not said to be whole."""
    transport = ScriptedTransport([{"stream": [lines(piece({"content": "Hi"}))]}])
    client = Client(target, transport=transport, max_retries=0, api_key="test-key-0123456789")
    with pytest.raises(StreamIncompleteError) as caught:
        call.stream(client, "Hi")
    assert "whole" not in caught.value.message
    partial = caught.value.partial
    assert (partial.text, partial.finish_reason, partial.message.incomplete) == ("Hi", "error", True)


# ---------------------------------------------------------------------------------------- arguments value by value


def gemini_call(finish=None, **fields):
    """An event of Gemini's with a piece of a call."""
    made = {"content": {"parts": [{"functionCall": fields}]}, "index": 0}
    return {"candidates": [{**made, "finishReason": finish} if finish else made]}


def put(path, **value):
    """One value of the arguments."""
    return {"jsonPath": path, **value}


PARTIAL = {
    "a text in pieces": (
        [
            [put("$.city", stringValue="New ", willContinue=True)],
            [put("$.city", stringValue="Del", willContinue=True)],
            [put("$.city", stringValue="hi")],
        ],
        {"city": "New Delhi"},
    ),
    "every kind of value": (
        [
            [put("$.n", numberValue=1.5), put("$.b", boolValue=False)],
            [put("$.z", nullValue="NULL_VALUE"), put("$.s", stringValue="")],
        ],
        {"n": 1.5, "b": False, "z": None, "s": ""},
    ),
    "lists and objects": (
        [
            [put("$.items[0].name", stringValue="a")],
            [put("$.items[1].name", stringValue="b"), put("$.items[1].tags[0]", numberValue=1)],
            [put("$.items[1].tags[1]", numberValue=2)],
        ],
        {"items": [{"name": "a"}, {"name": "b", "tags": [1, 2]}]},
    ),
    "quoted names": (
        [[put("$['a b']['c.d']", stringValue="x")], [put('$["e.f"].g', boolValue=True)]],
        {"a b": {"c.d": "x"}, "e.f": {"g": True}},
    ),
    "two texts at once": (
        [
            [put("$.a", stringValue="1", willContinue=True), put("$.b", stringValue="x", willContinue=True)],
            [put("$.a", stringValue="2"), put("$.b", stringValue="y")],
        ],
        {"a": "12", "b": "xy"},
    ),
    "nothing": ([[]], {}),
    "paths that are none": ([[put("", numberValue=1), put("$[0]", numberValue=1), put("$..", numberValue=1)]], {}),
}


@pytest.mark.parametrize("last", [True, False], ids=["an empty piece last", "a last value last"])
@pytest.mark.parametrize("name", PARTIAL)
def test_arguments_that_come_value_by_value_are_assembled(told, name, last):
    """Told whole when the call is; the id and the name when it begins."""
    pieces, made = PARTIAL[name]
    events = [gemini_call(name="f", id="c1", willContinue=True)]
    for number, values in enumerate(pieces):
        go_on = {"willContinue": True} if last or number + 1 < len(pieces) else {}
        events.append(gemini_call(partialArgs=values, **go_on))
    if last:
        events.append(gemini_call())
    seen = told(*events, {"candidates": [{"finishReason": "STOP", "index": 0}]}, target=GEMINI)
    (call,) = seen.response.tool_calls
    assert (call.id, call.name, call.arguments) == ("c1", "f", made)
    first = next(chunk for chunk in seen.chunks if chunk.tool_calls)
    assert (first.tool_calls[0].id, first.tool_calls[0].name) == ("c1", "f")
    assert seen.response.finish_reason == "tool_calls"


def test_calls_value_by_value_may_follow_each_other(told):
    """And calls that come whole, with texts between."""
    seen = told(
        gemini_call(name="f", id="c1", willContinue=True),
        gemini_call(partialArgs=[put("$.a", numberValue=1)]),
        candidate("then "),
        gemini_call(name="g", id="c2", willContinue=True),
        gemini_call(partialArgs=[put("$.b", numberValue=2)], willContinue=True),
        gemini_call(name="h", id="c3", args={"c": 3}),
        candidate("done", 0, "STOP"),
        target=GEMINI,
    )
    assert calls_of(seen) == [("c1", "f", '{"a":1}'), ("c2", "g", '{"b":2}'), ("c3", "h", '{"c":3}')]
    assert seen.response.text == "then done"


def test_a_call_value_by_value_that_is_never_ended_is_told(told):
    """With what came of it."""
    begun = gemini_call(name="f", id="c1", args={"k": 0}, willContinue=True)
    seen = told(begun, gemini_call("STOP", partialArgs=[put("$.a", stringValue="x")], willContinue=True), target=GEMINI)
    assert calls_of(seen) == [("c1", "f", '{"k":0,"a":"x"}')]


BROKEN_OFF = {"an event": b'data: {"choices":[{"index":0,"delta":{"content":" and mo', "a line": b"da"}


@pytest.mark.parametrize("half", BROKEN_OFF)
def test_half_of_something_after_the_reason_to_stop_is_a_cut(call, half):
    """A server that sends no end mark may end there; one that breaks off in the middle did not."""
    whole = lines(piece({"content": "Hi"}), piece({}, "stop"))
    for end, cut in ((b"", False), (BROKEN_OFF[half], True)):
        client = Client(SERVER, model="m", transport=ScriptedTransport([{"stream": [whole + end]}]), max_retries=0)
        if cut:
            with pytest.raises(StreamIncompleteError) as caught:
                call.stream(client, "Hello")
            assert caught.value.partial.text == "Hi"
            assert caught.value.partial.finish_reason == "error"
            assert "whole" not in caught.value.message
        else:
            assert call.stream(client, "Hello")[1].finish_reason == "stop"


def test_half_an_event_after_the_reason_to_stop_is_a_cut_at_gemini(call):
    """Which has no end mark at all."""
    event = {"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]}
    half = b'data: {"candidates":[{"content":{"parts":[{"text":" and mo'
    transport = ScriptedTransport([{"stream": [lines(event) + half]}])
    client = Client(GEMINI, api_key="test-key-0123456789", transport=transport, max_retries=0)
    with pytest.raises(StreamIncompleteError) as caught:
        call.stream(client, "Hello")
    assert caught.value.partial.text == "Hi"
