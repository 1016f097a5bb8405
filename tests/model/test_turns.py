"""The turns of a conversation: what order is taken, how it is written for each API, and what is no turn at all."""

import json

import pytest

from provider_kit import (
    Client,
    Document,
    Image,
    Message,
    Reasoning,
    ScriptedTransport,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    dump_conversation,
    load_conversation,
)
from provider_kit.errors import InvalidRequestError
from provider_kit.model.messages import Native

CHAT = {"id": "x", "model": "m", "choices": [{"index": 0, "message": {"content": "Fine."}, "finish_reason": "stop"}]}
CLAUDE = {"id": "msg_1", "type": "message", "content": [{"type": "text", "text": "Fine."}], "stop_reason": "end_turn"}
RESPONSE = {"id": "r", "object": "response", "status": "completed", "model": "m", "output": []}
CANDIDATE = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Fine."}]}, "finishReason": "STOP"}]}
OLLAMA = {"model": "m", "message": {"role": "assistant", "content": "Fine."}, "done": True, "done_reason": "stop"}
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
    "groq_qwen": ("groq/qwen/qwen3-32b", CHAT),
    "openrouter": ("openrouter/vendor/model", CHAT),
    "qwen": ("qwen/qwen3.8-flash", CHAT),
    "cerebras": ("cerebras/gpt-oss-120b", CHAT),
    "llamacpp": ("llamacpp/m", CHAT),
    "vllm": ("vllm/m", CHAT),
}
ONE_OF_EACH = ["openai_chat", "openai_responses", "claude", "gemini", "ollama"]
PNG = b"\x89PNG\r\n\x1a\nrest IEND"


@pytest.fixture
def sent(exchange):
    """Asks a target; returns the body that was sent and the parameters that were warned of."""

    def ask(target, messages="Hi", **options):
        model, answer = TARGETS[target]
        made = exchange(model, messages, answer={"json": answer}, **options)
        return made.body, made.warned

    return ask


@pytest.fixture
def refused(call):
    """Asks what must be refused before anything is sent; returns the error."""

    def ask(target, messages, verb="chat", **options):
        transport = ScriptedTransport([])
        client = Client(TARGETS[target][0], api_key="test-key-0123456789", transport=transport)
        with pytest.raises(InvalidRequestError) as caught:
            getattr(call, verb)(client, messages, **options)
        assert transport.requests == []
        return caught.value

    return ask


# ---------------------------------------------------------------------------------------------------- two turns

TWO_TURNS = [
    Message.user("Both?"),
    Message.assistant("First.", ToolCall("c1", "f", '{"a":1}')),
    Message.assistant("Second.", ToolCall("c2", "g", '{"b":2}')),
    Message.tool("c1", "one"),
    Message.tool("c2", "two"),
]


def chat_call(call_id, name, arguments):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize("target", ["openai_chat", "groq", "openrouter", "llamacpp", "vllm", "qwen", "cerebras"])
def test_two_turns_with_calls_become_one_in_the_chat_api(sent, target):
    """There, results must follow the turn that asked for them."""
    body, warned = sent(target, TWO_TURNS)
    assert body["messages"] == [
        {"role": "user", "content": "Both?"},
        {
            "role": "assistant",
            "content": "First.\n\nSecond.",
            "tool_calls": [chat_call("c1", "f", '{"a":1}'), chat_call("c2", "g", '{"b":2}')],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "one"},
        {"role": "tool", "tool_call_id": "c2", "content": "two"},
    ]
    assert warned == []


def test_two_turns_with_calls_alone_become_one_without_text(sent):
    """Nothing is made up between them."""
    calls = [Message.assistant(ToolCall("c1", "f", "{}")), Message.assistant(ToolCall("c2", "g", "{}"))]
    results = [Message.tool("c1", "one"), Message.tool("c2", "two")]
    body, _ = sent("openai_chat", [Message.user("Both?"), *calls, *results])
    assert body["messages"][1]["content"] is None
    assert [made["id"] for made in body["messages"][1]["tool_calls"]] == ["c1", "c2"]
    body, _ = sent("deepseek", [Message.user("Both?"), *calls, *results])
    assert body["messages"][1]["content"] == ""


