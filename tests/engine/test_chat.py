"""A whole answer, from the request to the response."""

import pytest

from provider_kit import (
    APIError,
    BadRequestError,
    ChatResponse,
    InvalidRequestError,
    InvalidResponseError,
    ProviderKitError,
    RateLimitError,
    UnsupportedParameterError,
)

TARGETS = (
    "openai/gpt-4o",
    "openai/gpt-5-mini",
    "anthropic/claude-sonnet-4-5",
    "gemini/gemini-2.5-flash",
    "ollama/llama3.2",
)


def test_an_answer_tells_who_gave_it_how_long_it_took_and_under_which_id(call, scripted, answers, late):
    """Provider, request id, headers, attempts and timings are on every answer."""
    client, _ = scripted(late(2.5, answers.text("Hi", headers={"X-Request-Id": "req_1", "X-Other": "1"})))
    answer = call.chat(client, "Hello")
    assert (answer.text, answer.provider, answer.request_id) == ("Hi", "openai", "req_1")
    assert answer.headers["x-other"] == "1"
    assert answer.model == "gpt-4o-2026"
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (3, 2, 5)
    assert answer.timings.total == answer.timings.first_content == 2.5
    (attempt,) = answer.attempts
    assert (attempt.number, attempt.provider, attempt.model, attempt.error) == (1, "openai", "gpt-4o", None)
    assert attempt.duration == 2.5


def test_a_name_of_your_own_is_told_in_answers_and_errors(call, scripted, answers):
    """``name=`` stands in answers, attempts and errors."""
    client, _ = scripted(answers.text(), answers.error(400), name="acme", max_retries=0)
    answer = call.chat(client, "Hello")
    assert answer.provider == answer.attempts[0].provider == "acme"
    with pytest.raises(BadRequestError, match=r"^\[acme\] it failed") as caught:
        call.chat(client, "Hello")
    assert (caught.value.provider, caught.value.model, caught.value.operation) == ("acme", "gpt-4o", "chat")


def test_what_a_model_does_not_take_is_reported(call, scripted, answers):
    """``warn`` reports it in the answer, and it is not sent."""
    client, transport = scripted(answers.text())
    answer = call.chat(client, "Hello", top_k=5)
    assert [warning.parameter for warning in answer.warnings] == ["top_k"]
    assert b"top_k" not in transport.requests[0].body


@pytest.mark.parametrize("where", ["client", "call", "defaults"])
def test_what_a_model_does_not_take_is_an_error_if_that_was_asked_for(call, scripted, where):
    """``raise`` raises before anything is sent, whether set for the client, by default or in the call."""
    made = {"client": {"on_unsupported": "raise"}, "defaults": {"defaults": {"on_unsupported": "raise"}}}.get(where, {})
    client, transport = scripted(**made)
    options = {"on_unsupported": "raise"} if where == "call" else {}
    for verb in (call.chat, call.stream):
        with pytest.raises(UnsupportedParameterError, match="top_k"):
            verb(client, "Hello", top_k=5, **options)
    assert transport.requests == []


def test_what_a_model_does_not_take_is_dropped_if_that_was_asked_for(call, scripted, answers):
    """``drop`` leaves it out without a word; the call's choice goes before the client's."""
    client, _ = scripted(answers.text(), on_unsupported="raise")
    assert call.chat(client, "Hello", top_k=5, on_unsupported="drop").warnings == []


