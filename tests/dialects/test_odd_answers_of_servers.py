"""Answers as servers give them against their own documentation: errors in a 200, wrapped, counted twice, with media."""

import base64
import copy
import json

import pytest

from provider_kit import Client, Message, ScriptedTransport
from provider_kit.errors import APIError, InvalidResponseError, OverloadedError, ProviderKitError, StreamError
from provider_kit.model.media import Audio, Image
from provider_kit.model.messages import Text

SERVER = "http://127.0.0.1:9/v1"  # an unknown server of the chat API
CLAUDE = "anthropic/claude-sonnet-4-5"
GEMINI = "gemini/gemini-2.5-flash"
RESPONSES = "openai/gpt-5"
OLLAMA = "ollama/m"
KEY = "test-key-0123456789"
PICTURE = b"\x89PNG\r\n\x1a\nxx"
PICTURE_TEXT = base64.b64encode(PICTURE).decode()
SOUND = b"RIFF\0\0\0\0WAVEfmt "
SOUND_TEXT = base64.b64encode(SOUND).decode()


def client_of(target, answer):
    """A client of one scripted answer, and its transport."""
    transport = ScriptedTransport([answer])
    options = {"model": "m"} if target == SERVER else {}
    return Client(target, transport=transport, max_retries=0, api_key=KEY, **options), transport


def lines(*events, done=False):
    """Events as an event stream."""
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n" * done


