"""Ollama's native chat API: what is sent, and what is answered."""

import base64
import json

import pytest

from provider_kit import (
    Audio,
    ChatRequest,
    Client,
    Document,
    Image,
    Message,
    Reasoning,
    ScriptedTransport,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Usage,
    dump_conversation,
    load_conversation,
)
from provider_kit.dialects.base import ParameterReport
from provider_kit.dialects.ollama_chat import OllamaChat
from provider_kit.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    InvalidRequestError,
    InvalidResponseError,
    ModelNotFoundError,
    NotSupportedError,
    OverloadedError,
    RateLimitError,
    StreamError,
    StreamIncompleteError,
    UnsupportedParameterError,
)
from provider_kit.model.messages import Native, Refusal

MODEL = "qwen3"
PNG = b"\x89PNG\r\n\x1a\nrest IEND"
WEATHER = Tool("weather", "Tells the weather", {"type": "object", "properties": {"city": {"type": "string"}}})
CLOCK = Tool("clock")


def make(*script, model=MODEL):
    """A client whose server answers from a script."""
    return Client(f"ollama/{model}", transport=ScriptedTransport(script), max_retries=0)


def line(content="", *, done=None, **more):
    """One answer, or one line of a stream."""
    message = {"role": "assistant", "content": content}
    message.update({name: more.pop(name) for name in ("thinking", "tool_calls") if name in more})
    found = {"model": MODEL, "created_at": "2026-11-22T10:00:00.123456789Z", "message": message, "done": bool(done)}
    if done:
        found.update(done_reason=done, total_duration=5, prompt_eval_count=30, eval_count=12)
    return {**found, **more}


def lines(*payloads):
    """A stream of newline-delimited JSON."""
    return b"".join(json.dumps(payload, ensure_ascii=False).encode() + b"\n" for payload in payloads)


def stream(*pieces):
    """A streamed answer as the server labels it."""
    return {"stream": list(pieces), "headers": {"content-type": "application/x-ndjson"}}


@pytest.fixture
def sent(call):
    """Asks and returns the body that was sent and the warnings that came back."""

    def ask(messages="Hello", *, model=MODEL, **options):
        transport = ScriptedTransport([{"json": line("Fine.", done="stop")}])
        response = call.chat(Client(f"ollama/{model}", transport=transport), messages, **options)
        return json.loads(transport.requests[-1].body), [warning.parameter for warning in response.warnings]

    return ask


# ---------------------------------------------------------------------------------------------------- requests


def test_stream_is_always_written(call, sent):
    """The server streams unless it is told not to."""
    assert sent("Hello") == (
        {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "stream": False},
        [],
    )
    transport = ScriptedTransport([stream(lines(line("Hi", done="stop")))])
    call.stream(Client(f"ollama/{MODEL}", transport=transport), "Hello")
    assert json.loads(transport.requests[0].body)["stream"] is True


def test_system_messages_stay_where_they_are(sent):
    """Any number, anywhere; developer is another word for it."""
    body, _ = sent([Message.system("One."), Message.user("Hi"), Message("developer", "Two."), Message.user("Go")])
    assert [(message["role"], message["content"]) for message in body["messages"]] == [
        ("system", "One."),
        ("user", "Hi"),
        ("system", "Two."),
        ("user", "Go"),
    ]


def test_pictures_travel_as_bare_base64(sent):
    """Beside the text, without a data: prefix; texts of a message are joined, text files among them."""
    body, _ = sent(
        Message.user(
            "Look: ",
            Image(data=PNG, media_type="image/png"),
            Document(data=b"notes", media_type="text/plain"),
        )
    )
    assert body["messages"] == [
        {"role": "user", "content": "Look: \n\ndocument:\n```\nnotes\n```", "images": [base64.b64encode(PNG).decode()]}
    ]


@pytest.mark.parametrize(
    "part",
    [
        Image(file_id="f1"),
        Audio(data=b"RIFF", media_type="audio/wav"),
        Document(data=b"%PDF-1", media_type="application/pdf"),
        Document(url="https://x.test/a.pdf", media_type="application/pdf"),
        Document(data=b"\0\1", media_type="application/zip"),
    ],
)
def test_what_cannot_be_sent_is_refused(part):
    """Uploads, sound and documents other than text have no place in this API; nothing is sent."""
    client = make()
    with pytest.raises(InvalidRequestError) as caught:
        client.chat(Message.user("See", part))
    assert caught.value.hint


