"""The tokens of images, documents, audio and video, by their size where it is known."""

from __future__ import annotations

import re

from provider_kit.errors import ProviderKitError
from provider_kit.model.file_types import image_size
from provider_kit.model.media import Audio, Document, Media
from provider_kit.tokens.text import text_tokens

__all__ = ["media_tokens"]

#: Image size where the image is not at hand.
_UNKNOWN_SIZE = (1024, 768)
#: Tokens of the picture of a page of a PDF; OpenAI's and most others count little beyond its text.
_PAGE = {"claude": 1560.0, "claude_new": 1560.0, "gemini": 258.0, "gemini_vertex": 258.0}
#: Most tokens assumed for the text of a page.
_PAGE_TEXT = 700.0
#: Families that count patches of 28 pixels.
_SMALL_PATCHES = frozenset({"mistral", "qwen"})
#: Tokens of an image for Gemini 3, whatever its size.
_GEMINI3_IMAGE = 1100.0
#: OpenAI's models that count patches of 32 pixels, and the tokens of a patch.
_PATCHES = (
    ("gpt-4.1-nano", 2.46),
    ("gpt-5-nano", 2.46),
    ("gpt-4.1-mini", 1.62),
    ("gpt-5-mini", 1.62),
    ("o4-mini", 1.72),
    ("gpt-5.4-mini", 1.62),
    ("gpt-5.4", 1.0),
    ("gpt-5.5", 1.0),
    ("gpt-5.6", 1.0),
)
#: OpenAI's models that count tiles of 512 pixels: tokens of an image and of a tile, where not 85 and 170.
_TILES = (("gpt-4o-mini", (2833, 5667)), ("gpt-5", (70, 140)), ("o1", (75, 150)), ("o3", (75, 150)))
#: Tokens of a second of audio.
_AUDIO = {"gemini": 32.0, "openai": 10.0, "other": 12.5}
#: Tokens of a video of unknown length.
_VIDEO = 2600.0


def media_tokens(part: Media, family: str, model: str) -> float:
    """Estimate the tokens of a file for a model of a family."""
    kind = part.media_type or ""
    if isinstance(part, Document):
        try:
            text = part.as_text
        except ProviderKitError:
            text = None
        if text is not None:
            return text_tokens(text, family)
        if kind.startswith("video/"):
            return _VIDEO
        pages = _pdf_pages(part.data or b"")
        written = min(_PAGE_TEXT, 20 + len(part.data) / pages / 100) if part.data else _PAGE_TEXT / 2
        return pages * (_PAGE.get(family, 0.0) + (0 if family.startswith("gemini") else written))
    if isinstance(part, Audio):
        return _seconds(part.data or b"", kind) * _AUDIO.get(family, _AUDIO["other"])
    size = image_size(part.data or b"")
    if family.startswith("gemini"):
        return _gemini_image(size, model)
    width, height = size or _UNKNOWN_SIZE
    return _image_tokens(width, height, family, part.detail, model)


def _gemini_image(size: tuple[int, int] | None, model: str) -> float:
    if "gemini-3" in model:
        return _GEMINI3_IMAGE
    if size is None or max(size) <= 384:
        return 258.0
    tile = max(256, min(768, min(size) / 1.5))
    return 258.0 * -(-size[0] // tile) * -(-size[1] // tile)


def _image_tokens(width: int, height: int, family: str, detail: str | None, model: str) -> float:
    if family.startswith("claude"):
        scale: float = min(1.0, 1568 / max(width, height), (1_150_000 / (width * height)) ** 0.5)
        return max(1.0, float(width * height) * scale**2 / 750)
    if family in _SMALL_PATCHES:
        scale = min(1.0, 1540 / max(width, height))
        return (-(-width * scale // 28) + 1) * -(-height * scale // 28)
    factor = next((value for name, value in _PATCHES if name in model), None)
    if factor is not None:  # patches of 32 pixels, at most 1536
        patches = -(-width // 32) * -(-height // 32)
        return min(1536, patches) * factor
    base, tile = next((value for name, value in _TILES if name in model), (85, 170))
    if detail == "low":
        return base
    scale = min(1.0, 2048 / max(width, height))
    scale *= min(1.0, 768 / (min(width, height) * scale))
    return base + tile * -(-width * scale // 512) * -(-height * scale // 512)


def _pdf_pages(data: bytes) -> int:
    """Pages of a PDF, from its page objects or, where these are compressed, its counts and its size."""
    pages = len(re.findall(rb"/Type\s{0,9}/Page(?![s\w])", data))
    if pages:
        return pages
    counts = [int(count) for count in re.findall(rb"/Count\s{1,9}([0-9]{1,6})", data)]
    return max(counts, default=0) or max(1, len(data) // 50_000)


def _seconds(data: bytes, media_type: str) -> float:
    """Length of audio; WAV says its bytes per second, others are taken as 128 kbit/s."""
    if data[:4] == b"RIFF" and len(data) >= 44:
        return len(data) / (int.from_bytes(data[28:32], "little") or 32_000)
    return len(data) / 16_000