def piece(delta=None, finish=None, **more):
    """An event of the chat API."""
    return {"id": "a1", "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish}], **more}


def joined(chunks, name="text"):
    """What the chunks tell together."""
    return "".join(getattr(chunk, name) for chunk in chunks)


def parts_of(chunks):
    """All parts in the chunks."""
    return [part for chunk in chunks for part in chunk.parts or ()]


def notes_of(chunks):
    """All citations in the chunks."""
    return [note for chunk in chunks for note in chunk.citations or ()]


# ---------------------------------------------------------------------------------------- Gemini's other forms


def gemini(*parts, finish=None, **more):
    """A response object of Gemini's."""
    made = {"index": 0, "content": {"role": "model", "parts": list(parts)}}
    return {"candidates": [{**made, "finishReason": finish} if finish else made], "responseId": "r1", **more}


COUNTS = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
ELEMENTS = [
    gemini({"text": "Hel"}),
    gemini({"text": "lo"}, modelVersion="g-1"),
    gemini({"functionCall": {"id": "c1", "name": "f", "args": {"a": 1}}}, finish="STOP", usageMetadata=COUNTS),
]
WRAPPED = [{"response": element} for element in ELEMENTS]
FORMS = {
    "an array labelled JSON": (json.dumps(ELEMENTS), "application/json"),
    "an array on many lines labelled JSON": (json.dumps(ELEMENTS, indent=1), "application/json; charset=UTF-8"),
    "an array labelled an event stream": (json.dumps(ELEMENTS), "text/event-stream"),
    "an array on many lines labelled an event stream": (json.dumps(ELEMENTS, indent=2), "text/event-stream"),
    "an array with other line ends": (json.dumps(ELEMENTS, indent=2).replace("\n", "\r\n"), "text/event-stream"),
    "an array in an event": (f"data: {json.dumps(ELEMENTS)}\n\n", "text/event-stream"),
    "an array over the lines of an event": (
        "".join(f"data: {line}\n" for line in json.dumps(ELEMENTS, indent=1).splitlines()) + "\n",
        "text/event-stream",
    ),
    "arrays in several events": (
        f"data: {json.dumps(ELEMENTS[:1])}\n\ndata: {json.dumps(ELEMENTS[1:])}\n\n",
        "text/event-stream",
    ),
    "wrapped events": (lines(*WRAPPED).decode(), "text/event-stream"),
    "wrapped events, the last without its blank line": (lines(*WRAPPED).decode().rstrip(), "text/event-stream"),
    "a wrapped array labelled JSON": (json.dumps(WRAPPED), "application/json"),
    "a wrapped array in an event": (f"data: {json.dumps(WRAPPED)}\n\n", "text/event-stream"),
    "events labelled JSON": (lines(*ELEMENTS).decode(), "application/json"),
}


@pytest.mark.parametrize("cut", [None, 1, 7])
@pytest.mark.parametrize("form", FORMS)
def test_a_stream_of_gemini_is_read_in_every_form(exchange, form, cut):
    """Text, calls, usage, ids; however the bytes arrive."""
    body, kind = FORMS[form]
    data = body.encode()
    pieces = [data] if cut is None else [data[at : at + cut] for at in range(0, len(data), cut)]
    seen = exchange(GEMINI, "Hi", answer={"stream": pieces, "headers": {"content-type": kind}}, verb="stream")
    answer = seen.response
    assert (joined(seen.chunks), answer.text) == ("Hello", "Hello")
    (call,) = answer.tool_calls
    assert (call.id, call.name, call.arguments) == ("c1", "f", {"a": 1})
    deltas = [delta for chunk in seen.chunks for delta in chunk.tool_calls or ()]
    assert [(delta.id, delta.name, delta.arguments) for delta in deltas] == [("c1", "f", '{"a":1}')]
    assert (answer.finish_reason, answer.id, answer.usage.total_tokens) == ("tool_calls", "r1", 5)
    assert seen.chunks[-1].usage == answer.usage


@pytest.mark.parametrize("body", [ELEMENTS, WRAPPED, {"response": gemini({"text": "Hello"}, finish="STOP")}])
def test_a_whole_answer_of_gemini_is_read_in_every_form(exchange, body):
    """An array, wrapped objects."""
    answer = exchange(GEMINI, "Hi", answer={"json": body}).response
    assert (answer.text, answer.id) == ("Hello", "r1")
    assert [call.arguments for call in answer.tool_calls] == ([{"a": 1}] if isinstance(body, list) else [])


LATE_ERROR = [ELEMENTS[0], {"error": {"message": "no room", "code": 503, "status": "UNAVAILABLE"}}]


@pytest.mark.parametrize(
    "data",
    [
        json.dumps(LATE_ERROR).encode(),
        json.dumps(LATE_ERROR, indent=2).encode(),
        f"data: {json.dumps(LATE_ERROR)}\n\n".encode(),
        lines(*LATE_ERROR),
        lines({"response": LATE_ERROR[0]}, {"response": LATE_ERROR[1]}),
        lines(LATE_ERROR[0]) + json.dumps([LATE_ERROR[1]]).encode(),
    ],
)
def test_an_error_in_a_later_element_comes_after_what_was_before_it(call, data):
    """The text before it is delivered and kept."""
    client, transport = client_of(GEMINI, {"stream": [data]})
    with pytest.raises(StreamError, match="no room") as caught:
        call.stream(client, "Hi")
    assert caught.value.status_code == 503
    assert (caught.value.partial.text, caught.value.partial.finish_reason) == ("Hel", "error")
    assert transport.open_streams == 0


@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize("body", [LATE_ERROR, LATE_ERROR[1:], LATE_ERROR[1], {"response": LATE_ERROR[1]}])
def test_an_error_in_a_whole_answer_of_gemini_is_the_typed_error(call, verb, body):
    """In a later element of an array, in the first, alone, and wrapped."""
    client, _ = client_of(GEMINI, {"json": body})
    with pytest.raises(OverloadedError, match="no room"):
        getattr(call, verb)(client, "Hi")


# --------------------------------------------------------------------------------------------- errors in a 200

ERRORS = {
    "error object": {"error": {"message": "boom", "type": "server_error"}},
    "error text": {"error": "boom"},
    "error flag": {"error": True, "message": "boom"},
    "detail": {"detail": "boom"},
    "details": {"detail": [{"loc": ["body", "model"], "msg": "boom"}]},
    "errors": {"errors": [{"message": "boom"}]},
    "error texts": {"errors": ["boom"]},
    "type with an error": {"type": "error", "error": {"message": "boom"}},
    "object": {"object": "error", "message": "boom", "code": 500},
    "flat type": {"type": "error", "message": "boom"},
    "code and message": {"code": 500, "message": "boom"},
    "status and message": {"status": "error", "message": "boom"},
}
#: Forms with a bare ``message``, which in these APIs is a field of an answer.
_FLAT = ("object", "flat type", "code and message", "status and message")
BEFORE = {
    SERVER: [piece({"content": "Hel"}), piece({"content": "lo"})],
    "vllm/m": [piece({"content": "Hel"}), piece({"content": "lo"})],
    RESPONSES: [
        {"type": "response.created", "response": {"id": "r1", "status": "in_progress"}},
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hello"},
    ],
    CLAUDE: [
        {"type": "message_start", "message": {"id": "m1", "usage": {"input_tokens": 3}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
    ],
    GEMINI: [gemini({"text": "Hello"})],
    OLLAMA: [{"message": {"content": "Hello"}, "done": False}],
}
AFTER = {
    SERVER: lines(piece(finish="stop"), done=True),
    "vllm/m": lines(piece(finish="stop"), done=True),
    RESPONSES: lines({"type": "response.completed", "response": {"status": "completed", "output": []}}),
    CLAUDE: lines({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, {"type": "message_stop"}),
    GEMINI: lines(gemini(finish="STOP")),
    OLLAMA: b'{"message":{"content":""},"done":true}\n',
}
PLACES = ["data", "event", "bare", "bare on many lines", "data at the end"]
SHAPES = [
    (target, shape) for target in BEFORE for shape in ERRORS if shape not in _FLAT or target not in (CLAUDE, OLLAMA)
]


def as_stream(target, events):
    """Events in the form of the target's API."""
    if target == OLLAMA:
        return b"".join(json.dumps(event).encode() + b"\n" for event in events)
    return lines(*events)


def as_error(error, place):
    """An error in a stream."""
    text = json.dumps(error)
    return {
        "data": f"data: {text}\n\n",
        "event": f"event: error\ndata: {text}\n\n",
        "bare": f"{text}\n\n",
        "bare on many lines": json.dumps(error, indent=2) + "\n",
        "data at the end": f"data: {text}",
    }[place].encode()


@pytest.mark.parametrize("after_content", [False, True], ids=["before content", "after content"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("target", "shape"), SHAPES)
def test_an_error_in_a_stream_is_raised_in_every_shape(call, target, shape, place, after_content):
    """With the provider's words; after content the partial answer is kept."""
    error = json.dumps(ERRORS[shape]).encode() + b"\n" if target == OLLAMA else as_error(ERRORS[shape], place)
    data = (as_stream(target, BEFORE[target]) if after_content else b"") + error
    if place in ("data", "event"):
        data += AFTER[target]
    client, transport = client_of(target, {"stream": [data]})
    with pytest.raises(ProviderKitError, match="boom") as caught:
        call.stream(client, "Hi")
    if after_content:
        assert isinstance(caught.value, StreamError)
        assert (caught.value.partial.text, caught.value.partial.finish_reason) == ("Hello", "error")
        assert caught.value.partial.message.incomplete
    else:
        assert isinstance(caught.value, APIError)
    assert transport.open_streams == 0


@pytest.mark.parametrize(
    "words", ["event: error\ndata: it broke: boom\n\n", "error: boom\n\n", "event: error\ndata: boom"]
)
@pytest.mark.parametrize("target", [target for target in BEFORE if target != OLLAMA])
def test_an_error_in_plain_words_is_raised(call, target, words):
    """Under the event's name, or llama.cpp's."""
    data = lines(*BEFORE[target]) + words.encode()
    client, _ = client_of(target, {"stream": [data]})
    with pytest.raises(StreamError, match="boom") as caught:
        call.stream(client, "Hi")
    assert caught.value.partial.text == "Hello"
    client, _ = client_of(target, {"stream": [words.encode()]})
    with pytest.raises(APIError, match="boom"):
        call.stream(client, "Hi")


@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize(
    ("target", "shape"), [(target, shape) for target, shape in SHAPES if target != OLLAMA]
    + [(CLAUDE, shape) for shape in _FLAT]
    + [(OLLAMA, shape) for shape in ERRORS if shape not in _FLAT],
)  # fmt: skip
def test_an_error_in_place_of_a_whole_answer_is_raised(call, verb, target, shape):
    """To a call, and to a stream that was answered with JSON."""
    client, _ = client_of(target, {"json": ERRORS[shape]})
    with pytest.raises(APIError, match="boom"):
        getattr(call, verb)(client, "Hi")


@pytest.mark.parametrize("at", ["chunk", "choice", "groq", "reason"])
def test_an_error_inside_a_chunk_of_the_chat_api_is_raised(call, at):
    """Beside the choices, in the choice, under Groq's name, as the reason."""
    event = piece({"content": ""}, "error" if at == "reason" else None)
    if at == "chunk":
        event["error"] = {"message": "boom", "code": 502}
    elif at == "choice":
        event["choices"][0]["error"] = {"message": "boom", "code": 502}
    elif at == "groq":
        event["x_groq"] = {"error": "boom"}
    client, _ = client_of(SERVER, {"stream": [lines(*BEFORE[SERVER], event, done=True)]})
    with pytest.raises(StreamError, match="ended the stream with 'error'" if at == "reason" else "boom") as caught:
        call.stream(client, "Hi")
    assert caught.value.partial.text == "Hello"
    if at in ("chunk", "choice"):
        assert caught.value.status_code == 502


@pytest.mark.parametrize("target", BEFORE)
@pytest.mark.parametrize("body", [{}, [], "text", 7, None, {"surprise": 1}], ids=str)
def test_a_whole_answer_that_is_none_is_a_typed_error(call, target, body):
    """Never an empty answer."""
    for verb in ("chat", "stream"):
        client, _ = client_of(target, {"json": body})
        with pytest.raises(InvalidResponseError):
            getattr(call, verb)(client, "Hi")


# ------------------------------------------------------------------------------------------------------- usage

FULL = {
    "prompt_tokens": 9,
    "completion_tokens": 4,
    "total_tokens": 13,
    "prompt_tokens_details": {"cached_tokens": 5},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


def buckets(usage):
    """Its tokens."""
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
        usage.total_tokens,
    )


@pytest.mark.parametrize(
    "later",
    [
        {},
        None,
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None},
        {"prompt_tokens_details": None, "completion_tokens_details": None},
        {"prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {}},
        {"completion_tokens": 4},
        {"cost": 0},
    ],
    ids=str,
)
@pytest.mark.parametrize("place", ["beside the choices", "alone", "groq"])
def test_later_counts_that_are_less_erase_nothing(exchange, later, place):
    """Zeros, nulls, half objects, after the reason or before it."""
    if place == "groq":
        told = [piece(finish="stop", x_groq={"usage": FULL}), {"id": "a1", "choices": [], "usage": later}]
    elif place == "alone":
        told = [
            piece(finish="stop"),
            {"id": "a1", "choices": [], "usage": FULL},
            {"id": "a1", "choices": [], "usage": later},
        ]
    else:
        told = [piece({"content": ""}, usage=FULL), piece(finish="stop", usage=later)]
    answer = {"stream": [lines(piece({"content": "x"}), *told, done=True)]}
    seen = exchange(SERVER, "Hi", answer=answer, verb="stream", client={"model": "m"})
    assert buckets(seen.response.usage) == (4, 2, 5, None, 2, 13)
    assert seen.chunks[-1].usage == seen.response.usage


def test_counts_that_grow_with_each_chunk_are_not_added_up(exchange):
    """Each is of the whole so far; halves of the object complete each other."""
    growing = [
        piece({"content": "a"}, usage={"prompt_tokens": 9, "completion_tokens": count, "total_tokens": 9 + count})
        for count in range(1, 4)
    ]
    answer = {"stream": [lines(*growing, piece(finish="stop"), done=True)]}
    seen = exchange(SERVER, "Hi", answer=answer, verb="stream", client={"model": "m"})
    assert buckets(seen.response.usage) == (9, 3, None, None, None, 12)
    halves = [piece({"content": "a"}, usage={"prompt_tokens": 9}), piece(finish="stop", usage={"completion_tokens": 4})]
    seen = exchange(SERVER, "Hi", answer={"stream": [lines(*halves)]}, verb="stream", client={"model": "m"})
    assert buckets(seen.response.usage) == (9, 4, None, None, None, 13)


@pytest.mark.parametrize(
    ("prompt", "completion", "total", "cached", "written", "reasoning", "expected"),
    [
        (10, 5, 15, 4, None, 2, (6, 3, 4, None, 2, 15)),  # parts of the wholes
        (10, 5, 75, 40, 20, None, (10, 5, 40, 20, None, 75)),  # the cache beside the prompt
        (10, 5, 55, 40, 6, None, (4, 5, 40, 6, None, 55)),  # what was read beside it, what was written in it
        (10, 5, 15, 8, 6, None, (0, 5, 8, 2, None, 15)),  # more than the prompt, which the total confirms
        (10, 5, None, 80, None, None, (10, 5, 80, None, None, 95)),  # more than the prompt, and no total
        (10, 5, 35, None, None, 20, (10, 5, None, None, 20, 35)),  # reasoning beside the completion
        (10, 25, 35, None, None, 20, (10, 5, None, None, 20, 35)),  # reasoning in it
        (10, 25, 45, None, None, 10, (10, 25, None, None, 10, 45)),  # beside it, though it would fit
        (10, 5, None, None, None, 20, (10, 5, None, None, 20, 35)),  # more than the completion
        (10, 5, 15, None, None, 20, (10, 0, None, None, 5, 15)),  # more than the completion, which is confirmed
        (10, 5, 75, 30, 10, 20, (10, 5, 30, 10, 20, 75)),  # both beside
    ],
)
@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_parts_beside_the_whole_are_found_by_the_total(
    exchange, verb, prompt, completion, total, cached, written, reasoning, expected
):
    """Nothing is negative, and the buckets make the total."""
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
    whole = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": usage}
    streamed = {"stream": [lines(piece({"content": "x"}), piece(finish="stop", usage=usage))]}
    answer = {"json": whole} if verb == "chat" else streamed
    told = exchange(SERVER, "Hi", answer=answer, verb=verb, client={"model": "m"}).response.usage
    assert buckets(told) == expected
    assert sum(count for count in buckets(told)[:5] if count) == told.total_tokens


def test_later_zeros_of_claude_and_gemini_erase_nothing(exchange):
    """In the last event of each."""
    events = [
        *BEFORE[CLAUDE],
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"input_tokens": 0, "output_tokens": 4},
        },
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 0}},
        {"type": "message_stop"},
    ]
    told = exchange(CLAUDE, "Hi", answer={"stream": [lines(*events)]}, verb="stream").response.usage
    assert (told.input_tokens, told.output_tokens, told.total_tokens) == (3, 4, 7)
    events = [gemini({"text": "a"}, usageMetadata=COUNTS), gemini(finish="STOP", usageMetadata={"promptTokenCount": 0})]
    told = exchange(GEMINI, "Hi", answer={"stream": [lines(*events)]}, verb="stream").response.usage
    assert (told.input_tokens, told.output_tokens, told.total_tokens) == (3, 2, 5)


# ------------------------------------------------------------------------------------------ pictures and sound

PICTURES = {
    "a data URL": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE_TEXT}"}},
    "a flat URL": {"type": "image_url", "image_url": f"data:image/png;base64,{PICTURE_TEXT}"},
    "base64": {"type": "output_image", "b64_json": PICTURE_TEXT},
    "base64 with a type": {"type": "image", "data": PICTURE_TEXT, "mime_type": "image/png"},
}


