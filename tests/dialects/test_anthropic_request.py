"""What is sent to Anthropic's Messages API."""

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

ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [{"type": "text", "text": "Fine."}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 2},
}
OLD = "claude-sonnet-4-5"  # budget, sampling, prefill
MIDDLE = "claude-opus-4-6"  # both ways of thinking
NEW = "claude-haiku-5-5"  # adaptive, no sampling, inner system messages
BOUND = "claude-opus-5-5"  # always thinks, no forced tools
PNG = b"\x89PNG\r\n\x1a\nrest IEND"
WEATHER = Tool("weather", "Tells the weather", {"type": "object", "properties": {"city": {"type": "string"}}})
CLOCK = Tool("clock")


@pytest.fixture
def sent(call):
    """Asks and returns the body that was sent and the warnings that came back."""

    def ask(messages="Hello", *, model=NEW, **options):
        transport = ScriptedTransport([{"json": ANSWER}])
        response = call.chat(Client(f"anthropic/{model}", api_key="sk-ant-k", transport=transport), messages, **options)
        return json.loads(transport.requests[-1].body), [warning.parameter for warning in response.warnings]

    return ask


def refuse(messages, *, model=NEW, **options):
    """Asks what must be refused before anything is sent."""
    transport = ScriptedTransport([])
    with pytest.raises(InvalidRequestError) as caught:
        Client(f"anthropic/{model}", api_key="k", transport=transport).chat(messages, **options)
    assert transport.requests == []
    return caught.value


def test_a_plain_question_has_only_what_the_api_demands(sent):
    """Model, limit and messages; nothing the caller did not ask for, and max_tokens is never missing."""
    body, warnings = sent("Hello")
    assert body == {"model": NEW, "max_tokens": 128_000, "messages": [{"role": "user", "content": "Hello"}]}
    assert warnings == []


@pytest.mark.parametrize(
    ("model", "limit"),
    [("claude-sonnet-4-5", 64_000), ("claude-opus-4-1", 32_000), ("claude-3-opus", 4096), ("claude-of-tomorrow", 4096)],
)
def test_max_tokens_is_the_models_own_limit_unless_given(sent, model, limit):
    """The API needs max_tokens; the caller's number wins, zero included."""
    assert sent(model=model)[0]["max_tokens"] == limit
    assert sent(model=model, max_tokens=0)[0]["max_tokens"] == 0
    assert sent(model=model, max_tokens=7)[0]["max_tokens"] == 7


def test_a_stream_asks_for_one(call):
    """Only a streamed call says stream."""
    transport = ScriptedTransport([{"stream": [b'data: {"type":"message_stop"}\n\n']}])
    call.stream(Client(f"anthropic/{NEW}", api_key="k", transport=transport), "Hello")
    assert json.loads(transport.requests[0].body)["stream"] is True


# ---------------------------------------------------------------------------------------------------- system


def test_one_system_prompt_is_a_string(sent):
    """system stands at the top level, not among the messages."""
    body, _ = sent("Hello", system="Be brief.")
    assert body["system"] == "Be brief."
    assert [message["role"] for message in body["messages"]] == ["user"]


def test_several_system_prompts_become_blocks(sent):
    """Leading system and developer messages are joined as blocks, in order; empty ones are left out."""
    body, _ = sent([Message.system("One."), Message("system", ""), Message("developer", "Two."), Message.user("Hi")])
    assert body["system"] == [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]


def test_a_marked_system_prompt_keeps_its_cache_mark(sent):
    """A cache mark needs the form with blocks."""
    body, _ = sent([Message("system", [Text("Long.", cache="1h")]), Message.user("Hi")])
    assert body["system"] == [{"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]


def test_a_system_message_in_the_middle_stays_there_where_the_model_takes_it(sent):
    """New models take system turns between the others; old ones get them at the top."""
    talk = [Message.user("Hi"), Message.system("Now in French."), Message.user("Again")]
    body, _ = sent(talk)
    assert "system" not in body
    assert body["messages"] == [
        {"role": "user", "content": "Hi"},
        {"role": "system", "content": [{"type": "text", "text": "Now in French."}]},
        {"role": "user", "content": "Again"},
    ]
    body, _ = sent(talk, model=OLD)
    assert body["system"] == "Now in French."
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "Again"}]}
    ]


