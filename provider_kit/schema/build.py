"""Checked JSON values to objects, with cattrs.

attrs classes are made by their constructor, so that their converters and validators run; the same goes for dataclasses
and ``__post_init__``. Each value is expected to have passed :mod:`provider_kit.schema.check`.
"""

from __future__ import annotations

import base64
import collections
import collections.abc
import dataclasses
import datetime
import decimal
import pathlib
import uuid
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Literal, TypeAlias, get_args, get_origin

import attrs
from cattrs import Converter

from provider_kit.schema.check import compile_check
from provider_kit.schema.durations import format_duration, parse_duration
from provider_kit.schema.fields import Record, bare_type, is_typed_dict, read_record
from provider_kit.schema.problems import MODES, Check
from provider_kit.schema.types import canonical_schema, is_union, pydantic_model

__all__ = ["BuildError", "Builder", "make_converter", "to_json"]

#: Makes an object of a checked JSON value.
Builder: TypeAlias = Callable[[Any], Any]


class BuildError(ValueError):
    """The class itself refused a value.

    Args:
        path: Where: ``pets[0].age``.
        error: What its converter, validator or constructor raised.
    """

    def __init__(self, path: str, error: Exception) -> None:
        super().__init__(path, error)
        self.path = path
        self.error = error

    def told(self, *, own_words: bool) -> list[str]:
        """The problems, in words for the model.

        Args:
            own_words: Whether the text of the user's exception may be shown.
        """
        found: list[str] = []
        errors = getattr(self.error, "errors", None)
        if callable(errors) and type(self.error).__name__ == "ValidationError":  # pydantic's
            for one in errors():
                path = self.path + "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in one.get("loc", ()))
                said = one.get("msg") if own_words else f"was refused ({one.get('type')})"
                found.append(f"{path.lstrip('.')}: {said}".removeprefix(": "))
            return found or ["was refused"]
        said = f"was refused ({type(self.error).__name__})"
        if own_words and self.error.args and isinstance(self.error.args[0], str):
            said = self.error.args[0]
        return [f"{self.path.lstrip('.')}: {said}".removeprefix(": ")]


def make_converter() -> Converter:
    """A converter for every type that has a canonical schema."""
    made = Converter(detailed_validation=False)
    made.register_structure_hook(datetime.datetime, lambda text, _: datetime.datetime.fromisoformat(text))
    made.register_structure_hook(datetime.date, lambda text, _: datetime.date.fromisoformat(text))
    made.register_structure_hook(datetime.time, lambda text, _: datetime.time.fromisoformat(text))
    made.register_structure_hook(datetime.timedelta, lambda text, _: parse_duration(text))
    made.register_structure_hook(uuid.UUID, lambda text, _: uuid.UUID(text))
    made.register_structure_hook(decimal.Decimal, lambda text, _: decimal.Decimal(text))
    made.register_structure_hook(bytes, lambda text, _: base64.b64decode(text))
    factories: list[tuple[Callable[[Any], bool], Callable[[Any, Converter], Any]]] = [
        (_is_path, lambda tp, _: lambda text, _tp: _path_class(tp)(text)),
        (_is_sequence, _sequence_hook),
        (_is_mapping, _mapping_hook),
        (_is_fixed_tuple, _fixed_tuple),
        (lambda tp: read_record(tp) is not None, _record_hook),
        (_is_literal, lambda tp, _: _literal_hook(tp)),
        (is_union, _union_hook),
        (pydantic_model, lambda tp, _: lambda value, _tp: _validated(tp, value)),
        (_is_wrapped, _inner_hook),
    ]
    for predicate, factory in factories:
        made.register_structure_hook_factory(predicate, _with(factory, made))
    return made


def _with(factory: Callable[[Any, Converter], Any], converter: Converter) -> Callable[[Any], Any]:
    def make(tp: Any) -> Any:
        return factory(tp, converter)

    return make


def _validated(tp: Any, value: Any) -> Any:
    try:
        return tp.model_validate(value)
    except ValueError as error:
        raise BuildError("", error) from error


def _is_wrapped(tp: Any) -> bool:
    """Whether a type is another one with something around it."""
    return bare_type(tp)[0] is not tp if not isinstance(tp, (str, type)) else False