@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize("place", ["images", "content"])
@pytest.mark.parametrize("form", PICTURES)
def test_pictures_of_the_chat_api_are_parts(exchange, verb, place, form):
    """Under ``images``, and among the parts of the content."""
    message = (
        {"content": "Look", "images": [PICTURES[form]]}
        if place == "images"
        else {"content": [{"type": "text", "text": "Look"}, PICTURES[form]]}
    )
    whole = {"choices": [{"message": {"role": "assistant", **message}, "finish_reason": "stop"}]}
    answer = {"json": whole} if verb == "chat" else {"stream": [lines(piece(message), piece(finish="stop"))]}
    seen = exchange(SERVER, "Hi", answer=answer, verb=verb, client={"model": "m"})
    (picture,) = seen.response.images
    assert (picture.data, picture.media_type, seen.response.text) == (PICTURE, "image/png", "Look")
    assert [part for part in seen.response.message.parts if isinstance(part, Image)] == [picture]
    if verb == "stream":
        assert parts_of(seen.chunks) == [picture]
        assert joined(seen.chunks) == "Look"


def test_pictures_keep_their_order_and_links_stay_links(exchange):
    """Over several chunks."""
    links = [f"https://example.org/{name}.png" for name in "abc"]
    pictures = [{"type": "image_url", "image_url": {"url": link}} for link in links]
    events = [piece({"images": pictures[:1]}), piece({"content": "two more"}), piece({"images": pictures[1:]}, "stop")]
    seen = exchange(SERVER, "Hi", answer={"stream": [lines(*events)]}, verb="stream", client={"model": "m"})
    assert [image.url for image in seen.response.images] == links
    assert parts_of(seen.chunks) == seen.response.images


