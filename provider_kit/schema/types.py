"""A type to its canonical JSON Schema (draft 2020-12).

Every object names its properties, those without a default are required, and classes stand under ``$defs``. What a
provider accepts of it is decided later, by its profile.

Source: json-schema.org, draft 2020-12, "Validation" (the formats), and RFC 3339 (dates and durations).
"""

from __future__ import annotations

import collections
import datetime
import decimal
import inspect
import pathlib
import re
import types
import uuid
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from math import isfinite
from typing import Any, Literal, Union, get_args, get_origin

from provider_kit.errors import InvalidRequestError
from provider_kit.schema.canonical import WRAPPED, CanonicalSchema
from provider_kit.schema.constraints import keywords_of_metadata, keywords_of_validator
from provider_kit.schema.docstrings import field_comments
from provider_kit.schema.fields import NOTHING, Field, Record, alias_value, bare_type, read_record

__all__ = ["canonical_schema", "is_union", "object_schema", "pydantic_model"]

_SCALARS: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    Any: {},
    object: {},
    datetime.datetime: {"type": "string", "format": "date-time"},
    datetime.date: {"type": "string", "format": "date"},
    datetime.time: {"type": "string", "format": "time"},
    datetime.timedelta: {"type": "string", "format": "duration"},
    uuid.UUID: {"type": "string", "format": "uuid"},
    decimal.Decimal: {"type": "string", "format": "decimal"},
    bytes: {"type": "string", "format": "base64"},
}
_ARRAYS: tuple[Any, ...] = (list, collections.deque, collections.abc.Sequence, collections.abc.MutableSequence)
_ARRAYS += (collections.abc.Iterable, collections.abc.Collection)
_SETS: tuple[Any, ...] = (set, frozenset, collections.abc.Set, collections.abc.MutableSet)
_MAPS: tuple[Any, ...] = (dict, collections.OrderedDict, collections.defaultdict, collections.abc.Mapping)
_MAPS += (collections.abc.MutableMapping,)
#: Docstrings that Python gives a class which has none of its own.
_NO_DOCSTRINGS = ("An enumeration.", "Create a collection of name/value pairs.")
#: How often a generic class may stand inside itself, each time with another argument.
_MOST_SPECIALISED = 16
_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


def is_union(tp: Any) -> bool:
    """Whether a type is a union, written ``A | B`` or ``Union[A, B]``."""
    return get_origin(tp) in (Union, types.UnionType)


def pydantic_model(tp: Any) -> bool:
    """Whether a type is a model of pydantic, which makes its own schema and its own values."""
    origin = get_origin(tp) or tp
    return isinstance(origin, type) and hasattr(origin, "model_json_schema") and hasattr(origin, "model_validate")


def canonical_schema(tp: Any, *, where: str = "") -> CanonicalSchema:
    """The schema of a type. What is not an object is wrapped in one, under ``value``.

    Args:
        tp: Any type this module knows.
        where: What the type belongs to, for errors.

    Raises:
        InvalidRequestError: JSON has nothing for it, or for a type inside it; the message names the place.
    """
    writer = _Writer()
    schema = writer.write(tp, where or _shown(tp))
    return writer.finish(schema)


def object_schema(fields: Iterable[Field], *, where: str) -> CanonicalSchema:
    """The schema of an object with these fields: the arguments of a function."""
    writer = _Writer()
    return writer.finish(writer.object(fields, where))


