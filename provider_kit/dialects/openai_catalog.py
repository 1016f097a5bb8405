"""What OpenAI's two APIs and compatible servers share besides chat: models, embeddings, token counts."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from provider_kit.dialects.base import Dialect, WireRequest, expect_object
from provider_kit.dialects.model_facts import date_of, features_of, prices_of, seconds_of
from provider_kit.dialects.openai_usage import read_usage
from provider_kit.errors import InvalidResponseError
from provider_kit.model.models import Embeddings, Model

__all__ = ["OpenAICatalog"]


class OpenAICatalog(Dialect):
    """GET /models, POST /embeddings."""

    def dimensions_field(self, model: str) -> str:
        """The field for the wanted number of dimensions."""
        return "dimensions"

    def models_query(self) -> dict[str, str] | None:
        """Query parameters of the list of models."""
        return None

    def build_models(self, cursor: str | None) -> WireRequest:
        """GET /models."""
        return WireRequest("/models", None, method="GET", query=self.models_query())

    def parse_models(self, payload: Any) -> tuple[list[Model], str | None]:
        """Read the list, including fields the provider adds to an entry."""
        return parse_model_list(payload, self.provider), None

    def build_embed(self, texts: Sequence[str], model: str, dimensions: int | None) -> WireRequest:
        """POST /embeddings."""
        body: dict[str, Any] = {"model": model, "input": list(texts)}
        if dimensions is not None:
            body[self.dimensions_field(model)] = dimensions
        return WireRequest("/embeddings", body)

    def parse_embed(self, payload: Any) -> Embeddings:
        """Read vectors, as numbers or as base64 of little-endian float32, sorted by their index."""
        return read_embeddings(payload, self.provider)

    def parse_count(self, payload: Any) -> int:
        """Read the number of tokens."""
        return int(expect_object(payload, "a token count", ("input_tokens",), self.provider)["input_tokens"])


def read_embeddings(payload: Any, provider: str) -> Embeddings:
    """OpenAI's form of embeddings."""
    data = expect_object(payload, "a list of embeddings", ("data",), provider)["data"]
    if not isinstance(data, list):
        raise InvalidResponseError("The embeddings are not a list.", status_code=200, body=payload, provider=provider)
    try:
        ordered = sorted(data, key=lambda item: int(item.get("index") or 0))
        told = [item["index"] for item in ordered if item.get("index") is not None]
        if told and [int(index) for index in told] != list(range(len(data))):
            raise ValueError("the indexes are not those of the texts")
        vectors = [_vector(item["embedding"]) for item in ordered]
    except (KeyError, TypeError, ValueError, AttributeError, struct.error) as error:
        raise InvalidResponseError(
            f"An embedding cannot be read: {error!r}.", status_code=200, provider=provider
        ) from error
    return Embeddings(vectors, payload.get("model"), read_usage(payload.get("usage")), provider=provider, raw=payload)


def _vector(value: Any) -> list[float]:
    if isinstance(value, str):
        packed = base64.b64decode(value, validate=True)
        return list(struct.unpack(f"<{len(packed) // 4}f", packed))
    return [float(number) for number in value]


def parse_model_list(payload: Any, provider: str) -> list[Model]:
    """A list of models in OpenAI's form, bare or wrapped, with the additional fields of compatible servers."""
    if isinstance(payload, list):
        entries = payload
    else:
        found = expect_object(payload, "a list of models", ("data", "models"), provider)
        entries = found.get("data") or found.get("models") or []
    models = [_model(entry, provider) for entry in entries if isinstance(entry, Mapping)]
    return [model for model in models if model.id]


def _model(entry: Mapping[str, Any], provider: str) -> Model:
    top = entry.get("top_provider") or {}
    meta = entry.get("meta") or {}
    capabilities = entry.get("capabilities") or entry.get("supported_parameters") or ()
    if isinstance(capabilities, Mapping):
        capabilities = [name for name, has in capabilities.items() if has]
    elif not isinstance(capabilities, (list, tuple)):
        capabilities = ()
    return Model(
        str(entry.get("id") or entry.get("name") or entry.get("model") or ""),
        provider or None,
        name=entry.get("display_name") or entry.get("name"),
        description=entry.get("description"),
        context_window=_first_int(
            entry.get("context_length"),
            entry.get("context_window"),
            entry.get("max_context_length"),
            entry.get("max_model_len"),
            meta.get("n_ctx"),
            meta.get("n_ctx_train"),
            entry.get("contextLength"),
        ),
        max_output_tokens=_first_int(
            entry.get("max_output_length"), entry.get("max_completion_tokens"), top.get("max_completion_tokens")
        ),
        capabilities=tuple(str(name) for name in capabilities),
        features=features_of(entry, capabilities),
        pricing=prices_of(entry),
        knowledge=date_of(entry.get("knowledge_cutoff")),
        retires=date_of(entry.get("expiration_date"), entry.get("deprecation"), entry.get("shutdown_date")),
        created=seconds_of(entry.get("created")),
        raw=dict(entry),
    )


def _first_int(*values: Any) -> int | None:
    for value in values:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
            return int(value)
    return None
