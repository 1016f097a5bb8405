"""The arguments a model wrote, as those a function takes: repaired, corrected, checked, and made into objects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.json_text import loads
from provider_kit.model.messages import ToolCall
from provider_kit.model.surrogates import mend_all
from provider_kit.schema.build import Builder, BuildError, hook_of, make_converter
from provider_kit.schema.canonical import CanonicalSchema
from provider_kit.schema.check import compile_check
from provider_kit.schema.fields import Field, bare_type
from provider_kit.schema.json_repair import repair
from provider_kit.schema.problems import LENIENT, readable, shown
from provider_kit.schema.typed import SchemaError
from provider_kit.schema.types import object_schema

__all__ = ["ArgumentReader", "read_json"]

#: Types whose checked JSON value is the value itself.
_AS_THEY_ARE = (str, int, bool, Any, object, type(None))


def read_json(call: ToolCall) -> dict[str, Any]:
    """The arguments of a call as a JSON object; broken JSON is repaired.

    Raises:
        SchemaError: They are no JSON object.
    """
    text = call.arguments_json
    if not text or text.isspace():
        return {}
    try:
        value = loads(text)
    except ValueError:
        try:
            value = repair(text, close=False)  # it may have been cut off, and is about to be acted upon
        except ValueError as error:
            raise SchemaError([f"the arguments are not valid JSON: {error}"]) from None
    if isinstance(value, str) and value.lstrip()[:1] == "{":  # written as JSON twice
        try:
            value = loads(value)
        except ValueError:
            pass
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise SchemaError([f"the arguments must be a JSON object, not {shown(value)}"])
    return mend_all(value) if "\\u" in text else value


class ArgumentReader:
    """Reads the arguments of one function."""

    def __init__(self, fields: Iterable[Field], name: str) -> None:
        fields = list(fields)
        self.schema: CanonicalSchema = object_schema(fields, where=f"{name}()")
        self._check = compile_check(self.schema)
        self._names = frozenset(one.key for one in fields)
        converter = make_converter()
        self._builders: dict[str, Builder] = {
            one.key: hook_of(converter, one.type) for one in fields if bare_type(one.type)[0] not in _AS_THEY_ARE
        }

    def read_call(self, call: ToolCall) -> dict[str, Any]:
        """The arguments of a call, by name.

        Raises:
            SchemaError: They do not match the parameters.
        """
        return self.read(read_json(call))

    def check(self, given: dict[str, Any]) -> dict[str, Any]:
        """The corrected arguments, still as JSON.

        Raises:
            SchemaError: They do not match the parameters.
        """
        problems: list[str] = []
        value: dict[str, Any] = self._check(given, problems, LENIENT)
        said = readable(problems)
        if len(value) < len(given):
            for name in given.keys() - self._names:
                meant = did_you_mean(name, self._names)
                said.append(f"there is no argument {name!r}. {meant}".strip().rstrip("."))
        if said:
            raise SchemaError(said)
        return value

    def read(self, given: dict[str, Any]) -> dict[str, Any]:
        """Arguments given as JSON, as the function takes them.

        Raises:
            SchemaError: They do not match the parameters.
        """
        value = self.check(given)
        for name, build in self._builders.items():
            if name in value:
                try:
                    value[name] = build(value[name])
                except BuildError as error:
                    # The text of a user's exception may hold anything: the model gets none of it.
                    told = BuildError(f"{name}{error.path}", error.error).told(own_words=False)
                    raise SchemaError(told, error.error) from error.error
                except RecursionError:
                    raise SchemaError([f"{name}: is nested too deeply"]) from None
                except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError) as error:
                    raise SchemaError([f"{name}: was refused ({type(error).__name__})"], error) from error
        return value
