"""The keyword arguments of runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from provider_kit.model.call_options import OutputOptions
from provider_kit.tools.budget import Budget
from provider_kit.tools.decisions import Decision
from provider_kit.tools.execution import OnToolError
from provider_kit.tools.ledger import Ledger
from provider_kit.tools.settings import AfterStep, BeforeStep

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import Literal, NoReturn

    from provider_kit.model.call_options import FileLike, FormatLike, ReasoningLike, ToolLike
    from provider_kit.model.cancellation import CancelToken
    from provider_kit.model.config import OnUnsupported, Timeout
    from provider_kit.model.tools import ToolChoice

__all__ = ["RunOptions"]


class RunOptions(OutputOptions, total=False):
    """Keyword arguments of ``run``, ``arun``, ``stream_run``, ``astream_run``, ``step`` and ``astep``."""

    deps: Any
    """What the tools need; a parameter annotated ``ToolContext`` has it as ``.deps``."""
    max_steps: int
    """Most requests to the model; default: 10."""
    budget: Budget
    """Limits of steps, calls, tokens, cost and seconds."""
    decisions: Mapping[str, Decision]
    """Decisions about calls that wait, by the id of the call."""
    before_step: BeforeStep
    """Called with a :class:`StepPlan` before each request; may change it."""
    after_step: AfterStep
    """Called with each :class:`Step` after its calls; ``False`` ends the run."""
    on_tool_error: OnToolError
    """Called with an exception of a tool and its call; returns what the model is told, or raises."""
    tool_timeout: float
    """Seconds a tool may take; default: no limit."""
    max_parallel_tools: int
    """Calls that run at once; default: 8."""
    ledger: Ledger
    """Records calls before they run, see :class:`SQLiteLedger`."""


if TYPE_CHECKING:

    def run_keywords(
        *,
        prompt: str = ...,
        model: str = ...,
        system: str = ...,
        files: FileLike | Sequence[FileLike] = ...,
        temperature: float = ...,
        top_p: float = ...,
        top_k: int = ...,
        max_tokens: int = ...,
        max_completion_tokens: int = ...,
        max_output_tokens: int = ...,
        stop: str | Sequence[str] = ...,
        seed: int = ...,
        presence_penalty: float = ...,
        frequency_penalty: float = ...,
        tools: Sequence[ToolLike] = ...,
        tool_choice: Literal["auto", "required", "none"] | str | ToolChoice | Mapping[str, Any] = ...,
        parallel_tool_calls: bool = ...,
        response_format: FormatLike = ...,
        reasoning: ReasoningLike = ...,
        verbosity: Literal["low", "medium", "high"] | str = ...,
        cache: bool | str = ...,
        cache_key: str = ...,
        user: str = ...,
        metadata: Mapping[str, str] = ...,
        timeout: float | Timeout = ...,
        total_timeout: float = ...,
        extra_body: Mapping[str, Any] = ...,
        extra_headers: Mapping[str, str] = ...,
        extra_query: Mapping[str, str] = ...,
        response_cache: bool = ...,
        on_unsupported: OnUnsupported = ...,
        cancel: CancelToken = ...,
        fallback: bool = ...,
        correlation_id: str = ...,
        tags: Sequence[str] = ...,
        extension_config: Mapping[str, Any] = ...,
        middleware: Sequence[Callable[..., Awaitable[Any]]] = ...,
        validation_retries: int = ...,
        validator: Callable[[Any], Any] = ...,
        deps: Any = ...,
        max_steps: int = ...,
        budget: Budget = ...,
        decisions: Mapping[str, Decision] = ...,
        before_step: BeforeStep = ...,
        after_step: AfterStep = ...,
        on_tool_error: OnToolError = ...,
        tool_timeout: float = ...,
        max_parallel_tools: int = ...,
        ledger: Ledger = ...,
    ) -> NoReturn:
        """As :func:`provider_kit.model.call_options.chat_keywords`."""
