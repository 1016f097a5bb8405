"""Tokens and money, as the command shows them."""

from __future__ import annotations

from decimal import Decimal

from provider_kit.model.usage import Usage

__all__ = ["money", "usage_text"]


def money(amount: Decimal) -> str:
    """An amount in US dollars, with as many digits as it needs."""
    return f"${amount:.2f}" if amount >= 1 else f"${amount.normalize():f}"


def usage_text(usage: Usage) -> str:
    """One line: tokens in and out, what the cache gave, and the cost where it is known."""
    known = [
        ("in", usage.prompt_tokens),
        ("of it from the cache", usage.cache_read_tokens or None),
        ("written to the cache", usage.cache_write_tokens or None),
        ("out", usage.completion_tokens),
        ("of it reasoning", usage.reasoning_tokens or None),
    ]
    parts = [f"{count:,} {name}" for name, count in known if count is not None]
    tokens = f"{parts[0].replace(' ', ' tokens ', 1)}, {', '.join(parts[1:])}" if parts else "tokens unknown"
    if usage.cost is None:
        return f"{tokens.removesuffix(', ')}; price unknown"
    return f"{tokens.removesuffix(', ')}; {'at least ' if usage.cost_is_minimum else ''}{money(usage.cost)}"
