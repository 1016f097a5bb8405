"""Models that may be meant by a name without a provider, or a misspelt one."""

from __future__ import annotations

import re
from collections.abc import Iterable

from provider_kit.catalog.bundled import bundled_catalog

__all__ = ["similar_models"]

#: Who makes which models, as opposed to who also serves those of others.
_MAKERS = {
    "openai": ("gpt", "o1", "o3", "o4", "chatgpt"),
    "anthropic": ("claude",),
    "gemini": ("gemini",),
    "xai": ("grok",),
    "mistral": ("mistral", "codestral", "ministral", "magistral", "pixtral", "devstral"),
    "deepseek": ("deepseek",),
}
#: Beginnings of names of models that run on the user's own machine.
_LOCAL = re.compile(r"(?:llama|qwen|gemma|phi|mistral|codellama|smollm|gpt-oss|nomic|deepseek-r1)", re.IGNORECASE)


def similar_models(name: str, preferred: Iterable[str] = (), limit: int = 3) -> list[str]:
    """Models of this name, as ``provider/model``: those that differ in punctuation only, else those that begin so, else
    similar ones.

    Args:
        name: What was given.
        preferred: Models that come first, as ``provider/model``.
        limit: At most so many.
    """
    import difflib  # imported here, since only mistakes need it

    wanted = _plain(name)
    if not wanted:
        return []
    catalog = bundled_catalog()
    known: dict[str, str] = {}
    for maker, families in _MAKERS.items():
        for model in catalog.models_of(maker):
            if model.id.startswith(families) and not model.deprecated and model.kind in (None, "chat"):
                known.setdefault(_plain(model.id), f"{maker}/{model.id}")
    if wanted in known:
        return [known[wanted]]
    if _LOCAL.match(name):
        return [f"ollama/{name}"]
    first = [model for model in preferred if wanted in _plain(model.partition("/")[2])]
    begun = [model for plain, model in known.items() if plain.startswith(wanted)]
    if first or begun:
        return (first or sorted(begun, key=len))[:limit]
    return [known[one] for one in difflib.get_close_matches(wanted, known, n=limit, cutoff=0.75)]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