@pytest.mark.parametrize("size", [1, 3, 4, 7, 1000])
def test_sound_in_pieces_is_one_sound(exchange, size):
    """Base64 may be cut anywhere; the transcript is put together."""
    sound = [SOUND_TEXT[at : at + size] for at in range(0, len(SOUND_TEXT), size)]
    events = [
        piece({"role": "assistant", "audio": {"id": "s1", "transcript": "He"}}),
        *[piece({"audio": {"data": text}}) for text in sound],
        piece({"audio": {"transcript": "llo", "expires_at": 1_790_000_000}}),
        piece(finish="stop"),
    ]
    seen = exchange(SERVER, "Hi", answer={"stream": [lines(*events)]}, verb="stream", client={"model": "m"})
    spoken = seen.response.audio
    assert (spoken.data, spoken.media_type) == (SOUND, "audio/wav")
    assert spoken.extra == {"id": "s1", "expires_at": 1_790_000_000, "transcript": "Hello"}
    told = parts_of(seen.chunks)
    assert all(isinstance(part, Audio) for part in told)
    assert b"".join(part.data for part in told) == SOUND
    assert "".join((part.extra or {}).get("transcript", "") for part in told) == "Hello"


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_a_whole_sound_is_a_part(exchange, verb):
    """To a call, and to a stream that was answered with JSON."""
    audio = {"id": "s1", "data": SOUND_TEXT, "transcript": "Hello", "expires_at": 1_790_000_000}
    whole = {"choices": [{"message": {"content": None, "audio": audio}, "finish_reason": "stop"}]}
    seen = exchange(SERVER, "Hi", answer={"json": whole}, verb=verb, client={"model": "m"})
    assert (seen.response.audio.data, seen.response.audio.extra["transcript"]) == (SOUND, "Hello")
    if verb == "stream":
        assert parts_of(seen.chunks) == [seen.response.audio]


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_media_of_gemini_are_parts(exchange, verb):
    """Pictures and sounds, in their order among the texts."""
    parts = [
        {"text": "Look "},
        {"inlineData": {"mimeType": "image/png", "data": PICTURE_TEXT}},
        {"text": "and listen"},
        {"inlineData": {"mimeType": "audio/wav", "data": SOUND_TEXT}},
    ]
    whole = gemini(*parts, finish="STOP")
    events = [*[gemini(part) for part in parts], gemini(finish="STOP")]
    answer = {"json": whole} if verb == "chat" else {"stream": [lines(*events)]}
    seen = exchange(GEMINI, "Hi", answer=answer, verb=verb)
    assert [type(part) for part in seen.response.message.parts] == [Text, Image, Text, Audio]
    assert (seen.response.images[0].data, seen.response.audio.data) == (PICTURE, SOUND)
    assert seen.response.text == "Look and listen"
    if verb == "stream":
        assert parts_of(seen.chunks) == [seen.response.images[0], seen.response.audio]
        assert joined(seen.chunks) == "Look and listen"