class _Writer:
    """Writes the schema of one type, and those of the classes in it."""

    def __init__(self) -> None:
        #: The definitions by name, the name of each class, and how often each is referred to.
        self.definitions: dict[str, dict[str, Any]] = {}
        self.names: dict[Any, str] = {}
        self.uses: collections.Counter[str] = collections.Counter()
        #: How many forms of a generic class are being written.
        self.open: collections.Counter[Any] = collections.Counter()

    def finish(self, schema: dict[str, Any]) -> CanonicalSchema:
        """The whole schema: an object at the root, and only the definitions that are needed."""
        while "$ref" in schema and len(schema) == 1:
            name = _named_in(schema["$ref"])
            self.uses[name] -= 1
            schema = dict(self.definitions[name])
        wrapped = schema.get("type") != "object" or not isinstance(schema.get("properties"), dict)
        if wrapped:
            schema = {
                "type": "object",
                "properties": {WRAPPED: schema},
                "required": [WRAPPED],
                "additionalProperties": False,
            }
        kept = {name: made for name, made in self.definitions.items() if self.uses[name] > 0}
        return CanonicalSchema({**schema, "$defs": kept} if kept else schema, wrapped=wrapped)

    def write(self, tp: Any, where: str) -> dict[str, Any]:
        """The schema of a type, its metadata applied."""
        if type(get_origin(tp) or tp).__name__ == "TypeAliasType":  # it may contain itself
            return self._class(tp, where, lambda alias, place: self.write(alias_value(alias), place))
        bare, metadata = bare_type(tp, stop_at_alias=True)
        if bare is not tp and type(get_origin(bare) or bare).__name__ == "TypeAliasType":
            schema = self.write(bare, where)
        else:
            schema = self._bare(bare, where)
        return _with_keywords(schema, metadata) if metadata else schema

    def _bare(self, tp: Any, where: str) -> dict[str, Any]:
        try:
            if tp in _SCALARS:
                return dict(_SCALARS[tp])
        except TypeError:  # not hashable
            raise _unknown(tp, where) from None
        if is_union(tp):
            return self._union(get_args(tp), where)
        origin, arguments = get_origin(tp), get_args(tp)
        if origin is Literal:
            return _literal(arguments, where)
        if pydantic_model(tp):
            return self._class(tp, where, self._pydantic)
        cls = origin or tp
        if not isinstance(cls, type):
            raise _unknown(tp, where)
        if issubclass(cls, Enum):
            return _enum(cls, where)
        if issubclass(cls, pathlib.PurePath):
            return {"type": "string", "format": "path"}
        record = read_record(tp)
        if record is not None:
            return self._class(tp, where, lambda _tp, _where: self._record(record))
        if cls is tuple and arguments and arguments[-1] is not Ellipsis:
            return self._tuple(arguments, where)
        if cls in _ARRAYS or cls is tuple:
            return {"type": "array", "items": self._argument(arguments, 0, f"{where}[]")}
        if cls in _SETS:
            return {"type": "array", "items": self._argument(arguments, 0, f"{where}[]"), "uniqueItems": True}
        if cls in _MAPS:
            return self._map(arguments, where)
        for plain in (bool, int, float, str, bytes):
            if issubclass(cls, plain) and not issubclass(cls, Enum):
                return dict(_SCALARS[plain])
        raise _unknown(tp, where)

    def _argument(self, arguments: tuple[Any, ...], position: int, where: str) -> dict[str, Any]:
        return self.write(arguments[position], where) if len(arguments) > position else {}

    def _tuple(self, arguments: tuple[Any, ...], where: str) -> dict[str, Any]:
        items = [] if arguments == ((),) else [self.write(one, f"{where}[{n}]") for n, one in enumerate(arguments)]
        return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items), "maxItems": len(items)}

    def _map(self, arguments: tuple[Any, ...], where: str) -> dict[str, Any]:
        schema: dict[str, Any] = {
            "type": "object",
            "additionalProperties": self._argument(arguments, 1, f"{where}[…]"),
        }
        if arguments:
            key = self.write(arguments[0], f"the keys of {where}")
            if key.get("enum"):
                schema["propertyNames"] = {"enum": [str(one) for one in key["enum"]]}
            elif key and key.get("type") not in ("string", "integer"):
                raise InvalidRequestError(
                    f"{where}: the keys of a JSON object are texts, not {_shown(arguments[0])}.",
                    hint="Use dict[str, …], or a list of objects.",
                )
            elif key.get("type") == "integer":
                schema["propertyNames"] = {"type": "string", "pattern": "^-?[0-9]+$"}
            elif key.get("pattern") or key.get("format"):
                schema["propertyNames"] = key
        return schema

    def _union(self, arguments: tuple[Any, ...], where: str) -> dict[str, Any]:
        branches: list[dict[str, Any]] = []
        nullable = False
        for argument in arguments:
            schema = self.write(argument, where)
            if schema.get("type") == "null":
                nullable = True
                continue
            branches.extend(one for one in schema.get("anyOf", [schema]) if one not in branches)
        if {} in branches:
            return {}
        if {"type": "null"} in branches:
            branches.remove({"type": "null"})
            nullable = True
        if nullable:
            branches.append({"type": "null"})
        return branches[0] if len(branches) == 1 else {"anyOf": branches}

    # -------------------------------------------------------------------------------------------- classes

    def _class(self, tp: Any, where: str, write: Callable[[Any, str], dict[str, Any]]) -> dict[str, Any]:
        """A reference to the definition of a class."""
        name = self.names.get(tp)
        if name is None:
            origin = get_origin(tp)
            if origin is not None and self.open[origin] >= _MOST_SPECIALISED:
                raise InvalidRequestError(
                    f"{where}: the type has no end: each part of it contains a new one.",
                    hint="A generic class may contain itself with the same argument only.",
                )
            name = self.names[tp] = self._free_name(tp)
            self.definitions[name] = {}  # a class that contains itself finds its name
            self.open[origin] += 1
            self.definitions[name] = write(tp, where)
            self.open[origin] -= 1
        self.uses[name] += 1
        return {"$ref": f"#/$defs/{name}"}

    def _free_name(self, tp: Any) -> str:
        wanted = _NAME.sub("_", _shown(tp)).strip("_")[:60] or "Object"
        name, number = wanted, 1
        while name in self.definitions:
            number += 1
            name = f"{wanted}_{number}"
        return name

    def _record(self, record: Record) -> dict[str, Any]:
        schema = self.object(record.fields, record.cls.__name__)
        return {"description": record.description, **schema} if record.description else schema

    def object(self, fields: Iterable[Field], where: str) -> dict[str, Any]:
        """The schema of an object with these fields."""
        properties: dict[str, Any] = {}
        required: list[str] = []
        for field in fields:
            schema = self.write(field.type, f"{where}.{field.key}" if where else field.key)
            if field.validator is not None:
                schema = _narrowed(schema, keywords_of_validator(field.validator, _kind(schema)))
            if field.metadata:
                schema = _narrowed(schema, keywords_of_metadata([field.metadata], _kind(schema)))
            if field.description and "description" not in schema:
                schema = {**schema, "description": field.description}
            default = _plain(field.default)
            if default is not NOTHING and default is not None:
                schema = {**schema, "default": default}
            properties[field.key] = schema
            if field.required:
                required.append(field.key)
        schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
        if not required:
            del schema["required"]
        return schema

    def _pydantic(self, tp: Any, where: str) -> dict[str, Any]:
        """The schema pydantic makes, its definitions put among ours."""
        made: dict[str, Any] = tp.model_json_schema(ref_template="#/$defs/{model}")
        inner: dict[str, Any] = made.pop("$defs", {})
        own = _named_in(made["$ref"]) if "$ref" in made else ""  # a model that contains itself
        renamed = {own: self.names[tp]} if own else {}
        for name in inner:
            if name != own:
                renamed[name] = new = self._free_name_like(name)
                self.definitions[new] = {}
        for name, schema in inner.items():
            if name != own:
                self.definitions[renamed[name]] = self._taken_over(schema, renamed)
        taken: dict[str, Any] = self._taken_over(inner[own] if own else made, renamed)
        return taken

    def _free_name_like(self, name: str) -> str:
        number, made = 1, name
        while made in self.definitions:
            number += 1
            made = f"{name}_{number}"
        return made

    def _taken_over(self, schema: Any, renamed: Mapping[str, str], named: bool = False) -> Any:
        """A schema of another maker: references renamed, titles left out, objects closed."""
        if isinstance(schema, list):
            return [self._taken_over(one, renamed) for one in schema]
        if not isinstance(schema, dict):
            return schema
        made: dict[str, Any] = {}
        for key, value in schema.items():
            if named:
                made[key] = self._taken_over(value, renamed)
            elif key == "$ref":
                name = renamed[_named_in(value)]
                self.uses[name] += 1
                made[key] = f"#/$defs/{name}"
            elif key in ("title", "discriminator") or (key == "default" and value is None):
                continue
            elif key == "const":
                made["enum"] = [value]
            elif key == "oneOf":
                made["anyOf"] = self._taken_over(value, renamed)
            elif key in ("properties", "$defs"):
                made[key] = self._taken_over(value, renamed, named=True)
            elif key in ("enum", "default", "required", "examples"):
                made[key] = value
            else:
                made[key] = self._taken_over(value, renamed)
        if not named and "properties" in made:
            made.setdefault("additionalProperties", False)
        return made


