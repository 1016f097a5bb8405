"""Models, embeddings and health of providers."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from attrs import define, field

from provider_kit.model.chat import ParameterWarning, Usage

__all__ = ["EmbeddingRequest", "Embeddings", "HealthStatus", "Model", "Pricing"]


@define(kw_only=True)
class Pricing:
    """US dollars per million tokens; ``None`` if unknown."""

    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None


@define
class Model:
    """A model a provider offers."""

    #: What to pass as ``model=``.
    id: str
    provider: str | None = None
    #: Display name.
    name: str | None = field(default=None, kw_only=True)
    description: str | None = field(default=None, kw_only=True)
    #: Longest conversation in tokens.
    context_window: int | None = field(default=None, kw_only=True)
    #: Longest answer in tokens.
    max_output_tokens: int | None = field(default=None, kw_only=True)
    #: What it can do, in the provider's terms; empty if unknown.
    capabilities: tuple[str, ...] = field(default=(), kw_only=True)
    pricing: Pricing | None = field(default=None, kw_only=True)
    #: Seconds since 1970.
    created: float | None = field(default=None, kw_only=True)
    raw: dict[str, Any] = field(factory=dict, kw_only=True, repr=False, eq=False)


@define
class EmbeddingRequest:
    """A request to turn texts into vectors."""

    texts: list[str] = field(repr=lambda texts: f"<{len(texts)} texts>")
    model: str
    #: Length of the vectors, where the model can shorten them.
    dimensions: int | None = None
    extra_body: Mapping[str, Any] | None = None


@define
class Embeddings:
    """Vectors, in the order of the inputs."""

    vectors: list[list[float]] = field(repr=lambda vectors: f"<{len(vectors)} vectors>")
    model: str | None = None
    usage: Usage = field(factory=Usage)
    provider: str | None = field(default=None, kw_only=True)
    request_id: str | None = field(default=None, kw_only=True)
    warnings: list[ParameterWarning] = field(factory=list, kw_only=True)
    raw: Any = field(default=None, kw_only=True, repr=False, eq=False)

    def __len__(self) -> int:
        return len(self.vectors)


@define
class HealthStatus:
    """Whether a provider answers."""

    healthy: bool
    #: What is wrong, or the number of its models.
    message: str
    #: Seconds the check took.
    response_time: float
    #: Seconds since 1970 when it was checked.
    last_checked: float = 0.0
    #: The error, if it is not healthy.
    error: Exception | None = field(default=None, repr=False, eq=False)

    def __bool__(self) -> bool:
        return self.healthy
