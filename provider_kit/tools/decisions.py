"""What a person decides about a tool call that waits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attrs import frozen

from provider_kit.errors import InvalidRequestError

__all__ = ["Decision", "answer", "approve", "deny", "edit", "read_decision", "write_decision"]

Kind = Literal["approve", "deny", "answer", "edit"]


@frozen
class Decision:
    """A decision about one tool call; made by :func:`approve`, :func:`deny`, :func:`answer` or :func:`edit`."""

    kind: Kind
    #: The reason of a denial, the answer, or the edited arguments.
    value: Any = None


def approve() -> Decision:
    """Let the call run as the model wrote it."""
    return Decision("approve")


def deny(reason: str = "") -> Decision:
    """Do not run the call.

    Args:
        reason: Told to the model.
    """
    if not isinstance(reason, str):
        raise InvalidRequestError(f"The reason of a denial must be a text, not {reason!r}.")
    return Decision("deny", reason)


def answer(value: Any) -> Decision:
    """Do not run the call; this is its result.

    Args:
        value: What a function would have returned.
    """
    return Decision("answer", value)


def edit(arguments: Mapping[str, Any]) -> Decision:
    """Run the call with other arguments, which are checked like those of the model.

    Args:
        arguments: All arguments, by name.
    """
    if not isinstance(arguments, Mapping):
        raise InvalidRequestError(
            f"Edited arguments must be a dict, not {arguments!r}.", hint="edit({'city': 'Paris'})."
        )
    return Decision("edit", dict(arguments))


def write_decision(decision: Decision) -> dict[str, Any]:
    """A decision as JSON."""
    return {"kind": decision.kind} if decision.value is None else {"kind": decision.kind, "value": decision.value}


def read_decision(written: Mapping[str, Any]) -> Decision:
    """A decision from JSON.

    Raises:
        InvalidRequestError: It is none.
    """
    kind = written.get("kind")
    if kind not in ("approve", "deny", "answer", "edit"):
        raise InvalidRequestError(f"{kind!r} is no decision.", hint="Use approve(), deny(), answer() or edit().")
    return Decision(kind, written.get("value"))
