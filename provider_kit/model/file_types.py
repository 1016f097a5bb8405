"""The type of a file by its content and name, and whether it is whole.

Content decides. A name decides only for types that have no mark of their own, so that a program called ``photo.png`` is
not sent as an image.
"""

from __future__ import annotations

import mimetypes
import re
import struct
from collections.abc import Iterator

from provider_kit.model.text_bytes import is_text

__all__ = [
    "MARKED_TYPES",
    "contradicted",
    "image_size",
    "is_plain_text",
    "may_be",
    "named_type",
    "proper_type",
    "sniff",
    "truncation",
]

#: Types that are text under another name (RFC 6838, and what Python's ``mimetypes`` knows).
_TEXT_TYPES = frozenset(
    f"application/{name}"
    for name in (
        "json",
        "xml",
        "yaml",
        "x-yaml",
        "toml",
        "javascript",
        "x-javascript",
        "sql",
        "x-sh",
        "x-python",
        "x-ndjson",
        "ndjson",
        "jsonl",
        "x-tex",
    )
)
_TEXT_ENDS = ("+json", "+xml", "+yaml")
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"\xff\xf2", "audio/mpeg"),
    (b"\xff\xfa", "audio/mpeg"),
    (b"\xff\xf1", "audio/aac"),
    (b"\xff\xf9", "audio/aac"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"\x00\x00\x01\xba", "video/mpeg"),
    (b"\x00\x00\x01\xb3", "video/mpeg"),
    (b"FLV\x01", "video/x-flv"),
)
#: Types by the brand of an ISO base media file (ISO/IEC 14496-12); all others are video.
_BRANDS = {
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"heim": "image/heic",
    b"heis": "image/heic",
    b"hevc": "image/heic",
    b"hevx": "image/heic",
    b"mif1": "image/heif",
    b"msf1": "image/heif",
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
}
#: Types whose files may begin with anything, before the mark of their first frame.
_LOOSE = frozenset({"audio/mpeg", "audio/aac"})
#: Types of files whose content begins with a known mark; a name alone does not make a file one of them.
MARKED_TYPES = frozenset({media_type for _, media_type in _MAGIC} | set(_BRANDS.values())) - _LOOSE | {
    "image/webp",
    "audio/wav",
    "audio/x-wav",
    "video/mp4",
    "video/quicktime",
    "video/x-msvideo",
    "application/pdf",
}
#: Formats of office programs: archives (ISO/IEC 29500, OpenDocument), and the older compound files.
_ARCHIVED = ("application/vnd.openxmlformats-", "application/vnd.oasis.", "application/epub+zip")
#: How far into a file a PDF may begin, and with what. Source: ISO 32000, implementation note on the header.
_PDF_HEAD = 1024
_PDF = re.compile(rb"(?:\A|[\r\n\0]|\xef\xbb\xbf)%PDF-\d")
#: Bytes that say whether a file is written text, and how many are needed for that.
_HEAD, _LEAST_HEAD = 64, 16
_CONTROL = frozenset(range(32)) - frozenset(b"\t\n\f\r\x1b")


def sniff(data: bytes) -> str | None:
    """The MIME type by a file's first bytes, or ``None``."""
    for magic, media_type in _MAGIC:
        if data.startswith(magic):
            if media_type == "image/bmp":
                return media_type if _is_bmp(data) else None
            return None if magic.isalnum() and _is_written(data) else media_type
    if data[:4] in (b"RIFF", b"RF64"):
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}.get(data[8:12])
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "video/quicktime" if data[8:12] == b"qt  " else "video/mp4")
    if data[:4] == b"FORM" and data[8:12] in (b"AIFF", b"AIFC"):
        return "audio/aiff"
    return "application/pdf" if _is_pdf(data) else None


def _is_written(data: bytes) -> bool:
    """Whether a file that begins with the letters of a format is a text about something else."""
    return len(data) >= _LEAST_HEAD and _CONTROL.isdisjoint(data[:_HEAD])


def _is_pdf(data: bytes) -> bool:
    """Other bytes may come before its head. A text that only speaks of it is none."""
    found = _PDF.search(data, 0, _PDF_HEAD)
    if found is None:
        return False
    return found.start() == 0 or b"startxref" in data[-2 * _PDF_HEAD :] or not is_text(data)


