"""Messages, their parts, and files that become parts."""

import base64
import io
import pickle

import pytest

from provider_kit.errors import InvalidRequestError, ToolCallParseError
from provider_kit.model.conversation import attachment
from provider_kit.model.file_types import sniff
from provider_kit.model.media import Audio, Document, Image, Media, from_url
from provider_kit.model.messages import Message, Native, Refusal, Text, Thinking, ToolCall, ToolResult

PNG = b"\x89PNG\r\n\x1a\nrest IEND"


def test_a_message_tells_its_text_thinking_calls_and_refusal():
    """The views of a message with every kind of part."""
    call = ToolCall("c1", "f", {"a": 1})
    message = Message.assistant(
        Thinking("first"), Thinking("second"), Thinking(""), "Hello ", Text("you"), call, Refusal("no"), Refusal("pe")
    )
    assert message.text == "Hello you"
    assert message.thinking == "first\n\nsecond"
    assert message.tool_calls == [call]
    assert message.refusal == "nope"


def test_a_plain_message_has_its_string_as_its_one_part():
    """A string is the short form of one text."""
    assert Message.user("Hi").parts == [Text("Hi")]
    assert Message.user("Hi").text == "Hi"
    assert Message("assistant", "").parts == []
    assert Message.assistant("Hi").refusal is None
    assert Message.system("Be kind").role == "system"
    assert Message.user("a", Image(url="https://h/u")).content == [Text("a"), Image(url="https://h/u")]


def test_a_tool_message_holds_one_result():
    """``Message.tool`` answers a call."""
    message = Message.tool("c1", "42", is_error=True)
    assert message == Message("tool", [ToolResult("c1", "42", is_error=True)])


@pytest.mark.parametrize(
    ("given", "text", "arguments"),
    [
        ({"a": [1, "é"]}, '{"a":[1,"é"]}', {"a": [1, "é"]}),
        ('{"a": 1}', '{"a": 1}', {"a": 1}),
        ("", "", {}),
        ("  ", "  ", {}),
        (None, "", {}),
        ({}, "{}", {}),
    ],
)
def test_tool_arguments_are_kept_as_text_and_read_as_a_dict(given, text, arguments):
    """Empty text means no arguments; the model's own text is kept as it is."""
    call = ToolCall("c", "f", given)
    assert call.arguments_json == text
    assert call.arguments == arguments


@pytest.mark.parametrize("text", ['{"a":', "nonsense", "[1]", "null", '"x"'])
def test_arguments_that_are_no_object_are_an_error_only_when_read(text):
    """A model's mistake does not break the answer it stands in."""
    call = ToolCall("c", "f", text)
    with pytest.raises(ToolCallParseError, match="'f'"):
        _ = call.arguments


@pytest.mark.parametrize("value", [{"a": object()}, {"a": float("nan")}])
def test_arguments_that_json_cannot_carry_are_refused(value):
    """Whoever writes a call by hand is told at once."""
    with pytest.raises(InvalidRequestError, match="cannot be written as JSON"):
        ToolCall("c", "f", value)


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"%PDF-1.7", "application/pdf"),
        (b"ID3x", "audio/mpeg"),
        (b"OggSx", "audio/ogg"),
        (b"RIFF1234WAVE", "audio/wav"),
        (b"RIFF1234WEBP", "image/webp"),
        (b"RIFF1234AVI ", "video/x-msvideo"),
        (b"hello", None),
    ],
)
def test_types_are_told_by_the_first_bytes(data, media_type):
    """Not by the name alone."""
    assert sniff(data) == media_type