def test_two_turns_with_calls_keep_their_thinking_where_it_is_part_of_the_content(sent):
    """Mistral gets chunks, in order."""
    turns = [
        Message.assistant(Thinking("Hm."), ToolCall("abcdefgh1", "f", "{}")),
        Message.assistant(Thinking("So."), Text("Second."), ToolCall("abcdefgh2", "g", "{}")),
    ]
    results = [Message.tool("abcdefgh1", "one"), Message.tool("abcdefgh2", "two")]
    body, _ = sent("mistral", [Message.user("Both?"), *turns, *results])
    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
        {"type": "thinking", "thinking": [{"type": "text", "text": "So."}]},
        {"type": "text", "text": "Second."},
    ]


def test_two_turns_with_calls_are_written_in_each_other_apis_way(sent):
    """Joined where turns must take each other's place, else one after the other; results in order."""
    body, warned = sent("openai_responses", TWO_TURNS)
    assert body["input"] == [
        {"role": "user", "content": "Both?"},
        {"role": "assistant", "content": "First."},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}'},
        {"role": "assistant", "content": "Second."},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": '{"b":2}'},
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
        {"type": "function_call_output", "call_id": "c2", "output": "two"},
    ]
    assert warned == []
    body, warned = sent("claude", TWO_TURNS)
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert [block["type"] for block in body["messages"][1]["content"]] == ["text", "tool_use", "text", "tool_use"]
    assert [block["tool_use_id"] for block in body["messages"][2]["content"]] == ["c1", "c2"]
    assert warned == []
    body, warned = sent("gemini", TWO_TURNS)
    assert [turn["role"] for turn in body["contents"]] == ["user", "model", "user"]
    assert body["contents"][2]["parts"] == [
        {"functionResponse": {"name": "f", "response": {"output": "one"}}},
        {"functionResponse": {"name": "g", "response": {"output": "two"}}},
    ]
    assert warned == []
    body, warned = sent("ollama", TWO_TURNS)
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "assistant", "tool", "tool"]
    assert [(turn["tool_name"], turn["content"]) for turn in body["messages"][3:]] == [("f", "one"), ("g", "two")]
    assert warned == []


@pytest.mark.parametrize("target", ["gemini", "ollama"])
def test_results_in_another_order_are_put_into_that_of_their_calls(sent, target):
    """These APIs pair them by name and position."""
    first, second = TWO_TURNS[3:]
    assert sent(target, [*TWO_TURNS[:3], second, first]) == sent(target, TWO_TURNS)


@pytest.mark.parametrize("target", ONE_OF_EACH)
@pytest.mark.parametrize(
    ("conversation", "said"),
    [
        (TWO_TURNS[:4], "'c2' (g) is not answered"),
        (TWO_TURNS[:3], "'c1' (f) is not answered"),
        ([*TWO_TURNS[:4], Message.user("Well?")], "'c2' (g) is not answered"),
        ([*TWO_TURNS, Message.tool("c2", "again")], "which no message before it made"),
        ([*TWO_TURNS[:1], *TWO_TURNS[3:]], "which no message before it made"),
    ],
    ids=["one result", "none", "then a question", "one twice", "no calls"],
)
def test_calls_and_results_that_do_not_pair_are_refused(refused, target, conversation, said):
    """Every API would refuse them, with less to go by."""
    assert said in refused(target, conversation).message


# ---------------------------------------------------------------------------------------------------- shared ids


def test_results_of_calls_that_share_an_id_are_taken_one_for_each(sent, refused):
    """Some servers give an id twice; as many results as calls are the right number."""
    calls = Message.assistant(ToolCall("c", "f", '{"a":1}'), ToolCall("c", "f", '{"a":2}'))
    conversation = [Message.user("Both?"), calls, Message.tool("c", "one"), Message.tool("c", "two")]
    body, warned = sent("openai_chat", conversation)
    assert [turn.get("content") for turn in body["messages"]] == ["Both?", None, "one", "two"]
    assert warned == []
    body, _ = sent("openai_responses", conversation)
    assert [item["output"] for item in body["input"] if "output" in item] == ["one", "two"]
    body, _ = sent("gemini", conversation)
    assert [part["functionResponse"]["response"] for part in body["contents"][2]["parts"]] == [
        {"output": "one"},
        {"output": "two"},
    ]
    body, _ = sent("ollama", conversation)
    assert [(turn["tool_name"], turn["content"]) for turn in body["messages"][2:]] == [("f", "one"), ("f", "two")]
    for target in ONE_OF_EACH:
        assert "is not answered" in refused(target, conversation[:3]).message
        assert "no message before it made" in refused(target, [*conversation, Message.tool("c", "three")]).message


