"""An answer that a dialect stumbles over becomes a typed error instead of a raw one."""

from __future__ import annotations

from typing import Any

from provider_kit.errors import InvalidResponseError

__all__ = ["UNREADABLE", "unreadable"]

#: What reading an answer of an unexpected shape raises.
UNREADABLE = (KeyError, IndexError, TypeError, ValueError, AttributeError)


def unreadable(error: Exception, status: int, payload: Any) -> InvalidResponseError:
    """The error for an answer that cannot be read."""
    return InvalidResponseError(f"The answer cannot be read: {error!r}.", status_code=status, body=payload)