def _named_in(reference: str) -> str:
    return reference.rpartition("/")[2]


def _kind(schema: Mapping[str, Any]) -> str | None:
    kind = schema.get("type")
    if kind is None and len(schema.get("anyOf", ())) == 2 and schema["anyOf"][1] == {"type": "null"}:
        kind = schema["anyOf"][0].get("type")
    return kind if isinstance(kind, str) else None


def _with_keywords(schema: dict[str, Any], metadata: Iterable[Any]) -> dict[str, Any]:
    return _narrowed(schema, keywords_of_metadata(metadata, _kind(schema)))


def _narrowed(schema: dict[str, Any], keywords: Mapping[str, Any]) -> dict[str, Any]:
    """A schema with further keywords; of ``X | None``, those of ``X``."""
    if not keywords:
        return schema
    said = {key: value for key, value in keywords.items() if key == "description"}
    rest = {key: value for key, value in keywords.items() if key != "description"}
    if not rest:
        return {**schema, **said}
    if "type" in schema:
        return {**schema, **rest, **said}
    if _kind(schema) is not None:
        return {**schema, "anyOf": [{**schema["anyOf"][0], **rest}, *schema["anyOf"][1:]], **said}
    return {**schema, **said}  # checked by whoever set it, when the value is built


def _literal(values: tuple[Any, ...], where: str) -> dict[str, Any]:
    plain = [one.value if isinstance(one, Enum) else one for one in values]
    return _enumeration(plain, where)


