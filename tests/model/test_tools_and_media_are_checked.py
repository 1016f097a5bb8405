"""Tools, formats and media that no API could take are refused before anything is sent, made as objects or dicts."""

import pytest

from provider_kit import (
    Audio,
    Client,
    Document,
    Image,
    Message,
    ResponseFormat,
    ScriptedTransport,
    Tool,
    ToolChoice,
)
from provider_kit.errors import ConfigError, InvalidRequestError

CHAT = {"id": "x", "model": "m", "choices": [{"index": 0, "message": {"content": "Fine."}, "finish_reason": "stop"}]}
CLAUDE = {"id": "msg_1", "type": "message", "content": [{"type": "text", "text": "Fine."}], "stop_reason": "end_turn"}
RESPONSE = {"id": "r", "object": "response", "status": "completed", "model": "m", "output": []}
CANDIDATE = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Fine."}]}, "finishReason": "STOP"}]}
OLLAMA = {"model": "m", "message": {"role": "assistant", "content": "Fine."}, "done": True, "done_reason": "stop"}
TARGETS = {
    "openai_chat": ("openai/gpt-4o", CHAT),
    "openai_responses": ("openai/gpt-6-luna", RESPONSE),
    "claude": ("anthropic/claude-opus-5", CLAUDE),
    "gemini": ("gemini/gemini-3-pro", CANDIDATE),
    "ollama": ("ollama/llama3.2", OLLAMA),
}
PNG = b"\x89PNG\r\n\x1a\nrest IEND"
MP4 = b"\x00\x00\x00\x18ftypisomrest"
WEBM = b"\x1aE\xdf\xa3rest"
HTML = b"<!doctype html><title>404</title>"


@pytest.fixture(params=TARGETS)
def target(request):
    """Each API, one after the other."""
    return request.param


@pytest.fixture(params=["chat", "stream"])
def verb(request):
    """Whole and streamed."""
    return request.param


@pytest.fixture
def refused(call):
    """Asks what must be refused before anything is sent; returns the error."""

    def ask(target, messages="Hi", verb="chat", **options):
        transport = ScriptedTransport([])
        client = Client(TARGETS[target][0], api_key="test-key-0123456789", transport=transport)
        with pytest.raises(InvalidRequestError) as caught:
            getattr(call, verb)(client, messages, **options)
        assert transport.requests == []
        return caught.value

    return ask


@pytest.fixture
def sent(exchange):
    """Asks a target; returns the body that was sent and the parameters that were warned of."""

    def ask(target, messages="Hi", **options):
        model, answer = TARGETS[target]
        made = exchange(model, messages, answer={"json": answer}, **options)
        return made.body, made.warned

    return ask


# ---------------------------------------------------------------------------------------------------- tools

OPEN = {"type": "object", "properties": {}}
BAD_TOOLS = {
    "no name": ([Tool("")], "has no name"),
    "name is None": ([Tool(None)], "has no name"),
    "name is a number": ([Tool(5)], "has no name"),
    "blank in the name": ([Tool("a b")], "'a b' cannot be the name"),
    "line break in the name": ([Tool("a\n")], "cannot be the name"),
    "umlaut in the name": ([Tool("größe")], "cannot be the name"),
    "long name": ([Tool("x" * 129)], "cannot be the name"),
    "very long name": ([Tool("x" * 200)], "cannot be the name"),
    "same name twice": ([Tool("f"), Tool("f", "Another")], "Two tools have the name 'f'"),
    "same name in both forms": ([Tool("f"), {"name": "f", "input_schema": OPEN}], "Two tools have the name 'f'"),
    "description is a number": ([Tool("f", 5)], "description of the tool 'f'"),
    "parameters are None": ([Tool("f", None, None)], "parameters of the tool 'f'"),
    "parameters are a list": ([Tool("f", None, [OPEN])], "parameters of the tool 'f'"),
    "parameters are text": ([Tool("f", None, "{}")], "parameters of the tool 'f'"),
    "schema of a string": ([Tool("f", None, {"type": "string"})], "parameters of the tool 'f'"),
    "schema of two types": ([Tool("f", None, {"type": ["object", "null"]})], "parameters of the tool 'f'"),
    "schema of no type": ([Tool("f", None, {"type": None})], "parameters of the tool 'f'"),
    "native is a list": ([Tool("f", native=["web_search"])], "native form of a tool"),
    "native is text": ([Tool("f", native="web_search")], "native form of a tool"),
    "empty dict": ([{}], "empty dict"),
    "None": ([None], "not NoneType"),
    "a name": (["f"], "not str"),
    "a function of any number of arguments": ([print], "which a model cannot give"),
    "a class": ([Tool], "is a class, not a tool"),
    "dict without a name": ([{"type": "function", "function": {}}], "has no name"),
    "dict whose name is None": ([{"type": "function", "function": {"name": None}}], "has no name"),
    "dict whose function is None": ([{"type": "function", "function": None}], "has no name"),
    "dict with a blank in the name": ([{"type": "function", "name": "a b"}], "cannot be the name"),
    "dict with a string's schema": ([{"name": "f", "input_schema": {"type": "string"}}], "parameters of the tool"),
    "dict with a list for a schema": ([{"name": "f", "parameters": [1]}], "parameters of the tool 'f'"),
    "a dict in no list": ({"type": "function", "function": {"name": "f"}}, "must be a list"),
    "a tool in no list": (Tool("f"), "must be a list"),
    "a number": (5, "must be a list"),
    "a string": ("f", "must be a list"),
}


