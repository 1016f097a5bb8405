"""Gemini's generateContent from the server's side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provider_kit.dialects.replies import Asked, Reply, pieces
from provider_kit.dialects.server import ServerDialect, json_text, text_of

__all__ = ["GeminiServer"]


class GeminiServer(ServerDialect):
    """POST models/{model}:generateContent."""

    name = "gemini_content"

    def read(self, body: dict[str, Any], path: str) -> Asked:
        """Parse a request."""
        turns: list[tuple[str, str]] = []
        called: list[str] = []
        system = body.get("systemInstruction")
        if system:
            turns.append(("system", text_of(system.get("parts"))))
        for content in body.get("contents") or ():
            parts = content.get("parts") or ()
            role = "assistant" if content.get("role") == "model" else "user"
            for part in parts:
                if "functionResponse" in part:
                    value: Mapping[str, Any] = part["functionResponse"].get("response") or {}
                    turns.append(("tool", str(value.get("output", value.get("error", json_text(dict(value)))))))
                elif "functionCall" in part:
                    called.append(part["functionCall"]["name"])
            text = text_of([part for part in parts if not part.get("thought")])
            if text:
                turns.append((role, text))
        tools = [item for tool in body.get("tools") or () for item in tool.get("functionDeclarations") or ()]
        calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
        names = calling.get("allowedFunctionNames") or []
        forced = names[0] if len(names) == 1 else "required"
        mode = {"ANY": forced, "NONE": "none"}.get(str(calling.get("mode")), "auto")
        config = body.get("generationConfig") or {}
        wants_json = config.get("responseMimeType") == "application/json"
        return Asked(
            path.rpartition("models/")[2].partition(":")[0],
            turns,
            {tool["name"]: tool.get("parametersJsonSchema") or {} for tool in tools},
            called,
            ":stream" in path,
            mode,
            config.get("responseJsonSchema") or ({} if wants_json else None),
            bool((config.get("thinkingConfig") or {}).get("includeThoughts")),
            config.get("stopSequences") or [],
            config.get("maxOutputTokens"),
        )

    def _frame(self, reply: Reply, asked: Asked, parts: list[dict[str, Any]], finish: str | None) -> dict[str, Any]:
        candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": parts}}
        if finish:
            candidate["finishReason"] = {"length": "MAX_TOKENS", "content_filter": "SAFETY"}.get(finish, "STOP")
        usage = {"promptTokenCount": reply.input_tokens, "totalTokenCount": reply.input_tokens}
        if reply.cache_read:
            usage["cachedContentTokenCount"] = reply.cache_read
        if finish:
            usage |= {"candidatesTokenCount": reply.output, "totalTokenCount": reply.input_tokens + reply.output}
        return {
            "candidates": [candidate],
            "usageMetadata": usage,
            "modelVersion": reply.model or asked.model,
            "responseId": "fake",
        }

    def _parts(self, reply: Reply) -> list[list[dict[str, Any]]]:
        found = [[{"text": piece, "thought": True}] for piece in pieces(reply.thinking)]
        found += [[{"text": piece}] for piece in pieces(reply.text)]
        for number, call in enumerate(reply.tool_calls):
            part: dict[str, Any] = {"functionCall": {"name": call.name, "args": call.object}}
            if number == 0:
                part["thoughtSignature"] = "c2lnbmF0dXJl"
            found.append([part])
        return found

    def whole(self, reply: Reply, asked: Asked) -> dict[str, Any]:
        """A whole answer, or a blocked prompt."""
        if reply.refusal:
            return {"promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": reply.refusal}}
        return self._frame(reply, asked, [part for parts in self._parts(reply) for part in parts], reply.finish)

    def events(self, reply: Reply, asked: Asked) -> list[bytes]:
        """A streamed answer."""
        if reply.refusal:
            frames = [self.whole(reply, asked)]
        else:
            groups = self._parts(reply) or [[]]
            last = len(groups) - 1
            frames = [
                self._frame(reply, asked, parts, reply.finish if number == last else None)
                for number, parts in enumerate(groups)
            ]
        return [f"data: {json_text(frame)}\r\n\r\n".encode() for frame in frames]

    def error(self, status: int, code: str, message: str) -> dict[str, Any]:
        """An error."""
        return {"error": {"code": status, "message": message, "status": code.upper()}}
