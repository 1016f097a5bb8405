"""What goes back to an API is what it takes: of its own answers, and of those of all others."""

import base64
import copy
import json

import pytest

from provider_kit import (
    Client,
    Document,
    Image,
    Message,
    ScriptedTransport,
    StreamError,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    dump_conversation,
    load_conversation,
)
from provider_kit.errors import InvalidRequestError, UnsupportedParameterError
from provider_kit.model.messages import Native, Refusal

PNG = b"\x89PNG\r\n\x1a\nrest IEND"
PDF = b"%PDF-1.4 rest %%EOF"
PNG_TEXT, PDF_TEXT = base64.b64encode(PNG).decode(), base64.b64encode(PDF).decode()

CHAT = {"id": "x", "model": "m", "choices": [{"index": 0, "message": {"content": "Fine."}, "finish_reason": "stop"}]}
CLAUDE = {"id": "msg_1", "type": "message", "content": [{"type": "text", "text": "Fine."}], "stop_reason": "end_turn"}
RESPONSE = {"id": "r", "object": "response", "status": "completed", "model": "m", "output": []}
CANDIDATE = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Fine."}]}, "finishReason": "STOP"}]}
OLLAMA = {"model": "m", "message": {"role": "assistant", "content": "Fine."}, "done": True, "done_reason": "stop"}

#: Model string and answer of each target.
TARGETS = {
    "openai_chat": ("openai/gpt-4o", CHAT),
    "openai_responses": ("openai/gpt-6-luna", RESPONSE),
    "xai": ("xai/grok-4.3", RESPONSE),
    "claude": ("anthropic/claude-opus-5", CLAUDE),
    "old_claude": ("anthropic/claude-sonnet-4-5", CLAUDE),
    "gemini": ("gemini/gemini-3-pro", CANDIDATE),
    "ollama": ("ollama/llama3.2", OLLAMA),
    "mistral": ("mistral/mistral-small-latest", CHAT),
    "deepseek": ("deepseek/deepseek-flash", CHAT),
    "groq": ("groq/openai/gpt-oss-20b", CHAT),
    "openrouter": ("openrouter/vendor/model", CHAT),
}


def event(value):
    name = f"event: {value['type']}\n" if "type" in value else ""
    return f"{name}data: {json.dumps(value)}\n\n".encode()


@pytest.fixture
def sent(exchange):
    """Asks a target; returns the body that was sent and the warnings as ``parameter: message``."""

    def ask(target, messages="Hi", **options):
        model, answer = TARGETS[target]
        made = exchange(model, messages, answer={"json": answer}, **options)
        return made.body, [f"{warning.parameter}: {warning.message}" for warning in made.response.warnings]

    return ask


@pytest.fixture
def refused(call):
    """Asks what must be refused before anything is sent; returns the error."""

    def ask(target, messages="Hi", kind=InvalidRequestError, **options):
        transport = ScriptedTransport([])
        client = Client(TARGETS[target][0], api_key="test-key-0123456789", transport=transport)
        with pytest.raises(kind) as caught:
            call.chat(client, messages, **options)
        assert transport.requests == []
        assert caught.value.message
        return caught.value

    return ask


# ------------------------------------------------------------------------------------------- Claude: thinking

SEALED = {"type": "thinking", "thinking": "Hm.", "signature": "seal"}
HIDDEN = {"type": "redacted_thinking", "data": "hidden"}
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "tea"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
REMOTE = {"type": "mcp_tool_use", "id": "mcptoolu_1", "name": "ask", "server_name": "docs", "input": {}}
REMOTE_RESULT = {"type": "mcp_tool_result", "tool_use_id": "mcptoolu_1", "is_error": False, "content": []}


def native(block):
    return Native(block["type"], block)


def own(*parts, **fields):
    """A turn that a Claude wrote."""
    return Message("assistant", list(parts), origin="anthropic_messages", model="claude-opus-5", **fields)


def talk(*answers):
    return [Message.user("Tea?"), *answers, Message.user("Go on")]


@pytest.mark.parametrize("block", [SEALED, HIDDEN], ids=lambda block: block["type"])
def test_sealed_thinking_goes_back_byte_for_byte(sent, block):
    """What carries a signature or is encrypted is taken."""
    body, warned = sent("claude", talk(own(Thinking("Hm.", native=block), Text("Green."))))
    assert body["messages"][1]["content"] == [block, {"type": "text", "text": "Green."}]
    assert warned == []


@pytest.mark.parametrize(
    "block",
    [
        {"type": "thinking", "thinking": "Hm."},
        {"type": "thinking", "thinking": "Hm.", "signature": ""},
        {"type": "thinking", "thinking": "Hm.", "signature": None},
        {"type": "redacted_thinking", "data": ""},
    ],
    ids=["none", "empty", "null", "no data"],
)
def test_thinking_without_a_seal_is_left_out_and_told(sent, block):
    """Its answer was cut before the signature came; the API refuses the block, not the text beside it."""
    body, warned = sent("claude", talk(own(Thinking("Hm.", native=block), Text("Green."), incomplete=True)))
    assert body["messages"][1] == {"role": "assistant", "content": [{"type": "text", "text": "Green."}]}
    assert warned == ["messages: thinking without a signature was not sent: its answer was truncated."]


