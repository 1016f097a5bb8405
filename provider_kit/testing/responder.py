"""A model of a few rules, so that a conversation, a tool call and a structured answer make sense.

It greets, remembers a name, adds numbers, calls a matching tool, reports its result, and fills a JSON Schema. It
repeats anything else. It is not a language model, and says so.
"""

from __future__ import annotations

import json
import operator
import re
from typing import Any

from provider_kit.dialects.replies import Asked, Reply, ReplyCall
from provider_kit.model.json_text import dumps_text

__all__ = ["respond"]

_OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "x": operator.mul, "/": operator.truediv}
_SUM = re.compile(r"(-?\d+(?:\.\d+)?)\s*([+\-*x/])\s*(-?\d+(?:\.\d+)?)")
_NAME = re.compile(r"\bmy name is ([A-Z][\w-]*)", re.IGNORECASE)


def respond(asked: Asked) -> Reply:
    """The answer to a request."""
    thinking = "The rules say what to answer." if asked.wants_thinking else ""
    if asked.model.rsplit("/", 1)[-1] == "echo":
        reply = Reply(asked.last[1])
    else:
        reply = _tool_call(asked) or _structured(asked) or Reply(_sentence(asked))
    reply.thinking = thinking
    reply.input_tokens = sum(len(text.split()) + 1 for _, text in asked.turns)
    return _shorten(reply, asked)


def _shorten(reply: Reply, asked: Asked) -> Reply:
    for stop in asked.stop:
        reply.text = reply.text.partition(stop)[0]
    words = reply.text.split()
    if asked.max_tokens is not None and not reply.tool_calls and len(words) > asked.max_tokens:
        reply.text = " ".join(words[: asked.max_tokens])
        reply.finish_reason = "length"
    return reply


def _tool_call(asked: Asked) -> Reply | None:
    role, text = asked.last
    if role == "tool" or not asked.tools or asked.tool_choice == "none":
        return None
    if asked.tool_choice in asked.tools:
        name: str | None = asked.tool_choice
    else:
        words = set(re.findall(r"[a-z]{3,}", text.lower()))
        scores = {tool: len(words & set(re.findall(r"[a-z]{3,}", tool.lower()))) for tool in asked.tools}
        name = max(scores, key=lambda tool: scores[tool])
        if not scores[name] and asked.tool_choice != "required":
            return None
    assert name is not None
    return Reply(tool_calls=[ReplyCall(name, fill(asked.tools[name], text), f"call_{name}_{len(asked.called) + 1}")])


def _structured(asked: Asked) -> Reply | None:
    schema = asked.schema or _described(asked) or asked.schema
    if schema is None:
        return None
    value = fill(schema, asked.last[1]) if schema else {"answer": asked.last[1]}
    return Reply(dumps_text(value))


def _described(asked: Asked) -> dict[str, Any] | None:
    """The schema that the system prompt describes, for APIs that have no form for it."""
    for role, text in asked.turns:
        _, found, rest = text.partition("valid for this JSON schema: ") if role == "system" else ("", "", "")
        if found:
            schema, _ = json.JSONDecoder().raw_decode(rest)
            return schema if isinstance(schema, dict) else None
    return None


def fill(schema: dict[str, Any], text: str) -> Any:
    """A value that matches a JSON Schema, built from a text."""
    return _Filler(schema, text).value(schema, 0)


#: Words with a capital within a sentence; and a name that begins one: "Bob is 7".
_NAMES = re.compile(r"(?<!^)(?<![.?!] )\b[A-Z][\w-]+")
_SUBJECT = re.compile(
    r"(?:^|[.?!] )(?!There|That|This|It|He|She|What|Who|The|Here)([A-Z][\w-]+)(?=,| (?:is|was|has)\b)"
)


class _Filler:
    def __init__(self, root: dict[str, Any], text: str) -> None:
        self._root = root
        self._numbers = [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", text)]
        named = _NAMES.findall(text) or _SUBJECT.findall(text)
        self._is_named = bool(named)
        self._names = named or [text.rstrip("?!. ").rpartition(" ")[2]]
        self._text = text

    def value(self, schema: dict[str, Any], depth: int, name: str = "") -> Any:
        if "$ref" in schema:
            schema = self._resolve(schema["$ref"])
        for key in ("const", "default"):
            if key in schema:
                return schema[key]
        if schema.get("enum"):
            return next((v for v in schema["enum"] if str(v).lower() in self._text.lower()), schema["enum"][0])
        for key in ("anyOf", "oneOf", "allOf"):
            if schema.get(key):
                return self.value(schema[key][0], depth, name)
        # What has no type is a number where the text has numbers and no names.
        plain = "number" if self._numbers and not self._is_named else "string"
        kind = schema.get("type", "object" if "properties" in schema else plain)
        kind = kind[0] if isinstance(kind, list) else kind
        if kind == "object":
            fields = schema.get("properties") or {}
            wanted = schema.get("required") if depth > 3 else None
            return {key: self.value(fields[key], depth + 1, key) for key in (wanted or fields) if key in fields}
        if kind == "array":
            count = max(1, int(schema.get("minItems", 1))) if depth < 6 else int(schema.get("minItems", 0))
            return [self.value(schema.get("items") or {}, depth + 1, name) for _ in range(count)]
        if kind in ("integer", "number"):
            return self._number(schema, kind)
        if kind == "boolean":
            return not re.search(r"\b(?:no|not|false)\b", self._text.lower())
        return None if kind == "null" else self._string(schema)

    def _resolve(self, reference: str) -> dict[str, Any]:
        found: Any = self._root
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
        return dict(found)

    def _number(self, schema: dict[str, Any], kind: str) -> float | int:
        number = self._numbers.pop(0) if self._numbers else 1.0
        number = max(number, schema.get("minimum", number))
        number = min(number, schema.get("maximum", number))
        return int(number) if kind == "integer" or number.is_integer() else number

    def _string(self, schema: dict[str, Any]) -> str:
        text: str = self._names.pop(0) if len(self._names) > 1 else self._names[0]
        text = text[: schema.get("maxLength", len(text))]
        return text.ljust(int(schema.get("minLength", 0)), "-")


def _sentence(asked: Asked) -> str:
    role, text = asked.last
    if role == "tool":
        return f"{asked.called[-1] if asked.called else 'The tool'} says: {text}"
    calculation = _SUM.search(text)
    if calculation:
        left, sign, right = calculation.groups()
        if sign == "/" and float(right) == 0:
            return "Nothing can be divided by zero."
        return f"{left} {sign} {right} = {_OPERATORS[sign](float(left), float(right)):g}"
    if re.search(r"\bmy name\b.*\?", text, re.IGNORECASE):
        for other, said in reversed(asked.turns):
            found = _NAME.search(said) if other == "user" else None
            if found:
                return f"Your name is {found[1]}."
        return "You have not told me your name."
    named = _NAME.search(text)
    if named:
        return f"Nice to meet you, {named[1]}!"
    if re.match(r"\s*(?:hi|hello|hey|good (?:morning|evening|day))\b", text, re.IGNORECASE):
        return "Hello! I am the demo model of provider_kit: a few rules, no intelligence. Ask me 2 + 3."
    return f"You said: {text}"
