"""What Gemini's generateContent answers, whole and streamed."""

import json

import pytest

from provider_kit import Client, Message, ScriptedTransport, Text, Thinking, Usage
from provider_kit.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ContextLengthExceededError,
    InsufficientQuotaError,
    InternalServerError,
    InvalidResponseError,
    ModelNotFoundError,
    OverloadedError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    StreamError,
    StreamIncompleteError,
)
from provider_kit.model.messages import Native, Refusal

MODEL = "gemini-3.5-flash"
COUNTS = {
    "promptTokenCount": 100,
    "cachedContentTokenCount": 60,
    "toolUsePromptTokenCount": 5,
    "candidatesTokenCount": 9,
    "thoughtsTokenCount": 25,
    "totalTokenCount": 139,
}


def make(*script):
    """A client whose server answers from a script."""
    return Client(f"gemini/{MODEL}", api_key="AIzaK", transport=ScriptedTransport(script), max_retries=0)


def answer(*parts, reason="STOP", counts=COUNTS, **more):
    """A response object."""
    candidate = {"index": 0, "content": {"role": "model", "parts": list(parts)}}
    if reason:
        candidate["finishReason"] = reason
    found = {"candidates": [candidate], "modelVersion": MODEL, "responseId": "r1", **more}
    return {**found, "usageMetadata": counts} if counts else found


def events(*payloads):
    """A stream of unnamed events."""
    return b"".join(b"data: " + json.dumps(payload, ensure_ascii=False).encode() + b"\n\n" for payload in payloads)


def thought(words, **more):
    """A part of the model's reasoning."""
    return {"text": words, "thought": True, **more}


CALL = {"functionCall": {"name": "clock", "args": {"tz": "UTC"}}, "thoughtSignature": "QUJD"}
SECOND = {"functionCall": {"id": "srv-2", "name": "clock"}}
#: Plain text with characters of several bytes and a signature of its own at the end.
TEXT = events(
    answer({"text": "Grüß"}, reason=None, counts={"promptTokenCount": 3, "totalTokenCount": 3}),
    answer({"text": " \u2028 dich"}, reason=None, counts=None),
    answer({"text": "", "thoughtSignature": "WA=="}),
)
#: Thoughts, text and two calls.
TOOLS = events(
    answer(thought("Let me "), reason=None),
    answer(thought("see"), reason=None),
    answer({"text": "Look"}, reason=None),
    answer({"text": "ing."}, CALL, SECOND, {"executableCode": {"code": "1"}}),
)
STREAMS = {"text": TEXT, "tools": TOOLS}


def facts(chunks, response):
    """What must not depend on how the network cut the bytes; ids made here are not the same twice."""
    for call in response.tool_calls:
        if call.local_id:
            call.id = "local"
    return (
        "".join(chunk.text for chunk in chunks),
        "".join(chunk.thinking for chunk in chunks),
        [(delta.index, delta.name, delta.arguments) for chunk in chunks for delta in chunk.tool_calls or ()],
        [chunk.finish_reason for chunk in chunks if chunk.done],
        response.message,
        response.finish_reason,
        response.usage,
    )


# ---------------------------------------------------------------------------------------------------- whole answers


def test_a_whole_answer_is_read(call):
    """Text, reason, model, id and usage."""
    found = call.chat(make({"json": answer({"text": "Hi"}, {"text": "."})}), "Hello")
    assert found.message == Message("assistant", "Hi.", origin="gemini_content", model=MODEL)
    assert (found.finish_reason, found.raw_finish_reason) == ("stop", "STOP")
    assert (found.id, found.model, found.provider) == ("r1", MODEL, "gemini")
    assert found.raw["candidates"][0]["content"]["parts"][0] == {"text": "Hi"}


