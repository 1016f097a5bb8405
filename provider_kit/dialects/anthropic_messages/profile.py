"""What one Claude model accepts, as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attrs import field, frozen

__all__ = ["ClaudeProfile"]


@frozen(kw_only=True)
class ClaudeProfile:
    """What one model accepts."""

    #: Sent as ``max_tokens`` where the caller gives none; the API needs one.
    max_output_tokens: int = 4096
    #: ``budget``: thinking by tokens; ``adaptive``: by effort; ``both``.
    thinking: Literal["budget", "adaptive", "both"] = "adaptive"
    #: How thinking is turned off; ``None``: it cannot be.
    thinking_off: Literal["disabled", "between_tools"] | None = "disabled"
    #: Whether temperature, top_p and top_k are accepted.
    sampling: bool = False
    #: Whether a tool can be forced.
    forced_tools: bool = True
    #: Whether thinking is valid only for the model that wrote it.
    bound_thinking: bool = False
    #: Whether ``output_config.format`` is accepted.
    structured: bool = True
    #: Whether the conversation may end with an assistant message to be continued.
    prefill: bool = False
    #: Whether system messages may occur inside the conversation.
    inner_system: bool = False
    #: Fields added to every request.
    body: Mapping[str, Any] = field(factory=dict)
