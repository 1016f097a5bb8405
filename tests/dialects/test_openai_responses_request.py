"""Requests to the Responses API."""

import pytest

from provider_kit.dialects.base import ParameterReport
from provider_kit.dialects.openai_chat.quirks import effort_writer
from provider_kit.dialects.openai_responses import OpenAIResponses, ResponsesProfile
from provider_kit.errors import InvalidRequestError, NotSupportedError, UnsupportedParameterError
from provider_kit.model.inputs import build_request
from provider_kit.model.media import Audio, Document, Image
from provider_kit.model.messages import Message, Native, Refusal, Text, Thinking, ToolCall, ToolResult

OWN = "openai_responses/acme"
SCHEMA = {"type": "object", "properties": {"tz": {"type": "string"}}}
TOOLS = [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in ("f", "g")]


def build(messages="Hi", profile=None, *, stream=False, on_unsupported="warn", **options):
    """Body of a request and the parameters that were warned about."""
    profile = profile or ResponsesProfile()
    dialect = OpenAIResponses(provider="acme", profile=lambda model: profile)
    report = ParameterReport(on_unsupported, "acme", "m")
    request = build_request(messages, options, default_model="m", defaults={})
    return dialect.write_chat(request, stream=stream, report=report).body, [
        warning.parameter for warning in report.warnings
    ]


def items(messages, **options):
    return build(messages, **options)[0]["input"]


def test_every_request_is_whole_in_itself():
    """Nothing is stored unless asked for, and reasoning comes back encrypted."""
    body, warned = build()
    assert warned == []
    assert body == {
        "model": "m",
        "input": [{"role": "user", "content": "Hi"}],
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }
    assert "include" not in build(profile=ResponsesProfile(encrypted_reasoning=False))[0]
    assert build(stream=True)[0]["stream"] is True
    assert "stream_options" not in build(stream=True)[0]


def test_every_parameter_has_its_field():
    """Under this API's own names."""
    body, warned = build(
        system="Be kind",
        max_tokens=50,
        temperature=0.5,
        top_p=0.9,
        tools=TOOLS,
        tool_choice="auto",
        parallel_tool_calls=False,
        response_format="json",
        reasoning="high",
        user="u",
        metadata={"a": "b"},
    )
    assert warned == []
    assert body["instructions"] == "Be kind"
    assert body["max_output_tokens"] == 50
    assert (body["temperature"], body["top_p"]) == (0.5, 0.9)
    assert body["tools"][0] == {"type": "function", "name": "f", "parameters": SCHEMA, "strict": False}
    assert (body["tool_choice"], body["parallel_tool_calls"]) == ("auto", False)
    assert body["text"] == {"format": {"type": "json_object"}}
    assert body["reasoning"] == {"effort": "high", "summary": "auto"}
    assert (body["safety_identifier"], body["metadata"]) == ("u", {"a": "b"})


@pytest.mark.parametrize(
    "option", [{"stop": "x"}, {"seed": 1}, {"presence_penalty": 1}, {"frequency_penalty": 1}, {"top_k": 1}]
)
def test_what_this_api_does_not_have_is_left_out_with_a_warning(option):
    """Or raised, as the caller chose."""
    (name,) = option
    body, warned = build(**option)
    assert warned == [name]
    assert body == build()[0]
    with pytest.raises(UnsupportedParameterError, match=name):
        build(on_unsupported="raise", **option)


def test_sampling_is_taken_by_some_models_once_reasoning_is_off():
    """And refused otherwise."""
    profile = ResponsesProfile(
        refused={"temperature": "no.", "top_p": "no."},
        taken_without_reasoning=frozenset({"temperature"}),
        effort=effort_writer("none", "low"),
    )
    assert build(profile=profile, temperature=1)[1] == ["temperature"]
    assert build(profile=profile, temperature=1, top_p=1, reasoning="low")[1] == ["temperature", "top_p"]
    body, warned = build(profile=profile, temperature=1, top_p=1, reasoning="none")
    assert (body["temperature"], warned) == (1, ["top_p"])


@pytest.mark.parametrize(
    ("reasoning", "sent", "warned"),
    [
        ("low", {"effort": "low", "summary": "auto"}, []),
        ("none", {"effort": "none"}, []),
        ("max", {"effort": "high", "summary": "auto"}, ["reasoning"]),
        (5000, {"effort": "high", "summary": "auto"}, ["reasoning"]),
        ({"effort": "low", "show": False}, {"effort": "low"}, []),
        ({"show": True}, {"summary": "auto"}, []),
        ({"show": False}, None, []),
    ],
)
def test_reasoning_is_one_object(reasoning, sent, warned):
    """Effort and summary; a summary is asked for unless it is not wanted."""
    profile = ResponsesProfile(effort=effort_writer("none", "low", "high", "high"))
    if reasoning == 5000:
        profile = ResponsesProfile(effort=effort_writer("high"))
    body, told = build(profile=profile, reasoning=reasoning)
    assert body.get("reasoning") == sent
    assert told == warned