def test_tools_have_the_shape_of_openai(sent):
    """A native tool is sent as it is."""
    body, _ = sent(tools=[WEATHER, CLOCK, {"type": "web_search", "name": "web_search"}])
    assert body["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "Tells the weather",
                "parameters": WEATHER.parameters,
            },
        },
        {
            "type": "function",
            "function": {"name": "clock", "description": "", "parameters": CLOCK.parameters},
        },
        {"type": "web_search", "name": "web_search"},
    ]


@pytest.mark.parametrize(
    ("choice", "names", "warned"),
    [
        ("auto", ["weather", "clock"], False),
        ("none", None, False),
        ("required", ["weather", "clock"], True),
        ("clock", ["clock"], True),
        (ToolChoice("auto", ("weather",)), ["weather"], False),
    ],
)
def test_a_choice_cuts_the_list_of_tools(sent, choice, names, warned):
    """The API knows no tool_choice; what cannot be expressed is reported."""
    body, warnings = sent(tools=[WEATHER, CLOCK], tool_choice=choice)
    assert "tool_choice" not in body
    assert (names is None and "tools" not in body) or [tool["function"]["name"] for tool in body["tools"]] == names
    assert warnings == (["tool_choice"] if warned else [])


def test_calls_and_results_are_paired_by_name_and_order(sent):
    """Arguments are objects; results follow in the order of their calls, whenever they were ready."""
    body, warnings = sent(
        [
            Message.user("Go"),
            Message(
                "assistant",
                [
                    Thinking("hm"),
                    Text("Look."),
                    ToolCall("a", "clock", {"tz": "UTC"}),
                    ToolCall("b", "clock", '{"tz":'),
                    ToolCall("c", "dice"),
                ],
            ),
            Message.tool("c", "6", is_error=True),
            Message("tool", [ToolResult("b", [Text("11"), Text(":00")]), Text("By the way")]),
            Message("user", [ToolResult("a", "Error: no clock", name="named", is_error=True)]),
            Message.user("And?"),
        ]
    )
    assert body["messages"][1] == {
        "role": "assistant",
        "content": "Look.",
        "thinking": "hm",
        "tool_calls": [
            {"function": {"name": "clock", "arguments": {"tz": "UTC"}}},
            {"function": {"name": "clock", "arguments": {"INVALID_JSON": '{"tz":'}}},
            {"function": {"name": "dice", "arguments": {}}},
        ],
    }
    assert body["messages"][2:4] == [
        {"role": "tool", "tool_name": "clock", "content": "11:00"},
        {"role": "tool", "tool_name": "dice", "content": "Error: 6"},
    ]
    assert body["messages"][4:] == [
        {"role": "user", "content": "By the way"},
        {"role": "tool", "tool_name": "named", "content": "Error: no clock"},
        {"role": "user", "content": "And?"},
    ]
    assert warnings == []


def test_results_may_be_the_last_thing_said(sent):
    """They are sent in the order of their calls too, from messages of any role."""
    body, _ = sent(
        [
            Message.user("Go"),
            Message.assistant(ToolCall("a", "clock"), ToolCall("b", "clock")),
            Message.tool("b", "2"),
            Message.tool("a", "1"),
        ]
    )
    assert [message["content"] for message in body["messages"][2:]] == ["1", "2"]


def test_only_the_text_of_a_result_is_sent(sent):
    """A picture in it is left out, and the caller is told."""
    body, warnings = sent(
        [
            Message.user("Go"),
            Message.assistant(ToolCall("a", "camera")),
            Message.tool("a", [Text("see"), Image(data=PNG, media_type="image/png")]),
        ]
    )
    assert (body["messages"][2]["content"], warnings) == ("see", ["messages"])


