"""What a call may use and cost at most, which a budget reserves before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from provider_kit.engine.plugin import PluginContext
from provider_kit.errors import BudgetExceededError
from provider_kit.model.chat import ChatRequest
from provider_kit.model.messages import Message
from provider_kit.model.models import EmbeddingRequest
from provider_kit.stores.sqlite_usage import picodollars

__all__ = ["most_of"]

#: What fields of the caller's own (``extra_body``) call the longest answer, and the number of answers.
_LONGEST = frozenset(
    ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens", "num_predict", "maxTokens")
)
_ANSWERS = frozenset(("n", "candidateCount", "best_of"))


def most_of(
    context: PluginContext, limits: Sequence[tuple[int | None, int | None]], refuses_unknown: bool
) -> tuple[int, int]:
    """The tokens a call may use, and what it may cost in 10⁻¹² US dollars.

    Args:
        context: The call.
        limits: The limits of tokens and of cost that it may run into.
        refuses_unknown: Whether a call is refused whose price, or longest answer, is not known.

    Raises:
        BudgetExceededError: It is not known what it may need.
    """
    if isinstance(context.request, EmbeddingRequest):
        return _of_texts(context, context.request)
    longest, answers = _own_limits(context.chat)
    estimate = context.estimate_cost(longest)
    if estimate is None:
        return 0, 0
    output = estimate.max_output_tokens
    if refuses_unknown and output is None:
        raise _unknown(context, f"How long the answers of {context.model} may be")
    if refuses_unknown and estimate.high is None and any(cost is not None for _, cost in limits):
        raise _unknown(context, f"The price of {context.model}")
    cost = picodollars(estimate.high) or 0
    return estimate.input_tokens.high + (output or 0) * answers, cost * answers


def _of_texts(context: PluginContext, request: EmbeddingRequest) -> tuple[int, int]:
    """Embeddings have no output."""
    texts = [text for text in request.texts if isinstance(text, str)]
    as_chat = ChatRequest(model=request.model, messages=[Message("user", text) for text in texts], max_tokens=1)
    estimate = context.estimate_cost(of=as_chat)
    if estimate is None:
        return 0, 0
    return estimate.input_tokens.high, picodollars(estimate.high if estimate.high is not None else estimate.low) or 0


def _own_limits(chat: ChatRequest | None) -> tuple[int | None, int]:
    """The longest answer, and the number of answers, by fields of the caller's own."""
    longest: int | None = None
    answers = 1
    pending: list[Any] = [] if chat is None or not chat.extra_body else [chat.extra_body]
    while pending:
        for name, value in pending.pop().items():
            if isinstance(value, Mapping):
                pending.append(value)
            elif isinstance(value, int) and not isinstance(value, bool):
                if name in _LONGEST:
                    longest = max(longest or 0, value)
                elif name in _ANSWERS:
                    answers = max(answers, value)
    return longest, answers


def _unknown(context: PluginContext, what: str) -> BudgetExceededError:
    error = BudgetExceededError(
        f"{what} is not known, so a budget cannot hold.",
        limit="cost",
        hint="Pass max_tokens=; or state the price: model_overrides={'…': {'pricing': {'input': '1', 'output': '2'}}}; "
        "or BudgetPlugin(unknown_price='allow').",
    )
    error.provider = context.provider
    error.model, error.operation = context.model, context.operation
    return error
