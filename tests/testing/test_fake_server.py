"""The fake server: every dialect and every fault, over real HTTP, in both worlds."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from provider_kit import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    InsufficientQuotaError,
    InternalServerError,
    InvalidResponseError,
    ModelNotFoundError,
    NotFoundError,
    NotSupportedError,
    OverloadedError,
    PermissionDeniedError,
    RateLimitError,
    ResponseLostError,
    StreamError,
    StreamIncompleteError,
    Timeout,
)
from provider_kit.errors import (
    ConflictError,
    PaymentRequiredError,
    RequestTimeoutError,
    RequestTooLargeError,
    StreamTimeoutError,
    UnprocessableEntityError,
)
from provider_kit.testing import FakeServer, Fault, Reply
from provider_kit.testing.http_server import LoopbackServer, Outgoing

#: One target for each dialect.
TARGETS = {
    "openai_chat": "openai/gpt-4o",
    "openai_responses": "openai/gpt-5-mini",
    "anthropic_messages": "anthropic/claude-sonnet-4-5",
    "gemini_content": "gemini/gemini-2.5-flash",
    "ollama_chat": "ollama/llama3.2",
}
ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two numbers",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
    },
}
VERBS = ("chat", "stream")


@pytest.fixture(params=TARGETS.values(), ids=TARGETS)
def target(request):
    """Each dialect."""
    return request.param


def answer_of(call, verb, client, *arguments, **options):
    result = getattr(call, verb)(client, *arguments, **options)
    return result[1] if verb == "stream" else result


# ------------------------------------------------------------------------------------------------ dialects


@pytest.mark.parametrize("verb", VERBS)
def test_every_dialect_answers(call, fake_server, target, verb):
    """Text, finish reason, model, request id and usage, whole and streamed alike."""
    answer = answer_of(call, verb, fake_server.client(target), "What is 2 + 3?", system="Be brief.")
    assert answer.text == "2 + 3 = 5"
    assert answer.finish_reason == "stop"
    assert answer.model == target.partition("/")[2]
    assert answer.request_id == "req_fake_1"
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens == 6
    asked = fake_server.requests[0].asked
    assert asked.turns == [("system", "Be brief."), ("user", "What is 2 + 3?")]
    assert asked.stream == (verb == "stream")


def test_a_stream_comes_in_pieces(call, fake_server, target):
    """Words, then a last chunk with usage."""
    chunks, answer = call.stream(fake_server.client(target), "one two three")
    texts = [chunk.text for chunk in chunks if chunk.text]
    assert len(texts) > 3
    assert "".join(texts) == answer.text == "You said: one two three"
    assert chunks[-1].done
    assert chunks[-1].usage.output_tokens == answer.usage.output_tokens


@pytest.mark.parametrize("verb", VERBS)
def test_every_dialect_calls_tools(call, fake_server, target, verb):
    """A call with arguments, its result sent back, and an answer that uses it."""
    client = fake_server.client(target)
    first = answer_of(call, verb, client, "Please add 20 and 22", tools=[ADD])
    (made,) = first.tool_calls
    assert first.finish_reason == "tool_calls"
    assert (made.name, made.arguments) == ("add", {"a": 20, "b": 22})
    conversation = [
        {"role": "user", "content": "Please add 20 and 22"},
        first.message,
        {"role": "tool", "tool_call_id": made.id, "name": "add", "content": "42"},
    ]
    second = answer_of(call, verb, client, conversation, tools=[ADD])
    assert second.text == "add says: 42"
    assert fake_server.requests[1].asked.called == ["add"]


@pytest.mark.parametrize("verb", VERBS)
def test_every_dialect_calls_several_tools_at_once(call, fake_server, target, verb):
    """In the order they were given, each with its own arguments."""
    fake_server.reply("Let me see.", tool_calls=[("add", {"a": 1}), {"name": "sub", "arguments": {"b": "ü"}}])
    answer = answer_of(call, verb, fake_server.client(target), "Hello", tools=[ADD])
    assert [(c.name, c.arguments) for c in answer.tool_calls] == [("add", {"a": 1}), ("sub", {"b": "ü"})]
    assert answer.text == "Let me see."
    assert len({c.id for c in answer.tool_calls}) == 2


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("choice", ["required", "none", "add"])
def test_every_dialect_takes_a_choice_of_tools(call, fake_server, target, verb, choice):
    """Where the API has one; where not, that is reported."""
    answer = answer_of(call, verb, fake_server.client(target), "Hello there", tools=[ADD], tool_choice=choice)
    if target.startswith("ollama"):
        assert [w.parameter for w in answer.warnings] == ["tool_choice"] or choice == "none"
        return
    assert fake_server.requests[0].asked.tool_choice == choice
    assert bool(answer.tool_calls) == (choice != "none")


SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_dialect_answers_in_a_structure(call, fake_server, target, verb):
    """The schema reaches the server, the answer fits it."""
    answer = answer_of(call, verb, fake_server.client(target), "It is Ada, 36", response_format=SCHEMA)
    assert answer.text == '{"name":"Ada","age":36}'
    assert fake_server.requests[0].asked.schema["required"] == ["name", "age"]


@pytest.mark.parametrize("verb", VERBS)
def test_every_dialect_may_be_asked_for_any_json(call, fake_server, target, verb):
    """``"json"``: an object of any form."""
    answer = answer_of(call, verb, fake_server.client(target), "Say JSON", response_format="json")
    if not target.startswith("anthropic"):
        assert answer.text == '{"answer":"Say JSON"}'


@pytest.mark.parametrize("verb", VERBS)
def test_every_dialect_shows_thinking(call, fake_server, target, verb):
    """Reasoning text beside the answer."""
    fake_server.reply("Four.", thinking="Two and two.")
    answer = answer_of(call, verb, fake_server.client(target), "What?")
    assert (answer.text, answer.thinking) == ("Four.", "Two and two.")


@pytest.mark.parametrize("verb", VERBS)
def test_thinking_can_be_asked_for(call, fake_server, target, verb):
    """Models that reason tell what they thought."""
    target = {"openai/gpt-4o": "fireworks/reasoner"}.get(target, target)
    answer = answer_of(call, verb, fake_server.client(target), "What?", reasoning="high", max_tokens=8000)
    assert answer.thinking == "The rules say what to answer."
    assert fake_server.requests[0].asked.wants_thinking


@pytest.mark.parametrize("verb", VERBS)
def test_every_dialect_stops_at_its_limits(call, fake_server, target, verb):
    """max_tokens ends the answer with ``length``."""
    words = [f"w{number}" for number in range(30)]
    answer = answer_of(call, verb, fake_server.client(target), " ".join(words), max_tokens=16)
    assert answer.text.strip() == f"You said: {' '.join(words[:14])}"
    assert answer.finish_reason == "length"


@pytest.mark.parametrize("verb", VERBS)
def test_every_dialect_takes_stop_texts(call, fake_server, target, verb):
    """Where the API has them."""
    answer = answer_of(call, verb, fake_server.client(target), "one two three", stop=["three"])
    if target == "openai/gpt-5-mini":
        assert [w.parameter for w in answer.warnings] == ["stop"]
    else:
        assert answer.text.strip() == "You said: one two"


@pytest.mark.parametrize("verb", VERBS)
def test_every_dialect_may_decline(call, fake_server, target, verb):
    """A refusal is an answer or an error, never an empty success."""
    fake_server.reply(Reply(refusal="I will not."))
    try:
        answer = answer_of(call, verb, fake_server.client(target, max_retries=0), "Do it")
    except APIError as error:
        assert "I will not." in str(error)  # noqa: PT017  # either outcome is right
    else:
        assert "I will not." in (answer.refusal or answer.text) or answer.finish_reason == "content_filter"


def test_every_dialect_lists_models(call, fake_server, target):
    """Two of them."""
    assert [model.id for model in call.models(fake_server.client(target))] == ["demo", "echo"]


def test_every_dialect_embeds(call, fake_server, target):
    """The same text has the same vector, at the length asked for."""
    client = fake_server.client(target)
    if target.startswith("anthropic"):
        with pytest.raises(NotSupportedError):
            call.embed(client, ["a"])
        return
    result = call.embed(client, ["one", "two", "one"], dimensions=4)
    assert result.vectors[0] == result.vectors[2] != result.vectors[1]
    assert [len(vector) for vector in result.vectors] == [4, 4, 4]
    assert len(call.embed(client, "one").vectors) == 1


def test_every_dialect_counts(call, fake_server, target):
    """Where the API does; where not, that is told."""
    client = fake_server.client(target)
    if target.startswith("ollama"):
        with pytest.raises(NotSupportedError):
            call.count_tokens(client, "How long is this?")
    else:
        assert call.count_tokens(client, "How long is this?") > 3


def test_llamacpp_counts_too(call, fake_server):
    """Over the chat API's own path."""
    assert call.count_tokens(fake_server.client("llamacpp/m"), "How long is this?") > 3


