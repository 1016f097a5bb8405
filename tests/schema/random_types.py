"""Random types, and random JSON values of a schema, for the tests of the schema compiler."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import itertools
import pathlib
import random
import string
import typing
import uuid

import attrs
from hypothesis import strategies as st

_NAMES = st.sampled_from([f"{one}_{two}" for one in ("name", "count", "kind", "tags") for two in "abcd"])
_NUMBERS = itertools.count()
SCALARS = (
    *(str, int, float, bool, datetime.datetime, datetime.date, datetime.time, datetime.timedelta),
    *(uuid.UUID, decimal.Decimal, pathlib.PurePosixPath, bytes),
)


class AtLeast:
    """Metadata as annotated-types has them."""

    def __init__(self, ge: int) -> None:
        self.ge = ge


def _literal(values: list[typing.Any]) -> typing.Any:
    return typing.Literal[tuple(values)]


def _enum(values: list[typing.Any]) -> typing.Any:
    return enum.Enum(f"Choice{next(_NUMBERS)}", {f"M{number}": value for number, value in enumerate(values)})


_CHOICES = st.lists(st.sampled_from(["a", "b", "c d", "é", 1, 2, -3, True]), min_size=1, max_size=4, unique_by=repr)
_LEAVES = (
    st.sampled_from(SCALARS)
    | _CHOICES.map(_literal)
    | st.lists(st.sampled_from(["x", "y", "z", 7]), min_size=1, max_size=3, unique=True).map(_enum)
    | st.integers(-5, 5).map(lambda least: typing.Annotated[int, AtLeast(least), "A whole number."])
)


def _is_hashable(tp: typing.Any) -> bool:
    return tp in SCALARS


def _fields(inner: st.SearchStrategy[typing.Any]) -> st.SearchStrategy[dict[str, typing.Any]]:
    return st.dictionaries(_NAMES, inner, min_size=0, max_size=4)


def _dataclass(fields: dict[str, typing.Any]) -> typing.Any:
    return dataclasses.make_dataclass(f"Data{next(_NUMBERS)}", list(fields.items()))


def _attrs(fields: dict[str, typing.Any]) -> typing.Any:
    return attrs.make_class(f"Attrs{next(_NUMBERS)}", {name: attrs.field(type=tp) for name, tp in fields.items()})


def _typed_dict(fields: dict[str, typing.Any]) -> typing.Any:
    made = {name: typing.NotRequired[tp] if number % 3 == 2 else tp for number, (name, tp) in enumerate(fields.items())}
    return typing.TypedDict(f"Dict{next(_NUMBERS)}", made)  # type: ignore[operator]


def _named_tuple(fields: dict[str, typing.Any]) -> typing.Any:
    return typing.NamedTuple(f"Named{next(_NUMBERS)}", list(fields.items()))  # type: ignore[misc]


def _nested(inner: st.SearchStrategy[typing.Any]) -> st.SearchStrategy[typing.Any]:
    return (
        inner.map(lambda tp: list[tp])
        | inner.map(lambda tp: tp | None if isinstance(tp, type) else typing.Optional[tp])  # noqa: UP045
        | st.sampled_from(SCALARS).map(lambda tp: set[tp])
        | inner.map(lambda tp: dict[str, tp])
        | st.sampled_from((str, int)).flatmap(lambda key: inner.map(lambda tp: dict[key, tp]))
        | inner.map(lambda tp: tuple[tp, ...])
        | st.lists(inner, min_size=1, max_size=3).map(lambda types: tuple[tuple(types)])
        | st.lists(inner, min_size=2, max_size=3).map(lambda types: typing.Union[tuple(types)])  # noqa: UP007
        | _fields(inner).map(_dataclass)
        | _fields(inner).map(_attrs)
        | _fields(inner).map(_typed_dict)
        | _fields(inner).map(_named_tuple)
    )


#: Types of every kind, nested.
TYPES = st.recursive(_LEAVES, _nested, max_leaves=8)

_TEXTS = (*string.ascii_letters, *' 0123456789_äß中😀\n"\\{[,')


class Values:
    """Makes values of a schema, from the keywords alone."""

    def __init__(self, root: dict[str, typing.Any], seed: int) -> None:
        self.root = root
        self.random = random.Random(seed)

    def make(self, schema: typing.Any, depth: int = 0) -> typing.Any:
        chance = self.random
        if "$ref" in schema:
            schema = self.root["$defs"][schema["$ref"].rpartition("/")[2]]
        if "anyOf" in schema:
            branches = schema["anyOf"]
            return self.make(branches[-1] if depth > 6 else chance.choice(branches), depth + 1)
        if "enum" in schema:
            return chance.choice(schema["enum"])
        return getattr(self, f"_{schema['type']}")(schema, depth)

    def _null(self, schema: typing.Any, depth: int) -> None:
        return None

    def _boolean(self, schema: typing.Any, depth: int) -> bool:
        return self.random.random() < 0.5

    def _integer(self, schema: typing.Any, depth: int) -> int:
        return self.random.randint(schema.get("minimum", -(10**12)), 10**12)

    def _number(self, schema: typing.Any, depth: int) -> float:
        return self.random.choice([0.0, -1.5, 1e300, 0.1, float(self.random.randint(-9, 9)), self.random.random()])

    def _string(self, schema: typing.Any, depth: int) -> str:
        chance = self.random
        if "pattern" in schema:  # the keys of dict[int, …]
            return str(chance.randint(-9, 99))
        made = {
            "date-time": lambda: datetime.datetime(
                2026, chance.randint(1, 12), 3, 4, 5, chance.randint(0, 9)
            ).isoformat(),
            "date": lambda: datetime.date(chance.randint(1, 9999), 2, 3).isoformat(),
            "time": lambda: datetime.time(chance.randint(0, 23), 5, 6).isoformat(),
            "duration": lambda: f"P{chance.randint(0, 99)}DT{chance.randint(0, 99)}.5S",
            "uuid": lambda: str(uuid.UUID(int=chance.getrandbits(128))),
            "decimal": lambda: str(decimal.Decimal(chance.randint(-(10**30), 10**30)).scaleb(-chance.randint(0, 20))),
            "base64": lambda: "aGk=",
            "path": lambda: f"/tmp/{chance.randint(0, 9)}/x.txt",
        }.get(schema.get("format"))
        if made:
            return made()
        return "".join(chance.choice(_TEXTS) for _ in range(chance.randint(0, 12)))

    def _array(self, schema: typing.Any, depth: int) -> list[typing.Any]:
        if "prefixItems" in schema:
            return [self.make(one, depth + 1) for one in schema["prefixItems"]]
        made = [self.make(schema["items"], depth + 1) for _ in range(self.random.randint(0, 0 if depth > 5 else 3))]
        if schema.get("uniqueItems"):
            return list({repr(one): one for one in made}.values())
        return made

    def _object(self, schema: typing.Any, depth: int) -> dict[str, typing.Any]:
        if "properties" not in schema:
            count = self.random.randint(0, 0 if depth > 5 else 3)
            keys = [str(self.random.randint(-99, 99)) for _ in range(count)]
            return {key: self.make(schema["additionalProperties"], depth + 1) for key in keys}
        required = schema.get("required", [])
        return {
            name: self.make(one, depth + 1)
            for name, one in schema["properties"].items()
            if name in required or (depth < 5 and self.random.random() < 0.5)
        }
