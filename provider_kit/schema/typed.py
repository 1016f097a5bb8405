"""One type with everything that is made of it, once: its schema, its checker and its builder."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from provider_kit.schema.build import Builder, BuildError, hook_of, make_converter
from provider_kit.schema.canonical import WRAPPED, CanonicalSchema
from provider_kit.schema.check import compile_check
from provider_kit.schema.json_repair import loads_repaired
from provider_kit.schema.problems import LENIENT, readable
from provider_kit.schema.types import canonical_schema

__all__ = ["SchemaError", "TypeSchema", "type_schema"]

#: Types whose schemas are kept. A bound, since classes made at run time would otherwise stay for ever.
_MOST_KEPT = 256


class SchemaError(ValueError):
    """A value does not match a type.

    Args:
        problems: What is wrong, one sentence each, with its place.
        cause: The exception of the user's own class, if that refused it.
    """

    def __init__(self, problems: list[str], cause: Exception | None = None) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
        self.cause = cause


class TypeSchema:
    """A type, its canonical schema, and the way back from JSON to a value."""

    def __init__(self, tp: Any) -> None:
        self.type = tp
        self.schema: CanonicalSchema = canonical_schema(tp)
        self._check = compile_check(
            self.schema["properties"][WRAPPED] if self.schema.wrapped else self.schema, self.schema
        )
        self._build: Builder = hook_of(make_converter(), tp)

    def read_text(self, text: str, *, check: bool = True) -> Any:
        """The value of a JSON text, which is repaired, corrected, checked and built.

        Raises:
            SchemaError: It does not match the type.
        """
        try:
            value = loads_repaired(text)
        except ValueError as error:
            if self.schema.wrapped and text.strip():
                value = text.strip()  # a bare text where a text or a choice is wanted
                problems: list[str] = []
                self._check(value, problems, LENIENT)
                if not problems:
                    return self.read(value, check=check)
            raise SchemaError([f"the answer is not valid JSON: {error}"]) from None
        return self.read(value, check=check)

    def read(self, value: Any, *, check: bool = True) -> Any:
        """The value of this type for a JSON value.

        Args:
            value: As the model wrote it.
            check: Whether it is corrected and checked first.

        Raises:
            SchemaError: It does not match the type.
        """
        value = self.unwrap(value)
        if check:
            problems: list[str] = []
            value = self._check(value, problems, LENIENT)
            if problems:
                raise SchemaError(readable(problems))
        try:
            return self._build(value)
        except BuildError as error:
            raise SchemaError(error.told(own_words=True), error.error) from error.error
        except RecursionError:
            raise SchemaError(["the value is nested too deeply"]) from None
        except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError) as error:
            raise SchemaError([f"the value could not be built ({type(error).__name__})"], error) from error

    def unwrap(self, value: Any) -> Any:
        """The value itself, if it is wrapped as the schema says."""
        if self.schema.wrapped and isinstance(value, dict) and value.keys() == {WRAPPED}:
            return value[WRAPPED]
        return value


@lru_cache(maxsize=_MOST_KEPT)
def _known(tp: Any, shown: str) -> TypeSchema:
    return TypeSchema(tp)


def type_schema(tp: Any) -> TypeSchema:
    """The schema of a type, made once.

    Raises:
        InvalidRequestError: There is none.
    """
    try:
        # ``Literal[1]`` and ``Literal[True]`` are equal, as are ``list[Literal[…]]`` of them.
        return _known(tp, repr(tp))
    except TypeError:  # not hashable: made anew
        return TypeSchema(tp)