def test_thinking_without_a_seal_alone_leaves_no_empty_turn(sent):
    """Nothing is left of the turn, and the user's turns around it become one."""
    cut = own(Thinking("Hm.", native={"type": "thinking", "thinking": "Hm.", "signature": ""}))
    body, warned = sent("claude", talk(cut))
    texts = [{"type": "text", "text": "Tea?"}, {"type": "text", "text": "Go on"}]
    assert body["messages"] == [{"role": "user", "content": texts}]
    assert len(warned) == 1


def test_what_is_left_out_raises_where_the_caller_wants_it(refused):
    """``on_unsupported="raise"`` is an error before anything is sent."""
    cut = own(Thinking("Hm.", native={"type": "thinking", "thinking": "Hm."}), Text("Green."))
    error = refused("claude", talk(cut), UnsupportedParameterError, on_unsupported="raise")
    assert "thinking without a signature" in error.message


def test_what_is_left_out_is_not_told_where_the_caller_does_not_care(sent):
    """``on_unsupported="drop"`` sends the same without a word."""
    cut = own(Text("Green."), native(SEARCH))
    body, warned = sent("claude", talk(cut), on_unsupported="drop")
    assert body["messages"][1]["content"] == [{"type": "text", "text": "Green."}]
    assert warned == []


@pytest.mark.parametrize("target", ["claude", "old_claude"])
def test_a_stream_that_was_cut_while_it_thought_can_be_gone_on_with(call, sent, target):
    """The partial answer of the error is a turn that the API takes, less what was not finished."""
    start = {"type": "message_start", "message": {**CLAUDE, "content": [], "model": "claude-opus-5"}}
    thought = {"type": "content_block_start", "index": 0, "content_block": {**SEALED, "thinking": "", "signature": ""}}
    piece = {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm"}}
    search = {"type": "content_block_start", "index": 1, "content_block": {**SEARCH, "input": {}}}
    transport = ScriptedTransport([{"stream": [event(start), event(thought), event(piece), event(search)]}])
    client = Client(TARGETS[target][0], api_key="test-key-0123456789", transport=transport, max_retries=0)
    with pytest.raises(StreamError) as caught:
        call.stream(client, "Tea?")
    partial = caught.value.partial.message
    assert partial.incomplete
    body, warned = sent(target, talk(partial))
    assert [message["role"] for message in body["messages"]] == ["user"]
    assert warned == [
        "messages: thinking without a signature was not sent: its answer was truncated.",
        "messages: a server_tool_use block without its result was not sent.",
    ]


# ------------------------------------------------------------------------------------------- Claude: blank text


@pytest.mark.parametrize("blank", ["", " ", "\n\t ", "\u2003"], ids=["empty", "space", "breaks", "em space"])
def test_blank_text_is_nowhere_sent_to_claude(sent, blank):
    """The API refuses text without a character to see: in turns, system prompts, refusals and results."""
    body, warned = sent(
        "claude",
        [
            Message("system", [Text(blank), Text("Be brief."), Text(blank)]),
            Message("user", blank),
            Message("user", [Text(blank), Text("Tea?")]),
            own(Text(blank), Refusal(blank), ToolCall("t1", "f", "{}"), ToolCall("t2", "f", "{}")),
            Message("tool", [ToolResult("t1", blank), ToolResult("t2", [Text(blank)])]),
            Message("assistant", blank),
            Message("assistant", [Refusal(blank)]),
            Message("user", [Text("Go on"), Text(blank)]),
        ],
    )
    assert body["system"] == "Be brief."
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Tea?"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
                {"type": "tool_use", "id": "t2", "name": "f", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1"},
                {"type": "tool_result", "tool_use_id": "t2"},
                {"type": "text", "text": "Go on"},
            ],
        },
    ]
    assert warned == []


def test_a_conversation_of_blanks_is_refused(refused):
    """There is nothing to answer; the API would say so less clearly."""
    assert "no text" in refused("claude", [Message("user", "\u2003")]).message
    assert "no text" in refused("claude", [Message("user", [Text(" "), Text("\n")])]).message


def test_a_refusal_goes_back_to_claude_as_what_was_said(sent):
    """There is no block of refusals; the words are text."""
    body, _ = sent("claude", talk(own(Refusal("I will not."))))
    assert body["messages"][1] == {"role": "assistant", "content": [{"type": "text", "text": "I will not."}]}


# ------------------------------------------------------------------------------------------- Claude: server's calls


@pytest.mark.parametrize("block", [SEARCH, REMOTE], ids=lambda block: block["type"])
@pytest.mark.parametrize("incomplete", [True, False], ids=["cut", "limit"])
def test_a_call_of_the_servers_own_without_its_result_is_left_out(sent, block, incomplete):
    """Its result will never come: the answer was cut, or the conversation went on without it."""
    body, warned = sent("claude", talk(own(Text("Wait."), native(block), incomplete=incomplete)))
    assert body["messages"][1]["content"] == [{"type": "text", "text": "Wait."}]
    assert warned == [f"messages: a {block['type']} block without its result was not sent."]


