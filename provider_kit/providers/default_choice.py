"""Which provider is used where none is named."""

from __future__ import annotations

from collections.abc import Container, Mapping

from provider_kit.providers.registry import find_provider, provider_names

__all__ = ["default_target"]

#: Tried in this order; local servers and the demo need no key and are never guessed.
_ORDER = ("openai", "anthropic", "gemini", "openrouter", "groq", "mistral", "cerebras", "qwen", "deepseek", "xai")


def default_target(environ: Mapping[str, str], stored: Container[str] = ()) -> str:
    """``PROVIDER_KIT_MODEL``, else the first provider with a key, else ``demo``.

    Args:
        environ: The environment; its keys take precedence.
        stored: Names of the providers with a stored key or login.
    """
    named = environ.get("PROVIDER_KIT_MODEL", "").strip()
    if named:
        return named
    names = provider_names()
    for name in (*_ORDER, *(name for name in names if name not in _ORDER)):
        if name in names:
            provider = find_provider(name)
            if provider.key_required and provider.default_model and provider.find_key(environ)[0]:
                return name
    for name in _ORDER:
        if name in stored and find_provider(name).default_model:
            return name
    return "demo"
