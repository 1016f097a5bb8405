"""Models of an Ollama server: pull, list what is loaded, show, delete. Source: Ollama's ``docs/api.md``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field, frozen

from provider_kit.dialects.base import WireRequest, expect_object
from provider_kit.dialects.model_facts import listed_features, seconds_of
from provider_kit.dialects.openai_chat.content import as_list
from provider_kit.dialects.openai_usage import as_object
from provider_kit.model.models import Model

__all__ = ["LoadedModel", "OllamaCall", "PullProgress", "read_loaded", "read_progress", "read_shown"]


@frozen
class OllamaCall:
    """A call about a model of the server: ``pull``, ``ps``, ``show`` or ``delete``."""

    action: str
    model: str = ""

    def wire(self) -> WireRequest:
        """The request."""
        if self.action == "ps":
            return WireRequest("/api/ps", None, method="GET")
        body: dict[str, Any] = {"model": self.model}
        if self.action == "pull":
            body["stream"] = True
        method = "DELETE" if self.action == "delete" else "POST"
        return WireRequest(f"/api/{self.action}", body, method=method)


@define
class PullProgress:
    """How far a pull has come."""

    #: What the server is doing, e.g. ``pulling manifest``; the last one is ``success``.
    status: str
    #: Bytes of the current layer that have arrived, and all of it.
    completed: int | None = None
    total: int | None = None
    #: The current layer.
    digest: str | None = None

    @property
    def fraction(self) -> float | None:
        """The share of the current layer that has arrived, from 0 to 1."""
        return None if not self.total or self.completed is None else min(1.0, self.completed / self.total)


@define
class LoadedModel:
    """A model that is in memory."""

    name: str
    #: Bytes in memory, and of these on the GPU.
    size: int | None = field(default=None, kw_only=True)
    size_vram: int | None = field(default=None, kw_only=True)
    context_length: int | None = field(default=None, kw_only=True)
    #: When it is unloaded, in seconds since 1970.
    expires: float | None = field(default=None, kw_only=True)
    raw: dict[str, Any] = field(factory=dict, kw_only=True, repr=False, eq=False)


def read_progress(event: Any) -> PullProgress:
    """One line of a pull."""
    found = expect_object(event, "the progress of a pull", ("status",), "ollama")
    return PullProgress(
        str(found["status"]), _count(found.get("completed")), _count(found.get("total")), found.get("digest")
    )


def read_loaded(payload: Any) -> list[LoadedModel]:
    """The models in memory."""
    found = expect_object(payload, "a list of loaded models", ("models",), "ollama")
    return [
        LoadedModel(
            str(one.get("name") or one.get("model") or ""),
            size=_count(one.get("size")),
            size_vram=_count(one.get("size_vram")),
            context_length=_count(one.get("context_length")),
            expires=seconds_of(one.get("expires_at")),
            raw=dict(one),
        )
        for one in as_list(found["models"])
        if isinstance(one, Mapping)
    ]


def read_shown(payload: Any, name: str, provider: str) -> Model:
    """What the server tells of a model."""
    found = expect_object(payload, "what is known of a model", ("details", "model_info"), provider)
    info = as_object(found.get("model_info"))
    windows = [_count(value) for key, value in info.items() if str(key).endswith(".context_length")]
    told = found.get("capabilities")
    return Model(
        name,
        provider,
        context_window=next((one for one in windows if one), None),
        capabilities=tuple(map(str, told)) if isinstance(told, list) else (),
        features=listed_features(told) if isinstance(told, list) else {},
        created=seconds_of(found.get("modified_at")),
        raw=dict(found),
    )


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None
