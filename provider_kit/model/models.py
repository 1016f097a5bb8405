"""Models, embeddings and health of providers."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from provider_kit.errors import InvalidRequestError, InvalidResponseError, MissingDependencyError
from provider_kit.model.chat import ParameterWarning
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.pricing import Pricing
from provider_kit.model.usage import Usage

if TYPE_CHECKING:
    import numpy

__all__ = ["FEATURES", "EmbeddingRequest", "Embeddings", "HealthStatus", "Model"]

#: What a model may be able to do, as :meth:`Model.supports` names it.
FEATURES = ("vision", "audio", "video", "pdf", "tools", "schema", "reasoning", "caching")


@frozen
class Model:
    """A model a provider offers, or what is known of it."""

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
    #: What it is known to be able to do, or not: ``vision``, ``audio``, ``video``, ``pdf``, ``tools``, ``schema``,
    #: ``reasoning``, ``caching``. See :meth:`supports`.
    features: Mapping[str, bool] = field(factory=dict, kw_only=True)
    pricing: Pricing | None = field(default=None, kw_only=True)
    #: Up to when it knows the world, as ``2025-01`` or ``2025-01-31``.
    knowledge: str | None = field(default=None, kw_only=True)
    #: When the provider retires it, as ``2026-12-11``.
    retires: str | None = field(default=None, kw_only=True)
    #: Whether the provider advises against using it.
    deprecated: bool | None = field(default=None, kw_only=True)
    #: ``embedding``, where it is known to answer with vectors.
    kind: str | None = field(default=None, kw_only=True)
    #: Seconds since 1970.
    created: float | None = field(default=None, kw_only=True)
    raw: dict[str, Any] = field(factory=dict, kw_only=True, repr=False, eq=False)

    def supports(self, feature: str) -> bool | None:
        """Whether it can do something, e.g. ``"vision"``; ``None`` if unknown.

        Raises:
            InvalidRequestError: It is not one of ``vision``, ``audio``, ``video``, ``pdf``, ``tools``, ``schema``,
                ``reasoning`` and ``caching``.
        """
        if feature not in FEATURES:
            raise InvalidRequestError(
                f"{feature!r} is not a capability of models.",
                hint=did_you_mean(str(feature), FEATURES) + f"Use one of {', '.join(FEATURES)}.",
            )
        return self.features.get(feature)


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

    @property
    def cost(self) -> Decimal | None:
        """Price in US dollars, ``None`` if unknown."""
        return self.usage.cost

    def as_numpy(self) -> numpy.ndarray[Any, numpy.dtype[numpy.float32]]:
        """The vectors as a matrix of ``float32``, one row for each text.

        Raises:
            MissingDependencyError: ``pip install provider-kit[numpy]`` is missing.
            InvalidResponseError: They are not of one length.
        """
        if len({len(vector) for vector in self.vectors}) > 1:
            raise InvalidResponseError("The vectors are not of one length.", status_code=200)
        try:
            import numpy
        except ImportError as error:
            raise MissingDependencyError("as_numpy() needs numpy.", hint="pip install provider-kit[numpy]") from error
        return numpy.asarray(self.vectors, dtype=numpy.float32)


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
