"""YAML as a tree with the line of every value. Safe for hostile files.

The tree is built from parser events: duplicate keys are seen, aliases stay references and are never copied, and depth
is bounded. After a syntax error the line is skipped and reading continues, so that one pass finds all errors.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from attrs import define, field

from provider_kit.config.problems import Problem
from provider_kit.config.syntax import explain_syntax
from provider_kit.wire.redaction import redact

__all__ = ["Item", "is_bounded", "read_document", "scalar_of"]

_MAX_DEPTH = 40
_MAX_VALUES = 50_000
#: Greatest number of syntax errors reported for one file.
_MAX_ROUNDS = 25

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_resolver: Any = yaml.SafeLoader("")


@define
class Item:
    """One value of the document."""

    #: A scalar, a list of items, or a dict from keys to items.
    value: Any = field(repr=False)
    line: int
    column: int
    #: Position of its key; its own position if it has none.
    key_line: int = 0
    key_column: int = 0
    #: Whether a scalar was written without quotes.
    bare: bool = False
    #: A scalar as it was written.
    text: str = field(default="", repr=False)

    def beside(self, line: int, column: int) -> Item:
        """The same value under a key."""
        return Item(self.value, self.line, self.column, line, column, self.bare, self.text)


class _TooMuch(Exception):
    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message, self.line = message, line


#: Characters that are line breaks in YAML but not in editors.
_ODD_BREAKS = str.maketrans(dict.fromkeys("\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029", " "))


def read_document(text: str, file: str) -> tuple[Item | None, list[Problem], set[int]]:
    """The document, as far as it can be read, and what is wrong with its syntax.

    Args:
        text: The file's content.
        file: Its name, for the problems.

    Returns:
        The tree (``None`` for an empty document), the problems, and the lines that could not be read.
    """
    problems: list[Problem] = []
    lines = re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff").translate(_ODD_BREAKS))
    original = list(lines)
    seen: dict[int, int] = {}
    for _ in range(_MAX_ROUNDS):
        builder = _Builder(file)
        try:
            tree = builder.build("\n".join(lines) + "\n")
        except _TooMuch as error:
            told = Problem(message=error.message, remedy="Shorten it.", file=file, line=error.line)
            return None, [*problems, told], set(seen)
        except yaml.YAMLError as error:
            line, column, message, remedy = explain_syntax(error, original)
            seen[line] = seen.get(line, 0) + 1
            if seen[line] == 1:
                problems.append(Problem(message=message, remedy=remedy, file=file, line=line, column=column))
            if seen[line] > 2 or line > len(lines):
                return None, problems, set(seen)
            lines[line - 1] = _without_value(lines[line - 1]) if seen[line] == 1 else ""
            continue
        found = [problem for problem in builder.problems if problem.line not in seen]
        return tree, [*problems, *found], set(seen)
    return None, problems, set(seen)


def _without_value(line: str) -> str:
    """A line that cannot be read, with an empty text as its value, so that its key is kept."""
    key = re.match(r"^( *(?:- +)*[\w.\"'-]+):(?:\s|$)", line)
    return f"{key[1]}: ''" if key else ""


class _Builder:
    """Builds the tree of one document from the parser's events."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.problems: list[Problem] = []
        self._anchors: dict[str, Item] = {}
        self._count = 0

    def build(self, text: str) -> Item | None:
        """The tree.

        Raises:
            yaml.YAMLError: The text is not YAML.
            _TooMuch: It is nested too deeply, or has too many values.
        """
        root: Item | None = None
        stack: list[tuple[Item, list[Item]]] = []
        documents = 0
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents == 2:
                    self._tell(event, "There are several documents in the file.", "Keep one; remove the '---' here.")
                continue
            if isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
                item, parts = stack.pop()
                item.value = parts if isinstance(event, yaml.SequenceEndEvent) else self._pairs(parts)
                continue
            made = self._item(event)
            if made is None:
                continue
            self._count += 1
            if self._count > _MAX_VALUES:
                raise _TooMuch(f"The document has more than {_MAX_VALUES:,} values.", made.line)
            if documents < 2:
                if stack:
                    stack[-1][1].append(made)
                else:
                    root = made
            if isinstance(event, yaml.CollectionStartEvent):
                if len(stack) >= _MAX_DEPTH:
                    raise _TooMuch(f"The document is nested more than {_MAX_DEPTH} levels deep.", made.line)
                stack.append((made, []))
        return root

    def _item(self, event: Any) -> Item | None:
        if isinstance(event, yaml.AliasEvent):
            known = self._anchors.get(event.anchor or "")
            if known is None:
                self._tell(
                    event,
                    f"*{redact(event.anchor or '')} refers to an anchor that does not exist.",
                    "A value that begins with * needs quotes; an anchor is written &name.",
                )
                return self._at(event, None)
            return known
        if isinstance(event, yaml.ScalarEvent):
            item = self._at(event, self._scalar(event))
            item.text, item.bare = event.value, event.implicit[0]
        elif isinstance(event, yaml.CollectionStartEvent):
            item = self._at(event, None)
        else:
            return None
        if event.anchor:
            self._anchors[event.anchor] = item
        return item

    def _at(self, event: Any, value: Any) -> Item:
        mark = event.start_mark
        return Item(value, mark.line + 1, mark.column + 1, mark.line + 1, mark.column + 1)

    def _scalar(self, event: Any) -> Any:
        """The value of a scalar: text if it is quoted, else text, number, boolean or null."""
        if event.tag is not None and event.tag not in ("!", "tag:yaml.org,2002:str"):
            if not event.tag.startswith("tag:yaml.org,2002:"):
                self._tell(
                    event,
                    f"{redact(event.tag)} is an unknown tag.",
                    "A value that begins with ! needs quotes.",
                )
                return event.value
            return event.value
        if not event.implicit[0]:
            return event.value
        tag = _resolver.resolve(yaml.ScalarNode, event.value, (True, False))
        if tag in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:merge", "tag:yaml.org,2002:value"):
            return event.value
        if tag == "tag:yaml.org,2002:int" and (len(event.value) > 300 or ":" in event.value):
            return event.value  # in YAML 1.1, 12:30 is a number of base 60
        try:
            return _resolver.construct_object(yaml.ScalarNode(tag, event.value))
        except (ValueError, OverflowError, yaml.YAMLError):
            return event.value
        finally:
            _resolver.constructed_objects.clear()

    def _pairs(self, parts: list[Item]) -> dict[str, Item]:
        found: dict[str, Item] = {}
        merged: list[Item] = []
        for key, item in zip(parts[::2], parts[1::2], strict=False):
            if key.text == "<<" and key.bare:
                others = item.value if isinstance(item.value, list) else [item]
                merged.extend(other for other in others if isinstance(other.value, dict))
                if len(merged) < len(others) or not others:
                    self._problem(
                        item, "The value of << must be a mapping.", "Write <<: *name, of a mapping with &name."
                    )
                continue
            name = key.text
            if isinstance(key.value, (list, dict)):
                self._problem(key, "A key must be a text.", "Put {} or [] in quotes if it is meant as text.")
                continue
            if name in found:
                self._problem(
                    key,
                    f"{redact(name)!r} is given twice; the first time in line {found[name].key_line}.",
                    "Remove one of them.",
                )
                continue
            found[name] = item.beside(key.line, key.column)
        for other in merged:
            self._count += len(other.value)
            if self._count > _MAX_VALUES:
                raise _TooMuch(f"The document has more than {_MAX_VALUES:,} values.", other.line)
            for name, item in other.value.items():
                found.setdefault(name, item)
        return found

    def _problem(self, item: Item, message: str, remedy: str) -> None:
        self.problems.append(
            Problem(message=message, remedy=remedy, file=self._file, line=item.line, column=item.column)
        )

    def _tell(self, event: Any, message: str, remedy: str) -> None:
        self._problem(self._at(event, None), message, remedy)


def is_bounded(item: Item, budget: list[int] | None = None, depth: int = 0) -> bool:
    """Whether a value can be traversed: it neither contains itself nor expands excessively through aliases."""
    budget = budget if budget is not None else [_MAX_VALUES]
    budget[0] -= 1
    if budget[0] < 0 or depth > _MAX_DEPTH:
        return False
    parts = item.value.values() if isinstance(item.value, dict) else item.value if isinstance(item.value, list) else ()
    return all(is_bounded(part, budget, depth + 1) for part in parts)


def scalar_of(text: str) -> Any:
    """The value of an unquoted word in YAML: ``true``, ``3``, ``0.5``, or the text itself."""
    tag = _resolver.resolve(yaml.ScalarNode, text, (True, False))
    if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float") or len(text) > 50:
        return text
    try:
        return _resolver.construct_object(yaml.ScalarNode(tag, text))
    except (ValueError, OverflowError, yaml.YAMLError):
        return text
    finally:
        _resolver.constructed_objects.clear()