def test_usage_falls_into_buckets_that_do_not_overlap(call):
    """The prompt includes the cache; candidates exclude thoughts."""
    usage = call.chat(make({"json": answer({"text": "Hi."})}), "Hello").usage
    assert usage == Usage(45, 9, 60, None, 25, 139)
    assert (usage.prompt_tokens, usage.completion_tokens) == (105, 34)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (None, Usage()),
        ({}, Usage()),
        ("odd", Usage()),
        ({"promptTokenCount": "7", "candidatesTokenCount": "3"}, Usage(7, 3, total_tokens=10)),
        ({"promptTokenCount": 7, "totalTokenCount": 7}, Usage(7, 0, total_tokens=7)),
        ({"promptTokenCount": 7, "totalTokenCount": 5}, Usage(7, 0, total_tokens=5)),
        ({"promptTokenCount": 7, "thoughtsTokenCount": 5, "totalTokenCount": 15}, Usage(7, 3, None, None, 5, 15)),
        ({"promptTokenCount": 7, "cachedContentTokenCount": 9}, Usage(0, None, 9)),
        ({"candidatesTokenCount": [], "thoughtsTokenCount": True, "totalTokenCount": "x"}, Usage()),
    ],
)
def test_unknown_counts_are_none_and_none_is_negative(call, counts, expected):
    """Numbers may come as text; what is missing is worked out from the total, or stays unknown."""
    payload = answer({"text": "Hi."}, counts=None) | {"usageMetadata": counts}
    assert call.chat(make({"json": payload}), "Hello").usage == expected


FILTERED = [
    "SAFETY",
    "RECITATION",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "LANGUAGE",
    "MODEL_ARMOR",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
]
FAILED = [
    "MALFORMED_FUNCTION_CALL",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "MISSING_THOUGHT_SIGNATURE",
    "MALFORMED_RESPONSE",
]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("CONTINUATION", "pause"),
        *((reason, "content_filter") for reason in FILTERED),
        *((reason, "error") for reason in FAILED),
        ("OTHER", "other"),
        ("OF_TOMORROW", "other"),
        (["odd"], "other"),
    ],
)
def test_reasons_to_stop_have_common_names(call, reason, finish):
    """The provider's own word stays beside the common one, in both forms of the answer."""
    found = call.chat(make({"json": answer({"text": "Hi."}, reason=reason)}), "Hello")
    assert (found.finish_reason, found.raw_finish_reason) == (finish, str(reason))
    chunks, streamed = call.stream(make({"stream": [events(answer({"text": "Hi."}, reason=reason))]}), "Hello")
    assert (chunks[-1].finish_reason, streamed.finish_reason, streamed.raw_finish_reason) == (
        finish,
        finish,
        str(reason),
    )


def test_a_call_is_a_reason_of_its_own(call):
    """STOP with calls means that tools are wanted; ids are made where there are none."""
    found = call.chat(make({"json": answer({"text": "Look."}, CALL, SECOND)}), "Hello")
    one, two = found.tool_calls
    assert found.finish_reason == "tool_calls"
    assert (one.name, one.arguments, one.signature, one.local_id) == ("clock", {"tz": "UTC"}, "QUJD", True)
    assert one.id.startswith("call_")
    assert (two.id, two.arguments, two.signature, two.local_id) == ("srv-2", {}, None, False)


def test_a_part_with_a_signature_is_not_merged(call):
    """A signature belongs to its own part, so only parts without one grow together."""
    parts = [
        {"text": "a"},
        {"text": "b"},
        {"text": "c", "thoughtSignature": "1"},
        {"text": "d", "thought_signature": "2"},
        {"text": "e"},
        thought("f"),
        thought("g"),
        thought("h", thoughtSignature="3"),
        thought("i"),
    ]
    found = call.chat(make({"json": answer(*parts)}), "Hello")
    assert found.message.content == [
        Text("ab"),
        Text("c", signature="1"),
        Text("d", signature="2"),
        Text("e"),
        Thinking("fg", native=thought("fg")),
        Thinking("h", signature="3", native=parts[7]),
        Thinking("i", native=parts[8]),
    ]
    assert found.text == "abcde"