@pytest.mark.parametrize("case", BAD_TOOLS)
def test_a_tool_that_no_api_takes_is_refused(refused, target, case):
    """As an object and as a dict, by each API alike; the error says what is wrong with which tool."""
    tools, said = BAD_TOOLS[case]
    error = refused(target, tools=tools)
    assert said in error.message
    assert error.hint or "native" in said or "description" in said


def test_a_bad_tool_is_refused_in_streams_too(refused, verb):
    """Before the stream is opened."""
    refused("openai_chat", verb=verb, tools=[Tool("a b")])


@pytest.mark.parametrize("tools", [[None], [Tool("a b")], [Tool("f"), Tool("f")]], ids=["None", "blank", "twice"])
def test_a_bad_tool_among_the_defaults_is_refused_when_the_client_is_made(tools):
    """Not with the first call."""
    with pytest.raises(ConfigError, match="A default cannot be used"):
        Client("openai/gpt-4o", api_key="test-key-0123456789", defaults={"tools": tools})


@pytest.mark.parametrize(
    "name", ["f", "F_1-x", "x" * 64, "x" * 128, "ns.tool", "ns:tool", "server/tool"], ids=lambda name: name[:12]
)
def test_a_name_that_some_provider_takes_is_sent_as_it_is(sent, name):
    """What one provider refuses another takes; only what none takes is refused here."""
    body, warned = sent("gemini", tools=[Tool(name)])
    assert body["tools"] == [{"functionDeclarations": [{"name": name}]}]
    assert warned == []


def test_a_tool_without_parameters_gets_an_empty_schema(sent):
    """The least that is a schema of an object."""
    assert sent("openai_chat", tools=[Tool("f")])[0]["tools"][0]["function"] == {"name": "f", "parameters": OPEN}
    assert sent("openai_responses", tools=[Tool("f")])[0]["tools"] == [
        {"type": "function", "name": "f", "parameters": OPEN, "strict": False}
    ]
    assert sent("claude", tools=[Tool("f")])[0]["tools"] == [{"name": "f", "input_schema": OPEN}]


def test_a_schema_without_a_type_is_one_of_an_object(sent):
    """Claude is told so, since it demands the type."""
    tool = Tool("f", None, {"properties": {"a": {"type": "string"}}})
    body, warned = sent("claude", tools=[tool])
    assert body["tools"][0]["input_schema"] == {"type": "object", "properties": {"a": {"type": "string"}}}
    assert warned == []


def test_a_tool_of_the_providers_own_is_not_looked_into(sent):
    """Its name and form are the provider's matter; two of a kind are no mistake."""
    search = {"type": "web_search"}
    body, _ = sent("openai_responses", tools=[search, search, Tool("", native={"type": "x y"})])
    assert body["tools"] == [search, search, {"type": "x y"}]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": str}}},
        {"type": "object", "required": {"a"}},
        {"type": "object", "properties": {"a": {"default": float("nan")}}},
    ],
    ids=["class", "set", "not a number"],
)
def test_a_schema_that_json_cannot_carry_is_refused(refused, target, schema):
    """In a tool and in a format; nothing half written is sent."""
    assert "JSON" in refused(target, tools=[Tool("f", None, schema)]).message
    assert "JSON" in refused(target, response_format=ResponseFormat("json_schema", schema)).message


# ---------------------------------------------------------------------------------------------------- choice

TWO = [Tool("f"), Tool("g")]


@pytest.mark.parametrize(
    "choice",
    [
        "h",
        "",
        5,
        True,
        [],
        {},
        {"type": "bogus"},
        {"type": ["auto"]},
        {"type": "function", "function": "f"},
        {"type": "function", "function": {"name": 5}},
        {"type": "function", "function": {"name": ["f"]}},
        {"type": "allowed_tools", "tools": {"name": "f"}},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "h"}]},
        Tool("f"),
        ToolChoice("required", ("h",)),
        ToolChoice("auto", ("f", "h")),
        ToolChoice("none", ("h",)),
        ToolChoice("required", ("",)),
    ],
    ids=repr,
)
def test_a_choice_of_nothing_that_is_there_is_refused(refused, target, choice):
    """A tool that is not among the tools, or what is no choice at all."""
    assert "tool_choice" in refused(target, tools=TWO, tool_choice=choice).message