def test_an_empty_system_message_in_the_middle_is_left_out(sent):
    """Empty blocks are refused by the API."""
    body, _ = sent([Message.user("Hi"), Message("system", ""), Message.user("Again")])
    assert [message["role"] for message in body["messages"]] == ["user"]


def test_a_system_message_after_an_answer_goes_to_the_top(sent):
    """A system turn may only follow a user turn."""
    body, _ = sent([Message.user("Hi"), Message.assistant("Ho"), Message.system("Short."), Message.user("Again")])
    assert body["system"] == "Short."


def test_a_picture_in_a_system_message_is_refused():
    """The API takes only text there."""
    error = refuse([Message("system", [Image(data=PNG, media_type="image/png")]), Message.user("Hi")])
    assert "only text" in str(error)


# ---------------------------------------------------------------------------------------------------- turns


def test_neighbouring_turns_of_a_role_become_one(sent):
    """Texts of the same side are merged, strings and parts alike."""
    body, _ = sent([Message.user("One"), Message.user(Text("Two"), Text("")), Message.user(Text("Three"))])
    assert [block["text"] for block in body["messages"][0]["content"]] == ["One", "Two", "Three"]
    assert len(body["messages"]) == 1


def test_empty_messages_and_blocks_are_left_out(sent):
    """The API refuses empty text."""
    body, _ = sent(
        [Message.user("One"), Message("assistant", ""), Message("assistant", [Text("")]), Message.user("Two")]
    )
    assert [message["role"] for message in body["messages"]] == ["user"]


def test_a_conversation_without_text_is_refused():
    """Better an error here than one from the API."""
    assert "no text" in str(refuse([Message("user", "")]))


def test_a_conversation_that_begins_with_the_assistant_is_refused():
    """The first turn must be the user's."""
    assert "begin with a user" in str(refuse([Message.assistant("Hi"), Message.user("Ho")]))


def test_an_answer_begun_by_the_caller_is_refused_where_the_model_refuses_it():
    """Models since 4.6 do not continue an assistant message."""
    assert "ends with an assistant" in str(refuse([Message.user("Hi"), Message.assistant("The answer is")]))
    assert refuse([Message.user("Hi"), Message.assistant("Yes")], model=MIDDLE).hint


def test_an_answer_begun_by_the_caller_loses_its_last_blanks_on_old_models(sent):
    """The API refuses white space at the end of a beginning."""
    body, _ = sent([Message.user("Hi"), Message.assistant("Sure: \n")], model=OLD)
    assert body["messages"][-1] == {"role": "assistant", "content": "Sure:"}
    body, _ = sent([Message.user("Hi"), Message.assistant(Text("Well. "), Text("Sure: "))], model=OLD)
    assert [block["text"] for block in body["messages"][-1]["content"]] == ["Well. ", "Sure:"]
    signed = Message.assistant(Thinking("hm", signature="s"))
    body, warnings = sent([Message.user("Hi"), signed], model=OLD)
    assert body["messages"] == [{"role": "user", "content": "Hi"}]  # no turn may end with thinking
    assert warnings == ["messages"]


def test_a_paused_turn_goes_back_as_the_last_one(call, sent):
    """pause_turn is continued by sending the turn back unchanged, also to models that refuse prefill."""
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "tea"}}
    paused = {**ANSWER, "content": [{"type": "text", "text": "I look. "}, search], "stop_reason": "pause_turn"}
    client = Client(f"anthropic/{BOUND}", api_key="k", transport=ScriptedTransport([{"json": paused}]))
    answer = call.chat(client, "Look it up")
    assert answer.finish_reason == "pause"
    body, _ = sent([Message.user("Look it up"), answer.message], model=BOUND)
    assert body["messages"][-1] == {"role": "assistant", "content": [{"type": "text", "text": "I look. "}, search]}


