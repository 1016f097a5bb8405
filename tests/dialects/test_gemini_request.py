"""What is sent to Gemini's generateContent."""

import base64
import json

import pytest

from provider_kit import (
    Audio,
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
    dump_conversation,
    load_conversation,
)
from provider_kit.errors import InvalidRequestError, UnsupportedParameterError
from provider_kit.model.messages import Native, Refusal

ANSWER = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Fine."}]}, "finishReason": "STOP"}]}
NEW = "gemini-3.5-flash"  # levels, signatures
PRO = "gemini-3.1-pro-preview"  # cannot think less than LOW
STRICT = "gemini-3.8-flash"  # no sampling
BUDGET = "gemini-2.5-flash"
BUDGET_PRO = "gemini-2.5-pro"  # cannot stop thinking
OLD = "gemini-2.0-flash"  # no thinking
STAND_IN = "skip_thought_signature_validator"
PNG = b"\x89PNG\r\n\x1a\nrest IEND"
WEATHER = Tool("weather", "Tells the weather", {"type": "object", "properties": {"city": {"type": "string"}}})
CLOCK = Tool("clock")


@pytest.fixture
def sent(call):
    """Asks and returns the body that was sent and the warnings that came back."""

    def ask(messages="Hello", *, model=NEW, **options):
        transport = ScriptedTransport([{"json": ANSWER}])
        response = call.chat(Client(f"gemini/{model}", api_key="AIzaK", transport=transport), messages, **options)
        return json.loads(transport.requests[-1].body), [warning.parameter for warning in response.warnings]

    return ask


@pytest.fixture
def config(sent):
    """As ``sent``, but returns the generationConfig alone."""

    def ask(**options):
        body, warnings = sent(**options)
        return body.get("generationConfig", {}), warnings

    return ask


def user(*parts):
    """A user turn as it is written."""
    return {"role": "user", "parts": list(parts)}


def test_a_plain_question_has_only_contents(sent):
    """The model stands in the URL."""
    assert sent("Hello") == ({"contents": [user({"text": "Hello"})]}, [])


# ---------------------------------------------------------------------------------------------------- conversation


def test_system_prompts_are_joined_wherever_they_stand(sent):
    """There is no system turn; all of them become systemInstruction."""
    body, _ = sent(
        [Message.system("One."), Message.user("Hi"), Message("developer", "Two."), Message("system", [Text("Three.")])]
    )
    assert body["systemInstruction"] == {"parts": [{"text": "One."}, {"text": "Two."}, {"text": "Three."}]}
    assert body["contents"] == [user({"text": "Hi"})]


def test_the_assistant_is_called_model_and_neighbours_are_merged(sent):
    """Turns of the same side become one; empty ones are left out."""
    body, _ = sent(
        [
            Message.user("One"),
            Message.user(Text("Two"), Text("")),
            Message.assistant("Three"),
            Message("assistant", ""),
            Message("assistant", [Refusal("No."), Refusal("")]),
            Message.user("Four"),
        ]
    )
    assert body["contents"] == [
        user({"text": "One"}, {"text": "Two"}),
        {"role": "model", "parts": [{"text": "Three"}, {"text": "No."}]},
        user({"text": "Four"}),
    ]


def test_a_conversation_without_text_is_refused():
    """Empty parts are a 400; nothing is sent."""
    transport = ScriptedTransport([])
    with pytest.raises(InvalidRequestError, match="no text"):
        Client("gemini", api_key="k", transport=transport).chat([Message("user", "")])
    with pytest.raises(InvalidRequestError, match="object"):
        Client("gemini", api_key="k", transport=transport).chat([Message("user", [Text("a"), object()])])


def test_media_travel_as_data_or_by_address(sent):
    """Pictures, documents and sound are all inlineData; links and uploaded files are fileData."""
    body, warnings = sent(
        Message.user(
            Image(data=PNG, media_type="image/png"),
            Document(data=b"%PDF-1%%EOF", media_type="application/pdf"),
            Audio(data=b"RIFF", media_type="audio/wav"),
            Image(url="gs://bucket/a.png", media_type="image/png"),
            Document(file_id="https://files.test/1"),
        )
    )
    assert body["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(PNG).decode()}},
        {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0xJSVFT0Y="}},
        {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}},
        {"fileData": {"fileUri": "gs://bucket/a.png", "mimeType": "image/png"}},
        {"fileData": {"fileUri": "https://files.test/1"}},
    ]
    assert warnings == []