@pytest.mark.parametrize(
    ("block", "result"), [(SEARCH, FOUND), (REMOTE, REMOTE_RESULT)], ids=["server_tool_use", "mcp_tool_use"]
)
def test_a_call_of_the_servers_own_goes_back_with_its_result(sent, block, result):
    """In one turn, or in two: the paused one and the one that goes on with it become one."""
    text = {"type": "text", "text": "Green."}
    whole = talk(own(native(block), native(result), Text("Green.")))
    paused = talk(own(native(block)), own(native(result), Text("Green.")))
    for conversation in (whole, paused, load_conversation(dump_conversation(paused))):
        body, warned = sent("claude", conversation)
        assert body["messages"][1] == {"role": "assistant", "content": [block, result, text]}
        assert warned == []


@pytest.mark.parametrize("target", ["claude", "old_claude"])
@pytest.mark.parametrize("block", [SEARCH, REMOTE], ids=lambda block: block["type"])
def test_a_paused_turn_keeps_the_call_that_it_waits_for(sent, target, block):
    """It is the last one, and the server goes on with it, also where an answer cannot be begun for the model."""
    body, warned = sent(target, [Message.user("Tea?"), own(Text("Wait."), native(block))])
    assert body["messages"][-1] == {"role": "assistant", "content": [{"type": "text", "text": "Wait."}, block]}
    assert warned == []


def test_a_cut_turn_is_no_paused_one(sent, refused):
    """Cut while the server's call was written, it is a beginning of an answer, and no more."""
    cut = [Message.user("Tea?"), own(Text("Wait. "), native(SEARCH), incomplete=True)]
    assert "ends with an assistant message" in refused("claude", cut).message
    body, warned = sent("old_claude", cut)
    assert body["messages"][-1] == {"role": "assistant", "content": [{"type": "text", "text": "Wait."}]}
    assert len(warned) == 1


def test_a_turn_that_also_calls_a_tool_of_the_callers_keeps_the_servers_call(sent):
    """The server goes on with its own call once the caller's results are there."""
    waiting = own(native(SEARCH), ToolCall("t1", "f", '{"a": 1}'))
    use = {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "ok"}
    body, warned = sent("claude", [Message.user("Tea?"), waiting, Message.tool("t1", "ok")])
    assert body["messages"][1:] == [
        {"role": "assistant", "content": [SEARCH, use]},
        {"role": "user", "content": [result]},
    ]
    assert warned == []


# ------------------------------------------------------------------------------------------- Claude: system


@pytest.mark.parametrize(
    ("target", "before"),
    [("old_claude", [Message.user("Tea?")]), ("claude", [Message.user("Tea?"), Message.assistant("Green.")])],
)
def test_a_system_message_that_moves_to_the_front_says_so(sent, target, before):
    """It no longer stands where it was put: the answer may differ."""
    body, warned = sent(target, [Message.system("One."), *before, Message.system("Two."), Message.user("Go on")])
    assert body["system"] == [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]
    assert "system" not in [message["role"] for message in body["messages"]]
    assert warned == ["messages: a system message inside the conversation was put before it."]


def test_a_system_message_that_stays_or_is_blank_says_nothing(sent):
    """There is nothing to tell."""
    body, warned = sent("claude", [Message.user("Tea?"), Message.system("Two."), Message.user("Go on")])
    assert [message["role"] for message in body["messages"]] == ["user", "system", "user"]
    assert warned == []
    assert sent("old_claude", [Message.user("Tea?"), Message.system(" "), Message.user("Go on")])[1] == []


# ------------------------------------------------------------------------------------------- Claude: schemas


def obj(properties=None, **more):
    return {"type": "object", "properties": properties or {}, "additionalProperties": False, **more}


REFUSED_KEYWORDS = {
    "minimum": 1,
    "maximum": 9,
    "exclusiveMinimum": 0,
    "exclusiveMaximum": 10,
    "multipleOf": 2,
    "minLength": 1,
    "maxLength": 3,
    "minItems": 2,
    "maxItems": 3,
    "uniqueItems": True,
    "contains": {"type": "string"},
    "prefixItems": [{"type": "string"}],
    "patternProperties": {"^a": {"type": "string"}},
    "propertyNames": {"pattern": "^a"},
    "minProperties": 1,
    "maxProperties": 2,
    "format": "regex",
    "not": {"type": "null"},
    "if": {"type": "string"},
    "then": {"type": "string"},
    "else": {"type": "string"},
    "dependentRequired": {"a": ["b"]},
}


def written_schema(body, where):
    if where == "response_format":
        return body["output_config"]["format"]["schema"]
    assert body["tools"][0]["strict"] is True
    return body["tools"][0]["input_schema"]


def ask_with(schema, where):
    if where == "response_format":
        return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}
    return {"tools": [Tool("f", "Does it", schema, strict=True)]}