@pytest.mark.parametrize("form", ["chat", "item.done", "completed", "both"])
def test_a_generated_picture_of_the_responses_api_is_a_part(exchange, form):
    """Whole, told with its item, or with the answer; never twice."""
    item = {"type": "image_generation_call", "id": "i1", "status": "completed", "result": PICTURE_TEXT}
    done = {"type": "response.output_item.done", "output_index": 0, "item": item}
    output = [] if form == "item.done" else [item]
    response = {"id": "r1", "status": "completed", "output": output}
    events = [
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**item, "status": "in_progress", "result": None},
        },
        {"type": "response.image_generation_call.partial_image", "output_index": 0, "partial_image_b64": "AAAA"},
        *([] if form == "completed" else [done]),
        {"type": "response.completed", "response": response},
    ]
    if form == "chat":
        seen = exchange(RESPONSES, "Hi", answer={"json": response})
    else:
        seen = exchange(RESPONSES, "Hi", answer={"stream": [lines(*events)]}, verb="stream")
        assert parts_of(seen.chunks) == seen.response.images
    assert [(image.data, image.media_type) for image in seen.response.images] == [(PICTURE, "image/png")]


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_pictures_of_ollama_are_parts(exchange, verb):
    """As base64 without a type."""
    first = {"message": {"role": "assistant", "content": "Look", "images": [PICTURE_TEXT]}, "done": False}
    last = {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}
    streamed = {"stream": [b"".join(json.dumps(line).encode() + b"\n" for line in (first, last))]}
    seen = exchange(OLLAMA, "Hi", answer={"json": {**last, **first}} if verb == "chat" else streamed, verb=verb)
    assert [(image.data, image.media_type) for image in seen.response.images] == [(PICTURE, "image/png")]
    assert seen.response.text == "Look"
    if verb == "stream":
        assert parts_of(seen.chunks) == seen.response.images