def _is_bmp(data: bytes) -> bool:
    """``BM`` begins many texts; a bitmap has its size of headers after it."""
    return len(data) > 18 and struct.unpack_from("<I", data, 14)[0] in (12, 40, 52, 56, 64, 108, 124)


def named_type(filename: str | None, data: bytes) -> str | None:
    """The type by a file's name, if its content may be of that type."""
    found = mimetypes.guess_type(filename or "")[0]
    return found if may_be(found, data) else None


def may_be(media_type: str | None, data: bytes) -> bool:
    """Whether content that has no known mark may be of a type; plain ``application/octet-stream`` is none."""
    if media_type in (None, "application/octet-stream") or media_type in MARKED_TYPES:
        return False
    return not media_type.startswith(_ARCHIVED) or data[:2] == b"PK"


def contradicted(media_type: str, data: bytes) -> bool:
    """Whether content that has no known mark is not what it is called: mostly the page of an error, or of a login."""
    if media_type in MARKED_TYPES:
        return True
    archived = media_type.startswith(_ARCHIVED) and data[:2] != b"PK"
    return (media_type in _LOOSE or archived) and is_text(data)


def proper_type(media_type: str) -> str:
    """A type as providers write it."""
    lowered = media_type.strip().lower() if "/" in media_type.partition(";")[0] else media_type
    return _PROPER.get(lowered, lowered if ";" not in lowered else media_type)


_PROPER = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "application/ogg": "audio/ogg",
    "application/x-pdf": "application/pdf",
}


def is_plain_text(media_type: str | None) -> bool:
    """Whether files of a type are plain text: source code, JSON, CSV and so on."""
    kind = (media_type or "").partition(";")[0].strip()
    return kind.startswith("text/") or kind in _TEXT_TYPES or kind.endswith(_TEXT_ENDS)


def truncation(data: bytes, media_type: str | None) -> str | None:
    """What is missing from a file that was cut off; ``None`` if nothing is, or its format does not tell."""
    if media_type == "image/png":
        return None if b"IEND" in data else "its end (IEND) is missing"
    if media_type == "image/jpeg":
        return None if data.find(b"\xff\xd9", _jpeg_scan(data)) >= 0 else "its end marker is missing"
    if media_type == "image/gif":
        ended = data.rstrip(b"\0\r\n\t ")[-1:] == b";" or b"\0;" in data[-1024:]
        return None if ended else "its trailer is missing"
    if media_type == "application/pdf":
        return None if b"%%EOF" in data.rstrip(b"\0\r\n\t ")[-4096:] else "its end (%%EOF) is missing"
    if media_type in ("image/webp", "audio/wav", "video/x-msvideo") and len(data) >= 8:
        told = struct.unpack_from("<I", data, 4)[0] + 8
        # A recorder that streams does not know the size, and writes one that is never reached.
        unknown = told >= 0xFFFFFFF0 or 0x7FFFFFF0 <= told <= 0x80000100
        return None if unknown or told <= len(data) + 1 else f"it says it has {told:,} bytes, and has {len(data):,}"
    return None


def image_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a PNG, GIF, WebP or JPEG in pixels; ``None`` if its header does not tell."""
    try:
        if data.startswith(b"\x89PNG") and data[12:16] == b"IHDR":
            return struct.unpack_from(">II", data, 16)
        if data.startswith(b"GIF8"):
            return struct.unpack_from("<HH", data, 6)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp_size(data)
        return _jpeg_size(data) if data.startswith(b"\xff\xd8") else None
    except struct.error:
        return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        packed = struct.unpack_from("<I", data, 21)[0]
        return 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    for marker, position in _jpeg_segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, position + 5)
            return width, height
    return None


def _jpeg_scan(data: bytes) -> int:
    """Where the picture begins, after its heads, which may hold another picture; 0 if that cannot be told."""
    return next((position for marker, position in _jpeg_segments(data) if marker == 0xDA), 0)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """The markers of a JPEG and where they are, up to its first scan. Source: ITU-T T.81, annex B."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        yield marker, position
        if marker == 0xDA:
            return
        alone = 0xD0 <= marker <= 0xD9 or marker == 0x01
        position += 2 if alone else 2 + max(2, struct.unpack_from(">H", data, position + 2)[0])