def test_other_parts_are_kept_as_they_came(call):
    """Code, pictures and things nobody knows are Native."""
    parts = [{"executableCode": {"code": "1"}}, {"thoughtSignature": "s"}, "odd"]
    found = call.chat(make({"json": answer(*parts)}), "Hello")
    assert found.message.content == [Native("executableCode", parts[0]), Native("unknown", parts[1])]


@pytest.mark.parametrize(
    "payload",
    [
        {"candidates": [{"finishReason": "MAX_TOKENS"}]},
        {"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}]},
        {"candidates": [{"content": {"parts": []}, "finishReason": "MAX_TOKENS"}]},
        {"candidates": [{"content": "odd", "finishReason": "MAX_TOKENS"}]},
        {"candidates": [{"content": {"parts": {"text": "odd"}}, "finishReason": "MAX_TOKENS"}]},
        {"candidates": [{"content": {"parts": [None]}, "finishReason": "MAX_TOKENS"}]},
        {
            "candidates": [
                "odd",
                {"index": 1, "content": {"parts": [{"text": "second"}]}},
                {"finishReason": "MAX_TOKENS"},
            ]
        },
    ],
)
def test_an_answer_may_have_no_parts(call, payload):
    """Thinking may use up all tokens; whatever stands in the place of parts, the call goes on."""
    found = call.chat(make({"json": payload}), "Hello")
    assert (found.text, found.finish_reason, found.model, found.id) == ("", "length", None, None)
    assert found.message.role == "assistant"
    _, streamed = call.stream(make({"stream": [events(payload)]}), "Hello")
    assert (streamed.text, streamed.finish_reason) == ("", "length")


@pytest.mark.parametrize(
    ("feedback", "words"),
    [
        ({"blockReason": "SAFETY"}, "The prompt was blocked: SAFETY."),
        ({"blockReason": "SAFETY", "blockReasonMessage": "Not that."}, "Not that."),
    ],
)
def test_a_blocked_prompt_is_a_refusal(call, feedback, words):
    """HTTP 200 without candidates; the same in a stream."""
    payload = {"promptFeedback": feedback, "usageMetadata": {"promptTokenCount": 4}}
    found = call.chat(make({"json": payload}), "Hello")
    chunks, streamed = call.stream(make({"stream": [events(payload)]}), "Hello")
    for response in (found, streamed):
        assert (response.finish_reason, response.raw_finish_reason) == ("content_filter", "SAFETY")
        assert response.message.content == [Refusal(words)]
        assert response.usage.input_tokens == 4
    assert chunks[-1].finish_reason == "content_filter"


def test_only_the_first_candidate_is_read(call):
    """Of two side by side; one alone is the answer, whatever its number."""
    one, two = (
        {"index": n, "content": {"parts": [{"text": t}]}, "finishReason": "STOP"} for n, t in ((0, "1"), (1, "2"))
    )
    for candidates, text in (([two, one], "1"), ([one, two], "1"), ([two], "2"), ([{**two, "index": "1"}], "2")):
        payload = {"candidates": candidates}
        assert call.chat(make({"json": payload}), "Hello").text == text
        for data in (events(payload), events(payload).rstrip()):
            chunks, response = call.stream(make({"stream": [data]}), "Hello")
            assert "".join(chunk.text for chunk in chunks) == response.text == text


def test_feedback_without_a_reason_blocks_nothing(call):
    """A stream that has only that is not whole."""
    payload = {"promptFeedback": {"safetyRatings": []}}
    assert call.chat(make({"json": payload}), "Hello").finish_reason == "other"
    with pytest.raises(StreamIncompleteError):
        call.stream(make({"stream": [events(payload)]}), "Hello")


@pytest.mark.parametrize("body", [{"hello": 1}, [], 5, None, "text"])
def test_an_answer_that_is_none_is_an_error(call, body):
    """The hint points to the base URL."""
    with pytest.raises(InvalidResponseError) as caught:
        call.chat(make({"json": body}), "Hello")
    assert "base_url" in caught.value.hint


def test_a_list_of_answers_is_read(call):
    """Without alt=sse the API wraps its answers in a list."""
    assert call.chat(make({"json": [answer({"text": "Hi."})]}), "Hello").text == "Hi."


# ---------------------------------------------------------------------------------------------------- streams


def test_a_stream_of_text_is_read(call):
    """Chunks as they come, the last with reason and usage, and the assembled answer."""
    chunks, response = call.stream(make({"stream": [TEXT]}), "Hello")
    assert [chunk.text for chunk in chunks] == ["Grüß", " \u2028 dich", ""]
    assert [chunk.done for chunk in chunks] == [False, False, True]
    assert chunks[-1].usage == response.usage == Usage(45, 9, 60, None, 25, 139)
    assert response.message.content == [Text("Grüß \u2028 dich"), Text("", signature="WA==")]
    assert (response.text, response.id, response.model) == ("Grüß \u2028 dich", "r1", MODEL)
    assert chunks[0].raw["responseId"] == "r1"


def test_a_stream_with_thoughts_and_calls_is_read(call):
    """Calls arrive whole; thoughts, text and calls are assembled in their places."""
    chunks, response = call.stream(make({"stream": [TOOLS]}), "Hello")
    thinking, words, one, two, code = response.message.content
    assert thinking == Thinking("Let me see", native=thought("Let me see"))
    assert words == Text("Looking.")
    assert (one.name, one.signature, two.id) == ("clock", "QUJD", "srv-2")
    assert code == Native("executableCode", {"executableCode": {"code": "1"}})
    assert [chunk.thinking for chunk in chunks] == ["Let me ", "see", "", "", ""]
    assert [(d.index, d.id, d.name, d.arguments) for d in chunks[3].tool_calls] == [
        (0, one.id, "clock", '{"tz":"UTC"}'),
        (1, "srv-2", "clock", "{}"),
    ]
    assert (chunks[3].text, response.finish_reason) == ("ing.", "tool_calls")


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


@pytest.mark.parametrize("name", STREAMS)
def test_a_truncated_stream_never_looks_complete(call, name):
    """It ends with the connection, so only a finish reason tells a whole answer from a cut one."""
    data = STREAMS[name]
    cuts = range(data.rindex(b"}") + 1)
    client = make(*[{"stream": [data[:cut]]} for cut in cuts])
    with call.in_one_loop():
        for cut in cuts:
            assert isinstance(call.stream_error(client, "Hello"), StreamIncompleteError), cut


def test_the_last_blank_line_may_be_missing(call):
    """Some servers close right after the last event."""
    _, response = call.stream(make({"stream": [TOOLS.rstrip()]}), "Hello")
    assert (response.text, response.finish_reason) == ("Looking.", "tool_calls")


def test_what_was_received_is_in_the_error(call):
    """partial holds the text, and says that it is not whole."""
    with pytest.raises(StreamIncompleteError) as caught:
        call.stream(make({"stream": [events(answer({"text": "Hi"}, reason=None))]}), "Hello")
    assert (caught.value.partial.text, caught.value.partial.finish_reason) == ("Hi", "error")


FAILURE = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
BARE = json.dumps(FAILURE, indent=2).encode()


@pytest.mark.parametrize(
    "data",
    [events(FAILURE), BARE, b"[" + BARE + b"\n]", BARE + b"\n\n", b"event: error\n" + events(FAILURE)],
    ids=["event", "bare", "list", "bare with blank line", "named"],
)
def test_an_error_in_a_stream_is_found_in_every_form(call, data):
    """As an event, or as bare JSON after the events; before and after the first content."""
    with pytest.raises(OverloadedError, match="overloaded") as caught:
        call.stream(make({"stream": [data]}), "Hello")
    assert caught.value.status_code == 503
    begun = events(answer({"text": "Hi"}, reason=None))
    with pytest.raises(StreamError, match="overloaded") as failed:
        call.stream(make({"stream": [begun, data]}), "Hello")
    assert (failed.value.partial.text, failed.value.status_code, failed.value.code) == ("Hi", 503, "UNAVAILABLE")


def test_bare_json_may_be_cut_anywhere(call):
    """The error is put together from whatever pieces the network makes of it."""
    begun = events(answer({"text": "Hi"}, reason=None))
    cuts = range(1, len(BARE))
    whole = make(*[{"stream": [begun, BARE[:cut], BARE[cut:]]} for cut in cuts])
    short = make(*[{"stream": [begun, BARE[:cut]]} for cut in cuts])
    with call.in_one_loop():
        for _ in cuts:
            with pytest.raises(StreamError, match="overloaded"):
                call.stream(whole, "Hello")
            with pytest.raises(StreamIncompleteError):
                call.stream(short, "Hello")


def test_lines_that_are_no_events_do_no_harm(call):
    """Text that is no JSON, numbers, empty data and [DONE] are passed over."""
    for stray in (b"hello\n", b"5\n", b"data: \n\n", b"data: [DONE]\n\n", b": ping\n\n"):
        for pieces in ([stray, TEXT], [TEXT, stray], [stray, TEXT, stray]):
            _, response = call.stream(make({"stream": pieces}), "Hello")
            assert response.finish_reason == "stop"


def test_the_reason_may_come_before_the_last_counts(call):
    """An event with usage alone may follow; the last counts win."""
    data = events(
        answer({"text": "Hi."}, counts=None),
        {"usageMetadata": {"promptTokenCount": 2, "candidatesTokenCount": 1}},
    )
    _, response = call.stream(make({"stream": [data]}), "Hello")
    assert (response.finish_reason, response.usage) == ("stop", Usage(2, 1, total_tokens=3))


def test_empty_texts_make_no_chunks(call):
    """They are neither content nor part of the answer."""
    data = events(
        answer({"text": ""}, reason=None), answer({"text": "Hi."}, {"text": ""}, "odd"), answer(reason="STOP")
    )
    chunks, response = call.stream(make({"stream": [data]}), "Hello")
    assert [chunk.text for chunk in chunks] == ["Hi.", ""]
    assert response.message.content == "Hi."


# ---------------------------------------------------------------------------------------------------- errors

QUOTA = "type.googleapis.com/google.rpc.QuotaFailure"
RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}
BAD_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}