@pytest.mark.parametrize("where", ["response_format", "tools.f"])
@pytest.mark.parametrize("keyword", REFUSED_KEYWORDS)
def test_a_keyword_that_claude_refuses_goes_and_is_named(sent, where, keyword):
    """The schema is taken without it; what it said must be checked by the caller."""
    schema = obj({"a": {"title": "A", keyword: REFUSED_KEYWORDS[keyword]}}, required=["a"])
    given = copy.deepcopy(schema)
    body, warned = sent("claude", **ask_with(schema, where))
    assert written_schema(body, where) == obj({"a": {"title": "A"}}, required=["a"])
    assert warned == [f"{where}: this API refuses the schema's {keyword}; check the answer yourself."]
    assert schema == given


@pytest.mark.parametrize("where", ["response_format", "tools.f"])
def test_what_claude_takes_in_a_schema_stays_as_it_is(sent, where):
    """Also properties that are named like keywords, and values that look like schemas."""
    inside = {"type": "string", "format": "date", "pattern": "^a", "default": "x", "description": "d"}
    schema = obj(
        {
            **{name: {"type": "string"} for name in ("default", "minimum", "not", "format", "enum", "properties")},
            "date": inside,
            "some": {"type": "array", "items": {"$ref": "#/$defs/maxLength"}, "minItems": 1},
            "value": {"const": {"type": "object", "minimum": 1}},
            "one": {"enum": [{"type": "object"}, {"minimum": 1}]},
            "any": {"anyOf": [{"type": "null"}, obj({"maximum": {"type": "number"}})]},
        },
        **{"$defs": {"maxLength": obj({"if": {"type": "string"}})}},
    )
    body, warned = sent("claude", **ask_with(schema, where))
    assert written_schema(body, where) == schema
    assert warned == []


@pytest.mark.parametrize("where", ["response_format", "tools.f"])
def test_one_of_becomes_any_of(sent, where):
    """Claude knows the second word only, and its branches are mended too."""
    schema = obj({"a": {"oneOf": [{"type": "string", "maxLength": 3}, {"type": "object", "properties": {}}]}})
    body, warned = sent("claude", **ask_with(schema, where))
    assert written_schema(body, where) == obj({"a": {"anyOf": [{"type": "string"}, obj()]}})
    assert [warning.partition(":")[0] for warning in warned] == [where, where]


@pytest.mark.parametrize("where", ["response_format", "tools.f"])
def test_every_object_of_a_schema_is_closed(sent, where):
    """Wherever it stands: in properties, items, branches, definitions, or among several types."""
    open_object = {"type": "object", "properties": {"x": {"type": "string"}}}
    closed = obj({"x": {"type": "string"}})
    schema = {
        "type": "object",
        "properties": {
            "a": open_object,
            "b": {"type": "array", "items": open_object},
            "c": {"anyOf": [open_object, {"type": "null"}]},
            "d": {**open_object, "type": ["object", "null"]},
            "e": {"properties": {"x": {"type": "string"}}, "additionalProperties": True},
        },
        "$defs": {"f": open_object},
    }
    body, warned = sent("claude", **ask_with(schema, where))
    made = written_schema(body, where)
    assert made == {
        "type": "object",
        "properties": {
            "a": closed,
            "b": {"type": "array", "items": closed},
            "c": {"anyOf": [closed, {"type": "null"}]},
            "d": {**closed, "type": ["object", "null"]},
            "e": {"properties": {"x": {"type": "string"}}, "additionalProperties": False},
        },
        "$defs": {"f": closed},
        "additionalProperties": False,
    }
    assert warned == [f"{where}: additionalProperties: false was added, as this API demands."]


@pytest.mark.parametrize("strict", [None, False])
def test_a_tool_that_is_not_strict_keeps_its_schema(sent, strict):
    """The model is not held to it, and every keyword is taken."""
    schema = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 3, "oneOf": [{}]}}, "not": {}}
    body, warned = sent("claude", tools=[Tool("f", "Does it", schema, strict=strict)])
    assert body["tools"][0]["input_schema"] == schema
    assert body["tools"][0].get("strict") is strict
    assert warned == []


@pytest.mark.parametrize("target", ["openai_chat", "openai_responses", "gemini", "ollama"])
def test_other_apis_get_a_schema_as_it_was_given(sent, target):
    """Only Claude's is mended."""
    schema = {"type": "object", "properties": {"a": {"oneOf": [{"type": "integer", "minimum": 1}]}}}
    body, warned = sent(target, response_format=schema)
    written = {
        "openai_chat": lambda: body["response_format"]["json_schema"]["schema"],
        "openai_responses": lambda: body["text"]["format"]["schema"],
        "gemini": lambda: body["generationConfig"]["responseJsonSchema"],
        "ollama": lambda: body["format"],
    }[target]()
    assert written == schema
    assert warned == []


# ------------------------------------------------------------------------------------------- Responses

REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"}
SAID = {"type": "message", "id": "msg_9", "role": "assistant", "content": [{"type": "output_text", "text": "Green."}]}
WANTED = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}"}
SEARCHED = {"type": "web_search_call", "id": "ws_1", "status": "completed"}


