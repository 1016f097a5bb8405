"""What users pass becomes a checked request, or a clear error."""

import pytest

from provider_kit.errors import InvalidRequestError
from provider_kit.model.chat import ChatRequest
from provider_kit.model.conversation import to_messages
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.inputs import build_request
from provider_kit.model.media import Audio, Document, Image
from provider_kit.model.messages import Message, Native, Refusal, Text, Thinking, ToolCall, ToolResult
from provider_kit.model.tools import Reasoning, ResponseFormat, Tool, ToolChoice


def build(messages="Hi", /, **options):
    return build_request(messages, options, default_model="m", defaults={})


CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("given", "messages"),
    [
        ("Hi", [Message("user", "Hi")]),
        (["Hi"], [Message("user", "Hi")]),
        (
            ("Hi", Message.assistant("Yes?"), "Go"),
            [Message("user", "Hi"), Message("assistant", "Yes?"), Message("user", "Go")],
        ),
        ({"role": "user", "content": "Hi"}, [Message("user", "Hi")]),
        (Message.user("Hi"), [Message("user", "Hi")]),
        (Text("Hi"), [Message("user", [Text("Hi")])]),
        (Image(url="https://h/u"), [Message("user", [Image(url="https://h/u")])]),
        (
            ["Look", Image(url="https://h/u"), Text("!")],
            [Message("user", [Text("Look"), Image(url="https://h/u"), Text("!")])],
        ),
        (
            [Message.assistant("a"), Image(url="https://h/u")],
            [Message("assistant", "a"), Message("user", [Image(url="https://h/u")])],
        ),
        (
            [Message("user", "Look", name="Ann"), Image(url="https://h/u")],
            [Message("user", [Text("Look"), Image(url="https://h/u")], name="Ann")],
        ),
        (
            [{"role": "user", "content": "Hi", "name": "Ann", "x": 1}],
            [Message("user", "Hi", name="Ann", extra={"x": 1})],
        ),
        (
            [{"role": "user", "content": ["a", {"type": "text", "text": "b"}]}],
            [Message("user", [Text("a"), Text("b")])],
        ),
    ],
)
def test_conversations_are_taken_in_every_known_form(given, messages):
    """Strings, dicts, messages, parts, alone and in lists."""
    assert to_messages(given) == messages


def test_an_answer_can_be_appended_whole():
    """Whatever has a ``message`` stands for it."""

    class Answer:
        message = Message.assistant("Hello")

    assert to_messages(["Hi", Answer(), "Go"])[1] is Answer.message


def test_subclasses_are_taken_for_what_they_are():
    """A dict or string of a subclass is one still."""

    class Words(str):
        pass

    class Turn(dict):
        pass

    class Own(Message):
        pass

    own = Own("user", "x")
    assert to_messages([Words("Hi"), Turn(role="assistant", content="a"), own]) == [
        Message("user", "Hi"),
        Message("assistant", "a"),
        own,
    ]
    given = (Words("Hi"), [Words("Hi")], {"role": "user", "content": Words("Hi")}, Message("user", Words("Hi")))
    for conversation in given:
        request = build(conversation, system=Words("Be kind"))
        assert [type(message.content) for message in request.messages] == [str, str]