def _enum(cls: type[Enum], where: str) -> dict[str, Any]:
    schema = _enumeration([member.value for member in cls], where)
    said = vars(cls).get("__doc__")
    comments = field_comments(cls)
    parts = [inspect.cleandoc(said)] if said and said not in _NO_DOCSTRINGS else []
    parts += [f"{member.value}: {comments[member.name]}" for member in cls if member.name in comments]
    return {**schema, "description": "\n".join(parts)} if parts else schema


def _enumeration(values: list[Any], where: str) -> dict[str, Any]:
    """The schema of a choice; of several types, one branch for each."""
    groups: dict[str, list[Any]] = {}
    for value in values:
        kind = next((name for known, name in _KINDS if type(value) is known or isinstance(value, known)), None)
        if kind is None:
            raise InvalidRequestError(
                f"{where}: {value!r} is a choice that JSON cannot represent.",
                hint="Use texts, numbers, booleans and None.",
            )
        if value not in groups.setdefault(kind, []):
            groups[kind].append(value.value if isinstance(value, Enum) else value)
    branches: list[dict[str, Any]] = [
        {"type": kind} if kind == "null" else {"type": kind, "enum": group} for kind, group in groups.items()
    ]
    branches.sort(key=lambda one: one["type"] == "null")
    return branches[0] if len(branches) == 1 else {"anyOf": branches}


_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),
    (str, "string"),
    (int, "integer"),
    (float, "number"),
    (type(None), "null"),
)


def _plain(default: Any) -> Any:
    """A default as JSON, if it is a simple one."""
    if default is NOTHING:
        return NOTHING
    if isinstance(default, Enum):
        default = default.value
    if isinstance(default, float) and not isfinite(default):
        return NOTHING
    return default if default is None or isinstance(default, (str, int, float)) else NOTHING


def _shown(tp: Any) -> str:
    """A type as a person writes it."""
    if get_origin(tp) is None and isinstance(tp, type):
        return tp.__name__
    text = re.sub(r"\b(?:\w+\.)+(?=\w)", "", repr(tp).replace("<locals>.", ""))
    return text.replace("NoneType", "None")


def _unknown(tp: Any, where: str) -> InvalidRequestError:
    shown = _shown(tp)
    place = "" if where == shown else f"{where}: "
    hint = "Use classes of attrs, dataclasses or pydantic, TypedDict, NamedTuple, Literal, Enum, list, dict and so on."
    if isinstance(tp, type) and not inspect.isabstract(tp) and "__init__" in vars(tp):
        hint = f"Make {shown} a dataclass or an attrs class, so that its fields are known."
    elif isinstance(tp, list):
        hint = f"Write list[{_shown(tp[0])}]." if len(tp) == 1 and isinstance(tp[0], type) else "Write list[…]."
    elif isinstance(tp, tuple):
        hint = f"Write {' | '.join(map(_shown, tp))}, or tuple[{', '.join(map(_shown, tp))}]."
    elif isinstance(tp, dict):
        hint = "A JSON Schema goes into response_format=; for a type, write a class or a TypedDict."
    elif not isinstance(tp, type) and get_origin(tp) is None and type(tp).__module__ not in ("typing", "types"):
        hint = f"Pass the class {type(tp).__name__}, not an instance of it."
        if type(tp).__module__ == "builtins":
            hint = "Pass the type itself, not a value or a function."
    said = f"{place}there is no JSON Schema for {shown}."
    return InvalidRequestError(said[0].upper() + said[1:] if not place else said, hint=hint)