@pytest.mark.parametrize("provider", ["azure", "openrouter", "groq", "mistral", "qwen", "vllm", "openai_compatible"])
def test_every_provider_finds_its_paths(call, fake_server, provider):
    """``base_url(provider)`` is right for it."""
    assert call.chat(fake_server.client(f"{provider}/m"), "What is 2 + 3?").text == "2 + 3 = 5"


# ------------------------------------------------------------------------------------------------ faults

STATUSES = {
    400: BadRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: RequestTimeoutError,
    409: ConflictError,
    413: RequestTooLargeError,
    422: UnprocessableEntityError,
    429: RateLimitError,
    500: InternalServerError,
    502: InternalServerError,
    503: OverloadedError,
    504: RequestTimeoutError,
    529: OverloadedError,
}


def patience(fields):
    """Little where the fault is that nothing comes, much where a slow machine must not be taken for one."""
    if "stall_after" in fields:
        return Timeout(first_token=10, idle=0.15)
    return 0.15 if "latency" in fields else 10


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(("status", "kind"), STATUSES.items())
def test_every_status_is_its_typed_error(call, fake_server, target, verb, status, kind):
    """In the dialect's own error form, with the words of the server."""
    code = None if status in (429, 503, 529) else ""
    fake_server.fault(status, message=f"it is {status}", code=code or "x")
    with pytest.raises(kind, match=f"it is {status}") as caught:
        getattr(call, verb)(fake_server.client(target, max_retries=0), "Hello")
    assert caught.value.status_code == status
    assert caught.value.request_id
    assert caught.value.provider == target.partition("/")[0]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"reset": True}, (ResponseLostError,)),
        ({"garbage": True}, (ResponseLostError,)),
        ({"html": True}, (InternalServerError,)),
        ({"html": True, "status": 200}, (InvalidResponseError,)),
        ({"html": True, "status": 404}, (NotFoundError,)),
        ({"malformed": True}, (InvalidResponseError,)),
        ({"embedded_error": True}, (APIError,)),
        ({"embedded_error": True, "code": "rate_limit_exceeded"}, (RateLimitError, APIError)),
        ({"body": b""}, (InvalidResponseError,)),
        ({"body": b"[]"}, (InvalidResponseError,)),
        ({"body": b"null"}, (InvalidResponseError,)),
        ({"body": b"oops", "status": 500}, (InternalServerError,)),
        ({"status": 301, "headers": {"location": "/x"}}, (InvalidResponseError,)),
        ({"latency": 2.0}, (APITimeoutError,)),
        ({"cut_after": 0}, (ResponseLostError, InvalidResponseError, StreamIncompleteError)),
    ],
    ids=lambda value: "" if isinstance(value, tuple) else repr(value),
)
def test_every_fault_is_its_typed_error(call, fake_server, target, verb, fields, kind):
    """Nothing but errors of this library, of the documented class, in both worlds and all dialects."""
    fake_server.fault(Fault(**fields))
    with pytest.raises(kind) as caught:
        getattr(call, verb)(fake_server.client(target, max_retries=0, timeout=patience(fields)), "Hello")
    assert len(caught.value.attempts) == 1
    assert caught.value.operation == verb


