"""The beginning of a streamed answer, as a value that grows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias, get_args, get_origin

from provider_kit.errors import InvalidRequestError, StructuredOutputError
from provider_kit.model.chat import OutputAttempt
from provider_kit.model.json_text import dumps_text
from provider_kit.model.usage import Usage
from provider_kit.schema.canonical import WRAPPED
from provider_kit.schema.fields import bare_type
from provider_kit.schema.partial_json import PartialJSON
from provider_kit.schema.typed import SchemaError, TypeSchema, type_schema
from provider_kit.structured.output import OutputSpec

__all__ = ["PartialItems", "PartialValue", "PartialView"]

#: A value of which the end may be missing: what JSON has, unchecked. A class is a dict that grows, a list a list.
PartialValue: TypeAlias = Any

_NOTHING: Any = object()


class PartialView:
    """The JSON so far, given once for each change."""

    def __init__(self, spec: OutputSpec) -> None:
        self._reader = PartialJSON(skip_prose=True)
        self._wrapped = spec.typed.schema.wrapped

    def feed(self, text: str) -> Iterator[PartialValue]:
        """Read a piece of the answer; yield the value if it has grown."""
        reader = self._reader
        reader.feed(text)
        if not reader.grown:
            return
        reader.grown = False
        value = reader.snapshot()
        if self._wrapped and isinstance(value, dict):
            value = value.get(WRAPPED, _NOTHING)
        if value is not _NOTHING:
            yield value


class PartialItems:
    """The items of a list, each when it is complete."""

    def __init__(self, spec: OutputSpec) -> None:
        self._item = item_schema(spec)
        self._spec = spec
        self._reader = PartialJSON(skip_prose=True)
        #: How many items were given.
        self.given = 0

    def feed(self, text: str) -> Iterator[Any]:
        """Read a piece of the answer; yield the items that it completes.

        Raises:
            StructuredOutputError: An item does not have the form of its type.
        """
        self._reader.feed(text)
        items = self._reader.closed_items(None if self._reader.is_list else WRAPPED)
        for number in range(self.given, len(items)):
            item, self.given = items[number], number + 1
            try:
                made = self._item.read(item, check=self._spec.check)
            except SchemaError as error:
                said = tuple(f"[{number}]{'' if one[:1] == '[' else '.'}{one}" for one in error.problems)
                raise StructuredOutputError(
                    f"An item does not have the requested form: {'; '.join(said[:3])}.",
                    outputs=[OutputAttempt(dumps_text(item), said, Usage())],
                    hint="error.problems names the places; read stream.response.text for the whole answer.",
                ) from error.cause
            yield made


def item_schema(spec: OutputSpec) -> TypeSchema:
    """The schema of the items of a list type.

    Raises:
        InvalidRequestError: The type is no list.
    """
    tp = bare_type(spec.typed.type)[0]
    arguments = get_args(tp)
    if get_origin(tp) in (list, tuple) and arguments and (len(arguments) == 1 or arguments[1:] == (Ellipsis,)):
        return type_schema(arguments[0])
    raise InvalidRequestError(
        "items() needs a list as output_type.", hint="Pass output_type=list[Person], or use partials()."
    )
