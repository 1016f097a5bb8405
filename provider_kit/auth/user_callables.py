"""Calling a user's function, plain or asynchronous, from blocking or asyncio code."""

from __future__ import annotations

from collections.abc import Callable
from inspect import isawaitable, iscoroutinefunction
from typing import Any, Protocol

from provider_kit.errors import AuthError

__all__ = ["CallsBlocking", "call_user"]


class CallsBlocking(Protocol):
    """The part of a transport that calls functions that may block."""

    kind: str

    async def call_blocking(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function that may block, without blocking an event loop."""
        ...


async def call_user(transport: CallsBlocking, function: Callable[..., Any], *args: Any, what: str) -> Any:
    """Return the result of ``function(*args)``, awaited if necessary.

    Args:
        transport: The blocking or asyncio transport of the caller.
        function: A plain function is called in a thread if it may block.
        args: Its arguments.
        what: Its description, for an error.

    Raises:
        AuthError: It is asynchronous, and the call is not.
    """
    asynchronous = iscoroutinefunction(function)
    if asynchronous and transport.kind == "blocking":
        raise AuthError(
            f"{what} is asynchronous, the call is not.",
            hint="Use the asyncio method (achat(), astream(), alogin(), …), or pass a plain function.",
        )
    found = function(*args) if asynchronous else await transport.call_blocking(function, *args)
    if isawaitable(found):
        if transport.kind == "blocking":
            close = getattr(found, "close", None)
            if close is not None:
                close()
            raise AuthError(
                f"{what} returned an awaitable, but the call is blocking.",
                hint="Use the asyncio method (achat(), astream(), alogin(), …), or pass a plain function.",
            )
        found = await found
    return found