# ---------------------------------------------------------------------------------------------------- tools


def test_tools_are_declared_with_json_schemas(sent):
    """Schemas go through parametersJsonSchema; a tool without parameters has none; built-in tools go as they are."""
    body, _ = sent(tools=[WEATHER, CLOCK, Tool("odd", parameters={"$ref": "#/x"}), {"googleSearch": {}}])
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {
                    "name": "weather",
                    "description": "Tells the weather",
                    "parametersJsonSchema": WEATHER.parameters,
                },
                {"name": "clock"},
                {"name": "odd", "parametersJsonSchema": {"$ref": "#/x"}},
            ]
        },
        {"googleSearch": {}},
    ]
    assert "toolConfig" not in body
    assert sent(tools=[{"googleSearch": {}}])[0]["tools"] == [{"googleSearch": {}}]


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ("weather", {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
        (ToolChoice("required", ("weather", "clock")), {"mode": "ANY", "allowedFunctionNames": ["weather", "clock"]}),
        (ToolChoice("auto", ("clock",)), {"mode": "VALIDATED", "allowedFunctionNames": ["clock"]}),
    ],
)
def test_tool_choice_is_written_in_all_its_forms(sent, choice, written):
    """Every form the model layer knows has its counterpart."""
    body, warnings = sent(tools=[WEATHER, CLOCK], tool_choice=choice)
    assert body["toolConfig"] == {"functionCallingConfig": written}
    assert warnings == []


@pytest.mark.parametrize("choice", [None, "auto"])
def test_a_strict_tool_is_validated(sent, choice):
    """VALIDATED holds the arguments to the schema without forcing a call."""
    options = {} if choice is None else {"tool_choice": choice}
    body, _ = sent(tools=[Tool("a", strict=True)], **options)
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}


def test_there_is_no_switch_for_parallel_calls(sent):
    """Turning them off is reported; leaving them on is what happens anyway."""
    assert sent(tools=[CLOCK], parallel_tool_calls=False)[1] == ["parallel_tool_calls"]
    assert sent(tools=[CLOCK], parallel_tool_calls=True)[1] == []


def test_results_are_objects_in_one_user_turn(sent):
    """Text is wrapped as output, JSON objects are sent as such, failures as error."""
    calls = [ToolCall(f"c{number}", "clock") for number in range(5)]
    body, _ = sent(
        [
            Message.user("Go"),
            Message.assistant(*calls),
            Message.tool("c0", "10:00"),
            Message.tool("c1", ' {"time": "10:00"}'),
            Message.tool("c2", "{broken"),
            Message.tool("c3", "no clock", is_error=True),
            Message("tool", [ToolResult("c4", [Text("a"), Text("b")], name="other")]),
            Message.user("And?"),
        ]
    )
    assert body["contents"][2] == user(
        {"functionResponse": {"name": "clock", "response": {"output": "10:00"}}},
        {"functionResponse": {"name": "clock", "response": {"time": "10:00"}}},
        {"functionResponse": {"name": "clock", "response": {"output": "{broken"}}},
        {"functionResponse": {"name": "clock", "response": {"error": "no clock"}}},
        {"functionResponse": {"name": "other", "response": {"output": "ab"}}},
        {"text": "And?"},
    )


def test_results_are_put_into_the_order_of_their_calls(sent):
    """Without ids the API pairs them by position, so the order in which they were ready must not matter."""
    body, _ = sent(
        [
            Message.user("Go"),
            Message.assistant(ToolCall("a", "clock", {"tz": "UTC"}), ToolCall("b", "clock", {"tz": "CET"})),
            Message("user", [Text("Here:"), ToolResult("b", "11:00")]),
            Message.tool("a", "10:00"),
        ]
    )
    assert body["contents"][2]["parts"] == [
        {"functionResponse": {"name": "clock", "response": {"output": "10:00"}}},
        {"functionResponse": {"name": "clock", "response": {"output": "11:00"}}},
        {"text": "Here:"},
    ]