# ---------------------------------------------------------------------------------------------------- media


def test_pictures_travel_as_base64_link_or_file_id(sent):
    """base64 carries no data: prefix."""
    body, _ = sent(
        Message.user(
            "What?",
            Image(data=PNG, media_type="image/png", cache=True),
            Image(url="https://x.test/a.png"),
            Image(file_id="file_1"),
        )
    )
    data = base64.b64encode(PNG).decode()
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "What?"},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": data},
            "cache_control": {"type": "ephemeral"},
        },
        {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
    ]


def test_documents_travel_as_pdf_text_or_link(sent):
    """A PDF is base64, plain text is text; a file name becomes the title."""
    body, _ = sent(
        Message.user(
            Document(data=b"%PDF-1%%EOF", media_type="application/pdf", filename="a.pdf"),
            Document(data="café".encode(), media_type="text/plain"),
            Document(data=b'{"a":1}', media_type="application/json"),
            Document(url="https://x.test/a.pdf", media_type="application/pdf"),
        )
    )
    pdf, text, other, link = body["messages"][0]["content"]
    assert pdf["title"] == "a.pdf"
    assert pdf["source"] == {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xJSVFT0Y="}
    assert text["source"] == {"type": "text", "media_type": "text/plain", "data": "café"}
    assert other["source"]["data"] == '{"a":1}'
    assert link["source"] == {"type": "url", "url": "https://x.test/a.pdf"}


def test_a_binary_document_that_is_no_pdf_is_refused():
    """It would arrive as garbled text."""
    error = refuse(Message.user(Document(data=b"PK\x03\x04\xff\xfe", media_type="application/zip")))
    assert "application/zip" in str(error)


def test_sound_is_refused():
    """This API takes none."""
    assert "no audio" in str(refuse(Message.user("Listen", Audio(data=b"RIFF", media_type="audio/wav"))))


def test_a_part_of_an_unknown_class_is_refused():
    """A mistake of the caller's is an InvalidRequestError, not a crash."""
    assert "object" in str(refuse([Message("user", [Text("a"), object()])]))


# ---------------------------------------------------------------------------------------------------- tools


def test_tools_are_written_with_their_schema(sent):
    """name, description, input_schema; type object is added, strict and cache marks are kept."""
    body, _ = sent(
        tools=[
            Tool("a", "Does a", {"type": "object", "properties": {}}, strict=True, cache=True),
            Tool("b", parameters={"properties": {}}),
            {"type": "web_search_20260318", "name": "web_search", "max_uses": 2},
        ]
    )
    assert body["tools"] == [
        {
            "name": "a",
            "description": "Does a",
            "input_schema": {"type": "object", "properties": {}, "additionalProperties": False},
            "strict": True,
            "cache_control": {"type": "ephemeral"},
        },
        {"name": "b", "input_schema": {"type": "object", "properties": {}}},
        {"type": "web_search_20260318", "name": "web_search", "max_uses": 2},
    ]
    assert "tool_choice" not in body


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ("any", {"type": "any"}),
        ("weather", {"type": "tool", "name": "weather"}),
        ({"type": "function", "function": {"name": "weather"}}, {"type": "tool", "name": "weather"}),
        ({"type": "tool", "name": "weather"}, {"type": "tool", "name": "weather"}),
        (ToolChoice("required", ("weather", "clock")), {"type": "any"}),
    ],
)
def test_tool_choice_is_written_in_all_its_forms(sent, choice, written):
    """Every form the model layer knows has its counterpart."""
    body, warnings = sent(tools=[WEATHER, CLOCK], tool_choice=choice)
    assert body["tool_choice"] == written
    assert [tool["name"] for tool in body["tools"]] == ["weather", "clock"]
    assert warnings == []


def test_a_choice_among_some_tools_sends_only_these(sent):
    """The API knows no allowed tools, so the list is cut."""
    body, _ = sent(tools=[WEATHER, CLOCK], tool_choice=ToolChoice("auto", ("clock",)))
    assert [tool["name"] for tool in body["tools"]] == ["clock"]
    assert body["tool_choice"] == {"type": "auto"}