@pytest.mark.parametrize("verb", ["models", "embed", "count_tokens"])
@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"status": 429}, RateLimitError),
        ({"reset": True}, APIConnectionError),
        ({"malformed": True}, InvalidResponseError),
        ({"html": True}, InternalServerError),
        ({"latency": 2.0}, APITimeoutError),
    ],
    ids=lambda value: repr(value) if isinstance(value, dict) else "",
)
def test_small_calls_fail_in_the_same_ways(call, fake_server, verb, fields, kind):
    """Models, embeddings and counts have the same errors."""
    fake_server.always(Fault(**fields))  # an HTTP library may ask again by itself where no body was sent
    arguments = () if verb == "models" else ("Hello",)
    client = fake_server.client("openai/gpt-5", max_retries=0, timeout=patience(fields))
    with pytest.raises(kind) as caught:
        getattr(call, verb)(client, *arguments)
    assert caught.value.operation == verb


def test_an_answer_cut_in_the_middle_is_lost(call, fake_server, target):
    """Bytes announced and not sent."""
    fake_server.fault(cut_after=10)
    with pytest.raises(ResponseLostError):
        call.chat(fake_server.client(target, max_retries=0), "Hello")


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"cut_after": 5}, StreamIncompleteError),
        ({"stall_after": 5}, StreamTimeoutError),
        ({"stall_after": 5, "ping": True}, StreamTimeoutError),
        ({"error_after": 5}, StreamError),
    ],
    ids=lambda value: repr(value) if isinstance(value, dict) else "",
)
def test_every_fault_inside_a_stream_is_its_typed_error(call, fake_server, target, fields, kind):
    """With what was received before."""
    fake_server.reply("one two three four five six seven eight")
    fake_server.fault(Fault(**fields))
    with pytest.raises(kind) as caught:
        call.stream(fake_server.client(target, timeout=patience(fields)), "Hello")
    assert type(caught.value) is kind
    assert caught.value.partial.text.startswith("one ")
    assert len(fake_server.requests) == 1