def answer_of(call, target, answer):
    """The message of an answer as a client reads it."""
    client = Client(TARGETS[target][0], api_key="test-key-0123456789", transport=ScriptedTransport([{"json": answer}]))
    return call.chat(client, "Tea?").message


@pytest.mark.parametrize("target", ["openai_responses", "xai"])
@pytest.mark.parametrize(
    "output",
    [[REASONING, SAID], [REASONING, WANTED], [REASONING, SEARCHED, SAID], [REASONING, SEARCHED]],
    ids=lambda output: "+".join(item["type"] for item in output),
)
def test_reasoning_goes_back_with_the_item_it_belongs_to(call, sent, target, output):
    """All items of the answer, as they came and in their order."""
    message = answer_of(call, target, {**RESPONSE, "output": output})
    results = [Message.tool(wanted.id, "ok") for wanted in message.tool_calls]
    body, warned = sent(target, [Message.user("Tea?"), message, *results, Message.user("Go on")])
    assert body["input"][1 : 1 + len(output)] == output
    assert warned == []


@pytest.mark.parametrize("target", ["openai_responses", "xai"])
@pytest.mark.parametrize("output", [[REASONING], [SAID, REASONING], [SAID, REASONING, {**REASONING, "id": "rs_2"}]])
def test_reasoning_without_the_item_it_belongs_to_is_not_sent(call, sent, target, output):
    """The answer ended while the model thought; the API refuses such an item."""
    message = answer_of(call, target, {**RESPONSE, "status": "incomplete", "output": output})
    for conversation in (talk(message), load_conversation(dump_conversation(talk(message)))):
        body, warned = sent(target, conversation)
        assert body["input"] == [
            {"role": "user", "content": "Tea?"},
            *([SAID] if SAID in output else []),
            {"role": "user", "content": "Go on"},
        ]
        left_out = sum(item["type"] == "reasoning" for item in output)
        assert warned == ["messages: reasoning of a truncated answer was not sent."] * left_out


@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize(
    ("target", "asked", "written"),
    [
        ("openai_responses", 0, 16),
        ("openai_responses", 5, 16),
        ("openai_responses", 15, 16),
        ("openai_responses", 16, 16),
        ("openai_responses", 500, 500),
        ("xai", 1, 1),
        ("xai", 5, 5),
        ("xai", 500, 500),
    ],
)
def test_a_bound_below_the_least_is_raised_to_it(exchange, verb, target, asked, written):
    """OpenAI takes no less than 16 and says so with an error; xAI takes any."""
    done = {"type": "response.completed", "response": {**RESPONSE, "output": [SAID]}}
    answer = {"json": RESPONSE} if verb == "chat" else {"stream": [event(done)]}
    made = exchange(TARGETS[target][0], "Hi", answer=answer, verb=verb, max_tokens=asked)
    assert made.body["max_output_tokens"] == written
    assert made.warned == (["max_tokens"] if asked != written else [])
    if asked != written:
        assert made.response.warnings[0].message == "this API's minimum is 16; 16 was sent."


def test_no_bound_is_sent_where_none_was_asked_for(sent):
    """Nothing is raised that was not there."""
    body, warned = sent("openai_responses")
    assert "max_output_tokens" not in body
    assert warned == []


# ------------------------------------------------------------------------------------------- OpenAI's forms of media

PART = {
    "image link": {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}},
    "flat image link": {"type": "input_image", "image_url": "https://x.test/a.png", "detail": "low"},
    "image data": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG_TEXT}", "detail": "high"}},
    "image id": {"type": "input_image", "file_id": "file_1", "detail": "high"},
    "nested image id": {"type": "image_url", "image_url": {"file_id": "file_1", "detail": "high"}},
    "file data": {
        "type": "file",
        "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF_TEXT}"},
    },
    "bare file data": {"type": "input_file", "filename": "a.pdf", "file_data": PDF_TEXT},
    "file id": {"type": "file", "file": {"file_id": "file_2"}},
    "flat file id": {"type": "input_file", "file_id": "file_2", "detail": "high"},
    "file link": {"type": "input_file", "file_url": "https://x.test/a.pdf"},
}
PNG_URL, PDF_URL = f"data:image/png;base64,{PNG_TEXT}", f"data:application/pdf;base64,{PDF_TEXT}"
LINK_CHAT = {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}}
LINK_RESPONSES = {"type": "input_image", "image_url": "https://x.test/a.png", "detail": "low"}
LINK_CLAUDE = {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}}
LINK_GEMINI = {"fileData": {"fileUri": "https://x.test/a.png", "mimeType": "image/png"}}
FILE_CHAT = {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF_URL}}
FILE_RESPONSES = {"type": "input_file", "file_data": PDF_URL, "filename": "a.pdf"}
FILE_CLAUDE = {
    "type": "document",
    "source": {"type": "base64", "media_type": "application/pdf", "data": PDF_TEXT},
    "title": "a.pdf",
}
FILE_GEMINI = {"inlineData": {"mimeType": "application/pdf", "data": PDF_TEXT}}
FILE_MISTRAL = {"type": "document_url", "document_url": PDF_URL, "document_name": "a.pdf"}
ID_RESPONSES = {"type": "input_image", "file_id": "file_1", "detail": "high"}
ID_CLAUDE = {"type": "image", "source": {"type": "file", "file_id": "file_1"}}

