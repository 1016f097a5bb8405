"""``client.files``: files at a provider, over real HTTP."""

import io
import json

import pytest

from provider_kit import (
    APIError,
    Client,
    Document,
    Image,
    InvalidRequestError,
    InvalidResponseError,
    Message,
    NotFoundError,
    NotSupportedError,
    ScriptedTransport,
    Text,
)
from provider_kit.model.files import UploadedFile
from provider_kit.testing import FakeServer

PDF = b"%PDF-1.4 rest %%EOF"
PNG = b"\x89PNG\r\n\x1a\nrest IEND"
TARGETS = ["openai/gpt-4o", "openai/gpt-6-sol", "anthropic/claude-opus-5", "gemini/gemini-3-pro"]


@pytest.fixture
def server():
    with FakeServer() as made:
        yield made


@pytest.mark.parametrize("target", TARGETS)
def test_a_file_is_uploaded_used_listed_and_deleted(world, server, target, tmp_path):
    """Its bytes arrive as they are; a message refers to it by its id."""
    path = tmp_path / "report.pdf"
    path.write_bytes(PDF)
    client = server.client(target)
    uploaded = world(client.files, "upload", path)
    (kept,) = server.files.files.values()
    assert (kept.name, kept.kind, kept.data) == ("report.pdf", "application/pdf", PDF)
    assert (uploaded.filename, uploaded.media_type, uploaded.size) == ("report.pdf", "application/pdf", len(PDF))
    assert (uploaded.provider, uploaded.ready) == (target.partition("/")[0], True if "gemini" in target else None)
    assert uploaded.created > 1_700_000_000
    assert [one.id for one in world(client.files, "list")] == [uploaded.id]
    world(client, "chat", "Read:", files=[uploaded])
    sent = json.dumps(server.requests[-1].json)
    assert uploaded.id in sent
    assert "rest" not in sent
    world(client.files, "delete", uploaded)
    assert world(client.files, "list") == []


def test_bytes_get_a_name_and_a_type(world, server):
    """By content, or as they are told."""
    files = server.client("openai/gpt-4o").files
    world(files, "upload", PNG, filename='my "photo".png')
    world(files, "upload", b"words", filename="notes.txt", media_type="text/markdown", purpose="assistants")
    picture, notes = server.files.files.values()
    assert (picture.name, picture.kind, picture.data) == ("my %22photo%22.png", "image/png", PNG)
    assert (notes.name, notes.kind) == ("notes.txt", "text/markdown")


def test_the_purpose_is_told_where_it_is_asked_for(world):
    """OpenAI's: images are for vision."""
    transport = ScriptedTransport([{"json": {"id": "f"}}] * 3)
    files = Client("openai/gpt-4o", api_key="sk-test-0123456789", transport=transport).files
    world(files, "upload", PNG)
    world(files, "upload", PDF)
    world(files, "upload", PDF, purpose="batch")
    said = [request.body.split(b'name="purpose"\r\n\r\n')[1].split(b"\r\n")[0] for request in transport.requests]
    assert said == [b"vision", b"user_data", b"batch"]


def test_an_image_is_referred_to_as_one(server):
    """By the type it was uploaded with."""
    uploaded = server.client("anthropic/claude-opus-5").files.upload(PNG)
    assert type(uploaded.part) is Image
    assert uploaded.part.provider == "anthropic"
    assert type(UploadedFile("x", "openai", media_type="application/pdf").part) is Document


def test_anthropics_api_for_files_is_asked_for(server):
    """With its beta; also where a message refers to a file, and besides the caller's own."""
    client = server.client("anthropic/claude-opus-5", options={"beta": ["context-1m"]})
    uploaded = client.files.upload(PDF)
    assert server.requests[-1].headers["anthropic-beta"] == "context-1m,files-api-2025-04-14"
    client.chat("Read:", files=[uploaded])
    assert server.requests[-1].headers["anthropic-beta"] == "context-1m,files-api-2025-04-14"
    client.chat("Hello")
    assert server.requests[-1].headers["anthropic-beta"] == "context-1m"


@pytest.mark.parametrize("other", ["anthropic/claude-opus-5", "gemini/gemini-3-pro", "openrouter/v/m", "ollama/m"])
def test_an_id_is_never_sent_to_another_provider(world, server, other):
    """It would mean nothing there, or another file."""
    uploaded = world(server.client("openai/gpt-4o").files, "upload", PDF)
    before = len(server.requests)
    client = server.client(other)
    with pytest.raises(InvalidRequestError, match="was uploaded to openai"):
        world(client, "chat", "Read:", files=[uploaded])
    with pytest.raises((InvalidRequestError, NotSupportedError)):
        world(client.files, "delete", uploaded)
    assert len(server.requests) == before