def test_pictures_in_results_go_where_the_model_takes_them(sent):
    """Gemini 3 takes them beside the response; older models do not, and the caller is told."""
    talk = [
        Message.user("Go"),
        Message.assistant(ToolCall("c", "camera")),
        Message.tool("c", [Text("see"), Image(data=PNG, media_type="image/png")]),
    ]
    body, warnings = sent(talk)
    response = body["contents"][2]["parts"][0]["functionResponse"]
    assert (response["response"], response["parts"][0]["inlineData"]["mimeType"]) == ({"output": "see"}, "image/png")
    assert warnings == []
    body, warnings = sent(talk, model=BUDGET)
    assert "parts" not in body["contents"][2]["parts"][0]["functionResponse"]
    assert warnings == ["messages"]


def test_broken_arguments_go_back_wrapped(sent):
    """A call whose JSON the model broke can still be answered with an error result."""
    body, _ = sent(
        [
            Message.user("Go"),
            Message.assistant(ToolCall("c", "clock", '{"tz": "U')),
            Message.tool("c", "Invalid JSON.", is_error=True),
        ]
    )
    assert body["contents"][1]["parts"][0]["functionCall"]["args"] == {"INVALID_JSON": '{"tz": "U'}


def test_a_result_without_its_call_is_named_by_its_id():
    """The dialect itself does not fail where a caller builds requests by hand."""
    from provider_kit import ChatRequest
    from provider_kit.dialects.base import ParameterReport
    from provider_kit.dialects.gemini_content import GeminiContent

    request = ChatRequest(model=NEW, messages=[Message.tool("lost", "x"), Message.user("?")])
    body = GeminiContent().build_chat(request, stream=False, report=ParameterReport()).body
    assert body["contents"][0]["parts"] == [
        {"functionResponse": {"name": "lost", "response": {"output": "x"}}},
        {"text": "?"},
    ]


# ---------------------------------------------------------------------------------------------------- opaque parts

PARTS = [
    {"text": "plan", "thought": True, "thoughtSignature": "VA=="},
    {"text": "Looking."},
    {"text": "", "thoughtSignature": "WA=="},
    {"functionCall": {"id": "srv-1", "name": "clock", "args": {"tz": "UTC"}}, "thoughtSignature": "QUJD+/"},
    {"functionCall": {"name": "clock", "args": {"tz": "CET"}}},
    {"executableCode": {"language": "PYTHON", "code": "1+1"}},
    {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}},
]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("reload", [False, True])
def test_parts_go_back_as_they_came(call, streamed, reload):
    """Signatures on the same part, ids only where the model gave some, thoughts and code untouched."""
    answer = {"candidates": [{"content": {"role": "model", "parts": PARTS}, "finishReason": "STOP"}]}
    events = [
        b"data: " + json.dumps({"candidates": [{"content": {"parts": [part]}}]}).encode() + b"\n\n" for part in PARTS
    ]
    end = b'data: {"candidates":[{"finishReason":"STOP"}]}\n\n'
    first = {"stream": [*events, end]} if streamed else {"json": answer}
    transport = ScriptedTransport([first, {"json": ANSWER}])
    client = Client(f"gemini/{NEW}", api_key="k", transport=transport)
    reply = call.stream(client, "Go")[1] if streamed else call.chat(client, "Go")
    one, two = reply.tool_calls
    talk = [Message.user("Go"), reply.message, Message.tool(two.id, "11"), Message.tool(one.id, "10")]
    if reload:
        talk = load_conversation(dump_conversation(talk))
    assert call.chat(client, talk).warnings == []
    contents = json.loads(transport.requests[-1].body)["contents"]
    assert contents[1] == {"role": "model", "parts": PARTS}
    assert contents[2] == user(
        {"functionResponse": {"id": "srv-1", "name": "clock", "response": {"output": "10"}}},
        {"functionResponse": {"name": "clock", "response": {"output": "11"}}},
    )