#: What is written for each form; ``None``: refused.
WRITTEN = {
    "image link": {
        "openai_chat": LINK_CHAT,
        "groq": LINK_CHAT,
        "openai_responses": LINK_RESPONSES,
        "claude": LINK_CLAUDE,
    },
    "flat image link": {
        "openai_chat": LINK_CHAT,
        "openai_responses": LINK_RESPONSES,
        "claude": LINK_CLAUDE,
    },
    "image data": {
        "openai_chat": {"type": "image_url", "image_url": {"url": PNG_URL, "detail": "high"}},
        "openai_responses": {"type": "input_image", "image_url": PNG_URL, "detail": "high"},
        "claude": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG_TEXT}},
        "gemini": {"inlineData": {"mimeType": "image/png", "data": PNG_TEXT}},
    },
    "image id": {"openai_chat": None, "openai_responses": ID_RESPONSES, "claude": ID_CLAUDE, "ollama": None},
    "nested image id": {"openai_chat": None, "mistral": None, "xai": ID_RESPONSES, "claude": ID_CLAUDE},
    "file data": {
        "openai_chat": FILE_CHAT,
        "openrouter": FILE_CHAT,
        "openai_responses": FILE_RESPONSES,
        "claude": FILE_CLAUDE,
        "gemini": FILE_GEMINI,
        "mistral": FILE_MISTRAL,
        "groq": None,
        "deepseek": None,
        "ollama": None,
    },
    "bare file data": {
        "openai_chat": FILE_CHAT,
        "openai_responses": FILE_RESPONSES,
        "claude": FILE_CLAUDE,
        "gemini": FILE_GEMINI,
        "mistral": FILE_MISTRAL,
        "ollama": None,
    },
    "file id": {
        "openai_chat": {"type": "file", "file": {"file_id": "file_2"}},
        "openai_responses": {"type": "input_file", "file_id": "file_2"},
        "claude": {"type": "document", "source": {"type": "file", "file_id": "file_2"}},
        "mistral": {"type": "file", "file_id": "file_2"},
        "groq": None,
        "ollama": None,
    },
    "flat file id": {
        "openai_chat": {"type": "file", "file": {"file_id": "file_2"}},
        "openai_responses": {"type": "input_file", "file_id": "file_2", "detail": "high"},
        "claude": {"type": "document", "source": {"type": "file", "file_id": "file_2"}},
    },
    "file link": {
        "openai_responses": {"type": "input_file", "file_url": "https://x.test/a.pdf"},
        "claude": {"type": "document", "source": {"type": "url", "url": "https://x.test/a.pdf"}},
        "mistral": {"type": "document_url", "document_url": "https://x.test/a.pdf"},
        "openrouter": {"type": "file", "file": {"filename": "a.pdf", "file_data": "https://x.test/a.pdf"}},
        "groq": None,
        "ollama": None,
    },
}
CASES = [(form, target, part) for form, targets in WRITTEN.items() for target, part in targets.items()]


@pytest.mark.parametrize(("form", "target", "written"), CASES, ids=[f"{form} to {target}" for form, target, _ in CASES])
def test_openais_forms_of_media_reach_every_api_that_can_say_them(sent, refused, form, target, written):
    """With detail, name and id; where an API cannot say one, the error comes before anything is sent."""
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, PART[form]]}]
    if written is None:
        assert refused(target, messages).hint
        return
    body, warned = sent(target, messages)
    turns = body.get("messages") or body.get("input") or body.get("contents")
    assert (turns[0].get("content") or turns[0].get("parts"))[1] == written
    assert warned == []


def test_media_given_as_objects_are_written_like_those_in_openais_form(sent):
    """The forms of OpenAI are only another way to make them."""
    objects = [Image(file_id="file_1", detail="high"), Document(file_id="file_2", detail="high")]
    dicts = [PART["image id"], PART["flat file id"]]
    assert sent("openai_responses", [Message("user", objects)]) == sent(
        "openai_responses", [{"role": "user", "content": dicts}]
    )


# ------------------------------------------------------------------------------------------- other providers' answers

CALLED = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
URL_NOTE = {"type": "url_citation", "url_citation": {"url": "https://secret.test", "title": "secret"}}


