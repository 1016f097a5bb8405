"""Notices a run that goes in circles: the same call with the same result, again and again."""

from __future__ import annotations

from provider_kit.model.json_text import canonical
from provider_kit.tools.result import ToolOutcome

__all__ = ["Repeats"]

#: The same call with the same result as often as this ends a run.
_MOST_REPEATS = 3
_TOO_BIG_TO_COMPARE = 100_000


class Repeats:
    """The calls of a run, and how often each had the same result."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int, int], int] = {}

    def add(self, outcome: ToolOutcome) -> bool:
        """Count a call; return whether it gave the same result for the third time."""
        content = outcome.result.content
        if not isinstance(content, str) or len(content) > _TOO_BIG_TO_COMPARE:
            return False
        try:
            arguments = canonical(outcome.call.arguments)
        except ValueError:  # not JSON: the text itself
            arguments = outcome.call.arguments_json.encode("utf-8", "surrogatepass")
        key = (outcome.call.name, hash(arguments), hash(content))
        count = self._counts[key] = self._counts.get(key, 0) + 1
        return count >= _MOST_REPEATS