@pytest.mark.parametrize("file", ["missing.pdf", b"", "https://x.test/a.pdf", 5])
def test_what_cannot_be_uploaded_is_refused(world, server, file):
    """Before anything is sent."""
    with pytest.raises(InvalidRequestError):
        world(server.client("openai/gpt-4o").files, "upload", file)
    assert not server.requests


def test_a_file_that_is_not_there_is_told(world, server):
    """By its provider."""
    with pytest.raises(NotFoundError):
        world(server.client("openai/gpt-4o").files, "delete", "file-9")


@pytest.mark.parametrize("file", ["", "../models", "a/b?c=d", None, 5])
def test_what_is_no_id_is_refused(world, server, file):
    """It would become another path."""
    with pytest.raises(InvalidRequestError):
        world(server.client("openai/gpt-4o").files, "delete", file)
    assert not server.requests


def test_where_there_is_no_api_for_files_it_is_told(world, server):
    """With those that have one."""
    with pytest.raises(NotSupportedError, match="no API for files") as caught:
        world(server.client("groq/m").files, "upload", PDF)
    assert "Anthropic" in caught.value.hint


FILE = {"name": "files/a", "uri": "https://g.test/v1beta/files/a", "mimeType": "video/mp4"}


def gemini(*answers, **options):
    started = {"body": b"", "headers": {"X-Goog-Upload-URL": "https://elsewhere.test/upload/v1beta/files?upload_id=1"}}
    transport = ScriptedTransport([started, *({"json": answer} for answer in answers)])
    return Client("gemini/m", api_key="AIza-test-0123456789", transport=transport, **options), transport


def test_a_video_is_waited_for(world):
    """Until Gemini has processed it; the key goes to no other host than the client's."""
    client, transport = gemini(
        {"file": {**FILE, "state": "PROCESSING"}}, {**FILE, "state": "PROCESSING"}, {**FILE, "state": "ACTIVE"}
    )
    uploaded = world(client.files, "upload", b"....ftypisom")
    assert uploaded.ready is True
    assert transport.sleeps == [2.0, 2.0]
    assert {request.url.split("/")[2] for request in transport.requests} == {"generativelanguage.googleapis.com"}
    assert transport.requests[1].url.endswith("/upload/v1beta/files?upload_id=1")
    assert transport.requests[1].body == b"....ftypisom"


def test_a_file_that_could_not_be_processed_is_told(world):
    """It can never be used."""
    client, _ = gemini({"file": {**FILE, "state": "FAILED"}})
    with pytest.raises(APIError, match="could not process"):
        world(client.files, "upload", b"....ftypisom")


def test_the_time_to_wait_has_an_end(world):
    """The file is returned, and says that it is not ready."""
    client, transport = gemini({"file": {**FILE, "state": "PROCESSING"}}, *[{**FILE, "state": "PROCESSING"}] * 9)
    uploaded = world(client.files, "upload", b"....ftypisom", timeout=5.0)
    assert uploaded.ready is False
    assert sum(transport.sleeps) < 5


def test_long_lists_have_pages(world):
    """All of them are read."""
    pages = [
        {"json": {"data": [{"id": "a"}, {"id": "b"}], "has_more": True, "last_id": "b"}},
        {"json": {"data": [{"id": "c"}], "has_more": False}},
    ]
    transport = ScriptedTransport(pages)
    files = Client("openai/gpt-4o", api_key="sk-test-0123456789", transport=transport).files
    assert [one.id for one in world(files, "list")] == ["a", "b", "c"]
    assert transport.requests[1].url.endswith("/files?after=b")


@pytest.mark.parametrize("location", [".evil.test/x", "@evil.test/x", "foo?bar", "http://[::1/x", "", "?a=b"])
def test_the_key_follows_no_address_of_an_answer(world, location):
    """What an upload's answer names is a path of the host that was asked."""
    transport = ScriptedTransport([{"json": {}, "headers": {"x-goog-upload-url": location}}, {"json": {}}])
    client = Client("gemini/gemini-3-pro", api_key="k-0123456789", transport=transport)
    with pytest.raises(InvalidResponseError, match="address to upload to"):
        world(client.files, "upload", b"hi")
    assert len(transport.requests) == 1


def test_a_name_and_a_type_are_believed_of_everything(world, server, tmp_path):
    """Of paths and open files as of bytes."""
    files = server.client("openai/gpt-4o").files
    path = tmp_path / "x.bin"
    path.write_bytes(b"\x00\x01\x02")
    kind = "application/x-own"
    world(files, "upload", path, media_type=kind)
    with path.open("rb") as opened:
        world(files, "upload", opened, media_type=kind, filename=tmp_path / "named.bin")
    world(files, "upload", io.BytesIO(b"PK\x03\x04\x14\x00"), filename="a.docx")
    world(files, "upload", memoryview(b"words"))
    world(files, "upload", io.StringIO("h\udcff"))
    kept = [(one.name, one.kind) for one in server.files.files.values()]
    assert kept[:2] == [("x.bin", kind), ("named.bin", kind)]
    assert kept[2][1].endswith("wordprocessingml.document")
    assert [kind for _, kind in kept[3:]] == ["text/plain", "text/plain"]


