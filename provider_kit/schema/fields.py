"""Classes with fields, read alike: attrs, dataclasses, ``TypedDict`` and ``NamedTuple``, generic ones too."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, ForwardRef, Literal, TypeVar, get_args, get_origin

import attrs

from provider_kit.errors import InvalidRequestError
from provider_kit.schema.docstrings import field_comments, parse_docstring

__all__ = ["NOTHING", "Field", "Record", "bare_type", "is_typed_dict", "read_record", "resolved_hints", "substitute"]

#: A field has no default that can be shown.
NOTHING: Any = attrs.NOTHING

Kind = Literal["attrs", "dataclass", "typed_dict", "named_tuple"]


@attrs.frozen
class Field:
    """One field of a class."""

    #: Its name in JSON.
    key: str
    #: Its type, with the arguments of a generic class put in.
    type: Any
    required: bool = True
    default: Any = attrs.field(factory=lambda: NOTHING)
    description: str = ""
    #: attrs' validator.
    validator: Any = None
    #: attrs' and dataclasses' metadata of the field.
    metadata: Mapping[Any, Any] = attrs.field(factory=dict)


@attrs.frozen
class Record:
    """A class with fields."""

    kind: Kind
    #: The class itself, without type arguments.
    cls: Any
    fields: tuple[Field, ...]
    description: str = ""


def is_typed_dict(cls: Any) -> bool:
    """Whether a class is a ``TypedDict``, of the standard library or of typing_extensions."""
    return isinstance(cls, type) and issubclass(cls, dict) and hasattr(cls, "__total__")


def _is_named_tuple(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, tuple) and hasattr(cls, "_fields")


def read_record(tp: Any) -> Record | None:
    """The fields of a class; ``None`` if it has none that can be read."""
    cls = get_origin(tp) or tp
    if not isinstance(cls, type):
        return None
    if attrs.has(cls):
        kind: Kind = "attrs"
    elif dataclasses.is_dataclass(cls):
        kind = "dataclass"
    elif is_typed_dict(cls):
        kind = "typed_dict"
    elif _is_named_tuple(cls):
        kind = "named_tuple"
    else:
        return None
    hints = resolved_hints(cls, where=cls.__name__)
    values = type_arguments(tp)
    doc = parse_docstring(_own_docstring(cls, kind))
    said: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base is not object and (vars(base).get("__annotations__") or base is cls):
            said |= field_comments(base) | parse_docstring(base.__doc__).fields
    found = [
        attrs.evolve(one, type=substitute(one.type, values), description=one.description or said.get(name, ""))
        for name, one in _READERS[kind](cls, hints)
    ]
    return Record(kind, cls, tuple(found), doc.summary)


def _attrs_fields(cls: Any, hints: dict[str, Any]) -> list[tuple[str, Field]]:
    found = []
    for one in attrs.fields(cls):
        if not one.init:
            continue
        default, required = one.default, one.default is attrs.NOTHING
        made = NOTHING if isinstance(default, attrs.Factory) else default  # type: ignore[arg-type]  # it is a class
        key = one.alias or one.name.lstrip("_")
        declared = hints.get(one.name, one.type if one.type is not None else Any)
        found.append((one.name, Field(key, declared, required, made, _said(one.metadata), one.validator, one.metadata)))
    return found


def _dataclass_fields(cls: Any, hints: dict[str, Any]) -> list[tuple[str, Field]]:
    found = []
    for one in dataclasses.fields(cls):
        if not one.init:
            continue
        required = one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
        default = NOTHING if one.default is dataclasses.MISSING else one.default
        said = _said(one.metadata) or getattr(one, "doc", None) or ""
        found.append((one.name, Field(one.name, hints[one.name], required, default, said, None, one.metadata)))
    for name, hint in hints.items():  # fields() leaves InitVar out
        if isinstance(hint, dataclasses.InitVar):
            default = getattr(cls, name, NOTHING)
            found.append((name, Field(name, hint.type, default is NOTHING, default)))
    return found


def _typed_dict_fields(cls: Any, hints: dict[str, Any]) -> list[tuple[str, Field]]:
    found = []
    for name, declared in hints.items():
        hint, required = declared, name in cls.__required_keys__
        while (origin := getattr(get_origin(hint), "__name__", None) or getattr(get_origin(hint), "_name", None)) in (
            "Required",
            "NotRequired",
            "ReadOnly",
        ):
            # The class's own sets do not see them through a future annotation.
            required = {"Required": True, "NotRequired": False}.get(origin, required)
            hint = get_args(hint)[0]
        found.append((name, Field(name, hint, required)))
    return found


def _named_tuple_fields(cls: Any, hints: dict[str, Any]) -> list[tuple[str, Field]]:
    defaults = cls._field_defaults
    return [
        (name, Field(name, hints.get(name, Any), name not in defaults, defaults.get(name, NOTHING)))
        for name in cls._fields
    ]


_READERS: dict[Kind, Callable[[Any, dict[str, Any]], list[tuple[str, Field]]]] = {
    "attrs": _attrs_fields,
    "dataclass": _dataclass_fields,
    "typed_dict": _typed_dict_fields,
    "named_tuple": _named_tuple_fields,
}


def _said(metadata: Mapping[Any, Any]) -> str:
    said = metadata.get("description")
    return said if isinstance(said, str) else ""


def _own_docstring(cls: Any, kind: Kind) -> str | None:
    """The class's docstring, unless Python or a library made it."""
    text = vars(cls).get("__doc__")
    made = kind in ("dataclass", "named_tuple") and text and text.startswith(f"{cls.__name__}(")
    return None if made else text