def test_the_callers_list_is_not_changed():
    """The conversation is copied before anything is put before it."""
    given = [{"role": "user", "content": "Hi"}]
    build(given, system="Be kind", files=[b"%PDF-1"])
    assert given == [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    ("part", "read"),
    [
        ({"type": "text", "text": "a", "x": 1}, Text("a", extra={"x": 1})),
        ({"type": "input_text", "text": "a"}, Text("a")),
        ({"type": "output_text", "text": "a", "annotations": []}, Text("a")),
        ({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, Text("a", cache=True)),
        ({"type": "text", "text": "a", "cache_control": {"ttl": "1h"}}, Text("a", cache="1h")),
        ({"type": "refusal", "refusal": "no"}, Refusal("no")),
        ({"type": "image_url", "image_url": {"url": "https://h.test/a.png", "detail": "low"}},
         Image(url="https://h.test/a.png", media_type="image/png", detail="low")),
        ({"type": "image_url", "image_url": "data:image/png;base64,eA=="}, Image(data=b"x", media_type="image/png")),
        ({"type": "input_image", "image_url": "https://h.test/a"}, Image(url="https://h.test/a")),
        ({"type": "input_audio", "input_audio": {"data": "eA==", "format": "mp3"}},
         Audio(data=b"x", media_type="audio/mpeg")),
        ({"type": "input_audio", "input_audio": {"data": "eA=="}}, Audio(data=b"x", media_type="audio/wav")),
        ({"type": "file", "file": {"file_id": "f1"}}, Document(file_id="f1")),
        ({"type": "file", "file": {"file_data": "data:application/pdf;base64,eA==", "filename": "a.pdf"}},
         Document(data=b"x", media_type="application/pdf", filename="a.pdf")),
        ({"type": "video_url", "video_url": "u"}, Native("video_url", {"type": "video_url", "video_url": "u"})),
        (Thinking("t"), Thinking("t")),
    ],
)  # fmt: skip
def test_parts_are_taken_in_openais_form(part, read):
    """What is unknown is kept as it came."""
    assert to_messages([{"role": "user", "content": [part]}]) == [Message("user", [read])]


def test_an_assistants_turn_is_read_whole():
    """Reasoning, refusal, tool calls and unknown fields."""
    given = {
        "role": "assistant",
        "content": "So",
        "reasoning_content": "Hm",
        "refusal": "no",
        "name": "Bot",
        "tool_calls": [
            {**CALL, "index": 0, "extra_content": {"s": 1}},
            {"function": {"name": "g", "arguments": {"a": 1}}},
            {"id": "c3", "type": "custom", "custom": {"name": "h", "input": "raw"}},
            ToolCall("c4", "i"),
        ],
        "phase": "final",
    }
    results = [{"role": "tool", "tool_call_id": name, "content": "ok"} for name in ("c1", "call_1", "c3", "c4")]
    message = to_messages([{"role": "user", "content": "Hi"}, given, *results])[1]
    assert message.content == [
        Thinking("Hm"),
        Text("So"),
        Refusal("no"),
        ToolCall("c1", "f", "{}", extra={"extra_content": {"s": 1}}),
        ToolCall("call_1", "g", '{"a":1}', local_id=True),
        ToolCall("c3", "h", "raw", native=given["tool_calls"][2]),
        ToolCall("c4", "i"),
    ]
    assert (message.name, message.extra) == ("Bot", {"phase": "final"})


def test_functions_of_old_are_read_as_tools():
    """``function_call`` and the role ``function``."""
    messages = to_messages(
        [
            "Hi",
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "ok"},
        ]
    )
    assert messages[1].content == [ToolCall("f", "f", "{}", local_id=True)]
    assert messages[2] == Message("tool", [ToolResult("f", "ok", name="f")])


def test_results_may_have_parts_or_nothing():
    """A list of parts stays one, ``None`` is an empty text."""
    calls = {"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "c2"}]}
    results = [
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "a"}], "x": 1},
        {"role": "tool", "tool_call_id": "c2", "content": None},
    ]
    messages = to_messages(["Hi", calls, *results])
    assert messages[2].content == [ToolResult("c1", [Text("a")], extra={"x": 1})]
    assert messages[3].content == [ToolResult("c2", "")]


def test_results_may_come_in_any_order_and_in_one_message():
    """Only that each call is answered matters."""
    conversation = [
        Message.user("Hi"),
        Message.assistant(ToolCall("a", "f"), ToolCall("b", "g")),
        Message("tool", [ToolResult("b", "2"), ToolResult("a", "1")]),
        Message.user("Thanks"),
    ]
    assert to_messages(conversation) == conversation


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "No messages"),
        ("", "empty"),
        ("  \n", "empty"),
        ([], "empty"),
        (7, "not int"),
        (b"Hi", "not bytes"),
        ([7], "not int"),
        ([{}], "no role"),
        ([{"role": 7}], "no role"),
        ([{"role": "usr", "content": "Hi"}], "Unknown role 'usr'"),
        ([Message("usr", "Hi")], "Unknown role 'usr'"),
        ([Message("usr", [Text("Hi")])], "Unknown role 'usr'"),
        ([{"role": "user", "content": None}], "is None"),
        ([{"role": "user", "content": {"type": "text"}}], "content must be"),
        ([{"role": "user", "content": 7}], "content must be"),
        ([Message("user", None)], "content must be a string or a list"),
        ([{"role": "user", "content": [7]}], "A part of a message"),
        ([{"role": "user", "content": [{"type": "text"}]}], "lacks 'text'"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}], "lacks 'url'"),
        ([{"role": "user", "content": [{"type": "file", "file": "x"}]}], "type 'file'"),
        ([{"role": "tool", "content": "x"}], "no tool_call_id"),
        ([Message.user("Hi"), Message("tool", [Text("x")]), Message("tool", "x")], "does not say which call"),
        ([{"role": "assistant", "content": None, "tool_calls": [7]}], "has no function"),
        (["Hi", {"role": "tool", "tool_call_id": "c1", "content": "x"}], "which no message before it made"),
        (["Hi", {"role": "assistant", "content": None, "tool_calls": [CALL]}], "not answered"),
        (["Hi", {"role": "assistant", "content": None, "tool_calls": [CALL]}, "Go"], "not answered before message 2"),
        (["Hi", Message.assistant(ToolCall("a", "f")), Message.user(Text("x"))], "not answered before message 2"),
    ],
)
def test_what_no_provider_takes_is_refused(given, words):
    """Before anything is sent, in words that help."""
    with pytest.raises(InvalidRequestError, match=words):
        to_messages(given)


