"""Tells the listeners of a client of each function that was called for the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define

from provider_kit.engine.events import EventBus
from provider_kit.model.call_events import ToolCallEnded
from provider_kit.model.chat import ChatResponse
from provider_kit.structured.verbs import Asking
from provider_kit.tools.result import ToolOutcome
from provider_kit.transports.base import Runtime

__all__ = ["ToolEvents", "tool_events"]


@define(eq=False)
class ToolEvents:
    """The events of the calls of one step."""

    bus: EventBus
    runtime: Runtime
    #: The model that wants the calls, and the id of its answer's call.
    model: str | None
    correlation_id: str
    operation: str = "run"

    @property
    def clock(self) -> Callable[[], float]:
        """Return the seconds since 1970."""
        return self.runtime.time

    async def ended(self, outcome: ToolOutcome, *, denied: bool, arguments: Any) -> None:
        """A call has its result."""
        error = outcome.error
        how = "denied" if denied else "error" if outcome.result.is_error else "success"
        await self.bus.emit(
            self,
            ToolCallEnded,
            f"{outcome.call.name} {'was denied' if denied else f'took {outcome.duration:.2f} s'}",
            tool=outcome.call.name,
            tool_call_id=outcome.call.id,
            started=self.runtime.time() - outcome.duration,
            duration=outcome.duration,
            outcome=how,
            error_class=None if error is None else type(error).__name__,
            arguments=arguments,
            result=outcome.result.content,
        )


def tool_events(asking: Asking, reply: ChatResponse[Any] | None) -> ToolEvents | None:
    """Where the calls of a step are reported, if there is a listener.

    Args:
        asking: The verbs.
        reply: The answer that wants the calls.
    """
    bus = asking.events
    if bus is None or not bus.listens_to(ToolCallEnded):
        return None
    model, id = (None, "") if reply is None else (reply.model, reply.correlation_id or "")
    return ToolEvents(bus, asking.runtime, model, id)