@pytest.mark.parametrize("target", ["gemini", "ollama", "mistral"])
def test_an_id_that_comes_again_later_belongs_to_the_later_call(sent, target):
    """Servers that count their calls begin anew with each answer."""
    conversation = [
        Message.user("One?"),
        Message.assistant(ToolCall("call_0", "f", "{}")),
        Message.tool("call_0", "one"),
        Message.assistant(ToolCall("call_0", "g", "{}")),
        Message.tool("call_0", "two"),
    ]
    body, _ = sent(target, conversation)
    if target == "gemini":
        answers = [part["functionResponse"]["name"] for turn in body["contents"][2::2] for part in turn["parts"]]
    else:
        key = "tool_name" if target == "ollama" else "name"
        answers = [turn[key] for turn in body["messages"] if turn["role"] == "tool"]
    assert answers == ["f", "g"]


# ---------------------------------------------------------------------------------------------------- system only


@pytest.mark.parametrize(
    ("target", "role"),
    [
        ("openai_chat", "system"),
        ("mistral", "system"),
        ("deepseek", "system"),
        ("llamacpp", "system"),
        ("ollama", "system"),
        ("openai_responses", "developer"),
        ("xai", "system"),
    ],
)
def test_a_system_message_alone_is_answered_where_the_api_does_that(sent, target, role):
    """It is sent as the whole conversation."""
    body, warned = sent(target, [Message.system("Say hello.")])
    assert body.get("messages", body.get("input")) == [{"role": role, "content": "Say hello."}]
    assert "instructions" not in body
    assert warned == []


def test_several_system_messages_alone_stay_several(sent):
    """In their order; none becomes an instruction beside them."""
    body, _ = sent("openai_responses", [Message.system("One."), Message("developer", "Two.")])
    assert body["input"] == [{"role": "developer", "content": "One."}, {"role": "developer", "content": "Two."}]
    assert "instructions" not in body


@pytest.mark.parametrize("target", ["claude", "old_claude", "gemini"])
@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_a_system_message_alone_is_refused_where_the_api_needs_a_question(refused, target, verb):
    """The error says what to do."""
    error = refused(target, [Message.system("Say hello.")], verb)
    assert error.message == "The conversation has no text."
    assert error.hint == "Write something to the model."


@pytest.mark.parametrize("target", ["claude", "openai_responses"])
def test_a_system_message_before_a_question_is_not_among_the_turns(sent, target):
    """As before."""
    body, _ = sent(target, [Message.system("Be brief."), Message.user("Hi")])
    assert body.get("system", body.get("instructions")) == "Be brief."
    assert body.get("messages", body.get("input")) == [{"role": "user", "content": "Hi"}]


# ---------------------------------------------------------------------------------------------------- blocks inside

ADDITION = {"type": "tool_addition", "tool": {"name": "clock"}}
TAKES_INNER = ["claude-opus-5", "claude-haiku-5-5", "claude-opus-5-5", "claude-sonnet-5-5", "claude-opus-4-8"]


@pytest.mark.parametrize("model", TAKES_INNER)
@pytest.mark.parametrize("as_dict", [True, False], ids=["dict", "object"])
def test_an_unknown_block_in_a_system_message_inside_is_claudes_matter(exchange, model, as_dict):
    """Tools are added that way; what this library does not know is sent as it is."""
    inner = (
        {"role": "system", "content": [ADDITION]}
        if as_dict
        else Message("system", [Native(ADDITION["type"], ADDITION)])
    )
    made = exchange(f"anthropic/{model}", [Message.user("Hi"), inner, Message.user("Time?")], answer={"json": CLAUDE})
    assert made.body["messages"] == [
        {"role": "user", "content": "Hi"},
        {"role": "system", "content": [ADDITION]},
        {"role": "user", "content": "Time?"},
    ]
    assert made.warned == []


def test_an_unknown_block_may_stand_beside_text_and_at_the_end(sent):
    """The message is the last one, and its parts keep their order."""
    inner = Message("system", [Text("A new tool."), Native(ADDITION["type"], ADDITION)])
    body, warned = sent("claude", [Message.user("Hi"), inner])
    assert body["messages"][-1] == {"role": "system", "content": [{"type": "text", "text": "A new tool."}, ADDITION]}
    assert warned == []


