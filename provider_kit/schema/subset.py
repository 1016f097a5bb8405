"""The canonical schema as one provider accepts it.

What a provider refuses is written into the description of its place, so that the model still reads it, and reported;
the answer is checked against the canonical schema in any case. Some forms are rewritten without a loss, and read back
by :mod:`provider_kit.schema.check`: a map becomes a list of ``key`` and ``value``, a tuple an object of its positions,
and a property that may be left out becomes ``null``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from provider_kit.model.json_text import dumps_text
from provider_kit.schema.canonical import CanonicalSchema, resolve
from provider_kit.schema.measures import count_choices, count_properties, depth, is_decidable, reaches, references
from provider_kit.schema.profiles import SchemaProfile
from provider_kit.schema.words import words_of

__all__ = ["Subset", "subset_of"]

#: Keywords that say how a value must be, beyond its type.
CONSTRAINTS = frozenset(
    (
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minLength", "maxLength", "pattern", "format", "minItems", "maxItems", "uniqueItems"),
        *("propertyNames", "minProperties", "maxProperties"),
    )
)
#: Annotations and structure; anything else is left out.
_KNOWN = frozenset(
    (
        *("type", "enum", "anyOf", "$ref", "$defs", "properties", "required", "additionalProperties", "items"),
        *("prefixItems", "description", "default"),
    )
)
_NULL = {"type": "null"}
#: Formats whose loss nobody needs to be told of.
_NOT_ENFORCED_ANYWHERE = frozenset(("decimal", "path", "base64", "binary"))
#: Most warnings about one schema.
_MOST_LOSSES = 10


@frozen
class Subset:
    """What a provider is sent."""

    #: The schema; ``None`` if the provider has none for this type.
    schema: dict[str, Any] | None
    #: Whether the provider can be asked to enforce it.
    strict: bool
    #: What it does not enforce: ``tags: uniqueItems``.
    losses: tuple[str, ...] = ()
    #: Why it cannot be enforced, or sent at all.
    reason: str = ""


class _Impossible(Exception):
    """The profile has no form for a schema."""


def subset_of(schema: Mapping[str, Any], profile: SchemaProfile, *, of_tool: bool = False) -> Subset:
    """The schema to send to a provider; compiled once for each schema and profile.

    Args:
        schema: The canonical schema; of any other, nothing is kept for the next time.
        profile: What the provider accepts.
        of_tool: Whether it is that of a tool, which must be sent. A part that contains itself is then JSON text where
            the provider takes no such schema.
    """
    known = schema.subsets if isinstance(schema, CanonicalSchema) else {}
    key = f"{profile.name}, of a tool" if of_tool else profile.name
    found = known.get(key)
    if found is None:
        found = known[key] = _compile(schema, profile, of_tool)
    return found


def _compile(schema: Mapping[str, Any], profile: SchemaProfile, of_tool: bool) -> Subset:
    writer = _Writer(schema, profile, of_tool and not profile.recursion)
    try:
        made = writer.whole()
    except _Impossible as impossible:
        reason = str(impossible)
        if profile.takes_wishes:
            return Subset(dict(schema), False, (), reason)
        return Subset(None, False, (), reason)
    losses = tuple(dict.fromkeys(writer.losses))
    if len(losses) > _MOST_LOSSES:
        losses = (*losses[:_MOST_LOSSES], f"and {len(losses) - _MOST_LOSSES} more")
    return Subset(made, profile.enforced, losses)


class _Writer:
    def __init__(self, root: Mapping[str, Any], profile: SchemaProfile, recursion_as_text: bool) -> None:
        self.as_text = recursion_as_text
        #: The definitions that are being written in the place of a reference.
        self.inside: list[str] = []
        self.root = dict(root)
        self.profile = profile
        self.losses: list[str] = []
        self.recursive = {
            name for name, schema in (root.get("$defs") or {}).items() if reaches(name, schema, root["$defs"], set())
        }
        self.optional = self.unions = 0

    def whole(self) -> dict[str, Any]:
        profile, root = self.profile, self.root
        if self.recursive and not profile.recursion and not self.as_text:
            raise _Impossible(f"{min(self.recursive)} contains itself")
        made = self.node({key: value for key, value in root.items() if key != "$defs"}, "")
        definitions = {}
        waiting = [name for name in root.get("$defs") or {} if name in set(references(made))]
        while waiting:
            name = waiting.pop()
            if name not in definitions:
                definitions[name] = self.node(root["$defs"][name], name)
                waiting += [other for other in references(definitions[name]) if other not in definitions]
        if definitions:
            made["$defs"] = definitions
        self.check_limits(made)
        return made

    def check_limits(self, made: dict[str, Any]) -> None:
        profile = self.profile
        measured = {
            "properties": (count_properties(made), profile.max_properties),
            "levels": (depth(made, made, 0), profile.max_depth),
            "characters": (len(dumps_text(made)), profile.max_characters),
            "choices": (count_choices(made), profile.max_enum_values),
            "properties that may be left out": (self.optional, profile.max_optional),
            "unions": (self.unions, profile.max_unions),
        }
        for name, (count, limit) in measured.items():
            if limit is not None and count > limit:
                raise _Impossible(f"it has {count} {name}, and the limit is {limit}")

    def node(self, schema: Mapping[str, Any], where: str) -> dict[str, Any]:
        """The schema of one place."""
        profile = self.profile
        if "$ref" in schema:
            return self.reference(schema, where)
        if not (schema.keys() & {"type", "anyOf", "enum", "allOf"}):
            if not profile.untyped:
                raise _Impossible(f"{where or 'it'} may be any value")
            return {key: value for key, value in schema.items() if key in ("description", "default")}
        if "allOf" in schema:
            raise _Impossible(f"{where or 'it'} combines schemas by allOf")
        kind = schema.get("type")
        if isinstance(kind, list):
            branches = [{**{k: v for k, v in schema.items() if k != "description"}, "type": one} for one in kind]
            said = {"description": schema["description"]} if "description" in schema else {}
            return self.node({"anyOf": branches, **said}, where)
        if kind == "object" and "properties" not in schema and profile.closed:
            return self.entries(schema, where)
        if kind == "array" and "prefixItems" in schema and not profile.prefix_items:
            return self.positions(schema, where)
        made: dict[str, Any] = {key: schema[key] for key in ("type", "enum", "description") if key in schema}
        if "default" in schema:
            if profile.defaults:
                made["default"] = schema["default"]
            else:
                _describe(made, f"default: {dumps_text(schema['default'])}")
        if "anyOf" in schema:
            made["anyOf"] = self.branches(schema["anyOf"], where)
        if kind == "object":
            self.object(schema, made, where)
        if kind == "array":
            self.array(schema, made, where)
        self.constraints(schema, made, where)
        return made

    def constraints(self, schema: Mapping[str, Any], made: dict[str, Any], where: str) -> None:
        profile = self.profile
        allowed = profile.keywords(schema.get("type"))
        own = allowed - profile.ignored if profile.enforced else frozenset()
        for key in schema.keys() & CONSTRAINTS:
            value = schema[key]
            taken = key in allowed and _fits(key, value, profile)
            if taken:
                made[key] = value
            else:
                _describe(made, words_of(key, value))
            if not (taken and key in own) and not (key == "format" and value in _NOT_ENFORCED_ANYWHERE):
                self.losses.append(f"{where}: {key}" if where else key)

    def object(self, schema: Mapping[str, Any], made: dict[str, Any], where: str) -> None:
        profile = self.profile
        required = list(schema.get("required") or ())
        properties: dict[str, Any] = {}
        for name, inner in (schema.get("properties") or {}).items():
            written = self.node(inner, f"{where}.{name}" if where else name)
            if name not in required:
                if profile.all_required:
                    written = self.nullable(written)
                    required.append(name)
                else:
                    self.optional += 1
            properties[name] = written
        if "properties" in schema:
            made["properties"] = properties
            if required:
                made["required"] = [name for name in properties if name in required]
        more = schema.get("additionalProperties")
        if profile.closed or more is False:
            made["additionalProperties"] = False
        elif isinstance(more, Mapping):
            made["additionalProperties"] = self.node(more, f"{where}[…]")
        if profile.all_required and "properties" in schema:
            made.setdefault("required", [])

    def nullable(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The schema of a property that may be left out, where it must be written: ``null`` stands for that."""
        branches = schema.get("anyOf")
        if branches is not None:
            return schema if _NULL in branches else {**schema, "anyOf": self.bounded([*branches, _NULL])}
        self.unions += 1
        said = {"description": schema["description"]} if "description" in schema else {}
        inner = {key: value for key, value in schema.items() if key != "description"}
        if "$ref" in inner and not self.profile.references_in_unions:
            raise _Impossible("a part that contains itself may be left out")
        return {"anyOf": [inner, dict(_NULL)], **said}

    def array(self, schema: Mapping[str, Any], made: dict[str, Any], where: str) -> None:
        if "prefixItems" in schema:
            made["prefixItems"] = [self.node(one, f"{where}[{n}]") for n, one in enumerate(schema["prefixItems"])]
            made["items"] = False
        elif isinstance(schema.get("items"), Mapping):
            made["items"] = self.node(schema["items"], f"{where}[]")
        elif not self.profile.untyped:
            raise _Impossible(f"the items of {where or 'it'} may be any value")

    def entries(self, schema: Mapping[str, Any], where: str) -> dict[str, Any]:
        """A map as a list of its entries."""
        names = schema.get("propertyNames")
        key: dict[str, Any] = {"type": "string"}
        if isinstance(names, Mapping):
            key |= {name: value for name, value in names.items() if name in ("enum", "pattern", "format")}
        more = schema.get("additionalProperties", True)
        if not isinstance(more, Mapping):
            raise _Impossible(f"{where or 'it'} may hold any value")
        rest = {name: schema[name] for name in ("description", "default") if name in schema}
        least, most = schema.get("minProperties"), schema.get("maxProperties")
        rest |= {name: n for name, n in (("minItems", least), ("maxItems", most)) if n is not None}
        item = {"type": "object", "properties": {"key": key, "value": more}, "required": ["key", "value"]}
        made = self.node({"type": "array", "items": item, **rest}, where)
        _describe(made, "one item for each key, none twice")
        return made

    def positions(self, schema: Mapping[str, Any], where: str) -> dict[str, Any]:
        """A tuple as an object of its positions."""
        names = {f"item_{number}": one for number, one in enumerate(schema["prefixItems"], 1)}
        rest = {name: schema[name] for name in ("description",) if name in schema}
        made = self.node({"type": "object", "properties": names, "required": list(names), **rest}, where)
        made["additionalProperties"] = False
        return made

    def branches(self, schemas: list[Any], where: str) -> list[dict[str, Any]]:
        """The branches of a union."""
        self.unions += 1
        made = [self.node(one, where) for one in schemas]
        if not self.profile.references_in_unions:
            made = [self.inlined(one) for one in made]
        return self.bounded(made)

    def bounded(self, made: list[dict[str, Any]]) -> list[dict[str, Any]]:
        limit = self.profile.max_branches
        if limit is not None and len(made) > limit:
            raise _Impossible(f"a union has {len(made)} branches, and the limit is {limit}")
        if self.profile.decidable_unions and not is_decidable(made, self.root):
            raise _Impossible("the branches of a union cannot be told apart by a property")
        return made

    def reference(self, schema: Mapping[str, Any], where: str) -> dict[str, Any]:
        """A reference, with what stands beside it."""
        name = schema["$ref"].rpartition("/")[2]
        beside = {key: value for key, value in schema.items() if key in ("description", "default")}
        if name in self.recursive and self.as_text:
            return self.inlined_once(name, beside, where)
        if not beside or self.profile.reference_siblings:
            return {"$ref": schema["$ref"], **beside}
        if name not in self.recursive:
            return self.node({**resolve(schema["$ref"], self.root), **beside}, where)
        if not self.profile.references_in_unions:
            return {"$ref": schema["$ref"]}
        self.unions += 1
        made: dict[str, Any] = {"anyOf": [{"$ref": schema["$ref"]}]}
        if "description" in beside:
            made["description"] = beside["description"]
        return made

    def inlined_once(self, name: str, beside: Mapping[str, Any], where: str) -> dict[str, Any]:
        """A part that contains itself, written in place; inside itself it is JSON text."""
        if name in self.inside:
            made = {"type": "string", **{key: value for key, value in beside.items() if key == "description"}}
            _describe(made, f"a {name} like the one around it, written as JSON text")
            return made
        self.inside.append(name)
        try:
            return self.node({**resolve(f"#/$defs/{name}", self.root), **beside}, where)
        finally:
            self.inside.pop()

    def inlined(self, branch: dict[str, Any]) -> dict[str, Any]:
        if "$ref" not in branch:
            return branch
        name = branch["$ref"].rpartition("/")[2]
        if name in self.recursive:
            raise _Impossible(f"{name} contains itself inside a union")
        return self.node(resolve(branch["$ref"], self.root), name)


def _fits(key: str, value: Any, profile: SchemaProfile) -> bool:
    if key == "format":
        return value in profile.formats
    if key == "pattern":
        return isinstance(value, str) and not any(mark in value for mark in ("(?", "\\b", "\\B", "\\p", "\\1"))
    limit = profile.greatest.get(key)
    return limit is None or value <= limit


def _describe(made: dict[str, Any], said: str) -> None:
    """Add a note to a description."""
    text = made.get("description")
    made["description"] = f"{text} ({said})" if text else f"({said})"
