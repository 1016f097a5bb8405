"""The messages of a chat request in OpenAI's form."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from provider_kit.dialects.assembly import arguments_text, portable_id
from provider_kit.dialects.base import ParameterReport, refuse_video
from provider_kit.dialects.generated import spoken_words
from provider_kit.dialects.openai_chat.quirks import ChatQuirks
from provider_kit.errors import InvalidRequestError
from provider_kit.model.chat import ChatRequest
from provider_kit.model.media import Audio, Document, Image, Media
from provider_kit.model.messages import Message, Native, Part, Refusal, Text, Thinking, ToolCall, ToolResult, written_in

__all__ = ["MessageWriter", "cache_control"]


_AUDIO_FORMATS = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
}
#: Characters of a call's id that OpenAI takes.
_LONGEST_ID = 40
_NINE = re.compile(r"^[A-Za-z0-9]{9}$")


class MessageWriter:
    """Writes the messages of one request; made for one call."""

    def __init__(self, request: ChatRequest, quirks: ChatQuirks, report: ParameterReport, origin: str) -> None:
        self.request = request
        self.quirks = quirks
        self.report = report
        self.origin = origin
        self.names: dict[str, str] = {}
        self._own = True
        #: Whether the message that is written was made by this very API.
        self._same_api = False
        #: Ids of calls as they are written.
        self._ids: dict[str, str] = {}

    def write(self) -> list[dict[str, Any]]:
        """All messages, in order."""
        written: list[dict[str, Any]] = []
        append = written.append
        system_role = self.quirks.system_role
        for message in self.request.messages:
            role = message.role
            if role == "system" or role == "developer":
                role = system_role
            content = message.content
            if type(content) is str and message.extra is None and message.name is None:
                append({"role": role, "content": content})
            elif role == "tool":
                self._tool_messages(message, written)
            elif role == "assistant":
                turn = self._assistant(message)
                if "tool_calls" in turn and written and "tool_calls" in written[-1]:
                    _join_calls(written[-1], turn)  # the results of both follow, and must follow one turn
                elif turn.get("content") or len(turn) > 2 or not message.parts:
                    append(turn)  # one of which nothing is left would be refused, or mean nothing
            else:
                append(self._plain(role, message))
        if self.quirks.reasoning_with_tools:
            self._require_reasoning(written)
        if self.quirks.single_system:
            written = _join_system(written, system_role)
        if self.quirks.join_same_role:
            written = _join_same_role(written)
        return written

    def _plain(self, role: str, message: Message) -> dict[str, Any]:
        content = message.content
        self._own = True
        written: dict[str, Any] = {
            "role": role,
            "content": content if type(content) is str else self._content(message.parts, role),
        }
        if message.name is not None:
            written["name"] = message.name
        self._add_extra(written, message)
        return written

    def _content(self, parts: list[Part], where: str) -> Any:
        items = [item for part in parts if (item := self._part(part, where)) is not None]
        if len(items) == 1 and items[0].keys() == {"type", "text"}:
            return items[0]["text"]
        if where in ("system", "developer") and all(item.keys() == {"type", "text"} for item in items):
            return "\n\n".join(item["text"] for item in items)
        return items

    def _assistant(self, message: Message) -> dict[str, Any]:
        quirks = self.quirks
        written: dict[str, Any] = {"role": "assistant"}
        items: list[dict[str, Any]] = []
        thinking: list[str] = []
        calls: list[dict[str, Any]] = []
        refusal: list[str] = []
        self._same_api = message.origin == self.origin
        own = self._own = message.origin is None or self._same_api
        for part in message.parts:
            kind = type(part)
            if kind is ToolCall:
                calls.append(self._tool_call(part))  # type: ignore[arg-type]  # its class was just compared
            elif kind is Thinking:
                assert isinstance(part, Thinking)
                if quirks.thinking_chunks and own and part.text:
                    items.append(part.native or {"type": "thinking", "thinking": [{"type": "text", "text": part.text}]})
                elif own and part.text:
                    thinking.append(part.text)
            elif kind is Refusal and quirks.refusals:
                refusal.append(part.text)  # type: ignore[union-attr]  # its class was just compared
            elif kind is Refusal:
                items.append({"type": "text", "text": part.text})  # type: ignore[union-attr]  # its class was compared
            elif isinstance(part, Media) and message.origin is not None:
                self._generated(part, written, items)
            else:
                item = self._part(part, "assistant")
                if item is not None:
                    items.append(item)
        if items and all(item.keys() == {"type", "text"} for item in items):
            written["content"] = "".join([item["text"] for item in items])
        elif items:
            written["content"] = items
        else:
            written["content"] = quirks.empty_content if calls or refusal else ""
        if refusal:
            written["refusal"] = "".join(refusal)
        if thinking and quirks.reasoning_field is not None:
            written[quirks.reasoning_field] = "\n\n".join(thinking)
        if calls:
            written["tool_calls"] = calls
        if message.name is not None:
            written["name"] = message.name
        self._add_extra(written, message)
        return written

    def _generated(self, media: Media, written: dict[str, Any], items: list[dict[str, Any]]) -> None:
        """What a model made goes back where it came from: to the same API, under the same name."""
        extra = media.extra or {}
        words = None if self._same_api else spoken_words(media)
        if words:
            items.append({"type": "text", "text": words})
        elif not self._own or not ("image" in extra or "id" in extra):
            self.report.omit("messages", f"a generated {type(media).__name__} was not sent; attach it to a user turn.")
        elif isinstance(media, Audio):
            written["audio"] = {"id": extra["id"]}
        else:
            written.setdefault("images", []).append(extra["image"])

    def _add_extra(self, written: dict[str, Any], message: Message) -> None:
        if not message.extra:
            return
        if message.origin is None or message.origin == self.origin:
            written.update(message.extra)
        else:
            self.report.omit("messages", f"{', '.join(message.extra)} of {message.origin} was not sent.")

    def _tool_call(self, call: ToolCall) -> dict[str, Any]:
        self.names[call.id] = call.name
        if self._own and call.native is not None and call.native.get("type") == "custom":
            return call.native
        written_id = call.id if self._same_api else portable_id(call.id, _LONGEST_ID)
        self._ids[call.id] = written_id = self._call_id(written_id)
        written: dict[str, Any] = {
            "id": written_id,
            "type": "function",
            "function": {"name": call.name, "arguments": arguments_text(call)},
        }
        if call.extra and self._own:
            written.update(call.extra)
        return written

    def _call_id(self, call_id: str) -> str:
        """Mistral takes only nine letters and digits; the same id always becomes the same nine."""
        if not self.quirks.nine_letter_ids or _NINE.match(call_id):
            return call_id
        return hashlib.sha256(call_id.encode("utf-8", "replace")).hexdigest()[:9]

    def _tool_messages(self, message: Message, written: list[dict[str, Any]]) -> None:
        self._own = True
        for part in message.parts:
            if not isinstance(part, ToolResult):
                self.report.omit("messages", f"a {type(part).__name__} inside a tool message was not sent.")
                continue
            item: dict[str, Any] = {
                "role": "tool",
                "tool_call_id": self._ids.get(part.tool_call_id) or self._call_id(part.tool_call_id),
                "content": self._result_content(part),
            }
            name = part.name or self.names.get(part.tool_call_id)
            if name and self.quirks.tool_name:
                item["name"] = name
            if part.extra:
                item.update(part.extra)
            written.append(item)

    def _result_content(self, result: ToolResult) -> Any:
        content = result.content
        if isinstance(content, str):
            return f"Error: {content}" if result.is_error and not content.lower().startswith("error") else content
        items = []
        for part in content:
            if isinstance(part, Media) and written_in(part) is None:
                self.report.omit("messages", "images in tool results are not taken by this API.")
            elif (item := self._part(part, "tool")) is not None:
                items.append(item)
        if all(item.keys() == {"type", "text"} for item in items):
            return f"Error: {result.text}" if result.is_error else result.text
        return [{"type": "text", "text": "Error: "}, *items] if result.is_error else items

    def _require_reasoning(self, written: list[dict[str, Any]]) -> None:
        field = self.quirks.reasoning_field
        if field and any("tool_calls" in item for item in written):
            for item in written:
                if item["role"] == "assistant":
                    item.setdefault(field, "")

    # -------------------------------------------------------------------------------------------- parts

    def _part(self, part: Any, where: str) -> dict[str, Any] | None:
        if isinstance(part, Text):
            written: dict[str, Any] = {"type": "text", "text": part.text}
            if part.extra and self._own:
                written.update({key: value for key, value in part.extra.items() if key != "annotations"})
        elif isinstance(part, Image):
            written = self._image(part)
        elif isinstance(part, Audio):
            written = self._audio(part)
        elif isinstance(part, Document):
            written = self._document(part)
        elif isinstance(part, Native):
            if self._own:
                return part.data
            self.report.omit("messages", f"a {part.type} block of another API was not sent.")
            return None
        elif isinstance(part, Refusal):
            return {"type": "refusal", "refusal": part.text}
        else:
            self.report.omit("messages", f"a {type(part).__name__} inside a {where} message was not sent.")
            return None
        if part.cache and self.quirks.cache_control:
            written["cache_control"] = cache_control(part.cache)
        return written

    def _image(self, image: Image) -> dict[str, Any]:
        if not self.quirks.images:
            raise InvalidRequestError(
                "This provider takes no images.", hint="Use a model with vision, or describe the picture in words."
            )
        if image.data is not None:
            url = image.data_url
        elif image.url and self.quirks.image_links:
            url = image.url
        else:
            raise InvalidRequestError(
                "This provider takes images only as data, not as links or file ids.",
                hint="Download the picture and attach its bytes or path: files=['photo.png'].",
            )
        written: dict[str, Any] = {"url": url}
        if image.detail:
            written["detail"] = image.detail
        return {"type": "image_url", "image_url": written}

    def _audio(self, audio: Audio) -> dict[str, Any]:
        suffix = _AUDIO_FORMATS.get(audio.media_type or "")
        if not self.quirks.audio or audio.data is None or suffix is None:
            raise InvalidRequestError(
                "This provider takes audio only as WAV or MP3 data."
                if self.quirks.audio
                else "This provider takes no audio.",
                hint="Convert the recording, or use a provider that takes it (Gemini takes most formats).",
            )
        if self.quirks.bare_audio:
            return {"type": "input_audio", "input_audio": audio.base64}
        return {"type": "input_audio", "input_audio": {"data": audio.base64, "format": suffix}}

    def _document(self, document: Document) -> dict[str, Any]:
        text = document.as_text
        if text is not None:
            return {"type": "text", "text": text}
        style = self.quirks.documents
        refuse_video(document)
        if style == "document_url" and document.file_id:
            return {"type": "file", "file_id": document.file_id}
        if style == "document_url":
            written = {"type": "document_url", "document_url": document.url or document.data_url}
            if document.filename:
                written["document_name"] = document.filename
            return written
        if style == "file" and document.url and self.quirks.document_links:
            name = document.filename or document.url.partition("?")[0].rsplit("/", 1)[-1]
            return {"type": "file", "file": {"filename": name or "document.pdf", "file_data": document.url}}
        if style == "file" and (document.data is not None or document.file_id):
            if document.file_id:
                return {"type": "file", "file": {"file_id": document.file_id}}
            return {
                "type": "file",
                "file": {"filename": document.filename or "document.pdf", "file_data": document.data_url},
            }
        raise InvalidRequestError(
            "This provider takes documents only as data." if style else "This provider takes no documents.",
            hint="Attach the file itself, or extract its text and send that.",
        )


def _join_calls(turn: dict[str, Any], following: dict[str, Any]) -> None:
    """Add a second assistant turn with calls to the one before it."""
    turn["tool_calls"] = [*turn["tool_calls"], *following["tool_calls"]]
    first, second = turn.get("content"), following.get("content")
    if isinstance(first, str) and isinstance(second, str):
        turn["content"] = f"{first}\n\n{second}" if first and second else first or second
    elif second:
        turn["content"] = [*_as_parts(first), *_as_parts(second)]
    for name, value in following.items():
        known = turn.get(name)
        if name in ("role", "content", "tool_calls") or not value:
            continue
        if isinstance(known, str) and isinstance(value, str) and known:
            turn[name] = known if name == "name" else f"{known}\n\n{value}"
        elif isinstance(known, list) and isinstance(value, list):
            turn[name] = [*known, *value]
        else:
            turn[name] = value


def _as_parts(content: Any) -> list[Any]:
    return content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []


def _join_system(written: list[dict[str, Any]], role: str) -> list[dict[str, Any]]:
    system = [item for item in written if item["role"] == role]
    if len(system) <= 1 and (not system or written[0] is system[0]):
        return written
    texts = [
        item["content"]
        if isinstance(item["content"], str)
        else "\n\n".join(part["text"] for part in item["content"] or () if isinstance(part.get("text"), str))
        for item in system
    ]
    return [{"role": role, "content": "\n\n".join(texts)}, *(item for item in written if item["role"] != role)]


def _join_same_role(written: list[dict[str, Any]]) -> list[dict[str, Any]]:
    joined: list[dict[str, Any]] = []
    for item in written:
        last = joined[-1] if joined else None
        if (
            last is not None
            and item["role"] == last["role"] != "tool"
            and isinstance(item["content"], str)
            and isinstance(last["content"], str)
            and item.keys() == last.keys() == {"role", "content"}
        ):
            joined[-1] = {"role": item["role"], "content": f"{last['content']}\n\n{item['content']}"}
        else:
            joined.append(item)
    return joined


def cache_control(cache: bool | str) -> dict[str, str]:
    """A cache mark, as OpenRouter has it."""
    return {"type": "ephemeral", "ttl": cache} if isinstance(cache, str) else {"type": "ephemeral"}