@pytest.mark.parametrize("model", [BOUND, "claude-sonnet-5-5", "claude-fable-5-1"])
@pytest.mark.parametrize("choice", ["required", "weather"])
def test_models_that_cannot_be_forced_decide_themselves(sent, model, choice):
    """Forcing a tool is a 400 there; the caller is warned."""
    body, warnings = sent(model=model, tools=[WEATHER], tool_choice=choice)
    assert body["tool_choice"] == {"type": "auto"}
    assert warnings == ["tool_choice"]


def test_tools_cannot_be_forced_while_thinking_by_budget(sent):
    """Manual thinking and a forced tool are a 400 together."""
    body, warnings = sent(model=OLD, tools=[WEATHER], tool_choice="required", reasoning=2000)
    assert body["thinking"]["type"] == "enabled"
    assert body["tool_choice"] == {"type": "auto"}
    assert warnings == ["tool_choice"]


def test_parallel_calls_can_be_turned_off(sent):
    """The switch lives in tool_choice; without tools called at all it is not written."""
    assert sent(tools=[WEATHER], parallel_tool_calls=False)[0]["tool_choice"] == {
        "type": "auto",
        "disable_parallel_tool_use": True,
    }
    assert sent(tools=[WEATHER], tool_choice="weather", parallel_tool_calls=False)[0]["tool_choice"] == {
        "type": "tool",
        "name": "weather",
        "disable_parallel_tool_use": True,
    }
    assert sent(tools=[WEATHER], tool_choice="none", parallel_tool_calls=False)[0]["tool_choice"] == {"type": "none"}
    assert "tool_choice" not in sent(tools=[WEATHER], parallel_tool_calls=True)[0]


def test_results_come_first_and_in_one_user_turn(sent):
    """All results of a turn are one user message, before any text of it."""
    body, _ = sent(
        [
            Message.user("Weather?"),
            Message.assistant(Text("Looking."), ToolCall("t1", "weather", {"city": "Rome"}), ToolCall("t2", "clock")),
            Message("tool", [ToolResult("t1", "sunny", cache=True)]),
            Message("tool", [ToolResult("t2", "broken", is_error=True)]),
            Message.user("And?"),
        ],
        tools=[WEATHER, CLOCK],
    )
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Looking."},
                {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Rome"}},
                {"type": "tool_use", "id": "t2", "name": "clock", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "content": "sunny",
                    "cache_control": {"type": "ephemeral"},
                },
                {"type": "tool_result", "tool_use_id": "t2", "content": "broken", "is_error": True},
                {"type": "text", "text": "And?"},
            ],
        },
    ]


def test_a_result_beside_text_is_moved_to_the_front(sent):
    """Whatever order the caller wrote them in."""
    body, _ = sent(
        [
            Message.user("Go"),
            Message.assistant(ToolCall("t1", "clock"), ToolCall("t2", "clock")),
            Message.user(Text("Here:"), ToolResult("t1", "10")),
            Message("tool", [ToolResult("t2", "")]),
        ]
    )
    assert body["messages"][-1]["content"] == [
        {"type": "tool_result", "tool_use_id": "t1", "content": "10"},
        {"type": "tool_result", "tool_use_id": "t2"},
        {"type": "text", "text": "Here:"},
    ]