def chat_answer(**message):
    return {**CHAT, "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}]}


#: Who wrote it, the answer, and how many things of it another API cannot be told.
ANSWERS = {
    "openai_chat": (chat_answer(content="Green.", annotations=[URL_NOTE], tool_calls=[CALLED]), 0),
    "deepseek": (chat_answer(content="Green.", reasoning_content="secret", tool_calls=[CALLED]), 0),
    "groq": (chat_answer(content="Green.", reasoning="secret", tool_calls=[CALLED]), 0),
    "mistral": (
        chat_answer(
            content=[
                {"type": "thinking", "thinking": [{"type": "text", "text": "secret"}]},
                {"type": "text", "text": "Green."},
                {"type": "reference", "reference_ids": ["secret"]},
            ],
            tool_calls=[CALLED],
        ),
        0,
    ),
    "ollama": (
        {
            **OLLAMA,
            "message": {
                "role": "assistant",
                "content": "Green.",
                "thinking": "secret",
                "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}],
            },
        },
        0,
    ),
    "claude": (
        {
            **CLAUDE,
            "model": "claude-opus-5",
            "content": [
                {"type": "thinking", "thinking": "secret", "signature": "secret"},
                {"type": "redacted_thinking", "data": "secret"},
                {"type": "server_tool_use", "id": "srv_secret", "name": "web_search", "input": {"query": "secret"}},
                {"type": "web_search_tool_result", "tool_use_id": "srv_secret", "content": []},
                {"type": "text", "text": "Green.", "citations": [{"type": "char_location", "cited_text": "secret"}]},
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}, "caller": {"type": "secret"}},
            ],
        },
        2,
    ),
    "openai_responses": (
        {
            **RESPONSE,
            "output": [
                {"type": "reasoning", "id": "rs_secret", "summary": [], "encrypted_content": "secret"},
                {"type": "web_search_call", "id": "ws_secret", "status": "completed"},
                {
                    "type": "message",
                    "id": "msg_secret",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "Green.", "annotations": [{"url": "secret"}]}],
                },
                {**WANTED, "id": "fc_secret", "arguments": '{"a":1}'},
            ],
        },
        1,
    ),
    "xai": (
        {
            **RESPONSE,
            "output": [
                {"type": "reasoning", "id": "rs_secret", "summary": [], "encrypted_content": "secret"},
                {"type": "custom_tool_call", "id": "ct_secret", "call_id": "x", "name": "x_search", "input": "secret"},
                {"type": "message", "id": "msg_secret", "content": [{"type": "output_text", "text": "Green."}]},
                {**WANTED, "id": "fc_secret", "arguments": '{"a":1}'},
            ],
        },
        1,
    ),
    "gemini": (
        {
            "candidates": [
                {
                    "content": {
                        "role": "model",
                        "parts": [
                            {"text": "secret", "thought": True},
                            {"executableCode": {"language": "PYTHON", "code": "secret"}},
                            {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "secret"}},
                            {"text": "Green.", "thoughtSignature": "secret"},
                            {"functionCall": {"id": "g1", "name": "f", "args": {"a": 1}}, "thoughtSignature": "secret"},
                        ],
                    },
                    "finishReason": "STOP",
                    "groundingMetadata": {"webSearchQueries": ["secret"]},
                }
            ]
        },
        2,
    ),
    "openrouter": (
        chat_answer(
            content="Green.",
            reasoning="secret",
            reasoning_details=[{"type": "reasoning.text", "text": "secret", "signature": "secret"}],
            tool_calls=[CALLED],
        ),
        None,  # whether reasoning_details are told depends on the form
    ),
}


def check_chat(turns, target):
    """Messages of the chat API: the fields that all servers take, each call answered right after it."""
    fields = {
        "user": {"role", "content"},
        "assistant": {"role", "content", "tool_calls"} | ({"reasoning_content"} if target == "deepseek" else set()),
        "tool": {"role", "content", "tool_call_id"} | ({"name"} if target == "mistral" else set()),
    }
    for turn in turns:
        assert turn.keys() <= fields[turn["role"]]
    assert turns[1]["content"] == "Green."
    assert turns[1].get("reasoning_content", "") == ""
    (called,) = turns[1]["tool_calls"]
    assert called.keys() == {"id", "type", "function"}
    assert called["function"]["name"] == "f"
    assert json.loads(called["function"]["arguments"]) == {"a": 1}
    assert (turns[2]["role"], turns[2]["tool_call_id"], turns[2]["content"]) == ("tool", called["id"], "ok")
    if target == "mistral":
        assert len(called["id"]) == 9
        assert called["id"].isalnum()
    assert turns[3] == {"role": "user", "content": "Go on"}


def check_responses(items):
    """Items of the Responses API, without ids of another's."""
    user, said, called, result, again = items
    assert [user, said, again] == [
        {"role": "user", "content": "Tea?"},
        {"role": "assistant", "content": "Green."},
        {"role": "user", "content": "Go on"},
    ]
    assert called.keys() == {"type", "call_id", "name", "arguments"}
    assert (called["type"], called["name"], json.loads(called["arguments"])) == ("function_call", "f", {"a": 1})
    assert result == {"type": "function_call_output", "call_id": called["call_id"], "output": "ok"}


def check_claude(turns):
    """Blocks of the Messages API: turns take each other's place, results go first."""
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    said, called = turns[1]["content"]
    assert said == {"type": "text", "text": "Green."}
    assert {**called, "id": None} == {"type": "tool_use", "id": None, "name": "f", "input": {"a": 1}}
    assert turns[2]["content"] == [
        {"type": "tool_result", "tool_use_id": called["id"], "content": "ok"},
        {"type": "text", "text": "Go on"},
    ]