@pytest.mark.parametrize(
    ("target", "before"),
    [
        ("old_claude", [Message.user("Hi")]),
        ("claude", []),
        ("claude", [Message.user("Hi"), Message.assistant("Ho")]),
    ],
    ids=["old model", "in front", "after an answer"],
)
def test_an_unknown_block_is_refused_where_a_system_prompt_holds_only_text(refused, target, before):
    """Nothing is lost in silence."""
    inner = Message("system", [Native(ADDITION["type"], ADDITION)])
    assert "only text" in refused(target, [*before, inner, Message.user("Time?")]).message


# ---------------------------------------------------------------------------------------------------- small things


@pytest.mark.parametrize("name", [None, "paper.pdf"])
def test_a_pdf_by_link_reaches_openrouter_under_a_name(sent, name):
    """The link stands where the data would; the name is the link's own where none is given."""
    link = "https://x.test/docs/report.pdf?version=2"
    body, warned = sent("openrouter", [Message.user("What is it?", Document(url=link, filename=name))])
    assert body["messages"][0]["content"][1] == {
        "type": "file",
        "file": {"filename": name or "report.pdf", "file_data": link},
    }
    assert warned == []
    body, _ = sent("openrouter", "What is it?", files=["https://x.test/"])
    assert body["messages"][0]["content"][1]["type"] == "image_url"


@pytest.mark.parametrize("wish", ["default", Reasoning("default"), {"effort": "default"}], ids=repr)
def test_the_default_effort_is_said_where_reasoning_is_switched_and_nowhere_else(sent, wish):
    """Elsewhere the default is what happens when nothing is said, and that is no warning."""
    assert sent("groq_qwen", reasoning=wish) == ({**sent("groq_qwen")[0], "reasoning_effort": "default"}, [])
    for target in set(TARGETS) - {"groq_qwen"}:
        assert sent(target, reasoning=wish) == sent(target)


def test_texts_and_text_files_do_not_run_together_at_ollama(sent):
    """The API has one string for all of them; what a model wrote in pieces stays one text."""
    file = Document(data=b"line one", media_type="text/plain")
    body, warned = sent(
        "ollama",
        [
            Message("system", [Text("Be brief."), Text("Be kind.")]),
            Message.user("Read this:", file, Image(data=PNG), "And now?"),
            Message.assistant("Hel", "lo"),
            Message.user("Go on"),
        ],
    )
    assert [turn["content"] for turn in body["messages"]] == [
        "Be brief.\n\nBe kind.",
        "Read this:\n\ndocument:\n```\nline one\n```\n\nAnd now?",
        "Hello",
        "Go on",
    ]
    assert len(body["messages"][1]["images"]) == 1
    assert warned == []


# ---------------------------------------------------------------------------------------------------- saved and loaded