def test_a_result_may_hold_text_and_pictures(sent):
    """Parts inside a result are blocks; empty texts are left out."""
    body, _ = sent(
        [
            Message.user("Go"),
            Message.assistant(ToolCall("t1", "clock")),
            Message.tool("t1", [Text("see"), Text(""), Image(url="https://x.test/a.png")]),
        ]
    )
    assert body["messages"][-1]["content"][0]["content"] == [
        {"type": "text", "text": "see"},
        {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
    ]


def test_broken_arguments_go_back_wrapped(sent):
    """A call whose JSON the model broke can still be answered with an error result."""
    body, _ = sent(
        [
            Message.user("Go"),
            Message.assistant(ToolCall("t1", "clock", '{"tz": "U')),
            Message.tool("t1", "Invalid JSON.", is_error=True),
        ]
    )
    assert body["messages"][1]["content"][0]["input"] == {"INVALID_JSON": '{"tz": "U'}


# ---------------------------------------------------------------------------------------------------- opaque parts

THOUGHT = {"type": "thinking", "thinking": "hm\u2028ü", "signature": "EqQB+/=="}
HIDDEN = {"type": "redacted_thinking", "data": "EmwKAh=="}
USE = {"type": "tool_use", "id": "toolu_1", "name": "clock", "input": {"tz": "UTC"}}
PROGRAM_USE = {**USE, "id": "toolu_2", "caller": {"type": "code_execution_20260521", "tool_id": "srvtoolu_9"}}
SERVER = [
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
    {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"type": "web_search_result"}]},
]
CITED = {"type": "text", "text": "Yes.", "citations": [{"type": "char_location", "cited_text": "y"}]}


def loop(call, model=BOUND, *, reload=False, to=None):
    """One round of a tool loop: the blocks of the answer, and the blocks that were sent back for it."""
    blocks = [THOUGHT, HIDDEN, *SERVER, CITED, USE, PROGRAM_USE]
    answer = {**ANSWER, "model": model, "content": blocks, "stop_reason": "tool_use"}
    transport = ScriptedTransport([{"json": answer}, {"json": ANSWER}])
    client = Client(f"anthropic/{model}", api_key="k", transport=transport)
    first = call.chat(client, "Go")
    talk = [Message.user("Go"), first.message, Message.tool("toolu_1", "10"), Message.tool("toolu_2", "11")]
    if reload:
        talk = load_conversation(dump_conversation(talk))
    second = call.chat(client, talk, **({"model": to} if to else {}))
    return blocks, json.loads(transport.requests[-1].body)["messages"][1]["content"], second


@pytest.mark.parametrize("reload", [False, True])
def test_opaque_blocks_go_back_as_they_came(call, reload):
    """Thinking with its signature, redacted thinking, server tools and citations, also after JSON and back."""
    blocks, returned, answer = loop(call, reload=reload)
    assert returned == blocks
    assert answer.warnings == []


def test_bound_thinking_is_dropped_for_another_model(call):
    """Newer models sign for themselves alone; the rest of the turn stays."""
    blocks, returned, answer = loop(call, to="claude-sonnet-5-5")
    assert returned == blocks[2:]
    assert {warning.parameter for warning in answer.warnings} == {"messages"}


@pytest.mark.parametrize(("model", "to"), [(BOUND, "claude-opus-5-5-20260922"), (OLD, "claude-sonnet-4-6")])
def test_thinking_is_kept_where_it_is_valid(call, model, to):
    """The dated name is the same model, and older models do not bind."""
    blocks, returned, _ = loop(call, model=model, to=to)
    assert returned == blocks


def test_thinking_written_by_hand_needs_a_signature(sent):
    """Without one, or from another provider, it is left out; with one it is sent."""
    body, _ = sent(
        [
            Message.user("Go"),
            Message.assistant(Thinking("plain"), Thinking("mine", signature="s"), Text("a")),
            Message("assistant", [Thinking("theirs", signature="t"), Refusal("no"), Refusal("")], origin="openai_chat"),
            Message.user("On"),
        ]
    )
    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "mine", "signature": "s"},
        {"type": "text", "text": "a"},
        {"type": "text", "text": "no"},
    ]


def test_blocks_of_another_provider_are_left_out_with_a_warning(sent):
    """Nobody else understands them; calls are rewritten in the own form, citations are dropped."""
    body, warnings = sent(
        [
            Message.user("Go"),
            Message(
                "assistant",
                [
                    Native("web_search_call", {"type": "web_search_call"}),
                    Text("a", extra={"citations": [1]}),
                    ToolCall("c1", "clock", "{}", native={"type": "function_call"}),
                ],
                origin="openai_responses",
            ),
            Message.tool("c1", "10"),
        ]
    )
    assert body["messages"][1]["content"] == [
        {"type": "text", "text": "a"},
        {"type": "tool_use", "id": "c1", "name": "clock", "input": {}},
    ]
    assert warnings == ["messages"]


