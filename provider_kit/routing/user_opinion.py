"""What a user's function says of an error or an answer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from provider_kit.errors import ConfigError, ProviderKitError
from provider_kit.transports.base import Runtime
from provider_kit.transports.user_functions import call_user_function

__all__ = ["ask_user"]


async def ask_user(runtime: Runtime, function: Callable[[Any], Any], outcome: Any, what: str, hint: str) -> Any:
    """What a user's function, plain or asynchronous, says of an outcome.

    Raises:
        ConfigError: It raised.
    """
    asynchronous = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  # whether its call is
    )
    try:
        found = await call_user_function(runtime.kind, function, (outcome,), asynchronous, False, None, None)
        if inspect.isawaitable(found):  # a plain function that returns a coroutine
            found.close()  # type: ignore[attr-defined]  # a coroutine's
            raise TypeError("it returned a coroutine; write it with async def")
        return found
    except ProviderKitError:
        raise
    except Exception as error:  # a function of the user's may raise anything
        name = getattr(function, "__qualname__", type(function).__name__)
        raise ConfigError(f"{what} {name} failed: {type(error).__name__}: {error}.", hint=hint) from error
