"""Suggestions for misspelt names."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(word: str, known: Iterable[str], *, cutoff: float = 0.5) -> str:
    """The most similar known words as a phrase for a hint, or an empty string.

    Args:
        word: What was written.
        known: What there is.
        cutoff: How similar they must be, from 0 to 1.
    """
    import difflib  # imported here, since only mistakes need it

    close = difflib.get_close_matches(word, sorted(known), n=3, cutoff=cutoff)
    return f"Did you mean {' or '.join(repr(name) for name in close)}? " if close else ""