def test_a_block_given_as_a_dict_is_sent_as_it_is(sent):
    """What this library has no class for can still be said."""
    block = {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]}
    body, _ = sent([{"role": "user", "content": [block, {"type": "text", "text": "?"}]}])
    assert body["messages"][0]["content"][0] == block


# ---------------------------------------------------------------------------------------------------- controls


@pytest.mark.parametrize("model", [NEW, BOUND, "claude-opus-4-7", "claude-opus-4-8", "claude-sonnet-5"])
def test_sampling_is_left_out_where_the_model_refuses_it(sent, model):
    """Models since Opus 4.7 take no sampling parameters; each is reported."""
    body, warnings = sent(model=model, temperature=0.5, top_p=0.9, top_k=5)
    assert not {"temperature", "top_p", "top_k"} & body.keys()
    assert warnings == ["temperature", "top_p", "top_k"]


def test_older_models_take_sampling_within_limits(sent):
    """Temperature ends at 1, and only one of temperature and top_p is taken."""
    body, warnings = sent(model=OLD, temperature=0.5, top_k=5)
    assert (body["temperature"], body["top_k"], warnings) == (0.5, 5, [])
    body, warnings = sent(model=OLD, temperature=1.5, top_p=0.9)
    assert (body["temperature"], "top_p" in body, warnings) == (1.0, False, ["top_p", "temperature"])
    assert sent(model=OLD, top_p=0.9)[0]["top_p"] == 0.9


def test_what_the_api_has_not_is_reported(sent):
    """seed and penalties are left out with a warning."""
    _, warnings = sent(seed=1, presence_penalty=0.1, frequency_penalty=0.1)
    assert warnings == ["seed", "presence_penalty", "frequency_penalty"]


def test_what_the_api_has_not_may_be_an_error_or_nothing(sent):
    """on_unsupported decides."""
    with pytest.raises(UnsupportedParameterError, match="seed"):
        sent(seed=1, on_unsupported="raise")
    assert sent(seed=1, on_unsupported="drop")[1] == []


def test_stop_texts_are_sequences(sent):
    """Stop texts of white space only are refused by the API."""
    body, warnings = sent(stop=["END", "\n"])
    assert (body["stop_sequences"], warnings) == (["END"], ["stop"])
    body, warnings = sent(stop="\n")
    assert ("stop_sequences" in body, warnings) == (False, ["stop"])


def test_only_the_user_id_is_taken_as_metadata(sent):
    """user becomes metadata.user_id; other metadata is reported."""
    assert sent(user="u1")[0]["metadata"] == {"user_id": "u1"}
    body, warnings = sent(metadata={"user_id": "u2", "team": "x"})
    assert (body["metadata"], warnings) == ({"user_id": "u2"}, ["metadata"])
    body, warnings = sent(metadata={"team": "x"})
    assert ("metadata" in body, warnings) == (False, ["metadata"])
    assert sent(metadata={"user_id": "u2"})[1] == []


def test_the_whole_conversation_can_be_marked_for_caching(sent):
    """At its end."""
    assert sent(cache=True)[0]["messages"][-1]["content"][-1]["cache_control"] == {"type": "ephemeral"}
    assert sent(cache="1h")[0]["messages"][-1]["content"][-1]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert "cache_control" not in str(sent(cache=False)[0])


# ---------------------------------------------------------------------------------------------------- reasoning


@pytest.mark.parametrize("effort", ["low", "medium", "high", "xhigh", "max"])
def test_new_models_think_by_effort(sent, effort):
    """Adaptive thinking, shown as a summary unless told otherwise."""
    body, warnings = sent(reasoning=effort)
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert body["output_config"] == {"effort": effort}
    assert warnings == []


