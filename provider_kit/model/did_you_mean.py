"""Suggestions for misspelt names."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The most similar known words as a phrase for a hint, or an empty string."""
    import difflib  # imported here, since only mistakes need it

    close = difflib.get_close_matches(word, sorted(known), n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(repr(name) for name in close)}? " if close else ""
