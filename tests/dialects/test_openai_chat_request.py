"""Chat requests in OpenAI's form, and how quirks change them."""

import pytest
from attrs import evolve

from provider_kit.dialects.base import ParameterReport
from provider_kit.dialects.openai_chat import ChatQuirks, OpenAIChat
from provider_kit.dialects.openai_chat.quirks import clamp_effort, effort_writer
from provider_kit.errors import InvalidRequestError, NotSupportedError, UnsupportedParameterError
from provider_kit.model.inputs import build_request
from provider_kit.model.media import Audio, Document, Image
from provider_kit.model.messages import Message, Native, Refusal, Text, Thinking, ToolCall, ToolResult

PNG = Image(data=b"x", media_type="image/png")
PDF = Document(data=b"x", media_type="application/pdf", filename="a.pdf")
WAV = Audio(data=b"x", media_type="audio/wav")
SCHEMA = {"type": "object", "properties": {"tz": {"type": "string"}}}
TOOLS = [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in ("f", "g", "h")]
OWN = "openai_chat/acme"


def build(messages="Hi", quirks=None, *, stream=False, on_unsupported="warn", **options):
    """Body of a request and the parameters that were warned about."""
    dialect = OpenAIChat(provider="acme", quirks=quirks)
    report = ParameterReport(on_unsupported, "acme", "m")
    request = build_request(messages, options, default_model="m", defaults={})
    body = dialect.write_chat(request, stream=stream, report=report).body
    return body, [warning.parameter for warning in report.warnings]


def written(messages, quirks=None, **options):
    return build(messages, quirks, **options)[0]["messages"]


# ------------------------------------------------------------------------------------------------ parameters


def test_nothing_is_sent_that_was_not_asked_for():
    """Only the model and the conversation."""
    assert build() == ({"model": "m", "messages": [{"role": "user", "content": "Hi"}]}, [])


def test_every_parameter_has_its_field():
    """Under the names of OpenAI's reference."""
    body, warned = build(
        temperature=0,
        top_p=0.5,
        top_k=3,
        max_tokens=5,
        stop=["a", "b"],
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        user="u",
        metadata={"a": "b"},
        reasoning="high",
    )
    assert warned == []
    assert {**body, "messages": None} == {
        "model": "m",
        "messages": None,
        "temperature": 0,
        "top_p": 0.5,
        "top_k": 3,
        "max_tokens": 5,
        "stop": ["a", "b"],
        "seed": 7,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "user": "u",
        "metadata": {"a": "b"},
        "reasoning_effort": "high",
    }


def test_quirks_rename_fields():
    """Each server has its own names for the same thing."""
    quirks = ChatQuirks(
        max_tokens_field="max_completion_tokens", seed_field="random_seed", user_field="who", body={"x": 1}
    )
    body, _ = build(quirks=quirks, max_tokens=5, seed=7, user="u")
    assert (body["max_completion_tokens"], body["random_seed"], body["who"], body["x"]) == (5, 7, "u", 1)


