"""Text in bytes: UTF-8, or what its byte order mark says, as editors and shells of Windows write it."""

from __future__ import annotations

import codecs

__all__ = ["decode_text", "is_text"]

_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def decode_text(data: bytes) -> str:
    """The text, without its byte order mark; bytes that fit no character are replaced."""
    if data.startswith(_WIDE) and is_text(data):
        return data.decode("utf-16")
    return data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")


def is_text(data: bytes) -> bool:
    """Whether bytes are text and nothing else."""
    try:
        return "\0" not in data.decode("utf-16" if data.startswith(_WIDE) else "utf-8")
    except UnicodeDecodeError:
        return False