@pytest.mark.parametrize("choice", ["required", "any", "f", ToolChoice("required"), ToolChoice("auto", ("f",))])
def test_a_choice_without_tools_is_refused(refused, target, choice):
    """Nothing can be forced where there is nothing."""
    assert "tool_choice" in refused(target, tool_choice=choice).message


@pytest.mark.parametrize(
    "choice",
    [
        "f",
        ToolChoice("required", ("f",)),
        {"type": "function", "function": {"name": "f"}},
        {"type": "function", "name": "f"},
        {"type": "tool", "name": "f"},
    ],
    ids=repr,
)
def test_one_tool_can_be_chosen_in_every_form(sent, choice):
    """Name, object, and the dicts of both of OpenAI's APIs and of Anthropic's."""
    written = {
        "openai_chat": {"type": "function", "function": {"name": "f"}},
        "openai_responses": {"type": "function", "name": "f"},
        "claude": {"type": "tool", "name": "f"},
    }
    for target, expected in written.items():
        body, warned = sent(target, tools=TWO, tool_choice=choice)
        assert body["tool_choice"] == expected
        assert warned == []
    config = sent("gemini", tools=TWO, tool_choice=choice)[0]["toolConfig"]["functionCallingConfig"]
    assert config == {"mode": "ANY", "allowedFunctionNames": ["f"]}
    body, warned = sent("ollama", tools=TWO, tool_choice=choice)
    assert [tool["function"]["name"] for tool in body["tools"]] == ["f"]
    assert warned == ["tool_choice"]


# ---------------------------------------------------------------------------------------------------- formats


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        [],
        5,
        "xml",
        dict,
        {"type": "bogus"},
        {"type": "json_schema"},
        {"type": "json_schema", "json_schema": None},
        {"type": "json_schema", "json_schema": {"name": "x"}},
        {"type": "json_schema", "json_schema": {"name": "x", "schema": None}},
        {"type": "json_schema", "json_schema": {"name": "x", "schema": "object"}},
        {"type": "json_schema", "json_schema": {"name": "x", "schema": [1]}},
    ],
    ids=repr,
)
def test_a_format_that_is_none_is_refused(refused, target, wanted):
    """A schema must be there, and be one."""
    error = refused(target, response_format=wanted)
    assert "response_format" in error.message
    assert error.hint


def test_formats_mean_the_same_as_objects_and_dicts(sent, target):
    """What can be written in both ways is sent in one."""
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    spec = {"name": "answer", "schema": schema, "description": "d", "strict": True}
    pairs = [
        (ResponseFormat("text"), "text"),
        (ResponseFormat("json"), {"type": "json_object"}),
        (ResponseFormat("json_schema", schema), schema),
        (
            ResponseFormat("json_schema", schema, name="answer", description="d", strict=True),
            {"type": "json_schema", "json_schema": spec},
        ),
        ({"type": "json_schema", **spec}, {"type": "json_schema", "json_schema": spec}),
    ]
    for one, other in pairs:
        assert sent(target, response_format=one) == sent(target, response_format=other)


# ---------------------------------------------------------------------------------------------------- media


@pytest.fixture
def file(tmp_path):
    """A function: write a file, return its path."""

    def write(name, data):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


@pytest.mark.parametrize(
    ("kind", "name", "data", "said"),
    [
        (Image, "lib.py", b"print(1)", "This is no image: its type is text/x-python."),
        (Image, "notes.txt", b"text", "This is no image: its type is text/plain."),
        (Image, "notes", b"text", "This is no image: its type is text/plain."),
        (Image, "paper.pdf", b"%PDF-1.4", "This is no image: its type is application/pdf."),
        (Image, "paper.png", b"%PDF-1.4", "This is no image: its type is application/pdf."),
        (Image, "clip.mp4", MP4, "This is no image: its type is video/mp4."),
        (Image, "page.png", HTML, "The file 'page.png' is no image/png: it holds text."),
        (Image, "page.jpg", HTML, "The file 'page.jpg' is no image/jpeg: it holds text."),
        (Document, "photo.png", PNG, "This is no document: its type is image/png."),
        (Document, "photo.pdf", PNG, "This is no document: its type is image/png."),
        (Document, "voice.wav", b"RIFF0000WAVErest", "This is no document: its type is audio/wav."),
        (Audio, "photo.png", PNG, "This is no audio: its type is image/png."),
        (Audio, "lib.py", b"print(1)", "This is no audio: its type is text/x-python."),
        (Audio, "song.mp3", HTML, "The file 'song.mp3' is no audio/mpeg: it holds text."),
    ],
    ids=lambda value: getattr(value, "__name__", None) or (value if isinstance(value, str) else None),
)
def test_a_file_of_another_kind_is_refused(file, kind, name, data, said):
    """Its content tells what it is, then its name; the hint names what to do."""
    with pytest.raises(InvalidRequestError) as caught:
        kind.from_path(file(name, data))
    assert caught.value.message == said
    assert caught.value.hint