def test_foreign_calls_get_the_documented_stand_in(sent):
    """Only the first call of a turn needs a signature; foreign ids, thoughts and signatures are not sent."""
    talk = [
        Message.user("Go"),
        Message(
            "assistant",
            [
                Thinking("hm", native={"type": "thinking"}),
                Text("Look.", signature="other"),
                ToolCall("toolu_1", "clock", signature="other"),
                ToolCall("toolu_2", "clock"),
                Native("server_tool_use", {"type": "server_tool_use"}),
            ],
            origin="anthropic_messages",
        ),
        Message.tool("toolu_1", "10"),
        Message.tool("toolu_2", "11"),
    ]
    body, warnings = sent(talk)
    assert body["contents"][1]["parts"] == [
        {"text": "Look."},
        {"functionCall": {"name": "clock", "args": {}}, "thoughtSignature": STAND_IN},
        {"functionCall": {"name": "clock", "args": {}}},
    ]
    assert "id" not in body["contents"][2]["parts"][0]["functionResponse"]
    assert warnings == ["messages"]
    assert "thoughtSignature" not in json.dumps(sent(talk, model=BUDGET)[0])


def test_parts_written_by_hand_are_the_callers_own(sent):
    """A signature or a native part given by the caller is sent; a thought without one is not."""
    body, _ = sent(
        [
            Message.user("Go"),
            Message.assistant(Thinking("hm"), Text("a", signature="s"), Native("x", {"executableCode": {"code": "1"}})),
            Message.user("On"),
        ]
    )
    assert body["contents"][1]["parts"] == [
        {"text": "a", "thoughtSignature": "s"},
        {"executableCode": {"code": "1"}},
    ]


# ---------------------------------------------------------------------------------------------------- controls


def test_controls_have_their_names(config):
    """All of them live in generationConfig."""
    written, warnings = config(
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        max_tokens=100,
        stop=["a", "b"],
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=0.2,
    )
    assert written == {
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 5,
        "maxOutputTokens": 100,
        "stopSequences": ["a", "b"],
        "seed": 7,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
    }
    assert warnings == []


def test_sampling_is_left_out_where_the_model_refuses_it(config):
    """Each parameter is reported."""
    assert config(model=STRICT, temperature=0.5, top_p=0.9, top_k=5) == ({}, ["temperature", "top_p", "top_k"])


def test_only_five_stop_texts_are_sent(config):
    """More are refused by the API."""
    written, warnings = config(stop=list("abcdef"))
    assert (written["stopSequences"], warnings) == (list("abcde"), ["stop"])


def test_what_the_api_has_not_is_reported(sent):
    """There is neither a user id nor metadata."""
    assert sent(user="u", metadata={"a": "b"})[1] == ["user", "metadata"]
    with pytest.raises(UnsupportedParameterError):
        sent(user="u", on_unsupported="raise")


def test_json_and_schemas_are_asked_for(config):
    """A schema is sent in its standard form, untouched."""
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"type": "string"}}}
    assert config(response_format="text") == ({}, [])
    assert config(response_format="json") == ({"responseMimeType": "application/json"}, [])
    assert config(response_format=schema) == (
        {"responseMimeType": "application/json", "responseJsonSchema": schema},
        [],
    )