def test_a_result_without_its_call_is_named_by_its_id():
    """The dialect itself does not fail where a caller builds requests by hand."""
    request = ChatRequest(model=MODEL, messages=[Message.tool("lost", "x")])
    body = OllamaChat().build_chat(request, stream=False, report=ParameterReport()).body
    assert body["messages"] == [{"role": "tool", "tool_name": "lost", "content": "x"}]


def test_the_parts_of_others_are_left_out(sent):
    """Foreign reasoning means nothing here; a native block is reported, a refusal is text."""
    body, warnings = sent(
        [
            Message.user("Go"),
            Message("assistant", [Thinking("hm"), Native("x", {}), Refusal("No.")], origin="anthropic_messages"),
            Message.user("On"),
        ]
    )
    assert body["messages"][1] == {"role": "assistant", "content": "No."}
    assert warnings == ["messages"]


def test_controls_are_options(sent):
    """max_tokens is called num_predict."""
    body, warnings = sent(
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        max_tokens=100,
        stop=["a"],
        seed=0,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        extra_body={"options": {"num_ctx": 8192}, "keep_alive": "5m"},
    )
    assert body["options"] == {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 5,
        "num_predict": 100,
        "stop": ["a"],
        "seed": 0,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "num_ctx": 8192,
    }
    assert body["keep_alive"] == "5m"
    assert warnings == []


def test_what_the_api_has_not_is_reported(sent):
    """Users, metadata, and turning parallel calls off; leaving them on is what happens anyway."""
    assert sent(user="u", metadata={"a": "b"}, parallel_tool_calls=False)[1] == [
        "user",
        "metadata",
        "parallel_tool_calls",
    ]
    assert sent(parallel_tool_calls=True)[1] == []
    with pytest.raises(UnsupportedParameterError):
        sent(user="u", on_unsupported="raise")


def test_formats_are_json_or_a_schema(sent):
    """Text is no format."""
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    assert sent(response_format="json")[0]["format"] == "json"
    assert sent(response_format=schema)[0]["format"] == schema
    assert "format" not in sent(response_format="text")[0]


@pytest.mark.parametrize(
    ("model", "wish", "think", "warned"),
    [
        ("qwen3", "none", False, False),
        ("qwen3", "medium", True, False),
        ("qwen3", True, True, False),
        ("qwen3", Reasoning(show=True), True, False),
        ("qwen3", "high", True, True),
        ("qwen3", 1000, True, True),
        ("gpt-oss:20b", "low", "low", False),
        ("gpt-oss:20b", "medium", "medium", False),
        ("gpt-oss:20b", "high", "high", False),
        ("gpt-oss:20b", "max", "max", False),
        ("gpt-oss:20b", "xhigh", "max", True),
        ("gpt-oss:20b", "minimal", "low", True),
        ("gpt-oss:20b", "none", "low", True),
        ("gpt-oss:20b", 1000, "low", True),
        ("gpt-oss:20b", 4096, "low", True),
        ("gpt-oss:20b", 16_384, "medium", True),
        ("gpt-oss:20b", 10_000, "medium", True),
        ("gpt-oss:20b", 50_000, "high", True),
        ("gpt-oss:20b", Reasoning(show=True), "medium", False),
    ],
)
def test_thinking_is_on_or_off_or_a_level(sent, model, wish, think, warned):
    """Most models know only on and off; gpt-oss knows only levels and cannot stop."""
    body, warnings = sent(model=model, reasoning=wish)
    assert body["think"] == think
    assert warnings == (["reasoning"] if warned else [])


# ---------------------------------------------------------------------------------------------------- answers

CALLS = [
    {"function": {"index": 0, "name": "clock", "arguments": {"tz": "UTC"}}},
    {"id": "srv-1", "function": {"name": "dice", "arguments": '{"n": 6}'}},
    {"function": {"name": "coin"}},
    {"function": "odd"},
    "odd",
]


def test_a_whole_answer_is_read(call):
    """Text, reason, model, time and usage; there is no id."""
    found = call.chat(make({"json": line("Hi.", done="stop")}), "Hello")
    assert found.message == Message("assistant", "Hi.", origin="ollama_chat", model=MODEL)
    assert (found.finish_reason, found.raw_finish_reason) == ("stop", "stop")
    assert (found.id, found.model, found.provider) == (None, MODEL, "ollama")
    assert found.created == pytest.approx(1_795_341_600.123456)
    assert found.usage == Usage(30, 12, total_tokens=42)


