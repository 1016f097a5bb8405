"""Ollama, on this machine or in its cloud. Source: Ollama's ``docs/api.md``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from provider_kit.dialects.base import Dialect
from provider_kit.dialects.file_rules import FileRules
from provider_kit.dialects.ollama_chat import OllamaChat
from provider_kit.errors import APIError, ConfigError, ModelNotFoundError
from provider_kit.model.config import ProviderConfig
from provider_kit.providers.base import Provider

__all__ = ["PROVIDER", "OllamaProvider"]

#: Addresses a server listens on, and where a client finds it then.
_ANY = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}


class OllamaProvider(Provider):
    """Ollama; ``OLLAMA_HOST`` may lack scheme and port, as Ollama itself allows."""

    def make_dialects(self, config: ProviderConfig) -> Callable[[str], Dialect]:
        """The chat API, with the options of the client in each request.

        Raises:
            ConfigError: ``num_ctx`` is no number of tokens.
        """
        options = dict(config.options.get("model_options") or {})
        window = config.options.get("num_ctx")
        if window is not None:
            if window < 1:
                raise ConfigError(
                    f"num_ctx must be a number of tokens, not {window!r}.", provider=config.label, hint="num_ctx=8192."
                )
            options["num_ctx"] = window
        made = OllamaChat(provider=config.label, keep_alive=config.options.get("keep_alive"), options=options)
        return lambda model: made

    def find_base_url(self, config: ProviderConfig, environ: Mapping[str, str]) -> str | None:
        """A complete URL from the forms ``OLLAMA_HOST`` may have."""
        url = (super().find_base_url(config, environ) or "").strip(" \t\"'")
        if "://" not in url:
            address, slash, path = url.partition("/")
            url = f"http://{_with_port(address)}{slash}{path}"
        return url.rstrip("/").removesuffix("/v1").removesuffix("/api")

    def explain(self, error: APIError, *, base_url: str) -> None:
        """A model that is not there can be pulled."""
        if isinstance(error, ModelNotFoundError):
            error.with_hint("Pull the model first: ollama pull <model>. client.models() lists what is there.")


def _with_port(address: str) -> str:
    """``host``, ``host:port``, ``:port`` or an IPv6 address, completed as Ollama does."""
    if address.count(":") > 1 and not address.startswith("["):
        address = f"[{address}]"
    host, colon, port = address.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = address, ""
    if host in _ANY:
        host = _ANY[host]
    return f"{host}:{port or 11434}"


PROVIDER = OllamaProvider(
    name="ollama",
    title="Ollama",
    files=FileRules(
        images=frozenset({"image/png", "image/jpeg", "image/webp"}),
        documents=frozenset(),
        audio=frozenset(),
        request_bytes=None,
    ),
    base_url="http://127.0.0.1:11434",
    key_variables=("OLLAMA_API_KEY",),
    base_url_variables=("OLLAMA_HOST",),
    key_required=False,
    default_model="llama3.2",
    models_lifetime=300.0,
    option_names=("keep_alive", "num_ctx", "model_options"),
    option_kinds={"keep_alive": str | int | float, "num_ctx": int, "model_options": dict},
    dialect=OllamaChat,
    local=True,
    start="Start it: ollama serve, or its app; then get a model: ollama pull llama3.2.",
)
