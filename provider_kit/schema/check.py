"""Checks a JSON value against a schema, and corrects what is only written differently.

A schema is compiled once into functions. A check returns the corrected value and the problems, each with its place, in
words a model can act on. Corrected are numbers and booleans written as texts, numbers where a text is wanted, whole
numbers written with a fraction of zero, objects and lists written as JSON text, ``null`` for a property that may be
left out, and the forms that :mod:`provider_kit.schema.subset` gives to maps and tuples.

Keywords this module does not know are ignored, as the specification demands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provider_kit.errors import InvalidRequestError
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.schema.canonical import resolve
from provider_kit.schema.check_scalars import boolean, choice, null, numeric, string
from provider_kit.schema.json_repair import loads_repaired
from provider_kit.schema.problems import (
    CORRECT,
    EXACT,
    LENIENT,
    MODES,
    MOST_PROBLEMS,
    NAMES,
    OPEN,
    Check,
    bounds_in_words,
    place,
    shown,
    tell,
)

__all__ = ["compile_check"]

#: For each mode those that are no more lenient, in which the branches of a union are tried.
_STRICTER = {mode: tuple(one for one in MODES if one & mode == one) for mode in MODES}


def compile_check(schema: Mapping[str, Any], root: Mapping[str, Any] | None = None) -> Check:
    """Compile a schema; references point into ``root``, by default into the schema itself."""
    check = _Compiler(root if root is not None else schema).compile(schema)

    def whole(value: Any, problems: list[str], mode: int) -> Any:
        try:
            return check(value, problems, mode)
        except RecursionError:
            tell(problems, "is nested too deeply")
            return value

    return whole


class _Compiler:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = dict(root)
        self._by_reference: dict[str, Check] = {}

    def compile(self, schema: Any) -> Check:
        if schema is True or schema == {}:
            return _anything
        if schema is False:
            return _nothing
        checks: list[Check] = []
        if "$ref" in schema:
            checks.append(self._reference(schema["$ref"]))
        for key in ("anyOf", "oneOf"):
            if schema.get(key):
                checks.append(self._any_of(schema[key]))
        checks.extend(self.compile(one) for one in schema.get("allOf") or ())
        kind = schema.get("type")
        if kind is None and ("properties" in schema or "additionalProperties" in schema):
            kind = "object"
        if isinstance(kind, list):
            checks.append(self._any_of([{**schema, "type": one} for one in kind]) if kind else _nothing)
            return _all(checks)
        if kind is not None:
            checks.append(self._typed(kind, schema))
        if "const" in schema:
            checks.append(choice([schema["const"]]))
        if isinstance(schema.get("enum"), list):
            checks.append(choice(schema["enum"]))
        return _all(checks)

    def _reference(self, reference: str) -> Check:
        known = self._by_reference
        if reference not in known:

            def later(value: Any, problems: list[str], mode: int) -> Any:
                return known[reference](value, problems, mode)

            known[reference] = later  # a schema that contains itself
            try:
                known[reference] = self.compile(resolve(reference, self._root))
            except (KeyError, TypeError) as error:
                raise InvalidRequestError(
                    f"The schema refers to {reference!r}, which it does not have.",
                    hint="Only references into the same schema work: {'$ref': '#/$defs/…'}.",
                ) from error
        return known[reference]

    def _any_of(self, schemas: list[Any]) -> Check:
        checks = [self.compile(one) for one in schemas]
        names = " or ".join(dict.fromkeys(filter(None, (self._named(one) for one in schemas))))

        def check(value: Any, problems: list[str], mode: int) -> Any:
            for stricter in _STRICTER[mode]:
                closest: list[str] | None = None
                for one in checks:
                    found: list[str] = []
                    made = one(value, found, stricter)
                    if not found:
                        return made
                    if closest is None or _nearer(found, closest):
                        closest = found
            # Where one branch is almost right, its problems say more than that none is right.
            if closest and any(not said.startswith("\0:") for said in closest):
                problems.extend(closest[: MOST_PROBLEMS - len(problems)])
            elif len(checks) == 2 and names.endswith(" or null") and closest:
                problems.extend(self_found[:1] if (self_found := _problems_of(checks[0], value)) else closest[:1])
            else:
                tell(problems, f"must be {names or 'one of the described forms'}, not {shown(value)}")
            return value

        return check

    def _named(self, schema: Any) -> str:
        if not isinstance(schema, Mapping):
            return ""
        if "$ref" in schema:
            return f"a {schema['$ref'].rpartition('/')[2]}"
        if schema.get("enum"):
            return ", ".join(shown(one) for one in schema["enum"][:10])
        if schema.get("format"):
            return f"a {schema['format']}"
        kind = schema.get("type")
        return NAMES.get(kind, "") if isinstance(kind, str) else ""

    def _typed(self, kind: str, schema: Mapping[str, Any]) -> Check:
        if kind == "object":
            return self._object(schema)
        if kind == "array":
            return self._array(schema)
        if kind in ("integer", "number"):
            return numeric(kind, schema)
        if kind == "string":
            return string(schema)
        if kind == "boolean":
            return boolean
        return null if kind == "null" else _anything

    def _object(self, schema: Mapping[str, Any]) -> Check:
        properties = {key: self.compile(one) for key, one in (schema.get("properties") or {}).items()}
        required = tuple(schema.get("required") or ())
        optional = frozenset(
            key for key, one in (schema.get("properties") or {}).items() if key not in required and not _nullable(one)
        )
        more = schema.get("additionalProperties", True)
        others = self.compile(more) if isinstance(more, Mapping) else None
        is_map = others is not None and not properties
        names = schema.get("propertyNames")
        check_name = self.compile(names) if isinstance(names, Mapping) else None
        least, most = schema.get("minProperties", 0), schema.get("maxProperties")

        def check(value: Any, problems: list[str], mode: int) -> Any:
            if type(value) is not dict:
                value = _as_object(value, is_map) if mode & CORRECT else value
                if not isinstance(value, dict):
                    tell(problems, f"must be an object, not {shown(value)}")
                    return value
            made: dict[str, Any] = {}
            for key, item in value.items():
                known = properties.get(key)
                if known is None:
                    if others is None:
                        if more is False:
                            if not mode & OPEN:
                                tell(problems, f"has the unknown property {shown(key)}")
                            continue
                        made[key] = item
                        continue
                    known = others
                elif item is None and mode & CORRECT and key in optional:
                    continue  # written because the provider demands every property
                start = len(problems)
                made[key] = known(item, problems, mode)
                if len(problems) > start:
                    place(f".{key}", problems, start)
                if check_name is not None:
                    start = len(problems)
                    check_name(key, problems, EXACT)
                    if len(problems) > start:
                        place(f" key {shown(key)}", problems, start)
            for key in required:
                if key not in made:
                    said = did_you_mean(key, [name for name in value if name not in properties]) if value else ""
                    start = len(problems)
                    tell(problems, "is missing" + (f"; you wrote {said[13:-2].strip()}" if said else ""))
                    place(f".{key}", problems, start)
            if len(made) < least or (most is not None and len(made) > most):
                tell(problems, f"must have {bounds_in_words(least, most)} properties, not {len(made)}")
            return made

        return check

    def _array(self, schema: Mapping[str, Any]) -> Check:
        prefix = [self.compile(one) for one in schema.get("prefixItems") or ()]
        rest = schema.get("items", True)
        item_check = self.compile(rest)
        least, most = schema.get("minItems", 0), schema.get("maxItems")
        unique = schema.get("uniqueItems", False)

        def check(value: Any, problems: list[str], mode: int) -> Any:
            if type(value) is not list:
                value = _as_list(value, len(prefix)) if mode & CORRECT else value
                if not isinstance(value, list):
                    tell(problems, f"must be a list, not {shown(value)}")
                    return value
            made = []
            for number, item in enumerate(value):
                start = len(problems)
                one = prefix[number] if number < len(prefix) else item_check
                made.append(one(item, problems, mode))
                if len(problems) > start:
                    place(f"[{number}]", problems, start)
            if len(made) < least or (most is not None and len(made) > most):
                tell(problems, f"must have {bounds_in_words(least, most)} items, not {len(made)}")
            if unique and len(made) > 1:
                made = _distinct(made, problems, mode)
            return made

        return check


def _problems_of(check: Check, value: Any) -> list[str]:
    found: list[str] = []
    check(value, found, LENIENT)
    return found


def _nearer(found: list[str], than: list[str]) -> bool:
    """Whether problems are those of a branch that is closer: they lie deeper, or are fewer."""
    depth, other = min(map(_depth, found)), min(map(_depth, than))
    return (depth, -len(found)) > (other, -len(than))


def _depth(said: str) -> int:
    return 0 if said.startswith("\0:") else 1


def _all(checks: list[Check]) -> Check:
    if not checks:
        return _anything
    if len(checks) == 1:
        return checks[0]

    def check(value: Any, problems: list[str], mode: int) -> Any:
        for one in checks:
            start = len(problems)
            value = one(value, problems, mode)
            if len(problems) > start:
                break
        return value

    return check


def _anything(value: Any, problems: list[str], mode: int) -> Any:
    return value


def _nothing(value: Any, problems: list[str], mode: int) -> Any:
    tell(problems, "is not allowed here")
    return value


def _nullable(schema: Any) -> bool:
    if not isinstance(schema, Mapping):
        return schema is True
    if not schema:
        return True
    kind = schema.get("type")
    if kind == "null" or (isinstance(kind, list) and "null" in kind) or None in schema.get("enum", ()):
        return True
    return any(_nullable(one) for one in schema.get("anyOf") or schema.get("oneOf") or ())


def _as_object(value: Any, is_map: bool) -> Any:
    """An object written as JSON text, or a map written as a list of entries."""
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        try:
            value = loads_repaired(value)
        except ValueError:
            return value
    if is_map and isinstance(value, list) and all(isinstance(one, dict) and "key" in one for one in value):
        return {str(one["key"]): one.get("value") for one in value}
    return value


def _as_list(value: Any, positions: int) -> Any:
    """A list written as JSON text, or a tuple written as an object of its positions."""
    if isinstance(value, str) and value.lstrip()[:1] == "[":
        try:
            return loads_repaired(value)
        except ValueError:
            return value
    if positions and isinstance(value, dict):
        names = [f"item_{number}" for number in range(1, positions + 1)]
        if all(name in value for name in names):
            return [value[name] for name in names]
    return value


def _identity(value: Any) -> Any:
    """A key that is equal for equal JSON values; 1 and true differ."""
    if isinstance(value, dict):
        return ("{", *sorted((key, _identity(item)) for key, item in value.items()))
    if isinstance(value, list):
        return ("[", *map(_identity, value))
    return (type(value) is bool, value)


def _distinct(items: list[Any], problems: list[str], mode: int) -> list[Any]:
    try:
        kept = list({_identity(item): item for item in items}.values())
    except TypeError:  # values that cannot be ordered
        return items
    if len(kept) < len(items):
        if mode & CORRECT:
            return kept
        tell(problems, "must not hold the same item twice")
    return items
