"""Calls about the models of an Ollama server."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from provider_kit.dialects.ollama_chat.management import (
    OllamaCall,
    PullProgress,
    read_loaded,
    read_progress,
    read_shown,
)
from provider_kit.engine.attempts import Attempts
from provider_kit.engine.listing import ask_once
from provider_kit.errors import APIError, ModelNotFoundError, StreamIncompleteError
from provider_kit.model.json_text import loads
from provider_kit.transports.base import ByteStream
from provider_kit.wire.http import HttpRequest
from provider_kit.wire.json_lines import LineDecoder

__all__ = ["manage", "pull"]


async def manage(attempts: Attempts) -> Any:
    """List what is loaded, show or delete a model."""
    asked: OllamaCall = attempts.call.request  # type: ignore[assignment]  # about a model
    payload, _ = await ask_once(attempts, asked.wire(), empty=True)
    if asked.action == "ps":
        return read_loaded(payload)
    return read_shown(payload, asked.model, attempts.endpoint.name) if asked.action == "show" else None


async def pull(attempts: Attempts) -> AsyncGenerator[PullProgress, None]:
    """The progress of a pull; the generator has been started, and holds the connection.

    Raises:
        APIError: The server refused.
    """
    asked: OllamaCall = attempts.call.request  # type: ignore[assignment]  # about a model

    async def once(_: Attempts, request: HttpRequest) -> AsyncGenerator[PullProgress, None]:
        body = await attempts.http.open_stream(request, attempts.limits)
        chunks = _progress(attempts, body)
        await anext(chunks)  # its first item only says that the server has agreed
        return chunks  # type: ignore[return-value]  # only progress follows

    return await attempts.run(attempts.endpoint.prepare(asked.wire()), once)


async def _progress(attempts: Attempts, body: ByteStream) -> AsyncGenerator[PullProgress | None, None]:
    try:
        if body.status >= 300:
            pieces = []
            while data := await body.read():
                pieces.append(data)
            raise attempts.endpoint.error(body.status, body.headers, b"".join(pieces))
        told = attempts.succeeded(body.headers)
        if told is not None:
            await told
        yield None
        lines, complete = LineDecoder(), False
        while not complete:
            data = await body.read()
            for line in lines.feed(data) if data else lines.finish():
                progress = _read(attempts, line)
                complete = complete or progress.status == "success"
                yield progress
            body.progress()
            if not data:
                break
        if not complete:
            raise StreamIncompleteError(
                "The pull ended before it was complete.",
                provider=attempts.endpoint.name,
                hint="Pull again; what has arrived is kept.",
            )
    finally:
        await body.aclose()


def _read(attempts: Attempts, line: bytes) -> PullProgress:
    try:
        event = loads(line)
    except ValueError:
        raise StreamIncompleteError(
            "The pull broke off in the middle of a line.",
            provider=attempts.endpoint.name,
            hint="Pull again; what has arrived is kept.",
        ) from None
    if isinstance(event, dict) and event.get("error"):
        # Source: Ollama's server/images.go, whose registry answers so.
        unknown = "file does not exist" in str(event["error"])
        kind = ModelNotFoundError if unknown else APIError
        raise attempts.endpoint.finish_error(
            kind(str(event["error"])[:500], provider=attempts.endpoint.name, body=event, operation="pull")
        )
    return read_progress(event)