def failure(status, word, words, *details):
    """An error answer."""
    return {
        "status": status,
        "json": {"error": {"code": status, "message": words, "status": word, "details": list(details)}},
    }


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        (failure(400, "INVALID_ARGUMENT", "Unknown name."), BadRequestError),
        (failure(400, "INVALID_ARGUMENT", "API key not valid.", BAD_KEY), AuthenticationError),
        (
            failure(
                400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens allowed (8)."
            ),
            ContextLengthExceededError,
        ),
        (failure(401, "UNAUTHENTICATED", "No."), AuthenticationError),
        (failure(402, "RESOURCE_EXHAUSTED", "Prepaid credit used up."), PaymentRequiredError),
        (failure(403, "PERMISSION_DENIED", "No."), PermissionDeniedError),
        (failure(404, "NOT_FOUND", "models/gemini-none is not found for API version v1beta"), ModelNotFoundError),
        (failure(429, "RESOURCE_EXHAUSTED", "Slow."), RateLimitError),
        (
            failure(
                429, "RESOURCE_EXHAUSTED", "Slow.", {"@type": QUOTA, "violations": [{"quotaId": "RequestsPerMinute"}]}
            ),
            RateLimitError,
        ),
        (
            failure(429, "RESOURCE_EXHAUSTED", "Out.", {"@type": QUOTA, "violations": [{"quotaId": "RequestsPerDay"}]}),
            InsufficientQuotaError,
        ),
        (failure(429, "RESOURCE_EXHAUSTED", "Quota exceeded, limit: 0, model: x"), InsufficientQuotaError),
        (failure(500, "INTERNAL", "Oh."), InternalServerError),
        (failure(503, "UNAVAILABLE", "The model is overloaded."), OverloadedError),
        (failure(504, "DEADLINE_EXCEEDED", "Late."), RequestTimeoutError),
    ],
)
def test_error_answers_become_typed_errors(call, entry, kind):
    """By reason, status word and details; the same in a stream, and as a list."""
    listed = {**entry, "json": [entry["json"]]}
    for ask, given in ((call.chat, entry), (call.stream, entry), (call.chat, listed)):
        with pytest.raises(APIError) as caught:
            ask(make(given), "Hello")
        assert type(caught.value) is kind
        assert (caught.value.status_code, caught.value.provider) == (entry["status"], "gemini")


