"""Images and audio that a model generated, in OpenAI's forms and those of compatible servers.

What cannot be read as one is kept as a :class:`Native` part, so that it is not lost.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from attrs import define, field

from provider_kit.errors import InvalidRequestError
from provider_kit.model.file_types import sniff
from provider_kit.model.media import Audio, Image, Media, from_url
from provider_kit.model.messages import Native, Part

__all__ = ["SpokenAnswer", "read_audio", "read_image", "spoken_words"]

#: The format OpenAI streams, assumed for audio without a known header (24 kHz, 16 bits, mono).
_RAW_SOUND = "audio/pcm"


def read_image(item: Any) -> Part | None:
    """Read an image as a part; ``None`` where there is nothing.

    The forms: ``{"type": "image_url", "image_url": {"url": …}}`` with a link or a data URL, the same flat,
    and base64 under ``b64_json`` or ``data``. The item itself is kept in the part's ``extra``.
    """
    if isinstance(item, str):
        linked = item.startswith(("http://", "https://", "data:"))
        item = {"type": "image_url", "image_url": {"url": item}} if linked else {"type": "image", "data": item}
    if not isinstance(item, Mapping):
        return None
    place = item.get("image_url", item.get("url"))
    url = place.get("url") if isinstance(place, Mapping) else place
    extra = {"image": dict(item)}
    try:
        if isinstance(url, str) and url:
            return from_url(url, kind=Image, extra=extra)
        for name in ("b64_json", "data"):
            data = item.get(name)
            if isinstance(data, str) and data:
                made = base64.b64decode(data, validate=True)
                media_type = item.get("mime_type") or item.get("media_type") or sniff(made) or "image/png"
                return Image(data=made, media_type=str(media_type), extra=extra)
    except (InvalidRequestError, ValueError):
        pass  # not a readable image, but kept
    return Native(str(item.get("type") or "image"), dict(item)) if any(item.values()) else None


def spoken_words(media: Media) -> str | None:
    """The transcript of generated audio, for APIs that do not accept the audio back."""
    words = (media.extra or {}).get("transcript") if isinstance(media, Audio) else None
    return words if isinstance(words, str) and words.strip() else None


def read_audio(item: Any) -> Audio | None:
    """A spoken answer (``{"id", "data", "transcript", "expires_at"}``) as a part; ``None`` where there is nothing."""
    if not isinstance(item, Mapping):
        return None
    spoken = SpokenAnswer()
    spoken.add(item)
    return spoken.close()


@define
class SpokenAnswer:
    """A spoken answer that may still be arriving: base64 and transcript in pieces."""

    about: dict[str, Any] = field(factory=dict)
    data: list[bytes] = field(factory=list)
    transcript: list[str] = field(factory=list)
    #: Base64 characters that do not yet form a group of four.
    rest: str = ""

    def add(self, item: Mapping[str, Any]) -> Audio | None:
        """Take a piece; return it as a part, if it has audio or transcript."""
        for name in ("id", "expires_at", "format"):
            if item.get(name):
                self.about[name] = item[name]
        words = item.get("transcript")
        words = words if isinstance(words, str) else ""
        if words:
            self.transcript.append(words)
        sound = self._decode(item.get("data"))
        if sound:
            self.data.append(sound)
        if not (sound or words):
            return None
        return Audio(data=sound, media_type=_RAW_SOUND, extra={"transcript": words} if words else None)

    def _decode(self, text: Any) -> bytes:
        if not isinstance(text, str) or not text:
            return b""
        text = self.rest + text
        whole = len(text) - len(text) % 4
        self.rest = text[whole:]
        try:
            return base64.b64decode(text[:whole])
        except (binascii.Error, ValueError):
            return b""

    def close(self) -> Audio | None:
        """All of it so far; ``None`` if there was nothing."""
        sound = b"".join(self.data)
        about = {**self.about, **({"transcript": "".join(self.transcript)} if self.transcript else {})}
        if not sound and not self.transcript and "id" not in about:
            return None
        return Audio(data=sound, media_type=sniff(sound) or _RAW_SOUND, extra=about or None)