def test_thinking_and_calls_become_parts(call):
    """Ids are made where there are none; calls count as the reason."""
    found = call.chat(make({"json": line("Look.", done="stop", thinking="hm", tool_calls=CALLS)}), "Hello")
    clock, dice, coin = found.tool_calls
    assert found.message.content == [Thinking("hm"), Text("Look."), clock, dice, coin]
    assert (clock.name, clock.arguments, clock.local_id) == ("clock", {"tz": "UTC"}, True)
    assert (dice.id, dice.arguments, dice.local_id) == ("srv-1", {"n": 6}, False)
    assert (coin.arguments, found.finish_reason) == ({}, "tool_calls")


@pytest.mark.parametrize("reload", [False, True])
def test_a_turn_goes_back_to_where_it_came_from(call, reload):
    """Thinking and calls are sent back, also after JSON and back."""
    transport = ScriptedTransport(
        [{"json": line("", done="stop", thinking="hm", tool_calls=CALLS[:1])}, {"json": line("Ten.", done="stop")}]
    )
    client = Client(f"ollama/{MODEL}", transport=transport)
    first = call.chat(client, "Go")
    talk = [Message.user("Go"), first.message, Message.tool(first.tool_calls[0].id, "10:00")]
    call.chat(client, load_conversation(dump_conversation(talk)) if reload else talk)
    assert json.loads(transport.requests[-1].body)["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "thinking": "hm",
            "tool_calls": [{"function": {"name": "clock", "arguments": {"tz": "UTC"}}}],
        },
        {"role": "tool", "tool_name": "clock", "content": "10:00"},
    ]


@pytest.mark.parametrize(
    ("reason", "finish"), [("stop", "stop"), ("length", "length"), ("load", "other"), ("unload", "other")]
)
def test_reasons_to_stop_have_common_names(call, reason, finish):
    """The server's own word stays beside the common one, in both forms of the answer."""
    found = call.chat(make({"json": line("Hi.", done=reason)}), "Hello")
    assert (found.finish_reason, found.raw_finish_reason) == (finish, reason)
    chunks, streamed = call.stream(make(stream(lines(line("Hi.", done=reason)))), "Hello")
    assert (chunks[-1].finish_reason, streamed.finish_reason, streamed.raw_finish_reason) == (finish, finish, reason)


def test_a_reason_may_be_missing(call):
    """Old servers say only done."""
    old = {"model": MODEL, "message": {"content": "Hi."}, "done": True}
    found = call.chat(make({"json": old}), "Hello")
    assert (found.finish_reason, found.raw_finish_reason, found.created, found.usage) == ("stop", None, None, Usage())
    chunks, streamed = call.stream(make(stream(lines(old))), "Hello")
    assert (chunks[-1].finish_reason, streamed.finish_reason) == ("stop", "stop")
    assert found.usage.raw is None
    assert call.chat(make({"json": {"message": {"content": "Hi."}}}), "Hello").finish_reason == "other"


@pytest.mark.parametrize(
    "more",
    [
        {"message": None},
        {"message": "odd"},
        {"message": {"content": None, "thinking": None, "tool_calls": None}},
        {"message": {"tool_calls": {"function": {}}}},
        {"message": {}, "created_at": "someday"},
        {"message": {}, "prompt_eval_count": "30", "eval_count": []},
    ],
)
def test_missing_fields_never_break_an_answer(call, more):
    """What can be read is read."""
    payload = {**line(done="stop"), **more}
    assert call.chat(make({"json": payload}), "Hello").text == ""
    assert call.stream(make(stream(lines(payload))), "Hello")[1].text == ""


def test_text_of_another_type_is_still_text(call):
    """A number where text was promised."""
    payload = line(5, done="stop")
    assert call.chat(make({"json": payload}), "Hello").text == "5"
    assert call.stream(make(stream(lines(payload))), "Hello")[1].text == "5"


