"""Whether a conversation fits into the model's window, before anything is sent."""

from __future__ import annotations

from provider_kit.engine.endpoint import Endpoint
from provider_kit.errors import ContextLengthExceededError
from provider_kit.model.chat import ChatRequest
from provider_kit.model.file_types import is_plain_text
from provider_kit.model.media import Document
from provider_kit.transports.base import Runtime
from provider_kit.wire.merging import TRACE_HEADERS

__all__ = ["characters_of", "check_window", "too_long"]

#: A conversation with fewer characters fits into every window there is; the catalog is not read for it.
_SMALL = 8000
#: A conversation is refused if this share of the estimate exceeds the window: an estimate may be too high.
_CERTAIN = 0.75


def check_window(request: ChatRequest, endpoint: Endpoint, dialect: str, runtime: Runtime) -> None:
    """Refuse a conversation that is known not to fit.

    Raises:
        ContextLengthExceededError: It is far longer than the model's window; the error names larger models.
    """
    found = too_long(request, endpoint, dialect)
    if found is None:
        return
    tokens, window = found
    directory = endpoint.directory
    error = ContextLengthExceededError(
        f"The conversation has about {tokens:,} tokens; {request.model} holds {window:,}.",
        provider=endpoint.name,
        model=request.model,
    )
    directory.suggest(error, request.model, runtime.time(), int(tokens * 1.1))
    if endpoint.base_url != (endpoint.provider.base_url or "").rstrip("/"):
        error.with_hint(
            f"{error.hint} If this server holds more: Client(…, model_overrides={{{request.model!r}: "
            "{'context_window': …}})."
        )
    raise error


def too_long(request: ChatRequest, endpoint: Endpoint, dialect: str) -> tuple[int, int] | None:
    """Whether a conversation is known not to fit: its estimated tokens and the window; ``None`` if it may fit."""
    directory = endpoint.directory
    own = request.extra_headers and any(str(name).lower() not in TRACE_HEADERS for name in request.extra_headers)
    if own or request.extra_body or endpoint.config.headers or endpoint.config.options.get("beta"):
        return None  # fields of the caller's own may enlarge the window
    size = characters_of(request)
    if size < _SMALL and not directory.overrides:
        return None
    known = directory.find(request.model)
    window = None if known is None else known.context_window
    if window is None or size <= window:  # hardly any token is shorter than a character
        return None
    from provider_kit.tokens.request import estimate_request

    tokens = estimate_request(request, directory.provider, dialect).tokens
    return (tokens, window) if tokens * _CERTAIN > window else None


def characters_of(request: ChatRequest) -> int:
    """The characters of its texts."""
    size = 0
    for message in request.messages:
        content = message.content
        if type(content) is str:
            size += len(content)
        else:
            for part in message.parts:
                if isinstance(part, Document):
                    size += len(part.data or b"") if is_plain_text(part.media_type) else 0
                    continue
                said = getattr(part, "text", None) or getattr(part, "content", None)
                size += len(said) if isinstance(said, str) else 0
    return size