# ----------------------------------------------------------------------------------------------------- sources

NOTE = {"type": "url_citation", "url_citation": {"url": "https://example.org/a", "start_index": 0, "end_index": 1}}
LINKS = ["https://example.org/1", "https://example.org/2"]
LINKED = [{"type": "url_citation", "url_citation": {"url": link}} for link in LINKS]


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_annotations_are_citations(exchange, verb):
    """Beside the text, in chunks and in the answer."""
    whole = {"choices": [{"message": {"content": "a", "annotations": [NOTE]}, "finish_reason": "stop"}]}
    events = [piece({"content": "a"}), piece({"annotations": [NOTE]}), piece(finish="stop")]
    answer = {"json": whole} if verb == "chat" else {"stream": [lines(*events)]}
    seen = exchange(SERVER, "Hi", answer=answer, verb=verb, client={"model": "m"})
    assert (seen.response.citations, seen.response.text) == ([NOTE], "a")
    if verb == "stream":
        assert notes_of(seen.chunks) == [NOTE]


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_links_of_perplexity_are_citations(exchange, verb):
    """They come with every chunk, and are told once."""
    whole = {"choices": [{"message": {"content": "ab"}, "finish_reason": "stop"}], "citations": LINKS}
    events = [piece({"content": text}, citations=LINKS) for text in "ab"]
    streamed = {"stream": [lines(*events, piece(finish="stop", citations=LINKS), done=True)]}
    answer = {"json": whole} if verb == "chat" else streamed
    seen = exchange(SERVER, "Hi", answer=answer, verb=verb, client={"model": "sonar"})
    assert (seen.response.citations, seen.response.text) == (LINKED, "ab")
    if verb == "stream":
        assert notes_of(seen.chunks) == LINKED


@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_grounding_of_gemini_is_a_citation(exchange, verb):
    """With the text or after it; repeated, it is told once."""
    grounding = {"webSearchQueries": ["cats"], "groundingChunks": [{"web": {"uri": LINKS[0]}}]}
    sources = {"citationSources": [{"uri": LINKS[1]}]}
    last = gemini({"text": "b"}, finish="STOP")
    last["candidates"][0].update(groundingMetadata=grounding, citationMetadata=sources)
    whole = copy.deepcopy(last)
    whole["candidates"][0]["content"]["parts"] = [{"text": "ab"}]
    again = {"candidates": [{"index": 0, "finishReason": "STOP", "groundingMetadata": grounding}]}
    answer = {"json": whole} if verb == "chat" else {"stream": [lines(gemini({"text": "a"}), last, again)]}
    seen = exchange(GEMINI, "Hi", answer=answer, verb=verb)
    told = [{"type": "groundingMetadata", **grounding}, {"type": "citationMetadata", **sources}]
    assert (seen.response.citations, seen.response.text) == (told, "ab")
    if verb == "stream":
        assert notes_of(seen.chunks) == told