@pytest.mark.parametrize("target", ["openai/gpt-4o", "anthropic/claude-opus-5"])
def test_a_type_holds_no_further_headers(world, target):
    """Nor does a purpose."""
    transport = ScriptedTransport([])
    files = Client(target, api_key="sk-0123456789", transport=transport).files
    with pytest.raises(InvalidRequestError, match="one line"):
        world(files, "upload", b"hi", filename="a.txt", media_type="text/plain\r\nX-Evil: 1")
    with pytest.raises(InvalidRequestError, match="filename="):
        world(files, "upload", b"hi", filename=5)
    if "openai" in target:
        for purpose in ("x\r\n\r\ny", 5):
            with pytest.raises(InvalidRequestError, match="purpose="):
                world(files, "upload", b"hi", purpose=purpose)


def test_a_file_that_could_not_be_processed_is_an_error_at_once(world):
    """It will not be ready later."""
    transport = ScriptedTransport([{"json": {"id": "f", "status": "error"}}])
    with pytest.raises(APIError, match="could not process"):
        world(Client("openai/gpt-4o", api_key="sk-0123456789", transport=transport).files, "upload", b"hi")


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("openai/gpt-4o", {"data": 5}),
        ("gemini/gemini-3-pro", {"files": 5}),
        ("openai/gpt-4o", {"data": [{"id": None}]}),
        ("openai/gpt-4o", {"data": [{"id": 7}]}),
    ],
)
def test_lists_of_another_form_are_told(world, target, answer):
    """As an answer that cannot be read."""
    client = Client(target, api_key="sk-0123456789", transport=ScriptedTransport([{"json": answer}]))
    with pytest.raises(InvalidResponseError):
        world(client.files, "list")


def test_each_page_of_a_list_has_its_retries(world):
    """One long list is no reason to give up sooner."""
    away = {"status": 503, "json": {"error": {"message": "away"}}}
    answers = []
    for number in range(4):
        answers += [away, {"json": {"data": [{"id": f"f{number}"}], "has_more": number < 3}}]
    client = Client("openai/gpt-4o", api_key="sk-0123456789", transport=ScriptedTransport(answers), max_retries=1)
    assert [one.id for one in world(client.files, "list")] == ["f0", "f1", "f2", "f3"]


def test_a_listed_file_is_attached_by_its_name(world):
    """OpenAI's list tells no type."""
    answers = [
        {"json": {"data": [{"id": "f0", "filename": "a.png", "purpose": "vision"}]}},
        {"json": {"object": "response", "status": "completed", "model": "m", "output": []}},
    ]
    transport = ScriptedTransport(answers)
    client = Client("openai/gpt-6-sol", api_key="sk-0123456789", transport=transport)
    world(client, "chat", "See:", files=world(client.files, "list"))
    assert {"type": "input_image", "file_id": "f0"}.items() <= json.loads(transport.requests[-1].body)["input"][0][
        "content"
    ][1].items()


def test_a_file_in_an_answer_of_another_provider_is_refused(world):
    """Conversations move from one provider to another; their files do not."""
    talk = [
        Message.user("Make it"),
        Message("assistant", [Text("Here"), Document(file_id="f1", provider="openai", media_type="application/pdf")]),
        Message.user("And now?"),
    ]
    client = Client("anthropic/claude-opus-5", api_key="sk-0123456789", transport=ScriptedTransport([]))
    with pytest.raises(InvalidRequestError, match="uploaded to openai"):
        world(client, "chat", talk)


def test_a_file_that_is_cut_off_is_not_uploaded(world, server):
    """As it is not attached."""
    with pytest.raises(InvalidRequestError, match="cut off"):
        world(server.client("openai/gpt-4o").files, "upload", PNG[:-4], filename="a.png")
    assert server.requests == []


@pytest.mark.parametrize("kind", [3, "pdf", b"image/png"])
def test_a_type_that_is_none_is_refused(world, server, kind):
    """Before anything is sent."""
    with pytest.raises(InvalidRequestError, match="media_type="):
        world(server.client("openai/gpt-4o").files, "upload", PDF, media_type=kind)


def test_an_id_that_is_none_is_refused_as_an_id(world, server):
    """It would lead to another path."""
    with pytest.raises(InvalidRequestError, match="id of a file"):
        world(server.client("openai/gpt-4o").files, "delete", "../models/x")
