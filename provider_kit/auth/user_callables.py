"""Calling what a user brought: a plain function, or an asynchronous one, from either world."""

from __future__ import annotations

from collections.abc import Callable
from inspect import isawaitable, iscoroutinefunction
from typing import Any, Protocol

from provider_kit.errors import AuthError

__all__ = ["CallsBlocking", "call_user"]


class CallsBlocking(Protocol):
    """What of a transport is needed to call something that may block."""

    kind: str

    async def call_blocking(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function that may block, without blocking an event loop."""
        ...


async def call_user(transport: CallsBlocking, function: Callable[..., Any], *args: Any, what: str) -> Any:
    """What ``function(*args)`` returns, awaited if it must be.

    Args:
        transport: The world the call is made in.
        function: Plain ones are called where they may block.
        args: Its arguments.
        what: What it is, for an error.

    Raises:
        AuthError: It is asynchronous, and the call is not.
    """
    asynchronous = iscoroutinefunction(function)
    if asynchronous and transport.kind == "blocking":
        raise AuthError(
            f"{what} is asynchronous, the call is not.",
            hint="Use the a-twin (achat(), astream(), alogin(), …), or pass a plain one.",
        )
    found = function(*args) if asynchronous else await transport.call_blocking(function, *args)
    if isawaitable(found):
        if transport.kind == "blocking":
            close = getattr(found, "close", None)
            if close is not None:
                close()
            raise AuthError(
                f"{what} returned something to await, but the call is blocking.",
                hint="Use the a-twin (achat(), astream(), alogin(), …), or pass a plain one.",
            )
        found = await found
    return found