REFUSING = ChatQuirks(
    refused=dict.fromkeys(
        ("temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "stop", "seed"), "not taken."
    ),
    user_field=None,
    metadata=False,
    reasoning=None,
    parallel_tool_calls=False,
)
REFUSED = {
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 3,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.1,
    "stop": ["x"],
    "seed": 1,
    "user": "u",
    "metadata": {"a": "b"},
    "reasoning": "low",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_server_refuses_is_left_out_with_a_warning(name):
    """Or raised, or dropped in silence, as the caller chose."""
    option = {name: REFUSED[name]}
    body, warned = build(quirks=REFUSING, **option)
    assert body.keys() == {"model", "messages"}
    assert warned == [name]
    assert build(quirks=REFUSING, on_unsupported="drop", **option) == (body, [])
    with pytest.raises(UnsupportedParameterError, match=name) as caught:
        build(quirks=REFUSING, on_unsupported="raise", **option)
    assert (caught.value.provider, caught.value.model) == ("acme", "m")


def test_some_parameters_are_taken_once_reasoning_is_off():
    """The models whose sampling is free only without thinking."""
    quirks = evolve(
        REFUSING, taken_without_reasoning=frozenset({"temperature"}), reasoning=effort_writer("none", "low")
    )
    assert build(quirks=quirks, temperature=1, reasoning="none")[0]["temperature"] == 1
    assert build(quirks=quirks, temperature=1, reasoning="low")[1] == ["temperature"]
    assert build(quirks=quirks, temperature=1)[1] == ["temperature"]


def test_only_so_many_stop_texts_are_sent_as_are_taken():
    """The first ones, with a warning."""
    body, warned = build(quirks=ChatQuirks(max_stop=2), stop=["a", "b", "c"])
    assert (body["stop"], warned) == (["a", "b"], ["stop"])
    assert build(quirks=ChatQuirks(max_stop=2), stop=["a", "b"])[1] == []


def test_a_stream_asks_for_usage_where_that_is_needed():
    """And only where a server takes the wish."""
    assert build(stream=True)[0]["stream_options"] == {"include_usage": True}
    body = build(quirks=ChatQuirks(ask_stream_usage=False), stream=True)[0]
    assert body["stream"] is True
    assert "stream_options" not in body


@pytest.mark.parametrize(
    ("effort", "allowed", "sent"),
    [
        ("low", ("low", "high"), "low"),
        ("max", ("low", "high"), "high"),
        ("medium", ("low", "high"), "low"),
        ("none", ("low", "high"), "low"),
        ("xhigh", ("none", "low"), "low"),
    ],
)
def test_an_effort_becomes_the_nearest_one(effort, allowed, sent):
    """Of two equally near ones the lower, and never without a word."""
    assert clamp_effort(effort, allowed) == sent
    body, warned = build(quirks=ChatQuirks(reasoning=effort_writer(*allowed)), reasoning=effort)
    assert body["reasoning_effort"] == sent
    assert warned == ([] if sent == effort else ["reasoning"])


@pytest.mark.parametrize(("budget", "effort"), [(1024, "low"), (8192, "medium"), (50_000, "high")])
def test_a_budget_becomes_an_effort_where_tokens_are_not_counted(budget, effort):
    """With a warning, for it is not what was asked."""
    body, warned = build(reasoning=budget)
    assert (body["reasoning_effort"], warned) == (effort, ["reasoning"])


def test_a_wish_to_see_reasoning_sets_no_effort():
    """There is no field for it."""
    assert "reasoning_effort" not in build(reasoning={"show": True})[0]


# ------------------------------------------------------------------------------------------------ messages


def test_roles_are_written_as_they_are():
    """System and developer under the server's name for it."""
    conversation = [
        {"role": "developer", "content": "a"},
        {"role": "system", "content": "b"},
        {"role": "user", "content": "c", "name": "Ann"},
        {"role": "assistant", "content": "d"},
    ]
    system = [item["role"] for item in written(conversation)]
    assert system == ["system", "system", "user", "assistant"]
    developer = written(conversation, ChatQuirks(system_role="developer"))
    assert [item["role"] for item in developer] == ["developer", "developer", "user", "assistant"]
    assert developer[2] == {"role": "user", "content": "c", "name": "Ann"}


def test_system_messages_are_joined_where_only_one_is_taken():
    """At the start, whatever stood between them."""
    quirks = ChatQuirks(single_system=True)
    conversation = [Message.system("a"), Message.user("b"), Message.system("c")]
    assert written(conversation, quirks) == [{"role": "system", "content": "a\n\nc"}, {"role": "user", "content": "b"}]
    assert written([Message.user("b"), Message.system("c")], quirks)[0] == {"role": "system", "content": "c"}
    assert written([Message.system("a"), Message.user("b")], quirks)[0] == {"role": "system", "content": "a"}
    assert written("Hi", quirks) == [{"role": "user", "content": "Hi"}]
    listed = written([Message.user("b"), Message("system", [Native("x", {"type": "x"})])], quirks)
    assert listed[0]["content"] == ""  # no text in it, and no Python in its place
    texts = [Message("system", [Text("a"), Text("b", extra={"x": 1})]), Message.user("c"), Message.system("d")]
    assert written(texts, quirks)[0]["content"] == "a\n\nb\n\nd"


def test_turns_of_one_role_are_joined_where_they_must_alternate():
    """Plain texts only; what carries more stays apart."""
    quirks = ChatQuirks(join_same_role=True)
    assert written(["a", "b", Message.assistant("c"), "d"], quirks) == [
        {"role": "user", "content": "a\n\nb"},
        {"role": "assistant", "content": "c"},
        {"role": "user", "content": "d"},
    ]
    assert len(written(["a", Message.user("b", PNG), Message("user", "c", name="Ann")], quirks)) == 3
    calls = [Message.assistant(ToolCall("a", "f"), ToolCall("b", "f"))]
    results = [Message.tool("a", "1"), Message.tool("b", "2")]
    assert [item["role"] for item in written(["Hi", *calls, *results], quirks)] == ["user", "assistant", "tool", "tool"]


def test_texts_alone_are_written_as_a_string():
    """Every server takes that; a list only where there is more."""
    assert written([Message("user", [Text("a")])])[0]["content"] == "a"
    assert written([Message.user("a", "b")])[0]["content"] == [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]
    assert written([Message("system", [Text("a"), Text("b")]), "Hi"])[0]["content"] == "a\n\nb"
    assert written([Message.user("Hi"), Message.assistant("a", "b")])[1]["content"] == "ab"


def test_pictures_sound_and_documents_have_their_forms():
    """As the reference has them."""
    parts = [
        PNG,
        Image(url="https://h.test/a.png", detail="low"),
        WAV,
        Audio(data=b"x", media_type="audio/mpeg"),
        PDF,
        Document(data=b"x", media_type="application/pdf"),
        Document(file_id="file-1"),
        Document(data=b"words", media_type="text/markdown"),
        Refusal("no"),
        Native("video_url", {"type": "video_url", "video_url": "u"}),
    ]
    assert written([Message("user", parts)])[0]["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}},
        {"type": "image_url", "image_url": {"url": "https://h.test/a.png", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "eA==", "format": "wav"}},
        {"type": "input_audio", "input_audio": {"data": "eA==", "format": "mp3"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,eA=="}},
        {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,eA=="}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "text", "text": "document:\n```\nwords\n```"},
        {"type": "refusal", "refusal": "no"},
        {"type": "video_url", "video_url": "u"},
    ]


def test_documents_may_be_linked_where_that_is_the_form():
    """Mistral's ``document_url``; an uploaded file goes by its id."""
    quirks = ChatQuirks(documents="document_url", bare_audio=True)
    parts = [PDF, Document(url="https://h.test/a.pdf"), Document(file_id="f1"), WAV]
    assert written([Message("user", parts)], quirks)[0]["content"] == [
        {"type": "document_url", "document_url": "data:application/pdf;base64,eA==", "document_name": "a.pdf"},
        {"type": "document_url", "document_url": "https://h.test/a.pdf"},
        {"type": "file", "file_id": "f1"},
        {"type": "input_audio", "input_audio": "eA=="},
    ]


@pytest.mark.parametrize(
    ("part", "quirks", "words"),
    [
        (PNG, ChatQuirks(images=False), "takes no images"),
        (Image(url="https://h.test/a.png"), ChatQuirks(image_links=False), "only as data"),
        (Image(file_id="f"), ChatQuirks(), "only as data"),
        (WAV, ChatQuirks(audio=False), "takes no audio"),
        (Audio(data=b"x", media_type="audio/ogg"), ChatQuirks(), "WAV or MP3"),
        (Audio(url="https://h.test/a.wav", media_type="audio/wav"), ChatQuirks(), "WAV or MP3"),
        (PDF, ChatQuirks(documents=None), "takes no documents"),
        (Document(url="https://h.test/a.pdf"), ChatQuirks(), "only as data"),
    ],
)
def test_what_a_server_cannot_see_or_hear_is_refused(part, quirks, words):
    """Before the request is sent: leaving a picture out would change the question."""
    with pytest.raises(InvalidRequestError, match=words) as caught:
        build([Message("user", [part])], quirks)
    assert caught.value.hint


def test_parts_in_the_wrong_place_are_left_out_with_a_warning():
    """Thinking in a user's message, texts in a tool message."""
    body, warned = build([Message("user", [Text("a"), Thinking("b")])])
    assert (body["messages"][0]["content"], warned) == ("a", ["messages"])
    conversation = ["Hi", Message.assistant(ToolCall("a", "f")), Message("tool", [ToolResult("a", "1"), Text("b")])]
    body, warned = build(conversation)
    assert (len(body["messages"]), warned) == (3, ["messages"])


def test_fields_nobody_knows_are_sent_back_where_they_came_from():
    """A message without an origin is the user's own; one of another API keeps its fields to itself."""
    text = Text("a", extra={"x": 1})
    own = Message("assistant", [text], origin=OWN, extra={"phase": "f"})
    assert written(["Hi", own])[1] == {
        "role": "assistant",
        "content": [{"type": "text", "text": "a", "x": 1}],
        "phase": "f",
    }
    assert written([{"role": "user", "content": "Hi", "x": 1}]) == [{"role": "user", "content": "Hi", "x": 1}]
    body, warned = build(["Hi", evolve(own, origin="gemini_content")])
    assert (body["messages"][1], warned) == ({"role": "assistant", "content": "a"}, ["messages"])


def test_blocks_of_another_api_stay_at_home():
    """With a warning; blocks without an origin are the user's own."""
    block = Native("x", {"type": "x"})
    assert written(["Hi", Message.assistant("a", block)])[1]["content"][1] == {"type": "x"}
    body, warned = build(["Hi", Message("assistant", [Text("a"), block], origin="anthropic_messages")])
    assert (body["messages"][1]["content"], warned) == ("a", ["messages"])


# ------------------------------------------------------------------------------------------------ tools


def conversation(*parts, origin=None, result=None):
    calls = [part for part in parts if isinstance(part, ToolCall)]
    results = [result or ToolResult(call.id, "ok") for call in calls]
    return [Message.user("Hi"), Message("assistant", list(parts), origin=origin), Message("tool", results)]


def test_calls_and_results_are_written_as_messages():
    """Arguments as text, never empty; one message for each result."""
    messages = written(conversation(ToolCall("a", "f", {"x": 1}), ToolCall("b", "g")))
    assert messages[1:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
                {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "ok"},
        {"role": "tool", "tool_call_id": "b", "content": "ok"},
    ]
    assert written(conversation(ToolCall("a", "f")), ChatQuirks(empty_content=""))[1]["content"] == ""


def test_what_came_with_a_call_goes_back_with_it():
    """Google's thought signature beside a call, and custom calls as they were; not to another API."""
    extra = {"extra_content": {"google": {"thought_signature": "s"}}}
    call = ToolCall("a", "f", "{}", extra=extra)
    assert written(conversation(call, origin=OWN))[1]["tool_calls"][0]["extra_content"] == extra["extra_content"]
    assert "extra_content" not in written(conversation(call, origin="gemini_content"))[1]["tool_calls"][0]
    custom = {"id": "a", "type": "custom", "custom": {"name": "f", "input": "raw"}}
    assert written(conversation(ToolCall("a", "f", "raw", native=custom)))[1]["tool_calls"] == [custom]


def test_ids_become_nine_letters_where_that_is_demanded():
    """The call and its result the same nine, a fitting id stays."""
    quirks = ChatQuirks(nine_letter_ids=True, tool_name=True)
    messages = written(conversation(ToolCall("call_0123456789", "f"), ToolCall("Abc123xyz", "g")), quirks)
    first, second = (call["id"] for call in messages[1]["tool_calls"])
    assert len(first) == 9
    assert first.isalnum()
    assert second == "Abc123xyz"
    assert [(item["tool_call_id"], item["name"]) for item in messages[2:]] == [(first, "f"), (second, "g")]


def test_results_say_that_they_are_errors():
    """There is no field for it, so the text says it; not twice."""
    for content, sent in (("no such file", "Error: no such file"), ("ERROR 7", "ERROR 7")):
        result = ToolResult("a", content, is_error=True, extra={"x": 1})
        message = written(conversation(ToolCall("a", "f"), result=result))[2]
        assert message == {"role": "tool", "tool_call_id": "a", "content": sent, "x": 1}


def test_results_of_several_parts_become_one_text():
    """Pictures in results are not taken; what is unknown is sent as it is."""
    call = ToolCall("a", "f")
    assert written(conversation(call, result=ToolResult("a", [Text("x"), Text("y")])))[2]["content"] == "xy"
    body, warned = build(conversation(call, result=ToolResult("a", [Text("x"), PNG, Thinking("t")])))
    assert (body["messages"][2]["content"], warned) == ("x", ["messages", "messages"])
    block = Native("x", {"type": "x"})
    assert written(conversation(call, result=ToolResult("a", [block])))[2]["content"] == [{"type": "x"}]


def test_tools_are_written_nested():
    """``strict`` only where it is taken; tools of the provider itself as they are."""
    tool = {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}}
    native = {"type": "web_search"}
    assert build(tools=[tool, native])[0]["tools"] == [tool, native]
    loose = build(quirks=ChatQuirks(strict_tools=False), tools=[tool])[0]["tools"][0]
    assert "strict" not in loose["function"]


ALLOWED = {
    "type": "allowed_tools",
    "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
}
SUBSET = {"type": "allowed_tools", "mode": "required", "tools": [{"name": "f"}, {"name": "g"}]}
NAMED = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("choice", "quirks", "sent", "names", "warned"),
    [
        ("auto", {}, "auto", "fgh", []),
        ("none", {}, "none", "fgh", []),
        ("required", {}, "required", "fgh", []),
        ("f", {}, NAMED, "fgh", []),
        (SUBSET, {}, "required", "fg", []),
        (ALLOWED, {}, "auto", "f", []),
        (ALLOWED, {"allowed_tools": True}, ALLOWED, "fgh", []),
        ("f", {"tool_choices": {"required"}}, "required", "fgh", ["tool_choice"]),
        ("required", {"tool_choices": {"named"}}, None, "fgh", ["tool_choice"]),
        ("f", {"tool_choices": ()}, None, "fgh", ["tool_choice"]),
        (SUBSET, {"tool_choices": ()}, None, "fg", ["tool_choice"]),
    ],
)
def test_tool_choices_are_written_as_far_as_they_are_taken(choice, quirks, sent, names, warned):
    """A subset is named on the wire or the other tools are not sent; what cannot be forced is warned about."""
    if "tool_choices" in quirks:
        quirks["tool_choices"] = frozenset(quirks["tool_choices"])
    body, told = build(quirks=ChatQuirks(**quirks), tools=TOOLS, tool_choice=choice)
    assert body.get("tool_choice") == sent
    assert [tool["function"]["name"] for tool in body["tools"]] == list(names)
    assert told == warned


def test_parallel_calls_are_asked_for_where_that_is_taken():
    """And only with tools."""
    assert build(tools=TOOLS, parallel_tool_calls=False)[0]["parallel_tool_calls"] is False
    assert build(quirks=REFUSING, tools=TOOLS, parallel_tool_calls=False)[1] == ["parallel_tool_calls"]
    assert "parallel_tool_calls" not in build(parallel_tool_calls=False)[0]


# ------------------------------------------------------------------------------------------------ formats


def test_formats_are_written_nested():
    """JSON schemas under ``json_schema``."""
    assert build(response_format="text")[0]["response_format"] == {"type": "text"}
    assert build(response_format="json")[0]["response_format"] == {"type": "json_object"}
    assert build(response_format=SCHEMA)[0]["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "response", "schema": SCHEMA},
    }
    spec = {"name": "n", "schema": SCHEMA, "strict": True, "description": "d"}
    wanted = {"type": "json_schema", "json_schema": spec}
    assert build(response_format=wanted)[0]["response_format"] == wanted


@pytest.mark.parametrize("conversation", ["Hi", [Message.system("Be kind"), Message.user("Hi")]])
def test_a_schema_goes_into_the_prompt_where_it_is_not_taken(conversation):
    """With JSON mode, and a warning."""
    body, warned = build(conversation, ChatQuirks(json_schema="prompt"), response_format=SCHEMA)
    first = body["messages"][0]
    assert body["response_format"] == {"type": "json_object"}
    assert first["role"] == "system"
    assert '"tz"' in first["content"]
    assert first["content"].startswith("Be kind") == (conversation != "Hi")
    assert warned == ["response_format"]


def test_json_is_asked_for_in_words_where_there_is_no_json_mode():
    """A schema then is native or in the prompt alone."""
    body, warned = build(quirks=ChatQuirks(json_object=False), response_format="json")
    assert "response_format" not in body
    assert body["messages"][0] == {"role": "system", "content": "Answer with JSON only."}
    assert warned == ["response_format"]
    body, _ = build(quirks=ChatQuirks(json_object=False, json_schema="prompt"), response_format=SCHEMA)
    assert "response_format" not in body


# ------------------------------------------------------------------------------------------------ reasoning, caching


def test_reasoning_goes_back_where_the_server_reads_it():
    """Under its field, only its own, and not at all where there is no field."""
    turn = Message("assistant", [Thinking("Hm"), Thinking("So"), Thinking(""), Text("a")], origin=OWN)
    quirks = ChatQuirks(reasoning_field="reasoning_content")
    assert written(["Hi", turn], quirks)[1] == {"role": "assistant", "content": "a", "reasoning_content": "Hm\n\nSo"}
    assert written(["Hi", turn])[1] == {"role": "assistant", "content": "a"}
    assert written(["Hi", evolve(turn, origin="x")], quirks)[1] == {"role": "assistant", "content": "a"}
    alone = Message("assistant", [Thinking("Hm")], origin=OWN)
    assert written(["Hi", alone], quirks)[1] == {"role": "assistant", "content": "", "reasoning_content": "Hm"}


def test_reasoning_is_never_missing_where_tools_demand_it():
    """Empty on turns that have none; without tools nothing is added."""
    quirks = ChatQuirks(reasoning_field="reasoning_content", reasoning_with_tools=True)
    messages = written(
        [*conversation(Thinking("Hm"), ToolCall("a", "f"), origin=OWN), Message.assistant("b"), "Go"], quirks
    )
    assert [item.get("reasoning_content") for item in messages] == [None, "Hm", None, "", None]
    assert "reasoning_content" not in written(["Hi", Message.assistant("b"), "Go"], quirks)[1]


def test_thinking_goes_back_as_chunks_where_it_came_as_chunks():
    """As it came where it is known, else rebuilt."""
    quirks = ChatQuirks(thinking_chunks=True)
    native = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}], "signature": "s"}
    turn = Message("assistant", [Thinking("Hm", native=native), Thinking("So"), Text("a")], origin=OWN)
    assert written(["Hi", turn], quirks)[1]["content"] == [
        native,
        {"type": "thinking", "thinking": [{"type": "text", "text": "So"}]},
        {"type": "text", "text": "a"},
    ]
    assert written(["Hi", evolve(turn, origin="x")], quirks)[1]["content"] == "a"


