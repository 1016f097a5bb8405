"""Types of files by their content, and whether they are whole."""

import io
import struct

import pytest
from PIL import Image as Pillow

from provider_kit import Audio, Client, Document, Image, InvalidRequestError, ScriptedTransport
from provider_kit.model.file_types import image_size, sniff, truncation
from provider_kit.model.media import Media

PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Page >>\nendobj\ntrailer\n<< >>\nstartxref\n0\n%%EOF\n"
BINARY_PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + b"\xff\xfe" * 40 + b"\n%%EOF"


def picture(form, size=(8, 8), mode="RGB", **options):
    written = io.BytesIO()
    Pillow.new(mode, size).save(written, form, **options)
    return written.getvalue()


def film(brand):
    return struct.pack(">I4s4sI", 24, b"ftyp", brand, 0) + bytes(64)


def wave(size, mark=b"RIFF"):
    return mark + struct.pack("<I", size) + b"WAVEfmt " + bytes(100)


def with_thumbnail():
    """A JPEG whose head holds a smaller one, whole."""
    whole, small = picture("JPEG", (200, 200)), picture("JPEG")
    return whole[:2] + b"\xff\xe1" + struct.pack(">H", len(small) + 2) + small + whole[2:]


@pytest.mark.parametrize("before", [b"", b"\n", b"\xef\xbb\xbf", b"\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
@pytest.mark.parametrize("pdf", [PDF, BINARY_PDF], ids=["written", "binary"])
def test_a_pdf_may_begin_with_something_else(before, pdf):
    """ISO 32000 lets its head come within the first kilobyte."""
    made = Media.from_bytes(before + pdf, filename="a.pdf")
    assert (type(made), made.media_type) == (Document, "application/pdf")
    assert truncation(made.data, made.media_type) is None


@pytest.mark.parametrize(
    "text",
    [
        b"ID3 is an algorithm that makes decision trees.\n",
        b"GIF89a is a format of pictures.\n",
        b"%PDF- is how a PDF begins.\n",
        b"fLaC magic: four letters that begin a file.\n",
        b"OggS is the capture pattern.\n",
        b"BM is the mark of a bitmap file, of 1990.\n",
        b"First line\n%PDF-1.7 is a version, which this text speaks of.\n",
    ],
)
@pytest.mark.parametrize("name", ["notes.txt", None])
def test_a_text_about_a_format_is_a_text(text, name):
    """Its first letters alone do not make it one."""
    made = Media.from_bytes(text, filename=name)
    assert (type(made), made.media_type) == (Document, "text/plain")


@pytest.mark.parametrize("name", ["run.bat", "module.mts", "list.m3u8", "mail.eml", "page.mht", "data.unheard"])
def test_text_is_text_whatever_else_has_its_ending(name):
    """A TypeScript module ends like a video."""
    assert Media.from_bytes(b"const a = 1\n", filename=name).media_type.startswith("text/")


@pytest.mark.parametrize("name", ["a.png", "a.pdf", "a.mp3", "a.docx", "a.mp4", "a.webp"])
def test_a_page_of_an_error_is_not_taken_for_a_file(name):
    """Downloads often return one."""
    with pytest.raises(InvalidRequestError, match="it holds text") as caught:
        Media.from_bytes(b"<html>Please log in</html>", filename=name)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("brand", "media_type"),
    [
        (b"heic", "image/heic"),
        (b"hevc", "image/heic"),
        (b"heim", "image/heic"),
        (b"msf1", "image/heif"),
        (b"avis", "image/avif"),
        (b"isom", "video/mp4"),
        (b"qt  ", "video/quicktime"),
    ],
)
def test_pictures_and_films_of_one_container_are_told_apart(brand, media_type):
    """By their brand."""
    assert sniff(film(brand)) == media_type


def test_sound_in_a_film_container_is_sound():
    """If its class or its name says so."""
    assert Audio.from_bytes(film(b"mp42"), filename="voice.m4a").media_type == "audio/mp4"
    assert Audio(data=film(b"isom")).media_type == "audio/mp4"
    named = Media.from_bytes(film(b"mp42"), filename="voice.m4a")
    assert (type(named), named.media_type) == (Audio, "audio/mp4")
    assert Media.from_bytes(film(b"mp42"), filename="film.mp4").media_type == "video/mp4"


@pytest.mark.parametrize(
    ("given", "media_type"),
    [("image/jpg", "image/jpeg"), ("IMAGE/PNG", "image/png"), ("application/x-pdf", "application/pdf")],
)
def test_types_are_written_as_providers_write_them(given, media_type):
    """Whatever the upload form sent."""
    assert Media(data=b"x", media_type=given).media_type == media_type


def test_parameters_of_a_type_do_not_make_it_another():
    """JSON with a charset is text still."""
    assert Document(data=b"{}", media_type="application/json; charset=utf-8").as_text == "{}"
    assert Document(data=b"{}\n", media_type="application/x-ndjson").as_text == "{}\n"
    assert Audio(data=b"x", media_type="audio/L16;codec=pcm;rate=24000").media_type == "audio/L16;codec=pcm;rate=24000"


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (with_thumbnail(), "image/jpeg"),
        (picture("JPEG") + b"\0\0\0\x18ftypmp42" + b"x" * 200_000, "image/jpeg"),
        (picture("PNG") + b"x" * 200, "image/png"),
        (picture("GIF") + b"\r\n", "image/gif"),
        (picture("GIF") + b"trailing", "image/gif"),
        (PDF + bytes(10_000), "application/pdf"),
        (wave(0x7FFFFFFF), "audio/wav"),
        (wave(0x80000024), "audio/wav"),
        (wave(0x7FFFFFF0), "audio/wav"),
        (wave(0xFFFFFFFF, b"RF64"), "audio/wav"),
        (b"\xff\xd8\xff\xd9", "image/jpeg"),
    ],
)
def test_what_is_whole_is_not_called_cut_off(data, media_type):
    """Phones, scanners and recorders write more than a format needs."""
    assert sniff(data) == media_type
    assert truncation(data, media_type) is None


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (with_thumbnail()[:-40], "image/jpeg"),
        (picture("JPEG", (300, 300))[:-20], "image/jpeg"),
        (picture("PNG", (300, 300))[:-14], "image/png"),
        (picture("GIF", (300, 300))[:-9], "image/gif"),
        (PDF[:-7], "application/pdf"),
        (wave(5000), "audio/wav"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "image/jpeg"),
    ],
)
def test_what_is_cut_off_is_noticed(data, media_type):
    """A smaller picture inside does not hide it."""
    assert truncation(data, media_type) is not None