def check_gemini(contents):
    """Parts of Gemini: no id of another's, and the documented stand-in for the signature."""
    assert contents == [
        {"role": "user", "parts": [{"text": "Tea?"}]},
        {
            "role": "model",
            "parts": [
                {"text": "Green."},
                {
                    "functionCall": {"name": "f", "args": {"a": 1}},
                    "thoughtSignature": "skip_thought_signature_validator",
                },
            ],
        },
        {
            "role": "user",
            "parts": [{"functionResponse": {"name": "f", "response": {"output": "ok"}}}, {"text": "Go on"}],
        },
    ]


def check_ollama(turns):
    """Messages of Ollama: no ids at all."""
    assert turns == [
        {"role": "user", "content": "Tea?"},
        {
            "role": "assistant",
            "content": "Green.",
            "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}],
        },
        {"role": "tool", "tool_name": "f", "content": "ok"},
        {"role": "user", "content": "Go on"},
    ]


def check(body, target):
    if target in ("openai_responses", "xai"):
        check_responses(body["input"])
    elif target in ("claude", "old_claude"):
        check_claude(body["messages"])
    elif target == "gemini":
        check_gemini(body["contents"])
    elif target == "ollama":
        check_ollama(body["messages"])
    else:
        check_chat(body["messages"], target)


MOVES = [(source, target) for source in ANSWERS for target in TARGETS if target.removeprefix("old_") != source]


def with_result(message):
    (wanted,) = message.tool_calls
    return [Message.user("Tea?"), message, Message.tool(wanted.id, "ok"), Message.user("Go on")]


@pytest.mark.parametrize(("source", "target"), MOVES, ids=[f"{source} to {target}" for source, target in MOVES])
def test_a_conversation_can_change_its_provider(call, sent, source, target):
    """Text, call and result go on; signatures, ids and fields of the first provider do not, and that is told."""
    answer, untold = ANSWERS[source]
    conversation = with_result(answer_of(call, source, answer))
    body, warned = sent(target, conversation)
    check(body, target)
    assert "secret" not in json.dumps(body)
    assert all(warning.startswith("messages: ") and warning.endswith("not sent.") for warning in warned)
    if untold is not None:
        assert len(warned) == untold
    assert sent(target, load_conversation(dump_conversation(conversation))) == (body, warned)


@pytest.mark.parametrize("source", sorted(set(ANSWERS) - {"openai_chat"}))
def test_a_conversation_that_comes_back_brings_everything_along(call, sent, source):
    """What was left out elsewhere is still there: the conversation itself never changes."""
    conversation = with_result(answer_of(call, source, ANSWERS[source][0]))
    before, warned = sent(source, conversation)
    assert "secret" in json.dumps(before)
    assert warned == []
    for target in TARGETS:
        sent(target, conversation)
    assert sent(source, conversation) == (before, [])
    assert sent(source, load_conversation(dump_conversation(conversation))) == (before, [])


CHUNK = {"id": "x", "choices": [{"index": 0, "delta": {"content": "Fine."}, "finish_reason": "stop"}]}
STREAMS = {
    "openai_chat": [event(CHUNK), b"data: [DONE]\n\n"],
    "openai_responses": [event({"type": "response.completed", "response": {**RESPONSE, "output": [SAID]}})],
    "claude": [
        event({"type": "message_start", "message": {**CLAUDE, "content": []}}),
        event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
        event({"type": "message_stop"}),
    ],
    "gemini": [event(CANDIDATE)],
    "ollama": [json.dumps(OLLAMA).encode() + b"\n"],
}


@pytest.mark.parametrize("source", ["claude", "openai_responses", "gemini", "mistral"])
@pytest.mark.parametrize("target", STREAMS)
def test_a_stream_sends_the_same_conversation_as_a_call(call, exchange, source, target):
    """And tells the same warnings."""
    conversation = with_result(answer_of(call, source, ANSWERS[source][0]))
    model, answer = TARGETS[target]
    whole = exchange(model, conversation, answer={"json": answer})
    streamed = exchange(model, conversation, answer={"stream": STREAMS[target]}, verb="stream")
    turns = "input" if target == "openai_responses" else "contents" if target == "gemini" else "messages"
    assert streamed.body[turns] == whole.body[turns]
    assert streamed.response.warnings == whole.response.warnings


@pytest.mark.parametrize("target", ["openai_chat", "openai_responses", "claude", "mistral"])
def test_a_picture_that_a_model_made_is_left_out_elsewhere(call, sent, target):
    """Assistant turns hold no pictures there; what to do instead is said where it can be done."""
    parts = [{"text": "Look."}, {"inlineData": {"mimeType": "image/png", "data": PNG_TEXT}, "thoughtSignature": "s"}]
    made = {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]}
    message = answer_of(call, "gemini", made)
    body, warned = sent(target, talk(message))
    assert PNG_TEXT not in json.dumps(body)
    assert "Look." in json.dumps(body)
    assert len(warned) == 1
    assert "Image" in warned[0]
    assert sent("gemini", talk(message))[0]["contents"][1]["parts"] == parts
