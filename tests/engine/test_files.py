"""Files of many kinds at every provider: sent as they are, or refused before anything is sent."""

import base64
import io
import json
import struct
import zipfile

import pytest
from PIL import Image as Pillow

from provider_kit import Client, Document, Image, InvalidRequestError, Message, ScriptedTransport, ToolCall, ToolResult

KEY = "sk-test-0123456789"
CHAT = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
CLAUDE = {"type": "message", "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn"}
CANDIDATE = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]}
RESPONSE = {"object": "response", "status": "completed", "model": "m", "output": []}
OLLAMA = {"message": {"role": "assistant", "content": "Hi"}, "done": True, "done_reason": "stop"}

#: Model string, an answer, and the types of files it takes.
PROVIDERS = {
    "openai": ("openai/gpt-4o", CHAT),
    "responses": ("openai/gpt-6-sol", RESPONSE),
    "anthropic": ("anthropic/claude-sonnet-4-5", CLAUDE),
    "gemini": ("gemini/gemini-2.5-flash", CANDIDATE),
    "openrouter": ("openrouter/vendor/model", CHAT),
    "mistral": ("mistral/mistral-small-latest", CHAT),
    "groq": ("groq/meta-llama/llama-4", CHAT),
    "xai": ("xai/grok-4.3", RESPONSE),
    "ollama": ("ollama/llava", OLLAMA),
}


def picture(form, size=(8, 8), **options):
    written = io.BytesIO()
    Pillow.new("RGB", size, "red").save(written, form, **options)
    return written.getvalue()


def archive(*names):
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as made:
        for name in names:
            made.writestr(name, "x")
    return written.getvalue()


def wav(seconds=0.1):
    data = bytes(int(16_000 * seconds))
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        36 + len(data),
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        8000,
        16_000,
        2,
        16,
        b"data",
        len(data),
    )
    return head + data


PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Page >>\nendobj\ntrailer\n<< >>\nstartxref\n0\n%%EOF\n"
PNG, JPEG, GIF, WEBP, BMP, TIFF = (picture(form) for form in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"))
MP3 = b"ID3\x04\x00\x00\x00\x00\x00\x00" + b"\xff\xfb\x90\x00" + bytes(400)
MP4 = struct.pack(">I4s4sI", 24, b"ftyp", b"isom", 512) + b"isomiso2" + bytes(64)
HEIC = struct.pack(">I4s4sI", 24, b"ftyp", b"heic", 0) + b"mif1heic" + bytes(64)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
HTML = b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>"
EXE = b"MZ\x90\x00" + bytes(200)

#: Name, content, and what it is; ``None`` for the type: refused everywhere; ``text``: sent as text everywhere.
FILES = {
    "photo.png": (PNG, "image/png"),
    "photo.jpg": (JPEG, "image/jpeg"),
    "photo.gif": (GIF, "image/gif"),
    "photo.webp": (WEBP, "image/webp"),
    "photo.bmp": (BMP, "image/bmp"),
    "photo.tiff": (TIFF, "image/tiff"),
    "photo.heic": (HEIC, "image/heic"),
    "drawing.svg": (SVG, "image/svg+xml"),
    "no ending": (PNG, "image/png"),
    "lies it is a.png": (JPEG, "image/jpeg"),
    "lies it is a.txt": (PNG, "image/png"),
    "lies it is a.jpeg": (PDF, "application/pdf"),
    "UPPER.PNG": (PNG, "image/png"),
    "page of an error.png": (HTML, None),
    "program.jpg": (EXE, None),
    "program.pdf": (EXE, None),
    "archive.pdf": (archive("a"), None),
    "error.pdf": (HTML, None),
    "cut.png": (PNG[:-20], None),
    "cut.jpg": (picture("JPEG", (64, 64))[:-100], None),
    "cut.gif": (GIF[:-1], None),
    "cut.webp": (picture("WEBP", (64, 64))[:-10], None),
    "cut.pdf": (PDF[:-8], None),
    "cut.wav": (wav()[:-500], None),
    "empty.png": (b"", None),
    "empty.txt": (b"", None),
    "unknown.bin": (b"\x00\x01\x02\x03\xff", None),
    "report.pdf": (PDF, "application/pdf"),
    "notes.txt": ("Grüße".encode(), "text"),
    "notes.md": (b"# Title\n\n```py\nprint(1)\n```\n", "text"),
    "table.csv": (b"a,b\n1,2\n", "text"),
    "data.json": (b'{"a": 1}', "text"),
    "program.py": (b"print('hi')\n", "text"),
    "page.html": (HTML, "text"),
    "windows.txt": ("Grüße".encode("utf-16"), "text"),
    "latin.txt": ("Grüße".encode("latin-1"), None),
    "voice.wav": (wav(), "audio/wav"),
    "voice.mp3": (MP3, "audio/mpeg"),
    "clip.mp4": (MP4, "video/mp4"),
    "letter.docx": (archive("word/document.xml"), "docx"),
    "huge.png": (PNG[:-12] + bytes(100 * 1024 * 1024) + PNG[-12:], "image/png"),
}
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
IMAGES = {"image/png", "image/jpeg", "image/webp", "image/gif"}
SOUND = {"audio/wav", "audio/mpeg"}
#: What each provider takes of these.
TAKEN = {
    "openai": IMAGES | SOUND | {"application/pdf"},
    "responses": IMAGES | {"application/pdf"},
    "anthropic": IMAGES | {"application/pdf"},
    "gemini": (IMAGES - {"image/gif"}) | {"image/heic", "application/pdf", "video/mp4"} | SOUND,
    "openrouter": IMAGES | SOUND | {"application/pdf", "video/mp4"},
    "mistral": IMAGES | SOUND | {"application/pdf", DOCX},
    "groq": IMAGES,
    "xai": {"image/png", "image/jpeg"},
    "ollama": {"image/png", "image/jpeg", "image/webp"},
}
#: Providers that take whatever fits into memory.
WITHOUT_A_LIMIT = {"ollama"}


def client_of(name, *answers):
    target, answer = PROVIDERS[name]
    transport = ScriptedTransport([*answers, {"json": answer}])
    return Client(target, api_key=KEY, transport=transport, max_retries=0), transport


def all_texts(value):
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from all_texts(inner)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_file_is_sent_as_it_is_or_refused(provider, name, tmp_path):
    """Never as something else, never cut, never as an empty part."""
    content, kind = FILES[name]
    kind = DOCX if kind == "docx" else kind
    path = tmp_path / name
    path.write_bytes(content)
    client, transport = client_of(provider)
    if provider in WITHOUT_A_LIMIT:
        content = content[:1_000_000] + content[-12:] if len(content) > 1_000_000 else content
        path.write_bytes(content)
    fits = len(content) < 2_000_000
    if kind == "text" or (kind in TAKEN[provider] and fits):
        client.chat("Look:", files=[path])
        body = json.loads(transport.requests[0].body)
        said = list(all_texts(body))
        if kind == "text":
            text = content.decode("utf-16" if name.startswith("windows") else "utf-8").rstrip("\n")
            assert any(text in one for one in said)
            assert any(name in one for one in said)
        else:
            assert any(one.endswith(base64.b64encode(content).decode()) for one in said)
            assert (
                provider in ("ollama", "mistral")
                or kind.partition("/")[2].replace("mpeg", "mp") in json.dumps(body)[:100_000]
            )
        return
    with pytest.raises(InvalidRequestError) as caught:
        client.chat("Look:", files=[path])
    assert caught.value.hint
    assert not transport.requests


def test_the_same_file_comes_as_bytes_or_open(tmp_path, call):
    """By content alone, or with the name of the open file."""
    path = tmp_path / "photo.png"
    path.write_bytes(PNG)
    bodies = []
    for make in (lambda: path, lambda: str(path), lambda: PNG, lambda: Image(data=PNG)):
        client, transport = client_of("openai")
        call.chat(client, "Look:", files=[make()])
        bodies.append(json.loads(transport.requests[0].body)["messages"][0]["content"][1])
    with path.open("rb") as opened:
        client, transport = client_of("openai")
        call.chat(client, "Look:", files=[opened])
        bodies.append(json.loads(transport.requests[0].body)["messages"][0]["content"][1])
    assert all(body == bodies[0] for body in bodies)


def test_a_file_without_end_is_not_read_for_ever(tmp_path):
    """A device, or a file larger than any provider takes."""
    with pytest.raises(InvalidRequestError, match="is a device"):
        Image.from_path("/dev/zero")
    path = tmp_path / "sparse.mp4"
    with path.open("wb") as made:
        made.truncate(3 * 1024**3)
    with pytest.raises(InvalidRequestError, match="no provider takes more than"):
        Document.from_path(path)


@pytest.mark.parametrize(("provider", "most"), [("groq", 5), ("mistral", 8)])
def test_too_many_images_are_refused(call, provider, most):
    """Before they are sent; those of a tool's result count."""
    many = [Image(data=PNG) for _ in range(most)]
    client, transport = client_of(provider)
    call.chat(client, "Look:", files=many)
    with pytest.raises(InvalidRequestError, match=f"{most + 1} images are attached"):
        call.chat(client, "Look:", files=[*many, Image(data=PNG)])
    assert len(transport.requests) == 1


def test_files_that_are_too_large_together_are_refused(call):
    """Each alone would fit."""
    large = Document(data=PDF + bytes(9_000_000) + b"%%EOF", media_type="application/pdf")
    client, transport = client_of("gemini")
    with pytest.raises(InvalidRequestError, match=r"The files have 2\d\.\d MB") as caught:
        call.chat(client, "Read:", files=[large, large])
    assert "client.files.upload" in caught.value.hint
    assert not transport.requests


def test_files_in_a_tools_result_are_checked(call):
    """They are sent, too."""
    history = [
        Message.user("Look"),
        Message("assistant", [ToolCall("c1", "shoot", "{}")]),
        Message("tool", [ToolResult("c1", [Image(data=PNG[:-20])])]),
    ]
    client, transport = client_of("anthropic")
    with pytest.raises(InvalidRequestError, match="cut off"):
        call.chat(client, history)
    assert not transport.requests


def test_text_files_are_set_apart(call):
    """By their name and by fences that their own text does not end."""
    client, transport = client_of("openai")
    content = b"# Title\n\n```py\nprint(1)\n```\n"
    call.chat(client, "Read:", files=[Document(data=content, filename="notes.md")])
    part = json.loads(transport.requests[0].body)["messages"][0]["content"][1]["text"]
    assert part == "notes.md:\n````md\n# Title\n\n```py\nprint(1)\n```\n````"


# ------------------------------------------------------------------------------------------------ scaling


def test_an_image_is_scaled_on_request_only(call):
    """Its form stays; a small one is returned as it is."""
    large = Image(data=picture("JPEG", (4000, 1000)), filename="wide.jpg")
    small = large.scaled(1000)
    with Pillow.open(io.BytesIO(small.data)) as opened:
        assert (opened.size, opened.format) == ((1000, 250), "JPEG")
    assert (small.media_type, small.filename) == ("image/jpeg", "wide.jpg")
    assert small.scaled(1000) is small
    client, transport = client_of("openai")
    call.chat(client, "Look:", files=[large])
    assert base64.b64encode(large.data).decode() in transport.requests[0].body.decode()


def test_what_cannot_be_scaled_is_told():
    """A link, and what is no image."""
    with pytest.raises(InvalidRequestError, match="Only an image with data"):
        Image(url="https://x.test/a.png").scaled()
    with pytest.raises(InvalidRequestError, match="cannot be scaled"):
        Image(data=b"\x89PNG\r\n\x1a\nnonsense").scaled()


def test_scaling_says_what_is_missing(monkeypatch):
    """The extra to install."""
    import sys

    from provider_kit import MissingDependencyError

    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingDependencyError) as caught:
        Image(data=PNG).scaled()
    assert caught.value.hint == "pip install provider-kit[images]"
