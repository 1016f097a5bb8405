"""What was asked and answered, as OpenTelemetry's backends read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from provider_kit.errors import ToolCallParseError
from provider_kit.model.chat import ChatRequest, ChatResponse
from provider_kit.model.json_text import dumps_text
from provider_kit.model.media import Audio, Image, Media
from provider_kit.model.messages import Message, Native, Refusal, Text, Thinking, ToolCall, ToolResult

__all__ = ["genai_content", "genai_content_1_41", "openinference_content"]

#: The most bytes of a file that are captured; of a larger one only its size is.
_LARGEST_BLOB = 32 * 1024


def _media(part: Media) -> dict[str, Any]:
    made: dict[str, Any] = {
        "modality": "image" if isinstance(part, Image) else "audio" if isinstance(part, Audio) else "document",
        "mime_type": part.media_type,
    }
    if part.url is not None:
        return {"type": "uri", **made, "uri": part.url}
    if part.file_id is not None:
        return {"type": "file", **made, "file_id": part.file_id}
    size = len(part.data or b"")
    if size > _LARGEST_BLOB:
        return {"type": "blob", **made, "content": "", "byte_size": size}
    return {"type": "blob", **made, "content": part.base64}


def _arguments(call: ToolCall) -> Any:
    try:
        return call.arguments
    except ToolCallParseError:  # as the model wrote them
        return call.arguments_json


def _result(result: ToolResult) -> Any:
    return result.content if type(result.content) is str else [_part(part) for part in result.content]


_PARTS: dict[type, Callable[[Any], dict[str, Any]]] = {
    Text: lambda part: {"type": "text", "content": part.text},
    Refusal: lambda part: {"type": "text", "content": part.text},
    Thinking: lambda part: {"type": "reasoning", "content": part.text},
    ToolCall: lambda part: {"type": "tool_call", "id": part.id, "name": part.name, "arguments": _arguments(part)},
    ToolResult: lambda part: {"type": "tool_call_response", "id": part.tool_call_id, "response": _result(part)},
    Native: lambda part: {"type": part.type},
}


def _part(part: Any) -> dict[str, Any]:
    if isinstance(part, Media):
        return _media(part)
    write = _PARTS.get(type(part))
    return {"type": type(part).__name__.lower()} if write is None else write(part)


def _message(message: Message) -> dict[str, Any]:
    return {"role": message.role, "parts": [_part(part) for part in message.parts]}


def _split(messages: list[Message]) -> tuple[list[Message], list[Message]]:
    """The instructions before a conversation, and the conversation."""
    count = 0
    while count < len(messages) and messages[count].role in ("system", "developer"):
        count += 1
    return messages[:count], messages[count:]


def genai_content(request: Any, response: Any) -> dict[str, Any]:
    """Both sides of a call, in the form of the schemas in
    https://github.com/open-telemetry/semantic-conventions-genai/tree/main/model/gen-ai."""
    found: dict[str, Any] = {}
    if isinstance(request, ChatRequest):
        instructions, messages = _split(request.messages)
        if instructions:
            parts = [_part(part) for message in instructions for part in message.parts]
            found["gen_ai.system_instructions"] = parts
        found["gen_ai.input.messages"] = [_message(message) for message in messages]
        if request.tools:
            found["gen_ai.tool.definitions"] = [
                {"type": "function", "name": tool.name, "description": tool.description, "parameters": tool.parameters}
                if tool.native is None
                else {"type": str(tool.native.get("type", "function")), "name": tool.name}
                for tool in request.tools
            ]
    if isinstance(response, ChatResponse):
        found["gen_ai.output.messages"] = [_message(response.message)]
    return found


def genai_content_1_41(request: Any, response: Any) -> dict[str, Any]:
    """As above; there an answer also had its finish reason."""
    found = genai_content(request, response)
    for message in found.get("gen_ai.output.messages", ()):
        message["finish_reason"] = response.finish_reason
    return found


def openinference_content(request: Any, response: Any) -> dict[str, Any]:
    """Both sides of a call, flattened; what is a message of the answer has the prefix of output messages."""
    found: dict[str, Any] = {}
    if isinstance(request, ChatRequest):
        for number, message in enumerate(request.messages):
            _flatten(found, f"llm.input_messages.{number}.message.", message)
        for number, tool in enumerate(request.tools or ()):
            shown = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
            found[f"llm.tools.{number}.tool.json_schema"] = dumps_text({"type": "function", "function": shown})
        if request.messages:
            found["input.value"], found["input.mime_type"] = request.messages[-1].text, "text/plain"
    if isinstance(response, ChatResponse):
        _flatten(found, "llm.output_messages.0.message.", response.message)
        found["output.value"], found["output.mime_type"] = response.text, "text/plain"
    return found


def _flatten(found: dict[str, Any], prefix: str, message: Message) -> None:
    found[f"{prefix}role"] = message.role
    text = message.text or message.refusal
    calls = 0
    for part in message.parts:
        if type(part) is ToolCall:
            inner = f"{prefix}tool_calls.{calls}.tool_call."
            found[f"{inner}id"], found[f"{inner}function.name"] = part.id, part.name
            found[f"{inner}function.arguments"] = part.arguments_json
            calls += 1
        elif type(part) is ToolResult:
            found[f"{prefix}tool_call_id"] = part.tool_call_id
            text = part.content if type(part.content) is str else dumps_text(_result(part))
    if text:
        found[f"{prefix}content"] = text
