"""What a request will cost, estimated before it is sent."""

from __future__ import annotations

from provider_kit.catalog.directory import ModelDirectory
from provider_kit.model.chat import ChatRequest
from provider_kit.model.estimates import CostEstimate, TokenEstimate
from provider_kit.model.usage import Usage

__all__ = ["estimate_cost", "estimate_input"]


def estimate_input(request: ChatRequest, directory: ModelDirectory, dialect: str) -> TokenEstimate:
    """The input tokens of a request.

    Args:
        request: The request.
        directory: What is known of the models of its provider.
        dialect: Name of the API it is written for.
    """
    from provider_kit.tokens.request import estimate_request

    return estimate_request(request, directory.provider, dialect)


def estimate_cost(request: ChatRequest, directory: ModelDirectory, dialect: str) -> CostEstimate:
    """The cost of a request: of its input alone, and with the longest answer. Arguments as :func:`estimate_input`."""
    estimate, known = estimate_input(request, directory, dialect), directory.info(request.model)
    longest = request.max_tokens or known.max_output_tokens
    names = (request.model,)
    low = directory.cost_of(Usage(estimate.low, 0), names, None)
    high = None if longest is None else directory.cost_of(Usage(estimate.high, longest), names, None)
    return CostEstimate(low, high, estimate, longest)