def test_a_model_without_reasoning_is_not_asked_for_it():
    """With a warning."""
    body, warned = build(profile=ResponsesProfile(effort=None), reasoning="low")
    assert "reasoning" not in body
    assert warned == ["reasoning"]


def test_system_messages_are_instructions_at_the_start_and_items_later():
    """Under the profile's role."""
    conversation = [Message.system("a"), Message("developer", "b"), Message.user("Hi"), Message.system("c")]
    body, _ = build(conversation)
    assert body["instructions"] == "a\n\nb"
    assert body["input"] == [{"role": "user", "content": "Hi"}, {"role": "developer", "content": "c"}]
    assert items(conversation, profile=ResponsesProfile(system_role="system"))[1]["role"] == "system"


def test_parts_have_their_forms():
    """Pictures and documents by data, link or id."""
    pdf = {"data": b"x", "media_type": "application/pdf"}
    parts = [
        Text("a"),
        Image(data=b"x", media_type="image/png", detail="high"),
        Image(url="https://h.test/a.png"),
        Image(file_id="f1"),
        Document(**pdf),
        Document(**pdf, filename="a.pdf"),
        Document(url="https://h.test/a.pdf"),
        Document(file_id="f2"),
        Document(data=b"words", media_type="text/plain"),
        Native("input_video", {"type": "input_video"}),
    ]
    file = {"type": "input_file", "file_data": "data:application/pdf;base64,eA=="}
    assert items([Message("user", parts)])[0]["content"] == [
        {"type": "input_text", "text": "a"},
        {"type": "input_image", "image_url": "data:image/png;base64,eA==", "detail": "high"},
        {"type": "input_image", "image_url": "https://h.test/a.png"},
        {"type": "input_image", "file_id": "f1"},
        {**file, "filename": "document.pdf"},
        {**file, "filename": "a.pdf"},
        {"type": "input_file", "file_url": "https://h.test/a.pdf"},
        {"type": "input_file", "file_id": "f2"},
        {"type": "input_text", "text": "document:\n```\nwords\n```"},
        {"type": "input_video"},
    ]


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([Message("user", [Audio(data=b"x", media_type="audio/wav")])], "takes no audio"),
        ([Message("user", [Thinking("x")])], "cannot be part of a user message"),
        ([Message("assistant", [])], "no text"),
    ],
)
def test_what_cannot_be_sent_is_refused(messages, words):
    """Before the request leaves."""
    with pytest.raises(InvalidRequestError, match=words):
        build(messages)


def test_what_came_from_this_api_goes_back_byte_for_byte():
    """Reasoning, messages, calls and hosted tools, in their order, unchanged."""
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA", "new_field": {"x": 1}}
    message = {"type": "message", "id": "msg_1", "phase": "commentary", "role": "assistant", "content": [{"odd": True}]}
    search = {"type": "web_search_call", "id": "ws_1"}
    call = {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "c1",
        "name": "f",
        "arguments": '{ "a" : 1 }',
        "status": "completed",
    }
    turn = Message(
        "assistant",
        [
            Thinking("s", native=reasoning),
            Native("web_search_call", search),
            Text("a", extra={"item": message}),
            Refusal("b", extra={"item": dict(message)}),
            ToolCall("c1", "f", '{ "a" : 1 }', native=call),
        ],
        origin=OWN,
    )
    sent = items([Message.user("Hi"), turn, Message.tool("c1", "42")])
    assert sent[1:] == [
        reasoning,
        search,
        message,
        call,
        {"type": "function_call_output", "call_id": "c1", "output": "42"},
    ]


def test_reasoning_that_cannot_be_understood_again_stays_at_home():
    """Without encrypted content only a stored conversation can refer to it."""
    turn = Message("assistant", [Thinking("s", native={"type": "reasoning", "id": "rs_1"}), Text("a")], origin=OWN)
    assert items(["Hi", turn])[1:] == [{"role": "assistant", "content": "a"}]
    assert len(items(["Hi", turn], extra_body={"store": True})) == 3