@pytest.mark.parametrize("body", [{"hello": 1}, [], 5, None, "text"])
def test_an_answer_that_is_none_is_an_error(call, body):
    """The hint points to the base URL."""
    with pytest.raises(InvalidResponseError, match="not a chat answer") as caught:
        call.chat(make({"json": body}), "Hello")
    assert "base_url" in caught.value.hint


# ---------------------------------------------------------------------------------------------------- streams

TEXT = lines(line("Grüß"), line(" \u2028 dich"), line("", done="stop"))
TOOLS = lines(
    line("", thinking="Let me "),
    line("", thinking="see"),
    line("Looking."),
    line("", tool_calls=CALLS[:1]),
    line("", tool_calls=CALLS[1:3]),
    line("", done="stop"),
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


def test_a_stream_of_text_is_read(call):
    """Chunks as they come, the last with reason and usage, and the assembled answer."""
    chunks, response = call.stream(make(stream(TEXT)), "Hello")
    assert [chunk.text for chunk in chunks] == ["Grüß", " \u2028 dich", ""]
    assert [chunk.done for chunk in chunks] == [False, False, True]
    assert chunks[-1].usage == response.usage == Usage(30, 12, total_tokens=42)
    assert response.message == Message("assistant", "Grüß \u2028 dich", origin="ollama_chat", model=MODEL)
    assert response.created == pytest.approx(1_795_341_600.123456)


def test_a_stream_with_thinking_and_calls_is_read(call):
    """Calls arrive whole, in one line or several; they are counted through."""
    chunks, response = call.stream(make(stream(TOOLS)), "Hello")
    clock, dice, coin = response.tool_calls
    assert response.message.content == [Thinking("Let me see"), Text("Looking."), clock, dice, coin]
    assert response.finish_reason == "tool_calls"
    deltas = [delta for chunk in chunks for delta in chunk.tool_calls or ()]
    assert [(d.index, d.id, d.name, d.arguments) for d in deltas] == [
        (0, clock.id, "clock", '{"tz":"UTC"}'),
        (1, "srv-1", "dice", '{"n": 6}'),
        (2, coin.id, "coin", "{}"),
    ]


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_may_be_cut_anywhere_by_the_network(call, name):
    """Two pieces, cut at every byte, give the same as one."""
    data = STREAMS[name]
    whole = facts(*call.stream(make(stream(data)), "Hello"))
    cuts = range(1, len(data))
    client = make(*[stream(data[:cut], data[cut:]) for cut in cuts])
    with call.in_one_loop():
        for cut in cuts:
            assert facts(*call.stream(client, "Hello")) == whole, cut


@pytest.mark.parametrize("name", STREAMS)
def test_a_truncated_stream_never_looks_complete(call, name):
    """Cut anywhere before the line with done was there, it is an error that says so."""
    data = STREAMS[name]
    cuts = range(data.rindex(b"}"))
    client = make(*[stream(data[:cut]) for cut in cuts])
    with call.in_one_loop():
        for cut in cuts:
            assert isinstance(call.stream_error(client, "Hello"), StreamIncompleteError), cut


def test_the_last_line_break_may_be_missing(call):
    """The line is whole without it."""
    _, response = call.stream(make(stream(TOOLS.rstrip())), "Hello")
    assert (response.text, response.finish_reason) == ("Looking.", "tool_calls")


def test_blank_lines_and_windows_line_ends_do_no_harm(call):
    """They are passed over."""
    data = b"\n\r\n" + TEXT.replace(b"\n", b"\r\n")
    assert call.stream(make(stream(data)), "Hello")[1].text == "Grüß \u2028 dich"


def test_an_error_line_is_an_error(call):
    """HTTP 200, and then a line with an error; what came before is kept."""
    failure = {"error": "model runner has unexpectedly stopped"}
    with pytest.raises(InternalServerError, match="unexpectedly stopped"):
        call.stream(make(stream(lines(failure))), "Hello")
    with pytest.raises(StreamError, match="unexpectedly stopped") as caught:
        call.stream(make(stream(lines(line("Hi"), failure))), "Hello")
    assert (caught.value.partial.text, caught.value.partial.finish_reason) == ("Hi", "error")
    with pytest.raises(InternalServerError):
        call.stream(make(stream(lines(failure).rstrip())), "Hello")


@pytest.mark.parametrize("data", [b"nonsense\n", b"[]\n"])
def test_a_line_that_is_no_object_is_an_error(call, data):
    """Something else answers."""
    with pytest.raises(InvalidResponseError):
        call.stream(make(stream(data)), "Hello")


def test_a_decoder_ends_once():
    """A second line with done changes nothing."""
    decoder = OllamaChat().stream_decoder()
    chunks = list(decoder.feed(lines(line(done="stop"), line(done="stop"))))
    assert [chunk.done for chunk in chunks] == [True]


# ---------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        (400, '"qwen3" does not support tools', BadRequestError),
        (401, "unauthorized", AuthenticationError),
        (404, 'model "qwen9" not found, try pulling it first', ModelNotFoundError),
        (429, "too many requests", RateLimitError),
        (500, "out of memory", InternalServerError),
        (503, "server busy, please try again.  maximum pending requests exceeded", OverloadedError),
    ],
)
def test_error_answers_become_typed_errors(call, status, words, kind):
    """The body is an error text; the status decides, and the words where they say more."""
    for ask in (call.chat, call.stream):
        with pytest.raises(APIError) as caught:
            ask(make({"status": status, "json": {"error": words}}), "Hello")
        assert type(caught.value) is kind
        assert (caught.value.message, caught.value.status_code) == (words, status)


