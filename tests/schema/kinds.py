"""The kinds of types that an answer or an argument may have, each with a value of it."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import pathlib
import typing
import uuid

import attrs

T = typing.TypeVar("T")


class Level(enum.Enum):
    """How much."""

    LOW = "low"
    HIGH = "high"


@attrs.define
class Address:
    """Where somebody lives.

    Attributes:
        street: Street and number.
    """

    street: str
    zip_code: str = attrs.field(validator=attrs.validators.matches_re(r"\d{5}"))


@attrs.define
class Person:
    """A person."""

    name: str
    age: int = attrs.field(validator=attrs.validators.ge(0))
    address: Address | None = None


@dataclasses.dataclass
class Order:
    id: uuid.UUID
    placed: datetime.datetime
    price: decimal.Decimal
    level: Level = Level.LOW
    tags: list[str] = dataclasses.field(default_factory=list)


class Movie(typing.TypedDict):
    title: str
    year: typing.NotRequired[int]


class Point(typing.NamedTuple):
    x: float
    y: float


@dataclasses.dataclass
class Cat:
    kind: typing.Literal["cat"]
    lives: int


@dataclasses.dataclass
class Dog:
    kind: typing.Literal["dog"]
    name: str


@dataclasses.dataclass
class Tree:
    value: int
    children: list[Tree] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Box(typing.Generic[T]):
    item: T


@dataclasses.dataclass
class Limits:
    size: typing.Annotated[int, "From 1 to 10."]
    codes: dict[str, int]
    pair: tuple[str, int]
    path: pathlib.PurePosixPath


#: A type and a value of it, as JSON.
KINDS: dict[str, tuple[typing.Any, typing.Any]] = {
    "text": (str, "a text"),
    "number": (int, 7),
    "choice": (typing.Literal["a", "b"], "b"),
    "enum": (Level, "high"),
    "attrs": (Person, {"name": "Bob", "age": 7, "address": {"street": "Main 1", "zip_code": "12345"}}),
    "dataclass": (
        Order,
        {
            "id": "12345678-1234-5678-1234-567812345678",
            "placed": "2026-01-31T12:00:00",
            "price": "12.50",
            "level": "high",
            "tags": ["a"],
        },
    ),
    "typed dict": (Movie, {"title": "M", "year": 1931}),
    "named tuple": (Point, {"x": 0.5, "y": -1.0}),
    "list of classes": (list[Person], [{"name": "Bob", "age": 7, "address": None}]),
    "union of classes": (Cat | Dog, {"kind": "dog", "name": "Rex"}),
    "optional": (Person | None, None),
    "recursive": (Tree, {"value": 1, "children": [{"value": 2, "children": []}]}),
    "generic": (Box[Point], {"item": {"x": 1.0, "y": 2.0}}),
    "maps and tuples": (Limits, {"size": 3, "codes": {"a": 1}, "pair": ["x", 2], "path": "/tmp/x"}),
}