def test_a_slow_stream_that_goes_on_is_no_error(call, fake_server, target):
    """Each piece starts the idle clock anew."""
    fake_server.reply("one two three four five six seven eight")
    fake_server.fault(token_delay=0.04)
    started = time.monotonic()
    _, answer = call.stream(fake_server.client(target, timeout=0.25), "Hello")
    assert answer.text == "one two three four five six seven eight"
    assert time.monotonic() - started > 0.25


@pytest.mark.parametrize(
    ("wish", "expected"), [(7, 7.0), ("1.5", 1.5), ("1m", 60.0), ("nonsense", None), ("-5", None), ("", None)]
)
def test_a_wish_to_wait_is_read_or_ignored(call, fake_server, wish, expected):
    """Malformed headers do no harm."""
    fake_server.fault(429, retry_after=wish)
    with pytest.raises(RateLimitError) as caught:
        call.chat(fake_server.client(max_retries=0), "Hello")
    assert caught.value.retry_after == expected


def test_codes_decide_more_finely_than_statuses(call, fake_server):
    """A quota that is used up is no rate limit that passes; an unknown model is more than a 404."""
    fake_server.fault(429, code="insufficient_quota")
    with pytest.raises(InsufficientQuotaError):
        call.chat(fake_server.client(), "Hello")
    fake_server.fault(404, code="model_not_found")
    with pytest.raises(ModelNotFoundError):
        call.chat(fake_server.client(), "Hello")
    assert len(fake_server.requests) == 2


# ------------------------------------------------------------------------------------------------ orders