def test_citations_of_claude_and_the_responses_api_are_told(exchange):
    """As their deltas come."""
    note = {"type": "char_location", "cited_text": "x", "document_index": 0}
    events = [
        *BEFORE[CLAUDE],
        {"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": note}},
        {"type": "content_block_stop", "index": 0},
    ]
    seen = exchange(CLAUDE, "Hi", answer={"stream": [lines(*events) + AFTER[CLAUDE]]}, verb="stream")
    assert notes_of(seen.chunks) == seen.response.citations == [note]
    link = {"type": "url_citation", "url": LINKS[0], "start_index": 0, "end_index": 1}
    message = {
        "type": "message",
        "id": "m1",
        "content": [{"type": "output_text", "text": "Hello", "annotations": [link]}],
    }
    added = {"type": "response.output_text.annotation.added", "output_index": 0, "content_index": 0, "annotation": link}
    last = {"type": "response.completed", "response": {"status": "completed", "output": [message]}}
    for told in ([added, last], [last]):
        seen = exchange(RESPONSES, "Hi", answer={"stream": [lines(*BEFORE[RESPONSES], *told)]}, verb="stream")
        assert notes_of(seen.chunks) == seen.response.citations == [link]


# ------------------------------------------------------------------------------ halves of characters, whole answers


@pytest.mark.parametrize(
    ("target", "body"),
    [
        (SERVER, r'{"choices":[{"message":{"content":"a%s","reasoning_content":"%s"},"finish_reason":"stop"}]}'),
        (
            CLAUDE,
            r'{"content":[{"type":"thinking","thinking":"%s"},{"type":"text","text":"a%s"}],"stop_reason":"end_turn"}',
        ),
        (
            GEMINI,
            r'{"candidates":[{"content":{"parts":[{"thought":true,"text":"%s"},{"text":"a%s"}]},"finishReason":"STOP"}]}',
        ),
        (OLLAMA, r'{"message":{"content":"a%s","thinking":"%s"},"done":true}'),
        (
            RESPONSES,
            r'{"status":"completed","output":[{"type":"reasoning","summary":[{"type":"summary_text","text":"%s"}]},'
            r'{"type":"message","content":[{"type":"output_text","text":"a%s"}]}]}',
        ),
    ],
    ids=["chat", "anthropic", "gemini", "ollama", "responses"],
)
@pytest.mark.parametrize(
    ("escaped", "read"),
    [(r"\ud83d\ude00", "😀"), (r"\ud83d", "\ufffd"), (r"\uDE00", "\ufffd"), (r"\ud83dx", "\ufffdx")],
)
def test_halves_of_characters_in_a_whole_answer_are_joined_or_replaced(exchange, call, target, body, escaped, read):
    """The answer can be encoded, and sent back."""
    text = body % (escaped, escaped)
    seen = exchange(target, "Hi", answer={"body": text}, client={"model": "m"} if target == SERVER else None)
    assert (seen.response.text, seen.response.thinking) == (f"a{read}", read)
    (seen.response.text + seen.response.thinking + repr(seen.response.raw)).encode()
    client, transport = client_of(target, {"body": text})
    call.chat(client, [Message.user("Hi"), seen.response.message, Message.user("And?")])
    assert f"a{read}" in transport.requests[0].body.decode()


# ------------------------------------------------------------------------------------------------- weird types

ODD = [None, True, 0, -1, 10**30, 1.5, "", "x", [], {}, [None], [{}], {"a": 1}, ["x"], {"text": "x"}]
WHOLE = {
    SERVER: {
        "id": "a1",
        "created": 1,
        "model": "m-1",
        "choices": [
            {
                "index": 0,
                "message": {
                    "content": [
                        {"type": "text", "text": "a", "annotations": [NOTE]},
                        {"type": "thinking", "thinking": [{}]},
                    ],
                    "refusal": None,
                    "images": [PICTURES["a data URL"], PICTURES["base64"]],
                    "audio": {"id": "s1", "data": SOUND_TEXT, "transcript": "a", "expires_at": 1},
                    "annotations": [NOTE],
                    "reasoning_details": [{"type": "reasoning.text", "text": "t", "index": 0}],
                    "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": "{}"}, "extra_content": {}}],
                },
                "finish_reason": "stop",
            }
        ],
        "usage": FULL,
        "citations": LINKS,
    },
    CLAUDE: {
        "id": "m1",
        "model": "c-1",
        "content": [
            {"type": "text", "text": "a", "citations": [NOTE]},
            {"type": "thinking", "thinking": "t", "signature": "s"},
            {"type": "tool_use", "id": "t1", "name": "f", "input": {}, "caller": {"type": "direct"}},
        ],
        "stop_reason": "refusal",
        "stop_details": {"explanation": "no"},
        "usage": {"input_tokens": 1, "output_tokens": 2, "output_tokens_details": {"thinking_tokens": 1}},
    },
    GEMINI: {
        "candidates": [
            {
                "index": 0,
                "content": {
                    "parts": [
                        {"text": "a", "thoughtSignature": "s"},
                        {"thought": True, "text": "t"},
                        {"functionCall": {"id": "c1", "name": "f", "args": {"a": 1}}},
                        {"inlineData": {"mimeType": "image/png", "data": PICTURE_TEXT}},
                    ]
                },
                "finishReason": "STOP",
                "groundingMetadata": {"webSearchQueries": ["q"]},
            }
        ],
        "usageMetadata": COUNTS,
        "promptFeedback": {"blockReason": "SAFETY"},
    },
    RESPONSES: {
        "id": "r1",
        "status": "incomplete",
        "incomplete_details": {"reason": "max_output_tokens"},
        "output": [
            {"type": "message", "content": [{"type": "output_text", "text": "a", "annotations": [NOTE]}]},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "reasoning", "summary": [{"text": "t"}], "content": [{"text": "t"}]},
            {"type": "image_generation_call", "result": PICTURE_TEXT, "output_format": "png"},
        ],
        "usage": {"input_tokens": 1, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 1}},
    },
    OLLAMA: {
        "model": "m",
        "created_at": "2026-01-01T00:00:00Z",
        "message": {
            "content": "a",
            "thinking": "t",
            "images": [PICTURE_TEXT],
            "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": {"a": 1}}}],
        },
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 1,
        "eval_count": 2,
    },
}


