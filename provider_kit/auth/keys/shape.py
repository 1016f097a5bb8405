"""Whether a key looks like one of its provider: a hint for people, never a reason to refuse it."""

from __future__ import annotations

from functools import cache

from provider_kit.providers.base import Provider
from provider_kit.providers.registry import find_provider, provider_names

__all__ = ["shape_warning"]

_PLACEHOLDERS = ("your-api-key", "your_api_key", "changeme", "xxx", "<", "sk-...", "...", "todo", "replace")


def shape_warning(provider: Provider, key: str) -> tuple[str, str] | None:
    """What looks wrong with a key, and the remedy; ``None`` if it looks right. Never shows the key."""
    text = key.strip()
    if not text:
        return "The key is empty.", _get(provider)
    if any(mark in text.lower() for mark in _PLACEHOLDERS):
        return "The key is a placeholder, not a key.", _get(provider)
    if text[:1] in "\"'" or text[-1:] in "\"'":
        return "The key has quotes around it.", "Remove them where the key is set."
    prefix = provider.key_prefix
    other = _other_owner(text, provider)
    if other is not None:
        return f"The key looks like one of {other}.", f"Check which provider it belongs to. {_get(provider)}".strip()
    if prefix and not text.startswith(prefix):
        return f"Keys of {provider.title or provider.name} begin with {prefix}; this one does not.", _get(provider)
    if provider.key_required and len(text) < 16:
        return "The key is too short.", "Copy it again in full."
    return None


def _get(provider: Provider) -> str:
    return f"Create keys at {provider.console}." if provider.console else "Copy the key again."


@cache
def _telling_prefixes() -> dict[str, str]:
    """Prefixes that identify the provider of a key, and its name."""
    known = [find_provider(name) for name in provider_names()]
    return {one.key_prefix: one.title or one.name for one in known if one.key_prefix not in ("", "sk-")}


def _other_owner(key: str, provider: Provider) -> str | None:
    """Another provider whose keys begin like this one, if the prefix is distinctive."""
    prefixes = _telling_prefixes()
    best = max((prefix for prefix in prefixes if key.startswith(prefix)), key=len, default="")
    if not best or best == provider.key_prefix or provider.key_prefix.startswith(best):
        return None
    if not provider.key_prefix:
        return None  # a gateway may accept any key
    return prefixes[best]