def test_faults_come_before_replies_and_each_is_used_once(call, fake_server):
    """In the order they were given."""
    fake_server.reply("first")
    fake_server.reply(Reply("second", model="other"))
    fake_server.fault(503, times=2, retry_after=0)
    client = fake_server.client()
    assert call.chat(client, "Hello").text == "first"
    answer = call.chat(client, "Hello")
    assert (answer.text, answer.model) == ("second", "other")
    assert call.chat(client, "What is 2 + 3?").text == "2 + 3 = 5"
    assert len(fake_server.requests) == 5


def test_a_fault_can_last(call, fake_server):
    """``always`` until it is called without arguments or all is reset."""
    client = fake_server.client(max_retries=0)
    for order in ((500,), (Fault(status=500),)):
        fake_server.always(*order)
        for _ in range(2):
            with pytest.raises(InternalServerError):
                call.chat(client, "Hello")
        fake_server.always()
        assert call.chat(client, "Hello").text
    fake_server.always(status=500)
    fake_server.fault(Fault())
    fake_server.reply("never said")
    fake_server.reset()
    assert fake_server.requests == []
    assert call.chat(client, "What is 2 + 3?").text == "2 + 3 = 5"


def test_a_server_can_ask_for_its_key(call):
    """Each provider's way of sending it is understood; another key is a 401."""
    with FakeServer(key="right-key-0123456789") as server:
        for target in TARGETS.values():
            assert call.chat(server.client(target), "Hello").text
            with pytest.raises(AuthenticationError):
                call.chat(server.client(target, api_key="wrong-key-0123456789"), "Hello")
        assert "right-key" not in repr(server.requests)


def test_answers_can_be_a_function(call):
    """From what was asked to a reply; if it fails, the server says so."""

    def answer(asked):
        if "fail" in asked.last[1]:
            raise ValueError("no idea")
        return Reply(f"{asked.model}: {asked.last[1]}")

    with FakeServer(respond=answer) as server:
        client = server.client(max_retries=0)
        assert call.chat(client, "Hello").text == "gpt-4o: Hello"
        with pytest.raises(InternalServerError, match="no idea"):
            call.chat(client, "fail")


def test_requests_are_recorded(call, fake_server):
    """Method, path, headers, body and what it meant; the key is not shown."""
    client = fake_server.client()
    call.chat(client, "Hello")
    call.models(client)
    first, second = fake_server.requests
    assert (first.method, first.path, first.json["model"]) == ("POST", "/v1/chat/completions", "gpt-4o")
    assert first.asked.last == ("user", "Hello")
    assert (second.method, second.path, second.json, second.asked) == ("GET", "/v1/models", None, None)
    assert "Bearer" not in repr(first)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /nowhere HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 3\r\n\r\n{]}", b"400"),
        (b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 2\r\n\r\n[]", b"400"),
        (b"POST /v1/messages HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}", b"400"),
        (b'POST /v1/embeddings HTTP/1.1\r\ncontent-length: 11\r\n\r\n{"input":1}', b"400"),
        (b"GET /v1/models HTTP/1.1\r\nConnection: close\r\n\r\n", b"200"),
        (b"nonsense\r\n\r\n", b""),
        (b"GET /", b""),
        (b"POST /v1/models HTTP/1.1\r\ncontent-length: many\r\n\r\n", b""),
    ],
)
@pytest.mark.usefixtures("recwarn")
def test_bad_requests_do_not_harm_the_server(fake_server, request_bytes, status):
    """It answers as a provider would, or closes, and goes on."""
    with socket.create_connection(("127.0.0.1", int(fake_server.url.rpartition(":")[2])), timeout=2) as sock:
        sock.sendall(request_bytes)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while data := sock.recv(65536):
            answer += data
    assert answer[9:12] == status
    assert fake_server.client().chat("What is 2 + 3?").text == "2 + 3 = 5"


def test_connections_are_kept_and_counted(fake_server):
    """Two calls of one client use one connection."""
    with fake_server.client() as client:
        client.chat("Hello")
        list(client.stream("Hello"))
        client.chat("Hello")
        assert fake_server.connections == 1
        assert fake_server.open_connections == 1
    deadline = time.monotonic() + 2
    while fake_server.open_connections and time.monotonic() < deadline:
        time.sleep(0.005)
    assert fake_server.open_connections == 0