def resolved_hints(owner: Any, *, where: str) -> dict[str, Any]:
    """The annotations of a class or function, with names in text looked up.

    Raises:
        InvalidRequestError: A name in them is not known.
    """
    if isinstance(owner, type):  # a class that is local to a function may still refer to itself
        names: dict[str, Any] | None = {base.__name__: base for base in owner.__mro__ if base is not object}
    else:
        names = _names_of_closure(owner)
    try:
        return typing.get_type_hints(owner, localns=names, include_extras=True)
    except NameError as error:
        raise InvalidRequestError(
            f"The annotations of {where} use the name {error.name!r}, which is not known there.",
            hint="Define it at the top of the module; or, where it is local, leave out 'from __future__ import "
            "annotations' and the quotes around it.",
        ) from error
    except (TypeError, SyntaxError, AttributeError) as error:
        raise InvalidRequestError(
            f"The annotations of {where} cannot be read: {error}.", hint="Check them with a type checker."
        ) from error


def _names_of_closure(function: Any) -> dict[str, Any] | None:
    """Local names a function refers to; a local class in an annotation is among them only if its body uses it."""
    try:
        found = inspect.getclosurevars(inspect.unwrap(function)).nonlocals
    except (TypeError, ValueError):
        return None
    return dict(found) or None


# -------------------------------------------------------------------------------------------- generic classes


def type_arguments(tp: Any) -> dict[Any, Any]:
    """The type of each type variable of a generic class, those of its bases included."""
    origin = get_origin(tp) or tp
    found: dict[Any, Any] = {}
    parameters = getattr(origin, "__parameters__", ())
    found.update(zip(parameters, get_args(tp), strict=False))
    for base in getattr(origin, "__orig_bases__", ()):
        inner = get_origin(base)
        if isinstance(inner, type) and hasattr(inner, "__parameters__"):
            for variable, argument in type_arguments(base).items():
                found.setdefault(variable, substitute(argument, found))
    return found


def substitute(tp: Any, values: Mapping[Any, Any]) -> Any:
    """A type with its type variables replaced."""
    if isinstance(tp, TypeVar):
        return values.get(tp, tp)
    variables = getattr(tp, "__parameters__", ())
    if not values or not variables or isinstance(tp, type):
        return tp
    return tp[tuple(values.get(variable, variable) for variable in variables)]


def alias_value(alias: Any) -> Any:
    """What stands for a type alias (PEP 695), its arguments put in."""
    origin = get_origin(alias)
    if origin is None:
        return alias.__value__
    return substitute(origin.__value__, dict(zip(origin.__type_params__, get_args(alias), strict=False)))


def bare_type(tp: Any, *, stop_at_alias: bool = False) -> tuple[Any, list[Any]]:
    """A type without ``Annotated``, aliases, ``NewType``, ``Final`` and the like; and the metadata found on the way."""
    metadata: list[Any] = []
    while True:
        origin = get_origin(tp)
        name = getattr(origin, "__name__", None) or getattr(origin, "_name", None)
        if name == "Annotated" or hasattr(tp, "__metadata__"):
            metadata[:0] = tp.__metadata__
            tp = tp.__origin__
        elif origin in (Final, ClassVar) or name in ("Required", "NotRequired", "ReadOnly"):
            tp = get_args(tp)[0]
        elif hasattr(tp, "__supertype__"):  # NewType
            tp = tp.__supertype__
        elif isinstance(tp, dataclasses.InitVar):
            tp = tp.type
        elif type(origin or tp).__name__ == "TypeAliasType":
            if stop_at_alias:
                return tp, metadata
            tp = alias_value(tp)
        elif isinstance(tp, TypeVar):
            constraints = tp.__constraints__
            default = getattr(tp, "__default__", None)
            if tp.__bound__ is not None:
                tp = tp.__bound__
            elif constraints:
                tp = typing.Union[constraints]  # noqa: UP007  # of as many as there are
            else:
                usable = default is not None and "NoDefault" not in f"{default!r}{type(default).__name__}"
                tp = default if usable else Any
        elif tp is None:
            return type(None), metadata
        elif isinstance(tp, (str, ForwardRef)):
            shown = tp if isinstance(tp, str) else tp.__forward_arg__
            raise InvalidRequestError(
                f"The name {shown!r} in an annotation could not be looked up.",
                hint="Write the type itself, without quotes.",
            )
        else:
            return tp, metadata