@pytest.mark.parametrize(
    ("kind", "data", "name"),
    [
        (Image, b"print(1)", "lib.py"),
        (Image, b"%PDF-1.4", None),
        (Document, PNG, None),
        (Document, PNG, "photo.pdf"),
        (Audio, PNG, None),
        (Image, MP4, None),
    ],
)
def test_bytes_of_another_kind_are_refused_like_files(kind, data, name):
    """From bytes, and as a field of the class itself."""
    with pytest.raises(InvalidRequestError, match="This is no "):
        kind.from_bytes(data, filename=name)
    with pytest.raises(InvalidRequestError, match="This is no "):
        kind(data=data, filename=name)


@pytest.mark.parametrize(
    ("kind", "name", "data", "media_type"),
    [
        (Image, "photo.png", PNG, "image/png"),
        (Image, "photo.txt", PNG, "image/png"),
        (Image, "photo", b"\xff\xd8\xffrest", "image/jpeg"),
        (Image, "photo.gif", b"RIFF0000WEBPrest", "image/webp"),
        (Image, "drawing.svg", b"<svg/>", "image/svg+xml"),
        (Document, "lib.py", b"print(1)", "text/x-python"),
        (Document, "notes", b"text", "text/plain"),
        (Document, "paper.txt", b"%PDF-1.4", "application/pdf"),
        (Document, "clip.mp4", MP4, "video/mp4"),
        (Document, "clip.bin", WEBM, "video/webm"),
        (Audio, "voice.txt", b"RIFF0000WAVErest", "audio/wav"),
        (Audio, "voice.m4a", b"\x00\x00\x00\x18ftypM4A rest", "audio/mp4"),
        (Audio, "voice.webm", WEBM, "audio/webm"),
    ],
)
def test_a_file_of_the_kind_is_taken_with_the_type_of_its_content(file, kind, name, data, media_type):
    """A wrong name does not matter; sound may come in a film's container."""
    made = kind.from_path(file(name, data))
    assert (type(made), made.media_type, made.data, made.filename) == (kind, media_type, data, name)


def test_a_type_that_is_given_is_believed(file):
    """Who says what it is knows better."""
    assert Image.from_path(file("lib.py", b"print(1)"), media_type="image/x-own").media_type == "image/x-own"
    assert Document(data=PNG, media_type="application/pdf").media_type == "application/pdf"


def test_attached_files_find_their_class_or_are_refused(sent, refused, file):
    """``files=`` takes pictures as pictures; a page that pretends to be one is an error before anything is sent."""
    body, warned = sent("claude", "Look", files=[file("photo.txt", PNG), file("lib.py", b"print(1)")])
    assert [block["type"] for block in body["messages"][0]["content"]] == ["text", "image", "document"]
    assert warned == []
    assert "holds text" in refused("claude", "Look", files=file("page.png", HTML)).message


@pytest.mark.parametrize(("name", "data", "media_type"), [("a.mp4", MP4, "video/mp4"), ("a.webm", WEBM, "video/webm")])
def test_a_video_is_taken_where_videos_are(sent, refused, verb, file, name, data, media_type):
    """Gemini looks at it; for the others it is no document, and that is said."""
    messages = [Message.user("What happens?", Document.from_path(file(name, data)))]
    for target in ("openai_chat", "openai_responses", "claude"):
        error = refused(target, messages, verb)
        assert f"is {media_type}; " in error.message
        assert error.message.endswith("takes no videos.")
        assert "Gemini" in error.hint
    refused("ollama", messages, verb)
    body, warned = sent("gemini", messages)
    assert body["contents"][0]["parts"][1]["inlineData"]["mimeType"] == media_type
    assert warned == []


def test_a_video_by_link_is_known_by_its_name(sent, refused):
    """As far as a link tells."""
    link = "https://x.test/clip.mp4?key=1"
    for target in ("openai_chat", "openai_responses", "claude"):
        assert "no videos" in refused(target, "What happens?", files=[link]).message
    link = "https://www.youtube.com/watch?v=1"
    body, _ = sent("gemini", Message.user("What happens?", Document(url=link, media_type="video/mp4")))
    assert body["contents"][0]["parts"][1] == {"fileData": {"fileUri": link, "mimeType": "video/mp4"}}