@pytest.mark.parametrize(
    ("wish", "effort", "warned"),
    [
        ("minimal", "low", True),
        (1000, "low", True),
        (10_000, "medium", True),
        (4096, "low", True),
        (16_384, "medium", True),
        (50_000, "high", True),
        (Reasoning("high", 500), "high", False),
        (Reasoning(show=True), None, False),
    ],
)
def test_a_wish_new_models_do_not_know_is_translated(sent, wish, effort, warned):
    """The nearest effort is sent, and the caller is told."""
    body, warnings = sent(reasoning=wish)
    assert body.get("output_config") == (None if effort is None else {"effort": effort})
    assert warnings == (["reasoning"] if warned else [])


@pytest.mark.parametrize(("show", "display"), [(True, "summarized"), (False, "omitted")])
def test_reasoning_is_shown_or_not(sent, show, display):
    """display follows the wish on every kind of model."""
    assert sent(reasoning=Reasoning("low", show=show))[0]["thinking"]["display"] == display
    assert sent(model=OLD, reasoning=Reasoning("low", show=show))[0]["thinking"]["display"] == display


@pytest.mark.parametrize(
    ("model", "thinking", "config", "warned"),
    [
        (OLD, {"type": "disabled"}, None, False),
        (NEW, {"type": "disabled"}, None, False),
        ("claude-sonnet-5-5", {"type": "between_tools"}, None, False),
        (BOUND, None, {"effort": "low"}, True),
    ],
)
def test_thinking_is_turned_off_as_far_as_a_model_allows(sent, model, thinking, config, warned):
    """Some cannot stop thinking; they think as little as they can."""
    body, warnings = sent(model=model, reasoning="none")
    assert body.get("thinking") == thinking
    assert body.get("output_config") == config
    assert warnings == (["reasoning"] if warned else [])


@pytest.mark.parametrize(
    ("effort", "budget"),
    [("minimal", 1024), ("low", 2048), ("medium", 8192), ("high", 16_384), ("xhigh", 24_576), ("max", 32_000)],
)
def test_each_effort_has_its_budget(sent, effort, budget):
    """On models that count tokens."""
    assert sent(model=OLD, reasoning=effort)[0]["thinking"] == {"type": "enabled", "budget_tokens": budget}


def test_older_models_think_by_budget(sent):
    """An effort becomes tokens, at least 1024 and always below max_tokens."""
    assert sent(model=OLD, reasoning="medium")[0]["thinking"] == {"type": "enabled", "budget_tokens": 8192}
    assert sent(model=OLD, reasoning=5000)[0]["thinking"]["budget_tokens"] == 5000
    assert sent(model=OLD, reasoning=10)[0]["thinking"]["budget_tokens"] == 1024
    assert sent(model=OLD, reasoning=Reasoning(show=True))[0]["thinking"]["budget_tokens"] == 8192
    body, warnings = sent(model=OLD, reasoning="high", max_tokens=3000)
    assert (body["thinking"]["budget_tokens"], body["max_tokens"], warnings) == (2999, 3000, ["reasoning"])
    body, warnings = sent(model=OLD, reasoning="high", max_tokens=1024)
    assert ("thinking" in body, warnings) == (False, ["reasoning"])


def test_a_budget_never_raises_max_tokens_over_the_models_limit(sent):
    """32000 tokens is all that Opus 4 can write, thinking included."""
    body, warnings = sent(model="claude-opus-4-1", reasoning="max")
    assert (body["max_tokens"], body["thinking"]["budget_tokens"], warnings) == (32_000, 31_999, ["reasoning"])


def test_models_with_both_ways_take_what_is_asked(sent):
    """A number is a budget, a word is an effort."""
    body, _ = sent(model=MIDDLE, reasoning=3000)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 3000}
    body, _ = sent(model=MIDDLE, reasoning="high")
    assert (body["thinking"]["type"], body["output_config"]) == ("adaptive", {"effort": "high"})


def test_a_budget_leaves_room_for_the_answer_at_a_server_nobody_knows(sent):
    """Its limit is unknown, so max_tokens grows with the budget."""
    body, _ = sent(model="some-other-model", reasoning=20_000)
    assert body["max_tokens"] == 24_096
    assert sent(model="some-other-model", reasoning=2000, max_tokens=3000)[0]["max_tokens"] == 3000
    assert sent(model=OLD, reasoning=63_000)[0]["max_tokens"] == 64_000