def _inner_hook(tp: Any, converter: Converter) -> Any:
    bare = bare_type(tp)[0]
    build = hook_of(converter, bare)
    return lambda value, _: build(value)


def hook_of(converter: Converter, tp: Any) -> Builder:
    """A function that makes a value of a type; looked up when it is first used, as types may contain themselves."""
    known: list[Callable[[Any, Any], Any]] = []
    bare = bare_type(tp)[0]
    if bare is Any or bare is object or bare is type(None):
        return lambda value: value

    def build(value: Any) -> Any:
        if not known:
            # get_structure_hook() came with cattrs 24.1
            dispatch: Any = getattr(converter, "get_structure_hook", None) or converter._structure_func.dispatch
            known.append(dispatch(bare))
        return known[0](value, bare)

    return build


def _is_path(tp: Any) -> bool:
    return isinstance(tp, type) and issubclass(tp, pathlib.PurePath)


def _path_class(tp: Any) -> Any:
    return tp


def _is_fixed_tuple(tp: Any) -> bool:
    arguments = get_args(tp)
    return get_origin(tp) is tuple and bool(arguments) and arguments[-1] is not Ellipsis


def _fixed_tuple(tp: Any, converter: Converter) -> Any:
    arguments = get_args(tp)
    hooks = [] if arguments == ((),) else [hook_of(converter, one) for one in arguments]

    def build(value: Any, _: Any) -> tuple[Any, ...]:
        return tuple([_at(f"[{n}]", hook, item) for n, (hook, item) in enumerate(zip(hooks, value, strict=True))])

    return build


_SEQUENCES: dict[Any, Callable[[list[Any]], Any]] = {
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    collections.deque: collections.deque,
    collections.abc.Set: frozenset,
    collections.abc.MutableSet: set,
    **dict.fromkeys(
        (
            *(list, collections.abc.Sequence, collections.abc.MutableSequence),
            *(collections.abc.Iterable, collections.abc.Collection),
        ),
        list,
    ),
}


def _is_sequence(tp: Any) -> bool:
    return (get_origin(tp) or tp) in _SEQUENCES and not _is_fixed_tuple(tp) if _is_hashable(tp) else False


def _is_hashable(tp: Any) -> bool:
    try:
        hash(tp)
    except TypeError:
        return False
    return True


def _sequence_hook(tp: Any, converter: Converter) -> Any:
    arguments = get_args(tp)
    hook = hook_of(converter, arguments[0] if arguments else Any)
    make = _SEQUENCES[get_origin(tp) or tp]

    def build(value: list[Any], _: Any) -> Any:
        try:
            return make([hook(item) for item in value])
        except Exception:  # once more, to find out which item it was
            return make([_at(f"[{number}]", hook, item) for number, item in enumerate(value)])

    return build


def _is_mapping(tp: Any) -> bool:
    origin = get_origin(tp) or tp
    return origin in (dict, collections.abc.Mapping, collections.abc.MutableMapping) if _is_hashable(tp) else False


def _mapping_hook(tp: Any, converter: Converter) -> Any:
    arguments = get_args(tp)
    hook = hook_of(converter, arguments[1] if len(arguments) > 1 else Any)
    key_type = bare_type(arguments[0])[0] if arguments else str
    key_hook = _key_hook(key_type, converter)

    def build(value: Mapping[str, Any], _: Any) -> Any:
        try:
            return {key_hook(key): hook(item) for key, item in value.items()}
        except Exception:  # once more, to find out which entry it was
            return {_at(f".{key}", key_hook, key): _at(f".{key}", hook, item) for key, item in value.items()}

    return build


def _key_hook(tp: Any, converter: Converter) -> Builder:
    """A function that makes the key of a map of its text."""
    if tp is int:
        return int
    if _is_literal(tp):
        return {str(one.value if isinstance(one, Enum) else one): one for one in get_args(tp)}.__getitem__
    if isinstance(tp, type) and issubclass(tp, Enum):
        return {str(one.value): one for one in tp}.__getitem__
    return hook_of(converter, tp)


def _is_literal(tp: Any) -> bool:
    return get_origin(tp) is Literal


def _literal_hook(tp: Any) -> Any:
    values = get_args(tp)
    members = {(type(one.value), one.value): one for one in values if isinstance(one, Enum)}

    def build(value: Any, _: Any) -> Any:
        return members.get((type(value), value), value)

    return build