@pytest.mark.parametrize("cut", range(0, 700, 7))
def test_sizes_are_read_from_any_part_of_a_picture(cut):
    """Or are unknown; nothing fails."""
    data = with_thumbnail()
    assert image_size(data) == (200, 200)
    assert image_size(data[:cut]) in (None, (200, 200))
    truncation(data[:cut], "image/jpeg")


# -------------------------------------------------------------------------------------------- scaling


def test_a_portrait_stays_upright():
    """A phone stores it lying, and says how to turn it."""
    turn = Pillow.Exif()
    turn[0x0112] = 6
    made = Image(data=picture("JPEG", (3000, 1000), exif=turn)).scaled(300)
    assert image_size(made.data) == (100, 300)


@pytest.mark.parametrize(
    ("form", "mode"), [("TIFF", "CMYK"), ("TIFF", "F"), ("PNG", "P"), ("PNG", "RGBA"), ("PNG", "1")]
)
def test_pictures_of_every_mode_are_scaled(form, mode):
    """Prints and measurements, too."""
    made = Image(data=picture(form, (400, 200), mode)).scaled(100)
    assert (image_size(made.data), made.media_type) == ((100, 50), "image/png")


@pytest.mark.parametrize("longest", [0, -1, "x", 1.5, True, None])
def test_a_size_that_is_none_is_refused(longest):
    """By its name."""
    with pytest.raises(InvalidRequestError, match="longest must be pixels"):
        Image(data=picture("PNG")).scaled(longest)


def test_what_cannot_be_scaled_is_told():
    """Whatever Pillow says of it."""
    with pytest.raises(InvalidRequestError, match="cannot be scaled"):
        Image(data=b"\x89PNG\r\n\x1a\nrest IEND").scaled()


# -------------------------------------------------------------------------------------------- what is given


@pytest.fixture
def transport():
    return ScriptedTransport([{"json": {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}}])


@pytest.fixture
def client(transport):
    return Client("openai/gpt-4o", api_key="sk-0123456789", transport=transport)


def test_an_open_file_is_one_file(client, transport, tmp_path):
    """Its lines are no paths of others."""
    (tmp_path / "secret.txt").write_text("the secret")
    (tmp_path / "list.txt").write_text(f"{tmp_path / 'secret.txt'}\nsecond line\n")
    with (tmp_path / "list.txt").open() as opened:
        client.chat("Read:", files=opened)
    sent = transport.requests[-1].body
    assert b"second line" in sent
    assert b"the secret" not in sent


@pytest.mark.parametrize("how", ["closed", "as text", "for writing", "a mapping", "a NUL", "a number"])
def test_what_cannot_be_read_is_told(client, tmp_path, how):
    """With what to do about it."""
    path = tmp_path / "a.png"
    path.write_bytes(picture("PNG"))
    modes = {"as text": "r", "for writing": "ab"}
    with path.open(modes.get(how, "rb")) as opened:
        if how == "closed":
            opened.close()
        files = {"a mapping": {"a": path}, "a NUL": ["a\0b.png"], "a number": [3]}.get(how, [opened])
        with pytest.raises(InvalidRequestError) as caught:
            client.chat("See:", files=files)
    assert caught.value.hint


@pytest.mark.parametrize(
    "make", [lambda: Image.from_path(3), lambda: Document.from_path(None), lambda: Image.from_bytes("x")]
)
def test_arguments_of_the_wrong_kind_are_told(make):
    """By the library."""
    with pytest.raises(InvalidRequestError):
        make()


def test_brackets_without_an_address_are_refused(client):
    """Before a provider is asked to fetch it."""
    with pytest.raises(InvalidRequestError, match="not an address"):
        client.chat("See:", files=["http://[::1"])