def test_a_stopped_server_leaves_no_thread_and_no_port(call):
    """Also in the middle of an answer, also if stopped twice."""
    before = set(threading.enumerate())
    server = FakeServer().start()
    call.chat(server.client(), "Hello")
    stream = server.client().stream("one two three four five")
    server.fault(stall_after=3)
    next(stream)
    server.stop()
    server.stop()
    stream.close()
    assert set(threading.enumerate()) - before == set()
    with pytest.raises(APIConnectionError):
        call.chat(server.client(max_retries=0), "Hello")


def test_a_stopped_server_can_be_started_again(call):
    """And starting a running one does nothing."""
    server = FakeServer()
    before = threading.enumerate()
    for _ in range(2):
        with server:
            server.start()
            assert call.chat(server.client(), "What is 2 + 3?").text == "2 + 3 = 5"
    assert not set(threading.enumerate()) - set(before)


def test_a_server_that_was_never_started_can_be_stopped():
    """So that a failing test's cleanup does not fail too."""
    FakeServer().stop()


def test_a_server_that_cannot_start_says_why(monkeypatch):
    """The cause is chained."""
    import asyncio

    async def refuse(*arguments, **options):
        raise OSError("no port left")

    monkeypatch.setattr(asyncio, "start_server", refuse)
    with pytest.raises(RuntimeError, match="could not start") as caught:
        FakeServer().start()
    assert "no port left" in str(caught.value.__cause__)


def test_the_loopback_server_sends_what_it_is_told():
    """Its answers are bytes under full control."""

    async def answer(incoming):
        return Outgoing(raw=b"as it is")

    server = LoopbackServer(answer)
    server.start()
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=2) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert sock.recv(100) == b"as it is"
    finally:
        server.stop()


def test_fields_beside_a_fault_or_a_reply_change_it(fake_server):
    """Nothing that is given is forgotten."""
    client = fake_server.client(max_retries=0)
    fake_server.always(Fault(status=500), message="x")
    with pytest.raises(InternalServerError, match="x"):
        client.chat("Hi")
    fake_server.always()
    fake_server.fault(Fault(status=429), retry_after=3)
    with pytest.raises(RateLimitError) as caught:
        client.chat("Hi")
    assert caught.value.retry_after == 3
    fake_server.reply(Reply("a"), finish_reason="length")
    assert client.chat("Hi").finish_reason == "length"
    client.close()


def test_a_fault_that_would_do_nothing_is_refused(fake_server):
    """A test that passes with it would prove nothing."""
    for wrong in (lambda: fake_server.fault("429"), lambda: fake_server.fault(True), lambda: fake_server.always("500")):
        with pytest.raises(TypeError, match="status or a Fault"):
            wrong()
    with pytest.raises(TypeError):
        fake_server.fault(500, status=400)
    with pytest.raises(ValueError, match="negative"):
        fake_server.fault(500, times=-1)


def test_an_answer_may_wait_for_another_request():
    """wait_until: no test guesses how long the other one takes."""
    with FakeServer() as server, server.client() as client:
        server.fault(wait_until=lambda: len(server.requests) > 1)
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(client.chat, "first")
            while not server.requests:
                time.sleep(0.005)
            assert client.chat("second").text
            assert waiting.result().text
        assert [one.asked.last[1] for one in server.requests] == ["first", "second"]


def test_a_request_that_is_late_takes_no_reply_of_the_next_test():
    """reset() divides them."""
    with FakeServer() as server, server.client() as client:
        server.fault(wait_until=lambda: len(server.requests) == 1 and server.requests[0].asked.last[1] == "next")
        with ThreadPoolExecutor(1) as threads:
            late = threads.submit(client.chat, "late")
            while not server.requests:
                time.sleep(0.005)
            server.reset()
            server.reply("one")
            server.reply("two")
            assert client.chat("next").text == "one"
            assert late.result().text not in ("one", "two")
        assert client.chat("next").text == "two"