def places_of(value, path=()):
    """Every place in a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in inner:
        yield from places_of(item, (*path, step))


def with_value(value, path, new):
    """A copy with another value at a place."""
    if not path:
        return new
    made = copy.deepcopy(value)
    here = made
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = new
    return made


def streamed_forms(target, whole):
    """Streams that tell a whole answer: as their only event, or their last."""
    if target == OLLAMA:
        return json.dumps(whole).encode() + b"\n"
    if target == SERVER and isinstance(whole, dict) and isinstance(whole.get("choices"), list):
        choices = [
            {**choice, "delta": choice.get("message")} if isinstance(choice, dict) else choice
            for choice in whole["choices"]
        ]
        return lines({**whole, "choices": choices}, whole, done=True)
    if target == RESPONSES:
        items = whole.get("output") if isinstance(whole, dict) else None
        done = [
            {"type": f"response.output_item.{kind}", "output_index": number, "item": item}
            for number, item in enumerate(items if isinstance(items, list) else [])
            for kind in ("added", "done")
        ]
        return lines(*done, {"type": "response.completed", "response": whole})
    if target == CLAUDE:
        blocks = whole.get("content") if isinstance(whole, dict) else None
        made = []
        for number, block in enumerate(blocks if isinstance(blocks, list) else []):
            made.append({"type": "content_block_start", "index": number, "content_block": block})
            fields = block if isinstance(block, dict) else {}
            for kind, name in (("text_delta", "text"), ("thinking_delta", "thinking"), ("input_json_delta", "input")):
                if name in fields:
                    piece = {"type": kind, "partial_json" if name == "input" else name: fields[name]}
                    made.append({"type": "content_block_delta", "index": number, "delta": piece})
            made.append({"type": "content_block_stop", "index": number})
        last = {"type": "message_delta", "delta": whole, "usage": whole.get("usage") if isinstance(whole, dict) else 7}
        return lines({"type": "message_start", "message": whole}, *made, last, {"type": "message_stop"})
    return lines(whole)


def look_at(answer):
    """Everything that users look at."""
    said = [answer.text, answer.thinking, answer.refusal or "", *(call.arguments_json for call in answer.tool_calls)]
    "".join(said).encode()
    assert answer.usage.raw is None or isinstance(answer.usage.raw, dict)
    assert repr(answer)
    assert all(isinstance(note, dict) for note in answer.citations)
    assert all(isinstance(image, Image) for image in answer.images)
    assert len({call.id for call in answer.tool_calls}) == len(answer.tool_calls)


@pytest.mark.parametrize("target", WHOLE)
def test_no_type_in_any_field_raises_anything_but_a_typed_error(call, target):
    """Every value of every answer replaced by every other kind of value, whole and streamed."""
    for path in places_of(WHOLE[target]):
        for new in ODD:
            body = with_value(WHOLE[target], path, new)
            for verb, answer in (("chat", {"json": body}), ("stream", {"stream": [streamed_forms(target, body)]})):
                if verb == "chat" and call.name == "asyncio":
                    continue  # the same reader, and an event loop for each of thousands takes long
                if verb == "stream" and call.name == "blocking":
                    continue
                client, transport = client_of(target, answer)
                try:
                    made = getattr(call, verb)(client, "Hi")
                except ProviderKitError as error:
                    made = getattr(error, "partial", None)
                if verb == "stream" and isinstance(made, tuple):
                    made = made[1]
                if made is not None:
                    look_at(made)
                assert transport.open_streams == 0
