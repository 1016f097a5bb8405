"""What the OpenTelemetry plugin is told by arguments and by the environment."""

from __future__ import annotations

import os
from typing import Any, Literal, TypeAlias

from provider_kit.errors import ConfigError

__all__ = ["CaptureContent", "SemanticConventions", "chosen_content", "chosen_profile"]

#: The names that attributes have.
SemanticConventions: TypeAlias = Literal["genai", "genai_1_41", "openinference"]
#: Where prompts and answers are captured.
CaptureContent: TypeAlias = bool | Literal["NO_CONTENT", "SPAN_ONLY", "EVENT_ONLY", "SPAN_AND_EVENT"]

_CAPTURE = {
    "NO_CONTENT": (False, False),
    "SPAN_ONLY": (True, False),
    "EVENT_ONLY": (False, True),
    "SPAN_AND_EVENT": (True, True),
}
#: What ``OTEL_SEMCONV_STABILITY_OPT_IN`` may name; only the first one is OpenTelemetry's own.
_OPT_IN = {
    "gen_ai_latest_experimental": "genai",
    "gen_ai_1_41": "genai_1_41",
    "openinference": "openinference",
}


def chosen_profile() -> str:
    """The names the environment asks for."""
    words = os.environ.get("OTEL_SEMCONV_STABILITY_OPT_IN", "").replace(" ", "").split(",")
    return next((_OPT_IN[word] for word in words if word in _OPT_IN), "genai")


def chosen_content(given: Any) -> tuple[bool, bool]:
    """Whether prompts and answers are captured in spans, and in events.

    Raises:
        ConfigError: The argument is neither a bool nor one of the words.
    """
    if isinstance(given, bool):
        return given, given
    word = os.environ.get("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "") if given is None else given
    found = _CAPTURE.get(word.upper()) if isinstance(word, str) else None
    if found is None and given is not None:
        raise ConfigError(
            f"capture_content cannot be {given!r}.", hint=f"True, False, or one of {', '.join(_CAPTURE)}."
        )
    return found or (False, False)
