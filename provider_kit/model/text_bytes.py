"""Decoding of text: UTF-8, or what the byte order mark says, as Windows editors and shells write it."""

from __future__ import annotations

import codecs

__all__ = ["decode_text", "is_text", "read_text"]

#: The longer mark first: that of UTF-32 begins like that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(data: bytes) -> str | None:
    """The text, without its byte order mark; ``None`` if the bytes are not text, or in another encoding."""
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def decode_text(data: bytes) -> str:
    """The text, without its byte order mark; bytes that fit no character are replaced."""
    text = read_text(data)
    return data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace") if text is None else text


def is_text(data: bytes) -> bool:
    """Whether bytes are text and nothing else."""
    return read_text(data) is not None
