"""Which family of models a model belongs to, by its name or its provider."""

from __future__ import annotations

import re

__all__ = ["family_of", "variant_of"]

#: Model names and their families; the first match decides.
_PATTERNS = tuple(
    (re.compile(pattern), family)
    for pattern, family in (
        (
            r"claude-?(opus|sonnet|haiku)?-?(4[-.][7-9]|opus-4[-.][7-9]|[5-9])|claude-fable|(opus|sonnet|haiku)-[5-9]\b",
            "claude_new",
        ),
        (r"claude", "claude"),
        (r"gpt-?oss", "gpt_oss"),
        (r"gpt-3|gpt-4(?![.o0-9])|gpt-35|text-embedding|davinci|babbage|^ada", "openai_old"),
        (r"gemini|gemma|palm|learnlm", "gemini"),
        (r"deepseek-r1-distill-llama", "llama"),
        (r"deepseek-r1-distill-qwen", "qwen"),
        (r"deepseek", "deepseek"),
        (r"mistral|mixtral|ministral|magistral|codestral|devstral|pixtral|voxtral", "mistral"),
        (r"llama-?4", "llama4"),
        (r"llama|hermes|sonar", "llama"),
        (r"glm|kimi|minimax|command|nova|phi-?[0-9]|compound", "other"),
        (r"qwen|qwq|qvq", "qwen"),
        (r"grok", "grok"),
        (r"gpt|\bo[1345]\b|o[1345]-|codex|chatgpt|computer-use", "openai"),
    )
)
#: Families by provider, where the name of the model tells nothing (deployments, aliases).
_PROVIDERS = {
    "openai": "openai",
    "azure": "openai",
    "anthropic": "claude",
    "gemini": "gemini",
    "vertex": "gemini",
    "google": "gemini",
    "mistral": "mistral",
    "deepseek": "deepseek",
    "xai": "grok",
}
#: Families that are counted in another way there.
_ON_VERTEX = {"gemini": "gemini_vertex"}
#: Models of a family whose framing or tools differ; their weights are under ``family/variant``.
_VARIANTS: dict[str, tuple[tuple[re.Pattern[str], str], ...]] = {
    "openai": ((re.compile(r"gpt-5|gpt-[6-9]|\bo[1-9]\b|o[1-9]-"), "gpt5"),),
    "claude": (
        (re.compile(r"opus-?4[-.]?[56]|(sonnet|haiku)-?4[-.]?[56]"), "late"),
        (re.compile(r"3-opus|claude-2"), "opus3"),
    ),
    "llama": ((re.compile(r"llama-?3[.-][1-9](?!b)"), "dated"),),
    "gemini": ((re.compile(r"gemini-[12]\.0|gemini-1"), "old"), (re.compile(r"gemini-3"), "three")),
}


def family_of(provider: str, model: str) -> str:
    """The family of a model, whichever provider serves it; ``other`` if its name tells nothing."""
    name = model.lower()
    for pattern, family in _PATTERNS:
        if pattern.search(name):
            return _ON_VERTEX.get(family, family) if provider.lower().startswith("vertex") else family
    return _PROVIDERS.get(provider.lower(), "other")


def variant_of(model: str, family: str) -> str:
    """The variant of a family, whose weights differ; empty for the usual one."""
    name = model.lower()
    return next((variant for pattern, variant in _VARIANTS.get(family, ()) if pattern.search(name)), "")