def test_turns_of_another_api_are_written_anew():
    """Texts and calls; blocks nobody else understands are left out with a warning."""
    turn = Message(
        "assistant",
        [
            Thinking("t", native={"type": "thinking", "encrypted_content": "x"}),
            Text("a", extra={"item": {"type": "message"}}),
            Text(""),
            Refusal("no"),
            ToolCall("c1", "f", native={"type": "tool_use"}),
            Native("x", {"type": "x"}),
        ],
        origin="anthropic_messages",
    )
    body, warned = build(["Hi", turn, Message.tool("c1", "ok")])
    assert body["input"][1:] == [
        {"role": "assistant", "content": "a"},
        {"role": "assistant", "content": "no"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "ok"},
    ]
    assert warned == ["messages"]
    assert items(["Hi", Message.assistant("a", Native("x", {"type": "x"}))])[2] == {"type": "x"}
    assert build(["Hi", Message("assistant", [Text("a"), Image(url="https://h/u")])])[1] == ["messages"]


def test_results_may_be_errors_parts_or_answers_to_custom_tools():
    """Each in its form."""
    custom = {"type": "custom_tool_call", "id": "ct_1", "call_id": "c3", "name": "h", "input": "raw"}
    turn = Message(
        "assistant",
        [*(ToolCall(name, "f") for name in ("c1", "c2")), ToolCall("c3", "h", "raw", native=custom)],
        origin=OWN,
    )
    results = [
        ToolResult("c1", "no", is_error=True),
        ToolResult("c2", [Text("a"), Image(url="https://h/u")]),
        ToolResult("c3", "Error: no", is_error=True),
        Text("left out"),
    ]
    body, warned = build(["Hi", turn, Message("tool", results)])
    assert body["input"][-3:] == [
        {"type": "function_call_output", "call_id": "c1", "output": "Error: no"},
        {
            "type": "function_call_output",
            "call_id": "c2",
            "output": [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "https://h/u"}],
        },
        {"type": "custom_tool_call_output", "call_id": "c3", "output": "Error: no"},
    ]
    assert warned == ["messages"]


def test_tools_are_flat():
    """And strict only if asked for, which this API would be by itself."""
    tool = {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}}
    assert build(tools=[tool, {"type": "web_search"}])[0]["tools"] == [
        {"type": "function", "name": "f", "parameters": SCHEMA, "description": "d", "strict": True},
        {"type": "web_search"},
    ]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("none", "none"),
        ("required", "required"),
        ("f", {"type": "function", "name": "f"}),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"name": "f"}]},
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
        ),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"name": "f"}, {"name": "g"}]},
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "f"}, {"type": "function", "name": "g"}],
            },
        ),
    ],
)
def test_tool_choices_are_written_flat(choice, sent):
    """Words, one tool, or a subset."""
    assert build(tools=TOOLS, tool_choice=choice)[0]["tool_choice"] == sent


def test_formats_are_flat():
    """The schema beside its name."""
    assert build(response_format="text")[0]["text"] == {"format": {"type": "text"}}
    assert build(response_format=SCHEMA)[0]["text"] == {
        "format": {"type": "json_schema", "name": "response", "schema": SCHEMA}
    }
    wanted = {"name": "n", "schema": SCHEMA, "strict": True, "description": "d"}
    assert build(response_format={"type": "json_schema", "json_schema": wanted})[0]["text"] == {
        "format": {"type": "json_schema", **wanted}
    }


def test_tokens_are_counted_only_where_the_server_can():
    """Nothing is guessed."""
    request = build_request("Hi", {}, default_model="m", defaults={})
    with pytest.raises(NotSupportedError, match="token counting"):
        OpenAIResponses(provider="acme", counts=False).build_count(request, ParameterReport())


def test_the_smaller_calls_have_their_paths():
    """Token counts take the request without what only matters for an answer."""
    dialect = OpenAIResponses(provider="acme")
    request = build_request("Hi", {"max_tokens": 5, "system": "s"}, default_model="m", defaults={})
    call = dialect.build_count(request, ParameterReport())
    assert call.path == "/responses/input_tokens"
    assert call.body == {"model": "m", "input": [{"role": "user", "content": "Hi"}], "instructions": "s"}
    assert dialect.parse_count({"input_tokens": 7}) == 7
    assert dialect.build_models(None).path == "/models"
    assert dialect.parse_models({"data": [{"id": "m"}]})[0][0].id == "m"
    assert dialect.build_embed(["a"], "m", 7).body == {"model": "m", "input": ["a"], "dimensions": 7}
    assert dialect.build_embed(["a"], "m", None).body == {"model": "m", "input": ["a"]}
    assert dialect.parse_embed({"data": [{"embedding": [1]}]}).vectors == [[1.0]]