def test_an_error_inside_a_success_is_an_error(call):
    """Whatever the status says."""
    with pytest.raises(InternalServerError, match="stopped"):
        call.chat(make({"json": {"error": "runner stopped"}}), "Hello")


# ---------------------------------------------------------------------------------------------------- the rest


def test_models_that_are_pulled_are_listed(call):
    """In one page, with what the server knows of them."""
    transport = ScriptedTransport(
        [
            {
                "json": {
                    "models": [
                        {
                            "name": "qwen3:8b",
                            "model": "qwen3:8b",
                            "modified_at": "2026-11-22T12:00:00.1+02:00",
                            "details": {"context_length": 40_960},
                            "capabilities": ["completion", "tools"],
                        },
                        {"name": "old"},
                        "odd",
                    ]
                }
            }
        ]
    )
    models = call.models(Client("ollama", transport=transport))
    assert [model.id for model in models] == ["qwen3:8b", "old"]
    assert (models[0].name, models[0].context_window) == ("qwen3:8b", 40_960)
    assert models[0].capabilities == ("completion", "tools")
    assert models[0].created == pytest.approx(1_795_341_600.1)
    assert (models[1].created, models[1].capabilities, models[1].context_window) == (None, (), None)
    assert (transport.requests[0].method, transport.requests[0].url) == ("GET", "http://127.0.0.1:11434/api/tags")


def test_embeddings_are_asked_for_and_read(call):
    """One request for all texts."""
    transport = ScriptedTransport([{"json": {"model": "e", "embeddings": [[1, 2], [3, 4]], "prompt_eval_count": 5}}])
    found = call.embed(Client("ollama/nomic", transport=transport), ["a", "b"], dimensions=2)
    assert (found.vectors, found.model, found.usage.input_tokens) == ([[1.0, 2.0], [3.0, 4.0]], "e", 5)
    assert json.loads(transport.requests[0].body) == {"model": "nomic", "input": ["a", "b"], "dimensions": 2}
    transport = ScriptedTransport([{"json": {"embeddings": [[1]]}}])
    call.embed(Client("ollama/nomic", transport=transport), "a")
    assert json.loads(transport.requests[0].body) == {"model": "nomic", "input": ["a"]}


@pytest.mark.parametrize("verb", ["models", "embed"])
def test_lists_that_are_none_are_errors(call, verb):
    """Another API answered."""
    with pytest.raises(InvalidResponseError):
        getattr(call, verb)(make({"json": {"hello": 1}}), *([] if verb == "models" else ["Hello"]))


def test_tokens_cannot_be_counted(call):
    """There is no such endpoint; nothing is sent."""
    with pytest.raises(NotSupportedError):
        call.count_tokens(make(), "Hello")