@pytest.mark.parametrize("wish", [3000, "high"])
def test_sampling_is_left_out_while_thinking(sent, wish):
    """Thinking takes neither temperature nor top_k, and top_p only near 1."""
    body, warnings = sent(model=MIDDLE, reasoning=wish, temperature=0.5, top_k=5)
    assert not {"temperature", "top_k"} & body.keys()
    assert warnings == ["temperature", "top_k"]
    body, warnings = sent(model=MIDDLE, reasoning=wish, top_p=0.95)
    assert (body["top_p"], warnings) == (0.95, [])
    body, warnings = sent(model=MIDDLE, reasoning=wish, top_p=0.5)
    assert ("top_p" in body, warnings) == (False, ["top_p"])


# ---------------------------------------------------------------------------------------------------- formats

SCHEMA = {
    "type": "object",
    "properties": {
        "a": {"type": "object", "properties": {}},
        "b": {"anyOf": [{"type": "object", "additionalProperties": False}, {"type": "null"}]},
        "c": {"enum": [{"type": "object"}]},
        "d": {"const": {"type": "object"}, "default": {"type": "object"}, "examples": [{"type": "object"}]},
    },
}


def test_a_schema_has_all_its_objects_closed(sent):
    """The API demands additionalProperties: false everywhere; the caller's schema stays as it is."""
    body, warnings = sent(response_format=SCHEMA, reasoning="low")
    written = body["output_config"]["format"]["schema"]
    assert body["output_config"]["effort"] == "low"
    assert written["additionalProperties"] is False
    assert written["properties"]["a"]["additionalProperties"] is False
    assert written["properties"]["b"] == SCHEMA["properties"]["b"]
    assert written["properties"]["c"] == SCHEMA["properties"]["c"]
    assert written["properties"]["d"] == SCHEMA["properties"]["d"]
    assert "additionalProperties" not in SCHEMA
    assert warnings == ["response_format"]


def test_a_closed_schema_is_sent_without_a_word(sent):
    """Nothing was changed, so nothing is reported."""
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
    body, warnings = sent(response_format=schema)
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": schema}}
    assert warnings == []


def test_json_without_schema_is_asked_for_in_words(sent):
    """There is no JSON mode; the system prompt asks, in each of its forms."""
    body, warnings = sent(response_format="json")
    assert body["system"].startswith("Answer with JSON only")
    assert warnings == ["response_format"]
    body, _ = sent(response_format="json", system="Be brief.")
    assert body["system"].startswith("Be brief.\n\nAnswer with JSON only")
    body, _ = sent([Message.system("a"), Message.system("b"), Message.user("Hi")], response_format="json")
    assert body["system"][2]["text"].startswith("Answer with JSON only")


def test_a_schema_is_put_in_words_for_models_without_structured_output(sent):
    """The schema itself stands in the system prompt then."""
    body, warnings = sent(model="claude-opus-4-1", response_format=SCHEMA)
    assert '"properties"' in body["system"]
    assert "output_config" not in body
    assert warnings == ["response_format"]


def test_text_is_no_format(sent):
    """Asking for text changes nothing."""
    assert "output_config" not in sent(response_format="text")[0]


# ---------------------------------------------------------------------------------------------------- counting


def test_tokens_are_counted_with_what_matters(call):
    """The request without max_tokens, sampling and the like."""
    transport = ScriptedTransport([{"json": {"input_tokens": 42}}])
    client = Client(f"anthropic/{OLD}", api_key="k", transport=transport)
    counted = call.count_tokens(
        client, "Hello", system="Hi", tools=[CLOCK], tool_choice="auto", temperature=0.1, user="u", stop="x"
    )
    request = transport.requests[0]
    assert counted == 42
    assert request.url == "https://api.anthropic.com/v1/messages/count_tokens"
    assert json.loads(request.body).keys() == {"model", "messages", "system", "tools", "tool_choice"}
