"""Hints for constructors called with wrong arguments: Python's message names the mistake, not the remedy."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from provider_kit.model.did_you_mean import did_you_mean

__all__ = ["explained"]

T = TypeVar("T", bound=type)

_UNEXPECTED = re.compile(r"unexpected keyword argument '(\w+)'")


def explained(example: str, **meant: str) -> Callable[[T], T]:
    """A class decorator: a ``TypeError`` about the arguments themselves carries a hint.

    Args:
        example: A correct call.
        meant: Names that are often mistaken for arguments, and what to write instead.
    """

    def decorate(cls: T) -> T:
        original: Any = cls.__dict__["__init__"]

        @wraps(original)
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            try:
                original(self, *args, **kwargs)
            except TypeError as error:
                # without a further frame, the constructor itself was never entered
                if error.__traceback__ is not None and error.__traceback__.tb_next is None:
                    error.add_note(f"Hint: {_hint(original, str(error), example, meant)}")
                raise

        shown: Any = cls.__repr__

        @wraps(shown)
        def __repr__(self: Any) -> str:
            try:
                return str(shown(self))
            except AttributeError:  # it is still being created; tracebacks with local variables call this
                return f"<{cls.__name__}>"

        cls.__init__ = __init__  # type: ignore[misc]  # the same signature
        cls.__repr__ = __repr__  # type: ignore[method-assign,assignment]
        return cls

    return decorate


def _hint(function: Callable[..., Any], text: str, example: str, meant: dict[str, str]) -> str:
    found = _UNEXPECTED.search(text)
    if found is None:
        return f"Write {example}."
    if found[1] in meant:
        return f"Write {meant[found[1]]}."
    known = [name for name in inspect.signature(function).parameters if name not in ("self", "kwargs")]
    return f"{did_you_mean(found[1], known)}It takes {', '.join(known)}."
