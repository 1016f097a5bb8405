"""Names that come from outside, bounded, so that no label grows without end."""

from __future__ import annotations

__all__ = ["OTHER_NAME", "BoundedNames"]

#: What stands for every name beyond the limit.
OTHER_NAME = "other"


class BoundedNames:
    """The first names that were used; all further ones are ``other``.

    Args:
        most: How many names are kept apart.
    """

    __slots__ = ("_known", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[str, str] = {}

    def __call__(self, name: str | None) -> str:
        """The name as a label; empty for none."""
        if not isinstance(name, str):
            return ""
        found = self._known.get(name)
        if found is None:
            if len(self._known) >= self._most:
                return OTHER_NAME
            found = self._known[name] = name[:200]
        return found

    def clear(self) -> None:
        """Forget all names."""
        self._known.clear()