def test_a_refusal_goes_back_as_one():
    """Beside an empty content where the server has a field for it, elsewhere as text."""
    message = Message("assistant", [Refusal("no"), Refusal("pe")], name="Bot")
    own = written(["Hi", message], ChatQuirks(refusals=True))[1]
    assert own == {"role": "assistant", "content": None, "refusal": "nope", "name": "Bot"}
    assert written(["Hi", message])[1] == {"role": "assistant", "content": "nope", "name": "Bot"}


def test_an_empty_turn_is_an_empty_text():
    """Never ``null`` without a tool call."""
    assert written(["Hi", Message("assistant", [])])[1] == {"role": "assistant", "content": ""}


def test_cache_marks_are_written_where_they_are_taken():
    """On parts that carry one, and at the end of the conversation where the call asks for it."""
    quirks = ChatQuirks(cache_control=True)
    marked = written([Message("user", [Text("a", cache=True), Text("b")])], quirks)[0]["content"]
    assert marked[0] == {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}
    assert "cache_control" not in str(written([Message("user", [Text("a", cache=True)])]))
    assert written("Hi", quirks, cache="1h")[0]["content"] == [
        {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    ]
    ending = written([Message.user("a", "b")], quirks, cache=True)[0]["content"]
    assert ending[1]["cache_control"] == {"type": "ephemeral"}
    skipped = written(["Hi", Message.user("a", PNG)], quirks, cache=True)
    assert skipped[0]["content"][0]["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" not in str(skipped[1])
    assert written([Message.user(PNG)], quirks, cache=True)[0]["content"] == written([Message.user(PNG)])[0]["content"]
    assert written("Hi", cache=True) == [{"role": "user", "content": "Hi"}]


# ------------------------------------------------------------------------------------------------ the smaller calls


def test_quirks_may_depend_on_the_model():
    """And are worked out once for each."""
    asked = []

    def quirks(model):
        asked.append(model)
        return ChatQuirks(seed_field=model)

    dialect = OpenAIChat(provider="acme", quirks=quirks)
    assert [dialect.quirks(name).seed_field for name in ("a", "a", "b")] == ["a", "a", "b"]
    assert asked == ["a", "b"]
    for number in range(1100):
        dialect.quirks(str(number))
    assert dialect.quirks("a").seed_field == "a"


def test_embeddings_and_models_have_their_paths():
    """The number of dimensions under the server's name for it."""
    dialect = OpenAIChat(quirks=ChatQuirks(dimensions_field="output_dimension"))
    call = dialect.build_embed(["a"], "m", 7)
    assert (call.path, call.body) == ("/embeddings", {"model": "m", "input": ["a"], "output_dimension": 7})
    assert "output_dimension" not in dialect.build_embed(["a"], "m", None).body
    assert (dialect.build_models(None).method, dialect.build_models(None).path) == ("GET", "/models")


def test_tokens_are_counted_only_where_the_server_can():
    """Nothing is guessed."""
    request = build_request("Hi", {}, default_model="m", defaults={})
    with pytest.raises(NotSupportedError, match="acme has no endpoint for token counting"):
        OpenAIChat(provider="acme").build_count(request, ParameterReport())
    dialect = OpenAIChat(quirks=ChatQuirks(count_path="/count"))
    assert dialect.build_count(request, ParameterReport()).path == "/count"
    assert dialect.parse_count({"input_tokens": 7}) == 7