def _at(step: str, hook: Builder, value: Any) -> Any:
    """Build a value; an error tells where."""
    try:
        return hook(value)
    except BuildError as error:
        raise BuildError(f"{step}{error.path}", error.error) from error.error
    except RecursionError:
        raise
    except Exception as error:  # the user's own converter may raise anything
        raise BuildError(step, error) from error


def _record_hook(tp: Any, converter: Converter) -> Any:
    record = read_record(tp)
    assert record is not None
    hooks = {one.key: hook_of(converter, one.type) for one in record.fields}
    make = _constructor(record)

    def build(value: Mapping[str, Any], _: Any) -> Any:
        given = {}
        for key, hook in hooks.items():
            if key in value:
                item = value[key]
                try:
                    given[key] = hook(item)
                except Exception:  # once more, with the place in the error
                    given[key] = _at(f".{key}", hook, item)
        try:
            return make(given)
        except BuildError:
            raise
        except RecursionError:
            raise
        except Exception as error:  # the user's validators and constructors may raise anything
            raise BuildError(_place_in(error), error) from error

    return build


def _constructor(record: Record) -> Callable[[dict[str, Any]], Any]:
    cls = record.cls
    if record.kind == "typed_dict":
        return lambda given: given
    return lambda given: cls(**given)


def _place_in(error: Exception) -> str:
    """The field that one of attrs' validators names in its exception."""
    for one in error.args[1:2]:
        if isinstance(one, attrs.Attribute):
            return f".{one.alias or one.name}"
    return ""


def _union_hook(tp: Any, converter: Converter) -> Any:
    branches = [one for one in get_args(tp) if one is not type(None)]
    optional = len(branches) < len(get_args(tp))
    hooks = [hook_of(converter, one) for one in branches]
    if len(branches) == 1:
        only = hooks[0]
        return lambda value, _: None if value is None else only(value)
    checks: list[Check] = []

    def build(value: Any, _: Any) -> Any:
        if value is None and optional:
            return None
        if not checks:
            checks.extend(_branch_check(one) for one in branches)
        for mode in MODES:
            for check, hook in zip(checks, hooks, strict=True):
                problems: list[str] = []
                made = check(value, problems, mode)
                if not problems:
                    return hook(made)
        raise ValueError("no branch of the union fits")

    return build


def _branch_check(tp: Any) -> Check:
    schema = canonical_schema(tp)
    return compile_check(schema["properties"]["value"] if schema.wrapped else schema, schema)


# -------------------------------------------------------------------------------------------- objects to JSON


def to_json(value: Any) -> Any:
    """A value as JSON: the inverse of building, for the results of tools and for examples.

    Raises:
        TypeError: JSON has nothing for it.
    """
    return _to_json(value, 0)


_PLAIN = (str, int, float, bool, type(None))


def _to_json(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if depth > 100:
        raise TypeError("the value is nested too deeply, or contains itself")
    if isinstance(value, Enum):
        return _to_json(value.value, depth + 1)
    if isinstance(value, _PLAIN):
        return next(plain(value) for plain in (str, int, float) if isinstance(value, plain))
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return format_duration(value)
    if isinstance(value, (uuid.UUID, decimal.Decimal, pathlib.PurePath)):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(bytes(value)).decode("ascii")
    if isinstance(value, Mapping) or is_typed_dict(kind):
        return {str(_to_json(key, depth + 1)): _to_json(item, depth + 1) for key, item in value.items()}
    if hasattr(value, "model_dump") and hasattr(kind, "model_validate"):
        return value.model_dump(mode="json")
    if attrs.has(kind):
        names = [
            (one.alias or one.name.lstrip("_"), one.name)
            for one in attrs.fields(kind)
            if one.init or not one.name.startswith("_")  # else a private cache, which is no part of the value
        ]
        return {key: _to_json(getattr(value, name), depth + 1) for key, name in names}
    if dataclasses.is_dataclass(kind):
        return {one.name: _to_json(getattr(value, one.name), depth + 1) for one in dataclasses.fields(kind)}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: _to_json(getattr(value, name), depth + 1) for name in value._fields}
    if isinstance(value, (list, tuple, set, frozenset, collections.deque)):
        return [_to_json(item, depth + 1) for item in value]
    raise TypeError(f"JSON has nothing for {kind.__name__}")
