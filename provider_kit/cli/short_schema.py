"""The schema of an answer as it is given on the command line: in short, as JSON, or in a file.

``name, age int, tags list: what it is about`` has a property for each item: its name, its type (``str`` unless it says
otherwise), and after a colon what it is.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any

from provider_kit.errors import InvalidRequestError
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.text_bytes import read_text

__all__ = ["read_schema", "short_schema"]

_TYPES: dict[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "list": {"type": "array", "items": {"type": "string"}},
}
_TYPES |= {
    other: _TYPES[name]
    for name, others in {
        "str": "string text",
        "int": "integer",
        "float": "number",
        "bool": "boolean",
        "list": "array",
    }.items()
    for other in others.split()
}
_ITEM = re.compile(r"(?P<name>[A-Za-z_]\w*)(?:\s+(?P<type>[A-Za-z]+))?(?:\s*:\s*(?P<about>\S.*))?", re.DOTALL)
#: What makes an object a schema.
_STRUCTURE = {"type", "properties", "anyOf", "oneOf", "allOf", "enum", "const", "items", "$ref"}
_RULES = (
    "An item is a name of one word (first_name), a type (str, int, float, bool, list), and a description after a "
    "colon; where a description has commas, each item is a line."
)
_EXAMPLE = "--schema 'name, age int, bio: two sentences', --schema '{\"type\": \"object\", …}', or a file"


def read_schema(given: str) -> dict[str, Any]:
    """A JSON Schema: a file, the schema itself, or the short form.

    Raises:
        InvalidRequestError: It is none of these.
    """
    text = given
    if not given.lstrip().startswith(("{", "[")):
        if not os.path.exists(given) and not given.strip().endswith(".json"):
            return short_schema(given)
        text = _text_of(given)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(
            f"The schema is not valid JSON: {error}.", hint="Check it with python -m json.tool."
        ) from None
    if not isinstance(found, dict) or not found or not _STRUCTURE & found.keys():
        raise InvalidRequestError(
            "A JSON Schema is an object with a type, or with properties.", hint=f"Write {_EXAMPLE}."
        )
    return found


def _text_of(path: str) -> str:
    try:
        with open(path, "rb") as file:
            read = read_text(file.read())
    except OSError as error:
        raise InvalidRequestError(
            f"The schema file {path} cannot be read: {error.strerror or error}.", hint=f"Write {_EXAMPLE}."
        ) from None
    if read is None:
        raise InvalidRequestError(f"The schema file {path} is not text in UTF-8.", hint="Save it as UTF-8.")
    return read


def short_schema(text: str) -> dict[str, Any]:
    """The JSON Schema of a list of names and types.

    Args:
        text: Items between commas, or one in each line where a description holds commas.

    Raises:
        InvalidRequestError: An item has no name, or a type that is not known.
    """
    items = [item.strip() for item in text.split("\n" if "\n" in text.strip() else ",") if item.strip()]
    properties: dict[str, Any] = {}
    for item in items:
        found = _ITEM.fullmatch(item)
        if found is None:
            raise InvalidRequestError(f"{item!r} is no property of a schema.", hint=f"{_RULES} Write {_EXAMPLE}.")
        kind, about = (found["type"] or "str").lower(), (found["about"] or "").strip()
        if not found["type"] and about.lower() in _TYPES:  # as Python and YAML write it
            kind, about = about.lower(), ""
        if kind not in _TYPES:
            raise InvalidRequestError(
                f"{found['type']!r} is no type: {item!r}.",
                hint=f"{did_you_mean(kind, ('int', 'float', 'bool', 'list'))}{_RULES}",
            )
        if found["name"] in properties:
            raise InvalidRequestError(
                f"The schema has two properties {found['name']!r}.", hint="Leave one out, or give it another name."
            )
        properties[found["name"]] = {**_TYPES[kind], **({"description": about} if about else {})}
    if not properties:
        raise InvalidRequestError("The schema is empty.", hint=f"Write {_EXAMPLE}.")
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