def test_the_wait_is_read_from_the_body(call):
    """There is no Retry-After; RetryInfo tells, else the message."""
    with pytest.raises(RateLimitError) as caught:
        call.chat(make(failure(429, "RESOURCE_EXHAUSTED", "Slow.", RETRY)), "Hello")
    assert caught.value.retry_after == pytest.approx(34.07)
    with pytest.raises(RateLimitError) as caught:
        call.chat(make(failure(429, "RESOURCE_EXHAUSTED", "Please retry in 46.2s.")), "Hello")
    assert caught.value.retry_after == pytest.approx(46.2)


def test_an_error_inside_a_success_is_an_error(call):
    """Gateways answer 200 with an error object."""
    with pytest.raises(OverloadedError):
        call.chat(make({"json": FAILURE}), "Hello")


# ---------------------------------------------------------------------------------------------------- the rest


def test_models_are_listed_over_all_pages(call):
    """Names lose their models/ prefix; a page tells the token of the next one."""
    first = {
        "name": "models/gemini-a",
        "displayName": "Gemini A",
        "description": "The first.",
        "inputTokenLimit": 1000,
        "outputTokenLimit": 100,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
        "thinking": True,
    }
    transport = ScriptedTransport(
        [
            {"json": {"models": [first, "odd"], "nextPageToken": "p2"}},
            {"json": {"models": [{"name": "models/b", "supportedGenerationMethods": None}], "nextPageToken": ""}},
        ]
    )
    models = call.models(Client("gemini", api_key="k", transport=transport))
    assert [model.id for model in models] == ["gemini-a", "b"]
    assert (models[0].name, models[0].description) == ("Gemini A", "The first.")
    assert (models[0].context_window, models[0].max_output_tokens) == (1000, 100)
    assert models[0].capabilities == ("generateContent", "countTokens", "thinking")
    assert models[1].capabilities == ()
    assert [request.url.partition("?")[2] for request in transport.requests] == [
        "pageSize=1000",
        "pageSize=1000&pageToken=p2",
    ]
    assert transport.requests[0].method == "GET"


@pytest.mark.parametrize(
    "payload",
    [
        {"embeddings": [{"values": [1, 2.5]}], "usageMetadata": {"promptTokenCount": 3}},
        {"embedding": {"values": [1, 2.5]}},
        {"predictions": [{"embeddings": {"values": [1, 2.5]}}]},
    ],
)
def test_embeddings_are_read_in_all_their_forms(call, payload):
    """A batch, a single one, and Vertex's predictions."""
    found = call.embed(make({"json": payload}), "Hello")
    assert found.vectors == [[1.0, 2.5]]
    assert found.usage.input_tokens == (3 if "usageMetadata" in payload else None)
    assert (found.provider, found.model) == ("gemini", MODEL)


@pytest.mark.parametrize("verb", ["models", "embed", "count_tokens"])
def test_lists_and_counts_that_are_none_are_errors(call, verb):
    """Another API answered."""
    with pytest.raises(InvalidResponseError):
        getattr(call, verb)(make({"json": {"hello": 1}}), *([] if verb == "models" else ["Hello"]))