def test_options_become_a_request():
    """Each in the form the dialects read."""
    request = build(
        "Hi",
        model="other",
        system="Be kind",
        temperature=0,
        top_p=0.5,
        top_k=3,
        max_tokens=5,
        stop="END",
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        tools=[{"type": "function", "function": {"name": "f"}}],
        tool_choice="f",
        parallel_tool_calls=False,
        response_format="json",
        reasoning="low",
        cache="1h",
        user="u",
        metadata={"a": "b"},
        extra_body={"x": 1},
        extra_headers={"y": "2"},
        extra_query={"z": "3"},
        timeout=3,
        total_timeout=4,
        on_unsupported="drop",
    )
    assert request == ChatRequest(
        model="other",
        messages=[Message("system", "Be kind"), Message("user", "Hi")],
        temperature=0,
        top_p=0.5,
        top_k=3,
        max_tokens=5,
        stop=["END"],
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        tools=[Tool("f")],
        tool_choice=ToolChoice("required", ("f",)),
        parallel_tool_calls=False,
        response_format=ResponseFormat("json"),
        reasoning=Reasoning("low"),
        cache="1h",
        user="u",
        metadata={"a": "b"},
        extra_body={"x": 1},
        extra_headers={"y": "2"},
        extra_query={"z": "3"},
    )


def test_none_means_not_given():
    """Every option may be ``None``; empty lists of tools and stop texts are none too."""
    request = build("Hi", temperature=None, stop=None, tools=None, metadata=None, max_completion_tokens=None)
    assert request == ChatRequest(model="m", messages=[Message("user", "Hi")])
    assert build("Hi", tools=[], stop=[]) == request


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
def test_the_bound_of_the_answer_has_three_names(name):
    """As users of the vendors' libraries know it."""
    assert build("Hi", **{name: 9}).max_tokens == 9


def test_the_prompt_may_be_a_keyword():
    """In place of messages, not beside them."""
    assert build(None, prompt="Hi").messages == [Message("user", "Hi")]
    with pytest.raises(InvalidRequestError, match="Both messages and prompt"):
        build("Hi", prompt="Hi")


def test_defaults_fill_what_the_call_leaves_open():
    """The call's own arguments win."""
    defaults = {"temperature": 0.1, "max_tokens": 5}
    request = build_request("Hi", {"temperature": 0.9}, default_model="m", defaults=defaults)
    assert (request.temperature, request.max_tokens) == (0.9, 5)


def test_files_are_attached_to_the_last_user_message():
    """Or make one of their own where there is none."""
    pdf = Document(data=b"%PDF-1", media_type="application/pdf")
    request = build([Message("user", "Read", name="Ann"), Message.assistant("What?")], files=[b"%PDF-1"])
    assert request.messages[0] == Message("user", [Text("Read"), pdf], name="Ann")
    assert build([Message.assistant("x")], files=b"%PDF-1").messages[1] == Message("user", [pdf])
    assert build("Hi", files="data:application/pdf;base64,JVBERi0x").messages[0].parts[1] == pdf


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temprature": 1}, "Unknown argument 'temprature'"),
        ({"model": 7}, "model must be a string"),
        ({"temperature": "hot"}, "temperature must be a number"),
        ({"temperature": True}, "temperature"),
        ({"top_k": 1.5}, "top_k must be a whole number"),
        ({"parallel_tool_calls": 1}, "parallel_tool_calls must be True or False"),
        ({"max_tokens": -1}, "must not be negative"),
        ({"max_output_tokens": "9"}, "max_tokens must be a whole number"),
        ({"max_output_tokens": True}, "max_tokens must be a whole number"),
        ({"stop": [""]}, "stop must be"),
        ({"stop": [7]}, "stop must be"),
        ({"stop": 7}, "stop must be"),
        ({"tools": "f"}, "tools must be a list"),
        ({"tools": 7}, "tools must be a list"),
        ({"tools": {"name": "f"}}, "tools must be a list"),
        ({"metadata": [1]}, "metadata must be a dict"),
        ({"extra_body": {1: 2}}, "extra_body must be a dict"),
        ({"system": ["x"]}, "system must be a string"),
        ({"tool_choice": "f"}, "not among the tools"),
    ],
)
def test_wrong_arguments_are_refused(options, words):
    """Before anything is sent."""
    with pytest.raises(InvalidRequestError, match=words):
        build("Hi", **options)


def test_a_misspelt_argument_is_answered_with_the_right_one():
    """The nearest known names stand in the hint."""
    with pytest.raises(InvalidRequestError) as caught:
        build("Hi", temprature=1)
    assert "'temperature'" in caught.value.hint
    assert did_you_mean("zzz", ["a"]) == ""


def test_a_model_must_be_named():
    """By the client or the call."""
    with pytest.raises(InvalidRequestError, match="No model"):
        build_request("Hi", {}, default_model=None, defaults={})


def test_numbers_of_a_subclass_are_numbers():
    """As NumPy's are."""

    class Exact(float):
        pass

    assert build("Hi", temperature=Exact(0.5)).temperature == 0.5