def test_an_error_inside_a_200_is_a_typed_error(call, scripted, answers):
    """The error object decides the class; headers and request id are kept."""
    answer = {
        "json": {"error": {"message": "slow down", "code": "rate_limit_exceeded"}},
        "headers": {"x-request-id": "r9"},
    }
    client, _ = scripted(answer, max_retries=0)
    with pytest.raises(RateLimitError, match="slow down") as caught:
        call.chat(client, "Hello")
    assert caught.value.request_id == "r9"
    assert caught.value.headers["x-request-id"] == "r9"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<!DOCTYPE html><title>Login</title>", "web page"),
        (b"  ", "empty"),
        (b'{"choices": [', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 200_000, "not JSON"),
    ],
)
def test_an_answer_that_is_no_json_says_what_it_is_instead(call, scripted, body, words):
    """A web page, nothing, or half an answer: the error says so and names the base URL."""
    client, _ = scripted({"body": body}, max_retries=0)
    with pytest.raises(InvalidResponseError, match=words) as caught:
        call.chat(client, "Hello")
    assert caught.value.status_code == 200
    assert "https://api.openai.com/v1" in caught.value.hint
    assert len(str(caught.value.body)) <= 2000


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        [1],
        "text",
        5,
        {},
        {"error": 5},
        {"error": None},
        {"error": {}},
        {"choices": 5},
        {"choices": []},
        {"choices": [5]},
        {"choices": [{"message": 5}]},
        {"choices": [{"message": {"content": 5, "tool_calls": 5}, "finish_reason": 5}]},
        {"choices": [{"message": {"tool_calls": [5, {}, {"function": 5}]}}], "usage": 5},
        {"content": 5},
        {"content": [5, {}, {"type": 5}, {"type": "text"}, {"type": "tool_use"}], "stop_reason": 5, "usage": []},
        {"output": 5},
        {"output": [5, {}, {"type": "message"}, {"type": "message", "content": 5}, {"type": "function_call"}]},
        {"output": [{"type": "message", "content": [5, {}]}], "status": 5, "usage": 5},
        {"candidates": 5},
        {"candidates": [5]},
        {"candidates": [{"content": 5}]},
        {"candidates": [{"content": {"parts": 5}}]},
        {"candidates": [{"content": {"parts": [5, {}, {"functionCall": 5}]}, "finishReason": 5}], "usageMetadata": 5},
        {"message": 5},
        {"message": {"content": 5, "tool_calls": [5, {"function": 5}]}, "done_reason": 5},
    ],
    ids=repr,
)
def test_no_answer_of_whatever_shape_is_more_than_a_typed_error(call, scripted, target, payload):
    """JSON of any shape is an answer or an error of this library, never a KeyError."""
    client, _ = scripted({"json": payload}, target=target, max_retries=0)
    try:
        answer = call.chat(client, "Hello")
    except ProviderKitError:
        return
    assert isinstance(answer, ChatResponse)
    assert isinstance(answer.text, str)
    assert isinstance(answer.usage.total_tokens, int | None)
    assert isinstance(answer.tool_calls, list)


def test_a_redirect_is_not_followed(call, fake_server):
    """A redirect is an error that says where to, so that no key travels to another host."""
    fake_server.fault(302, headers={"location": "https://elsewhere.example/v1"})
    with pytest.raises(InvalidResponseError, match=r"redirects to 'https://elsewhere\.example/v1'") as caught:
        call.chat(fake_server.client(max_retries=0), "Hello")
    assert len(fake_server.requests) == 1
    assert "base_url" in caught.value.hint


def test_a_request_that_is_no_json_is_refused_before_it_is_sent(call, scripted):
    """NaN, bytes, sets, loops, lone surrogates and bottomless nesting never leave the machine."""
    loop = {}
    loop["loop"] = loop
    deep = []
    for _ in range(100_000):
        deep = [deep]
    client, transport = scripted()
    for value in (float("nan"), float("inf"), b"x", {1}, object(), loop, deep, "\ud800"):
        for verb in (call.chat, call.stream):
            with pytest.raises(InvalidRequestError, match="cannot be written as JSON") as caught:
                verb(client, "Hello", extra_body={"value": value})
            assert caught.value.provider == "openai"
    assert transport.requests == []


def test_fields_of_your_own_are_sent_over_real_http(call, fake_server):
    """extra_body is merged deeply, extra_headers and extra_query reach the server."""
    client = fake_server.client(headers={"X-Team": "search"})
    call.chat(
        client,
        "Hello",
        temperature=0.5,
        extra_body={"temperature": None, "options": {"a": {"b": 1}}},
        extra_headers={"x-team": "chat", "X-Trace": "t1"},
        extra_query={"debug": "1"},
    )
    (request,) = fake_server.requests
    assert request.path == "/v1/chat/completions?debug=1"
    assert request.json["temperature"] is None
    assert request.json["options"] == {"a": {"b": 1}}
    assert (request.headers["x-team"], request.headers["x-trace"]) == ("chat", "t1")


def test_an_api_error_names_status_code_and_request_id(call, fake_server):
    """The text of an error has what a support ticket needs."""
    fake_server.fault(400, code="bad_thing", message="that is bad")
    with pytest.raises(APIError) as caught:
        call.chat(fake_server.client(max_retries=0), "Hello")
    assert str(caught.value) == "[openai] that is bad (status=400, code=bad_thing, request_id=req_fake_1)"
    assert caught.value.body["error"]["message"] == "that is bad"
