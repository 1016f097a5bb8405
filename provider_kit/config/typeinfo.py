"""The settings of the attrs classes: their fields, types, and explanatory comments."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from attrs import NOTHING, fields, has

from provider_kit.model import oauth

__all__ = ["Field", "alternatives", "describe", "fields_of", "is_callable"]


class Field:
    """One setting of a class."""

    def __init__(self, name: str, kind: Any, text: str, default: Any) -> None:
        self.name = name
        #: Its annotation, resolved.
        self.kind = kind
        #: Its explanation, from the comment above it.
        self.text = text
        #: ``NOTHING`` if it must be given.
        self.default = default

    @property
    def means_no_limit(self) -> bool:
        """Whether an explicit null differs from its default: ``idle: null`` waits without limit."""
        return self.default not in (None, NOTHING) and None in alternatives(self.kind)

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is NOTHING


@cache
def fields_of(kind: type) -> dict[str, Field]:
    """The settings of an attrs class that a file can hold, by name."""
    hints = get_type_hints(kind, localns=vars(oauth))  # names that the configuration imports for type checkers only
    texts = _comments(kind)
    found = {}
    for one in fields(kind):
        name = one.name
        if not one.init or not any(
            not is_callable(choice) for choice in alternatives(hints[name]) if choice is not None
        ):
            continue
        found[name] = Field(name, hints[name], texts.get(name, ""), one.default)
    return found


def _comments(kind: type) -> dict[str, str]:
    """The ``#:`` comments above the fields of a class."""
    try:
        source = inspect.getsource(kind)
    except (OSError, TypeError):
        return {}
    found = {}
    for match in re.finditer(r"((?:^ +#: .*\n)+) +(\w+):", source, re.MULTILINE):
        text = " ".join(line.strip().removeprefix("#:").strip() for line in match[1].splitlines())
        found[match[2]] = re.sub(r":\w+:`(?:~?[\w.]*\.)?(\w+)`", r"\1", text).replace("``", "")
    return found


def alternatives(kind: Any) -> list[Any]:
    """The members of a union, ``None`` for nothing; a type alone is its only member."""
    if isinstance(kind, (types.UnionType,)) or get_origin(kind) is Union:
        return [choice for part in get_args(kind) for choice in alternatives(part)]
    return [None if kind is type(None) else kind]


def is_callable(kind: Any) -> bool:
    """Whether a value of this type is a function, which a file cannot hold."""
    return get_origin(kind) is Callable or kind is Callable


def describe(kind: Any) -> str:
    """A type in words: ``a number``, ``one of a, b``."""
    words: list[str] = []
    for choice in alternatives(kind):
        word = _word(choice)
        if word and word not in words:
            words.append(word)
    if "a whole number" in words and "a number" in words:
        words.remove("a whole number")
    return " or ".join(words)


def _word(choice: Any) -> str:
    origin = get_origin(choice)
    if choice is None or is_callable(choice):
        return ""
    if origin is Literal:
        values = [str(value) for value in get_args(choice)]
        return values[0] if len(values) == 1 else f"one of {', '.join(values)}"
    if origin in (tuple, list):
        return "a list"
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return "a mapping of names and values"
    if isinstance(choice, type) and has(choice):
        return f"a mapping ({', '.join(list(fields_of(choice))[:6])}{', …' if len(fields_of(choice)) > 6 else ''})"
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    return names.get(choice, "a value")
