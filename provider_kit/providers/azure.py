"""Azure OpenAI (Microsoft Foundry), v1 API and classic deployments.

With ``https://{resource}.openai.azure.com`` the v1 API is used: no api-version, the model is the name of
the deployment. With ``api_version=`` (or ``OPENAI_API_VERSION``) the classic addresses are used.
Source: learn.microsoft.com, "Azure OpenAI API version lifecycle".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import evolve

from provider_kit.dialects.base import Dialect, ParameterReport, WireRequest, path_name
from provider_kit.dialects.file_rules import OPENAI_FILES
from provider_kit.dialects.openai_chat import ChatQuirks, OpenAIChat
from provider_kit.errors import APIError, NotFoundError
from provider_kit.model.chat import ChatRequest
from provider_kit.model.config import ProviderConfig
from provider_kit.providers.openai import OpenAIProvider, openai_quirks

__all__ = ["PROVIDER", "AzureProvider"]


def _quirks(model: str) -> ChatQuirks:
    """As OpenAI; ``user`` keeps its old name, and streams of filtered prompts may end without usage."""
    quirks = evolve(openai_quirks(model), user_field="user", always_done=True)
    if quirks.reasoning is None and not model.startswith(("gpt-4", "gpt-35", "gpt-3.5")):
        return evolve(quirks, reasoning=ChatQuirks().reasoning)  # a deployment's name does not identify its model
    return quirks


class _ClassicAzureChat(OpenAIChat):
    """The deployment is part of the path."""

    def build_chat(self, request: ChatRequest, *, stream: bool, report: ParameterReport) -> WireRequest:
        """Write a chat request."""
        call = super().build_chat(request, stream=stream, report=report)
        call.path = f"/deployments/{path_name(request.model)}{call.path}"
        return call

    def build_embed(self, texts: Any, model: str, dimensions: int | None) -> WireRequest:
        """POST /deployments/{deployment}/embeddings."""
        call = super().build_embed(texts, model, dimensions)
        call.path = f"/deployments/{path_name(model)}{call.path}"
        return call


class AzureProvider(OpenAIProvider):
    """Azure OpenAI."""

    def complete(self, config: ProviderConfig, environ: Mapping[str, str]) -> ProviderConfig:
        """``OPENAI_API_VERSION`` asks for the classic addresses."""
        version = environ.get("OPENAI_API_VERSION")
        if version and "api_version" not in config.options:
            return config.replace(options={**config.options, "api_version": version})
        return config

    def make_dialects(self, config: ProviderConfig) -> Callable[[str], Dialect]:
        """Chat unless configured otherwise: a deployment's name does not identify its model."""
        if config.options.get("api_version") and not config.options.get("use_responses_api"):
            classic = _ClassicAzureChat(provider=config.label, quirks=self.quirks)
            return lambda model: classic
        return super().make_dialects(config)

    def prefers_responses(self, model: str) -> bool:
        """A deployment's name does not identify its model, so the chat API is the safe choice."""
        return False

    def find_base_url(self, config: ProviderConfig, environ: Mapping[str, str]) -> str | None:
        """The resource's address with the API's path, and the version where one is configured."""
        url = super().find_base_url(config, environ)
        if not url:
            return url
        bare, _, query = url.partition("?")
        bare = bare.rstrip("/")
        version = config.options.get("api_version")
        if version:
            bare = bare.removesuffix("/v1").removesuffix("/openai")
            return f"{bare}/openai?api-version={version}"
        if "/openai" not in bare:
            bare = f"{bare}/openai/v1"
        return f"{bare}?{query}" if query else bare

    def key_headers(self, key: str, variable: str | None) -> dict[str, str]:
        """Keys are sent as ``api-key``, Entra tokens as a bearer token."""
        if variable == "AZURE_OPENAI_AD_TOKEN" or key.startswith("eyJ"):
            return {"Authorization": f"Bearer {key}"}
        return {"api-key": key}

    def extra_headers(self, config: ProviderConfig, environ: Mapping[str, str]) -> dict[str, str]:
        """None of OpenAI's."""
        return {}

    def explain(self, error: APIError, *, base_url: str) -> None:
        """A 404 means the deployment more often than the model."""
        if isinstance(error, NotFoundError):
            error.with_hint(
                "The model is the name of your deployment, not of the model behind it; a new deployment needs a few "
                "minutes. Check base_url too: https://{resource}.openai.azure.com."
            )


PROVIDER = AzureProvider(
    name="azure",
    title="Azure OpenAI",
    files=OPENAI_FILES,
    embed_tokens=300_000,
    key_variables=("AZURE_OPENAI_AD_TOKEN", "AZURE_OPENAI_API_KEY"),
    base_url_variables=("AZURE_OPENAI_ENDPOINT",),
    quirks=_quirks,
    option_kinds={"use_responses_api": bool},
    option_names=("use_responses_api", "api_version"),
    console="https://ai.azure.com",
)