@pytest.mark.parametrize(
    ("model", "wish", "written", "warned"),
    [
        (NEW, "low", {"thinkingLevel": "LOW", "includeThoughts": True}, False),
        (NEW, "medium", {"thinkingLevel": "MEDIUM", "includeThoughts": True}, False),
        (NEW, "high", {"thinkingLevel": "HIGH", "includeThoughts": True}, False),
        (NEW, "minimal", {"thinkingLevel": "MINIMAL", "includeThoughts": True}, False),
        (NEW, "xhigh", {"thinkingLevel": "HIGH", "includeThoughts": True}, True),
        (NEW, "max", {"thinkingLevel": "HIGH", "includeThoughts": True}, True),
        (NEW, "none", {"thinkingLevel": "MINIMAL"}, True),
        (NEW, 1000, {"thinkingLevel": "LOW", "includeThoughts": True}, True),
        (NEW, 4096, {"thinkingLevel": "LOW", "includeThoughts": True}, True),
        (NEW, 16_384, {"thinkingLevel": "MEDIUM", "includeThoughts": True}, True),
        (NEW, 10_000, {"thinkingLevel": "MEDIUM", "includeThoughts": True}, True),
        (NEW, 50_000, {"thinkingLevel": "HIGH", "includeThoughts": True}, True),
        (NEW, Reasoning("low", show=False), {"thinkingLevel": "LOW"}, False),
        (NEW, Reasoning(show=True), {"includeThoughts": True}, False),
        (NEW, Reasoning(show=False), None, False),
        (PRO, "minimal", {"thinkingLevel": "LOW", "includeThoughts": True}, True),
        (PRO, "none", {"thinkingLevel": "LOW"}, True),
        (STRICT, "minimal", {"thinkingLevel": "LOW", "includeThoughts": True}, True),
        ("gemini-4-argon", "none", {"thinkingLevel": "LOW"}, True),
        (BUDGET, "low", {"thinkingBudget": 1024, "includeThoughts": True}, False),
        (BUDGET, "medium", {"thinkingBudget": 8192, "includeThoughts": True}, False),
        (BUDGET, "minimal", {"thinkingBudget": 512, "includeThoughts": True}, False),
        (BUDGET, "high", {"thinkingBudget": 24_576, "includeThoughts": True}, False),
        (BUDGET, "xhigh", {"thinkingBudget": 24_576, "includeThoughts": True}, False),
        (BUDGET, "max", {"thinkingBudget": 24_576, "includeThoughts": True}, False),
        (BUDGET, "none", {"thinkingBudget": 0}, False),
        (BUDGET, 3000, {"thinkingBudget": 3000, "includeThoughts": True}, False),
        (BUDGET, Reasoning(show=True), {"includeThoughts": True}, False),
        (BUDGET_PRO, "none", {"thinkingBudget": 128}, True),
        (BUDGET_PRO, 5, {"thinkingBudget": 128, "includeThoughts": True}, True),
        (OLD, "high", None, True),
        ("gemma-3-27b-it", "high", None, True),
    ],
)
def test_thinking_is_asked_for_as_each_model_takes_it(config, model, wish, written, warned):
    """Levels since Gemini 3, a budget for 2.5, nothing before; never both, and never changed in silence."""
    found, warnings = config(model=model, reasoning=wish)
    assert found.get("thinkingConfig") == written
    assert warnings == (["reasoning"] if warned else [])


# ---------------------------------------------------------------------------------------------------- the rest


def test_tokens_are_counted_with_the_whole_request(call):
    """The system prompt and the tools count too."""
    transport = ScriptedTransport([{"json": {"totalTokens": 42}}])
    counted = call.count_tokens(
        Client(f"gemini/{NEW}", api_key="k", transport=transport), "Hello", system="Hi", tools=[CLOCK]
    )
    request = transport.requests[0]
    assert counted == 42
    assert request.url.endswith(f"/v1beta/models/{NEW}:countTokens")
    wrapped = json.loads(request.body)["generateContentRequest"]
    assert wrapped["model"] == f"models/{NEW}"
    assert wrapped.keys() == {"model", "contents", "systemInstruction", "tools"}


def test_embeddings_are_asked_for_in_batches_of_a_hundred(call):
    """One request holds a hundred texts; the vectors come back in order."""

    def answer(request):
        texts = [entry["content"]["parts"][0]["text"] for entry in json.loads(request.body)["requests"]]
        return {"json": {"embeddings": [{"values": [int(text)]} for text in texts]}}

    transport = ScriptedTransport([answer], repeat=True)
    client = Client("gemini/gemini-embedding-001", api_key="k", transport=transport)
    found = call.embed(client, [str(number) for number in range(150)], dimensions=3)
    assert found.vectors == [[float(number)] for number in range(150)]
    assert [len(json.loads(request.body)["requests"]) for request in transport.requests] == [100, 50]
    assert transport.requests[0].url.endswith("/models/gemini-embedding-001:batchEmbedContents")
    assert json.loads(transport.requests[0].body)["requests"][0] == {
        "model": "models/gemini-embedding-001",
        "content": {"parts": [{"text": "0"}]},
        "outputDimensionality": 3,
    }