WAITING = [
    Message.user("Tea?"),
    Message(
        "assistant",
        [
            Thinking("Hm.", signature="seal", native={"type": "thinking", "thinking": "Hm.", "signature": "seal"}),
            Text("Wait.", extra={"citations": [{"type": "char_location"}]}),
            ToolCall("t1", "f", '{"a":1}', native={"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}),
            ToolCall("t2", "g", "", local_id=True),
        ],
        origin="anthropic_messages",
        model="claude-opus-5",
    ),
]


def test_a_conversation_that_waits_for_results_can_be_saved_and_loaded():
    """A person may have to be asked first; the calls wait in a file."""
    loaded = load_conversation(dump_conversation(WAITING))
    assert loaded == WAITING
    assert loaded[1].parts[0].native == WAITING[1].parts[0].native
    assert [made.id for made in loaded[1].tool_calls] == ["t1", "t2"]
    assert load_conversation(dump_conversation(loaded)) == WAITING


def test_a_half_answered_conversation_can_be_saved_and_loaded():
    """Also one where some of the results are there."""
    half = [*WAITING, Message.tool("t1", {"ok": True})]
    assert load_conversation(dump_conversation(half)) == half


def test_a_waiting_conversation_in_openais_form_can_be_loaded():
    """A bare list, as other programs write it."""
    asked = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    written = [{"role": "user", "content": "Tea?"}, {"role": "assistant", "content": None, "tool_calls": [asked]}]
    assert load_conversation(json.dumps(written)) == [
        Message.user("Tea?"),
        Message.assistant(ToolCall("c1", "f", "{}")),
    ]
    assert load_conversation(dump_conversation(written)) == load_conversation(json.dumps(written))


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_a_loaded_conversation_is_sent_like_the_one_that_was_saved(sent, refused, target):
    """Once its results are there; before that it cannot be sent at all."""
    loaded = load_conversation(dump_conversation(WAITING))
    assert "is not answered" in refused(target, loaded).message
    results = [Message.tool("t1", "one"), Message("tool", [ToolResult("t2", "two", is_error=True)])]
    body, warned = sent(target, [*loaded, *results])
    assert (body, warned) == sent(target, [*WAITING, *results])
    assert "one" in json.dumps(body)


@pytest.mark.parametrize("written", ["", "{", "5", '"x"', "{}", '{"messages": 5}', '{"messages": [5]}', "[]", "[5]"])
def test_what_is_no_conversation_is_refused_when_it_is_loaded(written):
    """With a clear error, not one of the reader's own."""
    with pytest.raises(InvalidRequestError):
        load_conversation(written)


# ---------------------------------------------------------------------------------------------------- no turns


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Message.user("n is", 5), "takes strings and parts, not int"),
        (lambda: Message.user(), "Message.user() has no content"),
        (lambda: Message.user(5), "takes strings and parts, not int"),
        (lambda: Message.user(None), "takes strings and parts, not NoneType"),
        (lambda: Message.user(["Hi"]), "takes strings and parts, not list"),
        (lambda: Message.user({"type": "text", "text": "Hi"}), "takes strings and parts, not dict"),
        (lambda: Message.user(b"Hi"), "takes strings and parts, not bytes"),
        (lambda: Message.assistant(None), "takes strings and parts, not NoneType"),
        (lambda: Message.assistant(), "Message.assistant() has no content"),
        (lambda: Message.assistant("Hi", None), "takes strings and parts, not NoneType"),
    ],
    ids=["text and number", "nothing", "number", "None", "list", "dict", "bytes", "no answer", "no turn", "half"],
)
def test_a_message_of_what_is_no_part_cannot_be_made(make, said):
    """Nothing of what was passed gets lost on the way."""
    with pytest.raises(InvalidRequestError) as caught:
        make()
    assert said in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("target", ONE_OF_EACH)
@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"role": "user", "content": None}, "role 'user' is None"),
        ({"role": "system", "content": None}, "role 'system' is None"),
        ({"role": "user"}, "role 'user' has no content"),
        ({"role": "user", "contents": "Hi"}, "role 'user' has no content"),
        ({"role": "user", "content": 5}, "not int"),
        ({"role": "user", "content": {"type": "text", "text": "Hi"}}, "not dict"),
        ({"role": "user", "content": [None]}, "not NoneType"),
        ({"role": "user", "content": [5]}, "not int"),
        ({"role": "user", "content": [{"type": "text"}]}, "lacks 'text'"),
        ({"content": "Hi"}, "has no role"),
        ({"role": "users", "content": "Hi"}, "Unknown role 'users'"),
        ({"role": "tool", "content": "ok"}, "no tool_call_id"),
        ({"role": "assistant", "content": None, "tool_calls": [None]}, "Tool call 0 has no function"),
        (Message("user", None), "not NoneType"),
        (Message("user", 5), "not int"),
        (Message("user", (Text("Hi"),)), "not tuple"),
        (Message("tool", "ok"), "does not say which call it answers"),
        (5, "not int"),
        ("", "is empty"),
        (" \n", "is empty"),
    ],
    ids=repr,
)
def test_what_is_no_turn_is_refused_before_anything_is_sent(refused, target, verb, message, said):
    """By each API alike, alone and after others."""
    assert said in refused(target, ["Hi", Message.assistant("Ho"), message], verb).message


def test_an_assistants_turn_may_be_without_words(sent):
    """Calls are enough, and so is nothing: an answer may have been empty."""
    asked = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    conversation = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [asked]},
        {"role": "tool", "tool_call_id": "c1", "content": None},
        {"role": "assistant", "content": None},
        {"role": "user", "content": "Well?"},
    ]
    body, warned = sent("openai_chat", conversation)
    assert [turn["content"] for turn in body["messages"]] == ["Hi", None, "", "", "Well?"]
    assert body["messages"][1]["tool_calls"] == [asked]
    assert warned == []
