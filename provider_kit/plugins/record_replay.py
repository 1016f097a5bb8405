"""A plugin that records calls in a file, and answers from it later, for tests without a network."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

from attrs import asdict, fields

from provider_kit.engine.call import Call
from provider_kit.engine.handler import CallNext, End, Reply
from provider_kit.engine.plugin import CACHE, Plugin
from provider_kit.errors import APIError, ConfigError, ProviderKitError
from provider_kit.model.chat import ChatRequest, ChatResponse, Chunk, ToolCallDelta
from provider_kit.model.convert import read_messages, read_usage, write_messages, write_usage
from provider_kit.model.json_text import canonical, dumps_text, loads
from provider_kit.model.models import EmbeddingRequest, Embeddings
from provider_kit.plugins.settings import take_settings
from provider_kit.policies.after_fork import ForkSafeLock
from provider_kit.wire.redaction import redact_value

__all__ = ["RecordReplay"]

_FACTS = ("finish_reason", "raw_finish_reason", "id", "model", "created", "provider", "request_id")
_NOT_COMPARED = ("messages", "extra_headers", "cache_key", "user", "metadata")


class RecordReplay(Plugin):
    """Answers calls from a file of earlier ones, and records those that are not in it.

    Chats, streams (piece by piece), embeddings, and the errors of providers. A request is found again by all of it that
    decides the answer. The same request several times gets its recorded answers in their order. The file has one JSON
    object a line, without keys or headers.

    Args:
        path: The file.
        mode: ``auto``: answers what is known, asks and records the rest; ``replay``: a call that is not known is an
            error, so nothing is ever sent; ``record``: asks and records everything anew.
    """

    name = "record_replay"
    description = "Records calls, and answers from the recording."
    priority = CACHE

    def __init__(self, path: str | os.PathLike[str] = "", mode: Literal["auto", "replay", "record"] = "auto") -> None:
        self.path = path
        self.mode = mode

    def init(self, config: Mapping[str, Any]) -> None:
        """Read the file.

        Raises:
            ConfigError: It cannot be read, or a setting is wrong.
        """
        take_settings(self, config, ("path", "mode"))
        if self.mode not in ("auto", "replay", "record"):
            raise ConfigError(f"mode must be 'auto', 'replay' or 'record', not {self.mode!r}.")
        self._file = os.path.expanduser(os.fspath(self.path))
        if not self._file:
            raise ConfigError("A recording needs a file.", hint="RecordReplay('tests/recorded.jsonl').")
        self._lock = ForkSafeLock()
        self._known: dict[str, list[dict[str, Any]]] = {}
        self._used: dict[str, int] = {}
        if self.mode == "replay" and not os.path.exists(self._file):
            raise ConfigError(f"There is no recording {self._file}.", hint="Record it first: mode='auto'.")
        if self.mode != "replay":
            try:
                os.makedirs(os.path.dirname(self._file) or ".", exist_ok=True)
                with open(self._file, "w" if self.mode == "record" else "a", encoding="utf-8"):
                    pass
            except OSError as error:
                raise ConfigError(
                    f"The recording {self._file} cannot be written: {error.strerror or error}.",
                    hint="Name another file.",
                ) from error
        number = 0
        try:
            with open(self._file, encoding="utf-8") as lines:
                for line in lines:
                    number += 1
                    if line.strip():
                        entry = loads(line)
                        self._known.setdefault(entry["key"], []).append(entry)
        except (OSError, ValueError, KeyError, TypeError) as error:
            place = f", line {number}" if not isinstance(error, OSError) else ""
            raise ConfigError(
                f"The recording {self._file} cannot be read{place}.", hint="Remove the line, or record it anew."
            ) from error

    async def middleware(self, call: Call, call_next: CallNext) -> Reply:
        """Answer one call, or record it.

        Raises:
            ConfigError: Nothing may be sent, and the call is not known.
        """
        request = call.request
        if not isinstance(request, (ChatRequest, EmbeddingRequest)) or call.operation == "count_tokens":
            if self.mode == "replay":
                raise ConfigError(
                    f"{call.operation} is not recorded, and nothing may be sent.",
                    hint="RecordReplay(path, mode='auto')",
                )
            return await call_next(call)
        key = _key_of(call.operation, request)
        entry = self._next(key) if self.mode != "record" else None
        if entry is not None:
            return _replayed(entry, call)
        if self.mode == "replay":
            raise ConfigError(
                f"This {call.operation} is not in the recording {self._file}.",
                hint="Record it: RecordReplay(path, mode='auto'); or the request has changed since.",
            )
        return await self._recorded(key, call, call_next)

    def _next(self, key: str) -> dict[str, Any] | None:
        with self._lock:
            entries = self._known.get(key)
            if not entries:
                return None
            number = self._used.get(key, 0)
            self._used[key] = number + 1
            return entries[min(number, len(entries) - 1)]

    async def _recorded(self, key: str, call: Call, call_next: CallNext) -> Reply:
        try:
            reply = await call_next(call)
        except APIError as error:
            self._write({"key": key, "operation": call.operation, "error": _written_error(error)})
            raise
        if reply.state is None:
            kind = "embeddings" if isinstance(reply.answer, Embeddings) else "answer"
            self._write({"key": key, "operation": call.operation, kind: _written(reply.answer)})
            return reply
        pieces: list[dict[str, Any]] = []

        def piece(chunk: Chunk) -> Chunk:
            pieces.append(_written_chunk(chunk))
            return chunk

        def ended(end: End) -> None:
            if end.how == "complete":  # half an answer is none
                answer = _written(end.response)
                self._write({"key": key, "operation": call.operation, "answer": answer, "chunks": pieces})

        reply.on_end(ended)
        reply.map(piece)
        return reply

    def _write(self, entry: dict[str, Any]) -> None:
        entry = redact_value(entry, ())
        with self._lock:
            self._known.setdefault(entry["key"], []).append(entry)
            self._used[entry["key"]] = len(self._known[entry["key"]])
            with open(self._file, "a", encoding="utf-8") as lines:
                lines.write(dumps_text(entry) + "\n")


def _key_of(operation: str, request: ChatRequest | EmbeddingRequest) -> str:
    """What identifies a request."""
    if isinstance(request, EmbeddingRequest):
        told: Any = [request.model, list(request.texts), request.dimensions]
    else:
        told = {
            one.name: asdict(value) if hasattr(value, "__attrs_attrs__") else value
            for one in fields(ChatRequest)
            if one.name not in _NOT_COMPARED and (value := getattr(request, one.name)) is not None
        }
        if request.tools:
            told["tools"] = [[tool.name, tool.description, tool.parameters, tool.native] for tool in request.tools]
        told["messages"] = [
            {name: value for name, value in message.items() if name not in ("origin", "model")}
            for message in write_messages(request.messages)
        ]
    return hashlib.sha256(operation.encode() + canonical(told)).hexdigest()[:24]


# ------------------------------------------------------------------------------------------------ writing


def _written(answer: Any) -> dict[str, Any]:
    if isinstance(answer, Embeddings):
        return {"vectors": [list(vector) for vector in answer.vectors], "model": answer.model}
    facts = {name: getattr(answer, name) for name in _FACTS if getattr(answer, name, None) is not None}
    return {**facts, "message": write_messages([answer.message])[0], "usage": write_usage(answer.usage)}


def _written_chunk(chunk: Chunk) -> dict[str, Any]:
    made: dict[str, Any] = {name: value for name in ("text", "thinking", "refusal") if (value := getattr(chunk, name))}
    if chunk.tool_calls:
        made["tool_calls"] = [[one.index, one.id, one.name, one.arguments] for one in chunk.tool_calls]
    if chunk.finish_reason is not None:
        made["finish_reason"] = chunk.finish_reason
    if chunk.usage is not None:
        made["usage"] = write_usage(chunk.usage)
    return made


def _written_error(error: APIError) -> dict[str, Any]:
    return {
        "class": type(error).__name__,
        "message": error.message,
        "status_code": error.status_code,
        "code": error.code,
        "retry_after": error.retry_after,
    }


# ------------------------------------------------------------------------------------------------ reading


def _replayed(entry: Mapping[str, Any], call: Call) -> Reply:
    if "error" in entry:
        raise _read_error(entry["error"], call)
    if "embeddings" in entry:
        told = entry["embeddings"]
        return Reply(Embeddings(told["vectors"], told["model"]))
    answer = _read_answer(entry["answer"], call)
    if call.operation != "stream" or "chunks" not in entry:
        return Reply(answer)
    reply = Reply.live(list(map(_read_chunk, entry["chunks"])))
    reply.map(answer=lambda received: answer if received.finish_reason == answer.finish_reason else received)
    return reply


def _read_answer(told: Mapping[str, Any], call: Call) -> ChatResponse[Any]:
    (message,) = read_messages([told["message"]])
    answer: ChatResponse[Any] = ChatResponse(
        message,
        told["finish_reason"],
        told.get("raw_finish_reason"),
        read_usage(told.get("usage") or {}),
        told.get("id"),
        told.get("model"),
        told.get("created"),
        provider=told.get("provider"),
        request_id=told.get("request_id"),
        correlation_id=call.correlation_id,
    )
    return answer


def _read_chunk(told: Mapping[str, Any]) -> Chunk:
    calls: Sequence[Sequence[Any]] = told.get("tool_calls") or ()
    return Chunk(
        told.get("text", ""),
        None,
        told.get("thinking", ""),
        [ToolCallDelta(*one) for one in calls] or None,
        told.get("refusal", ""),
        told.get("finish_reason"),
        read_usage(told["usage"]) if "usage" in told else None,
    )


def _read_error(told: Mapping[str, Any], call: Call) -> ProviderKitError:
    error = _kinds(APIError).get(str(told.get("class")), APIError)(
        told.get("message") or "", status_code=told.get("status_code"), code=told.get("code")
    )
    wait = told.get("retry_after")
    error.retry_after = float(wait) if isinstance(wait, (int, float, Decimal)) else None
    error.model, error.operation = call.model, call.operation
    return error


def _kinds(base: type[APIError]) -> dict[str, type[APIError]]:
    """A class of errors and all that are derived from it, by name."""
    found = {base.__name__: base}
    for kind in base.__subclasses__():
        found |= _kinds(kind)
    return found
