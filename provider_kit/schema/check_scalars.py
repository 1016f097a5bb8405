"""Checks of texts, numbers, booleans and choices."""

from __future__ import annotations

import base64
import datetime
import decimal
import operator
import re
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from math import isfinite
from typing import Any

from provider_kit.schema.durations import parse_duration
from provider_kit.schema.problems import CORRECT, NAMES, Check, bounds_in_words, shown, tell

__all__ = ["boolean", "choice", "null", "numeric", "string"]

_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?\s*")
_WHOLE = re.compile(r"\s*[+-]?\d{1,4000}\s*")


def null(value: Any, problems: list[str], mode: int) -> Any:
    """The check of ``null``."""
    if value is not None:
        if mode & CORRECT and value in ("null", "None", ""):
            return None
        tell(problems, f"must be null, not {shown(value)}")
    return value


def boolean(value: Any, problems: list[str], mode: int) -> Any:
    """The check of a boolean."""
    if type(value) is not bool:
        if mode & CORRECT and isinstance(value, str) and value.strip().lower() in ("true", "false"):
            return value.strip().lower() == "true"
        tell(problems, f"must be true or false, not {shown(value)}")
    return value


def choice(allowed: list[Any]) -> Check:
    """The check of one of several values."""
    exact = [(type(one), one) for one in allowed]
    texts = {str(one).strip().casefold(): one for one in allowed if isinstance(one, str)}
    listed = ", ".join(shown(one) for one in allowed[:20]) + (", …" if len(allowed) > 20 else "")

    def check(value: Any, problems: list[str], mode: int) -> Any:
        for kind, one in exact:
            if value == one and (type(value) is kind or not (bool in (kind, type(value)) or isinstance(value, str))):
                return one
        # Some providers do not keep the case of a choice.
        if mode & CORRECT and isinstance(value, str) and value.strip().casefold() in texts:
            return texts[value.strip().casefold()]
        tell(problems, f"must be {'one of ' if len(allowed) > 1 else ''}{listed}, not {shown(value)}")
        return value

    return check


def _bounds(schema: Mapping[str, Any]) -> list[tuple[Callable[[Any], bool], str]]:
    found: list[tuple[Callable[[Any], bool], str]] = []
    for key, said, compare in (  # the bound comes first
        ("minimum", "at least", operator.le),
        ("exclusiveMinimum", "greater than", operator.lt),
        ("maximum", "at most", operator.ge),
        ("exclusiveMaximum", "less than", operator.gt),
    ):
        bound = schema.get(key)
        if isinstance(bound, (int, float)) and not isinstance(bound, bool):
            found.append((partial(compare, bound), f"{said} {bound}"))
    step = schema.get("multipleOf")
    if isinstance(step, (int, float)) and step > 0:
        found.append((lambda value: _is_multiple(value, step), f"a multiple of {step}"))
    return found


def _is_multiple(value: Any, step: float) -> bool:
    if isinstance(value, int) and isinstance(step, int):
        return value % step == 0
    try:
        return decimal.Decimal(str(value)) % decimal.Decimal(str(step)) == 0
    except decimal.InvalidOperation:
        return False


def numeric(kind: str, schema: Mapping[str, Any]) -> Check:
    """The check of a number."""
    whole = kind == "integer"
    wanted = int if whole else float
    name = NAMES[kind]
    bounds = _bounds(schema)

    def check(value: Any, problems: list[str], mode: int) -> Any:
        if type(value) is not wanted:
            value = _as_number(value, whole, mode)
            if isinstance(value, bool) or not isinstance(value, (int,) if whole else (int, float)):
                tell(problems, f"must be {name}, not {shown(value)}")
                return value
        if not whole and isinstance(value, float) and not isfinite(value):
            tell(problems, "must be a finite number")
            return value
        for holds, said in bounds:
            if not holds(value):
                tell(problems, f"must be {said}, not {shown(value)}")
        return value

    return check


def _as_number(value: Any, whole: bool, mode: int) -> Any:
    if isinstance(value, float) and whole:
        return int(value) if value.is_integer() else value
    if mode & CORRECT and isinstance(value, str):
        if _WHOLE.fullmatch(value):
            return int(value)
        if _NUMBER.fullmatch(value):
            number = float(value)
            return int(number) if whole and number.is_integer() else number
    return value


def string(schema: Mapping[str, Any]) -> Check:
    """The check of a text."""
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    pattern = _pattern(schema.get("pattern"))
    form = schema.get("format")
    parse = _FORMATS.get(form) if isinstance(form, str) else None
    bounds = _bounds(schema) if form == "decimal" else []
    if not (least or most is not None or pattern or parse):
        return _plain_string

    def check(value: Any, problems: list[str], mode: int) -> Any:
        start = len(problems)
        value = _plain_string(value, problems, mode)
        if len(problems) > start:
            return value
        if len(value) < least or (most is not None and len(value) > most):
            tell(problems, f"must have {bounds_in_words(least, most)} characters, not {len(value)}")
        if pattern is not None and not pattern.search(value):
            tell(problems, f"must match the pattern {schema['pattern']}, not be {shown(value)}")
        if parse is not None:
            try:
                made = parse(value)
            except (ValueError, ArithmeticError, OverflowError):
                tell(problems, f"must be a {form}{_EXAMPLES.get(form, '')}, not {shown(value)}")
            else:
                for holds, said in bounds:
                    if not holds(made):
                        tell(problems, f"must be {said}, not {shown(value)}")
        return value

    return check


def _plain_string(value: Any, problems: list[str], mode: int) -> Any:
    if type(value) is not str:
        if mode & CORRECT and isinstance(value, (int, float)) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str):
            tell(problems, f"must be a text, not {shown(value)}")
    return value


def _pattern(pattern: Any) -> re.Pattern[str] | None:
    if not isinstance(pattern, str):
        return None
    try:
        return re.compile(pattern)
    except re.error:  # ECMA 262 has forms that Python lacks; the provider enforces them
        return None


def _date_time(text: str) -> datetime.datetime:
    if len(text) < 11:
        raise ValueError("a date without a time")
    return datetime.datetime.fromisoformat(text)


def _base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _decimal(text: str) -> decimal.Decimal:
    made = decimal.Decimal(text)
    if not made.is_finite():
        raise ValueError("not finite")
    return made


_FORMATS: dict[Any, Callable[[str], Any]] = {
    "date-time": _date_time,
    "date": datetime.date.fromisoformat,
    "time": datetime.time.fromisoformat,
    "duration": parse_duration,
    "uuid": uuid.UUID,
    "decimal": _decimal,
    "base64": _base64,
}
_EXAMPLES: dict[Any, str] = {
    "date-time": " such as 2026-01-31T12:00:00Z",
    "date": " such as 2026-01-31",
    "time": " such as 12:00:00",
    "duration": " such as PT1H30M",
    "decimal": " number such as 12.50",
}
