"""What a tool's function may ask for besides its arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from attrs import define, field

from provider_kit.model.messages import Message
from provider_kit.model.usage import Usage

__all__ = ["ToolContext"]

Deps = TypeVar("Deps")


@define
class ToolContext(Generic[Deps]):
    """The circumstances of a tool call. A parameter annotated ``ToolContext`` gets it; the model does not see it.

    Example:
        >>> from provider_kit import ToolContext
        >>> def find_order(context: ToolContext[dict[str, str]], number: str) -> str:
        ...     \"\"\"Find an order.\"\"\"
        ...     context.progress("looking it up")
        ...     return context.deps[number]
    """

    #: What was given to ``run(…, deps=…)``: a database, the current user, and so on.
    deps: Deps
    #: Id of the call.
    call_id: str
    #: Number of the step, from 1.
    step: int
    #: The conversation up to the call; do not change it.
    messages: Sequence[Message] = field(repr=lambda messages: f"<{len(messages)} messages>")
    #: Tokens used so far by the run.
    usage: Usage
    _report: Callable[[Any], object] | None = field(default=None, repr=False)

    def progress(self, value: Any) -> None:
        """Report progress, which ``stream_run`` yields as a :class:`ToolProgress`; elsewhere it has no effect."""
        if self._report is not None:
            self._report(value)