def test_bytes_become_the_fitting_part():
    """Content first, then the name, then whether it is text."""
    assert type(Media.from_bytes(PNG)) is Image
    assert type(Media.from_bytes(b"RIFF1234WAVE")) is Audio
    assert Media.from_bytes(b"hello") == Document(data=b"hello", media_type="text/plain")
    assert Media.from_bytes(b"\x00\x01", filename="a.mp3").media_type == "audio/mpeg"
    assert type(Image.from_bytes(b"%PDF-", media_type="image/png")) is Image
    for data in (b"\x00\x01", b"\xff\x00\xfe"):
        with pytest.raises(InvalidRequestError, match="Cannot tell the type"):
            Media.from_bytes(data)
    with pytest.raises(InvalidRequestError, match="empty"):
        Media.from_bytes(b"")


def test_files_are_read_with_their_names(tmp_path):
    """A missing file is an error that names it."""
    file = tmp_path / "photo.png"
    file.write_bytes(PNG)
    assert Media.from_path(file, detail="low") == Image(
        data=PNG, media_type="image/png", filename="photo.png", detail="low"
    )
    with pytest.raises(InvalidRequestError, match=r"missing\.png"):
        Media.from_path(tmp_path / "missing.png")


def test_a_data_url_is_written_from_bytes():
    """RFC 2397, with the type told by the content where none is given."""
    assert Image(data=b"x", media_type="image/png").data_url == "data:image/png;base64,eA=="
    assert Document(data=b"x").data_url == "data:text/plain;base64,eA=="
    assert Document(data=b"%PDF-1.7").media_type == "application/pdf"


@pytest.mark.parametrize("given", [{}, {"data": b"x", "url": "https://example.org/a.png"}, {"data": b"\0\0"}])
def test_media_must_be_one_thing_of_a_known_type(given):
    """Nothing, two sources, or bytes of which nobody knows what they are."""
    with pytest.raises(InvalidRequestError):
        Image(**given)


def test_anything_that_is_a_file_can_be_attached(tmp_path):
    """Paths, bytes, addresses, open files and parts."""
    file = tmp_path / "a.txt"
    file.write_text("hello")
    text = {"data": b"hello", "media_type": "text/plain"}
    assert attachment(str(file)) == Document(**text, filename="a.txt")
    assert attachment(file) == Document(**text, filename="a.txt")
    assert attachment(bytearray(PNG)) == Image(data=PNG, media_type="image/png")
    assert attachment(io.BytesIO(PNG)) == Image(data=PNG, media_type="image/png")
    assert attachment(io.StringIO("hello")) == Document(**text)
    with file.open("rb") as opened:
        assert attachment(opened) == Document(**text, filename="a.txt")
    assert attachment("https://h.test/a.pdf?x=1") == Document(
        url="https://h.test/a.pdf?x=1", media_type="application/pdf"
    )
    part = Text("x")
    assert attachment(part) is part
    with pytest.raises(InvalidRequestError, match="Cannot attach a int"):
        attachment(7)


def test_addresses_become_parts():
    """Data URLs become bytes; an address of unknown type is taken for a picture."""
    assert from_url("https://h.test/picture") == Image(url="https://h.test/picture")
    assert from_url("data:,hello%20x") == Document(data=b"hello x", media_type="text/plain")
    assert from_url("data:image/png;base64,eA==", detail="low") == Image(
        data=b"x", media_type="image/png", detail="low"
    )
    assert from_url("data:image/png;base64,eA%3D%3D") == Image(data=b"x", media_type="image/png")
    assert from_url("data:image/png;base64,eA==", kind=Document) == Document(data=b"x", media_type="image/png")
    with pytest.raises(InvalidRequestError, match="invalid base64"):
        from_url("data:image/png;base64,???")


def test_bytes_are_not_shown():
    """A picture does not flood the log."""
    shown = repr(Image(data=b"x" * 1000, media_type="image/png"))
    assert "<1000 bytes>" in shown
    assert base64.b64encode(b"x" * 30).decode() not in shown


def test_messages_pickle():
    """A conversation can be kept."""
    message = Message(
        "assistant", [Text("a"), ToolCall("c", "f", "{}"), Native("x", {"type": "x"})], origin="o", model="m"
    )
    assert pickle.loads(pickle.dumps(message)) == message
