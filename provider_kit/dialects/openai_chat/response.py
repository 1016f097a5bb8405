"""Whole chat answers in OpenAI's form, of OpenAI and compatible servers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from provider_kit.dialects.choices import first_choice
from provider_kit.dialects.failures import error_from_body, holds_error
from provider_kit.dialects.openai_chat.content import finish_of, linked_sources, whole_message
from provider_kit.dialects.openai_usage import read_count, read_usage
from provider_kit.errors import APIError, InvalidResponseError
from provider_kit.model.chat import ChatResponse
from provider_kit.model.messages import Message, ToolCall

__all__ = ["parse_answer"]

#: Fields of a message that is plain text, unless it is a refusal or has annotations.
_PLAIN_FIELDS = frozenset({"role", "content", "refusal", "annotations"})


def parse_answer(
    payload: Any, *, provider: str, origin: str, error_codes: Mapping[str, type[APIError]]
) -> ChatResponse:
    """Read a whole answer.

    Raises:
        APIError: The answer holds an error instead of a choice, or is not a chat answer.
    """
    choices = payload.get("choices") if isinstance(payload, dict) else None
    choice: Any = choices[0] if type(choices) is list and len(choices) == 1 else None
    if type(choice) is not dict:
        choice = first_choice(choices)
    if choice is None or choice.get("error") or payload.get("error"):
        _raise_embedded(choice, payload, provider, error_codes)
    assert choice is not None
    message = choice.get("message")
    if not isinstance(message, dict):
        message = {"content": choice.get("text")}
    model = payload.get("model") or None
    content: Any = message.get("content")
    calls: list[ToolCall] = []
    details = None
    plain = type(content) is str and (len(message) == 1 + ("role" in message) or _is_plain(message))
    if not plain or "citations" in payload:
        content, calls = whole_message(message, linked_sources(payload))
        details = message.get("reasoning_details")
    raw_reason = choice.get("finish_reason")
    return ChatResponse(
        Message(
            "assistant", content, origin=origin, model=model, extra={"reasoning_details": details} if details else None
        ),
        "stop" if raw_reason == "stop" and not calls else finish_of(raw_reason, bool(calls)),
        raw_reason if isinstance(raw_reason, str) else None,
        partial(read_usage, payload.get("usage"), payload.get("service_tier")),
        payload.get("id") or None,
        model,
        read_count(payload.get("created")),
        payload,
    )


def _is_plain(message: Mapping[str, Any]) -> bool:
    return message.keys() <= _PLAIN_FIELDS and not message.get("refusal") and not message.get("annotations")


def _raise_embedded(choice: Any, payload: Any, provider: str, error_codes: Mapping[str, type[APIError]]) -> None:
    """Raise for an answer without a choice: the error in it, else that it is not a chat answer."""
    if choice is not None and choice.get("error"):
        raise error_from_body(choice, status=200, headers={}, provider=provider, overrides=error_codes)
    if isinstance(payload, dict) and holds_error(payload, ()):
        raise error_from_body(payload, status=200, headers={}, provider=provider, overrides=error_codes)
    raise InvalidResponseError(
        "The answer is not a chat completion: it has no choices.",
        status_code=200,
        body=payload,
        provider=provider or None,
        hint="The base URL may point to another API; check base_url (does it need /v1?).",
    )
