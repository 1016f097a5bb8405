"""Descriptions from docstrings and comments.

Read are Google's, NumPy's and Sphinx's forms of a docstring, a string below a field, and a comment: ``#:`` above a
field or behind it, or a plain one behind it.
"""

from __future__ import annotations

import ast
import inspect
import io
import re
import textwrap
import threading
import tokenize
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["Docstring", "field_comments", "parse_docstring"]

_GOOGLE = re.compile(
    r"^(args|arguments|parameters|params|attributes|keyword args|keyword arguments|other parameters"
    r"|returns?|yields?|raises?|examples?|notes?|warns|warnings|see also|references|todo)\s*:\s*$",
    re.IGNORECASE,
)
_LOCK = threading.RLock()
_NAMED = ("args", "arguments", "parameters", "params", "attributes", "keyword args", "keyword arguments")
_SPHINX = re.compile(
    r"^:(param|parameter|arg|argument|ivar|cvar|var|key|keyword)\s+(?:[^:]*?\s)?\*{0,2}(\w+)\s*:\s*(.*)$"
)
_SPHINX_OTHER = re.compile(r"^:(\w+)[^:]*:")
_ITEM = re.compile(r"^\*{0,2}`{0,2}(\w+)`{0,2}\s*(?:\([^)]*\))?\s*:(?:\s+(.*)|)$")
_NUMPY_ITEM = re.compile(r"^\*{0,2}(\w+)\s*(?::.*)?$")
#: Comments for tools, not for readers.
_FOR_TOOLS = re.compile(
    r"^#\s*(?:type:|noqa|pragma|pylint|mypy|pyright|ruff|fmt:|isort|TODO|FIXME|XXX|HACK)", re.IGNORECASE
)


class Docstring:
    """A docstring taken apart."""

    __slots__ = ("fields", "summary")

    def __init__(self, summary: str, fields: dict[str, str]) -> None:
        #: The text before the first section.
        self.summary = summary
        #: The description of each argument or attribute.
        self.fields = fields


def parse_docstring(text: str | None) -> Docstring:
    """Take a docstring apart: its text, and what it says of arguments and attributes."""
    if not text:
        return Docstring("", {})
    lines = inspect.cleandoc(text).splitlines()
    summary: list[str] = []
    fields: dict[str, str] = {}
    position = 0
    in_section = False
    while position < len(lines):
        line = lines[position]
        following = lines[position + 1] if position + 1 < len(lines) else ""
        google = _GOOGLE.match(line)
        sphinx = _SPHINX.match(line)
        if google:
            end = _section_end(lines, position + 1)
            if google[1].lower() in _NAMED:
                fields.update(_google_fields(lines[position + 1 : end]))
            position, in_section = end, True
        elif line.strip() and re.fullmatch(r"-{3,}\s*", following):
            end = _numpy_end(lines, position + 2)
            if line.strip().lower() in (*_NAMED, "other parameters"):
                fields.update(_numpy_fields(lines[position + 2 : end]))
            position, in_section = end, True
        elif sphinx or _SPHINX_OTHER.match(line):
            end = _section_end(lines, position + 1)
            if sphinx:
                fields[sphinx[2]] = _join([sphinx[3], *lines[position + 1 : end]])
            position, in_section = end, True
        else:
            if not in_section:
                summary.append(line)
            position += 1
    return Docstring(_paragraphs(summary), {name: said for name, said in fields.items() if said})


def _section_end(lines: list[str], position: int) -> int:
    """Where the indented lines of a section end."""
    while position < len(lines) and (not lines[position].strip() or lines[position][:1].isspace()):
        position += 1
    return position


def _numpy_end(lines: list[str], position: int) -> int:
    while position < len(lines) and not (
        position + 1 < len(lines) and lines[position].strip() and re.fullmatch(r"-{3,}\s*", lines[position + 1])
    ):
        position += 1
    return position


def _google_fields(lines: list[str]) -> Iterator[tuple[str, str]]:
    indents = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
    indent = min(indents, default=0)
    name, said = "", [""]
    for line in lines:
        item = _ITEM.match(line.strip()) if line.strip() and len(line) - len(line.lstrip()) == indent else None
        if item:
            if name:
                yield name, _join(said)
            name, said = item[1], [item[2] or ""]
        else:
            said.append(line)
    if name:
        yield name, _join(said)


def _numpy_fields(lines: list[str]) -> Iterator[tuple[str, str]]:
    name, said = "", [""]
    for line in lines:
        item = _NUMPY_ITEM.match(line) if line and not line[0].isspace() else None
        if item:
            if name:
                yield name, _join(said)
            name, said = item[1], []
        else:
            said.append(line)
    if name:
        yield name, _join(said)


def _join(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


def _paragraphs(lines: list[str]) -> str:
    blocks = "\n".join(lines).strip().split("\n\n")
    return "\n\n".join(_join(block.splitlines()) for block in blocks if block.strip())


def field_comments(cls: Callable[..., Any]) -> dict[str, str]:
    """What the source of a class says of its fields, in comments and in strings below them; empty without a source."""
    try:
        text = textwrap.dedent(inspect.getsource(cls))
        tree = _parse(text)
    except (OSError, TypeError, SyntaxError, ValueError):  # no source: a shell, a frozen program, exec()
        return {}
    found: dict[str, str] = {}
    body = tree.body[0].body if tree.body and isinstance(tree.body[0], ast.ClassDef) else []
    comments = _comments(text)
    lines = text.splitlines()
    for number, statement in enumerate(body):
        name = _field_name(statement)
        if name is None:
            continue
        above: list[str] = []
        line = statement.lineno - 1
        while comments.get(line, "").startswith("#:") and lines[line - 1].lstrip().startswith("#"):
            above.insert(0, comments[line][2:])
            line -= 1
        behind = comments.get(statement.end_lineno or statement.lineno, "")
        below = body[number + 1] if number + 1 < len(body) else None
        if above:
            found[name] = _join(above)
        elif behind and not _FOR_TOOLS.match(behind):
            found[name] = _join([behind.lstrip("#: ")])
        elif isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and type(below.value.value) is str:
            found[name] = _join(below.value.value.splitlines())
    return {name: said for name, said in found.items() if said}


def _parse(text: str) -> ast.Module:
    """Parse a source. Until Python 3.12 two threads that parse at once disturb each other (cpython issue 106905)."""
    for _ in range(10):
        try:
            with _LOCK:
                return ast.parse(text)
        except SystemError:  # a thread of somebody else
            continue
    raise ValueError("the source cannot be parsed")


def _field_name(statement: ast.stmt) -> str | None:
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return statement.target.id
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id
    return None


def _comments(text: str) -> dict[int, str]:
    """The comments of a source by line."""
    try:
        return {
            token.start[0]: token.string
            for token in tokenize.generate_tokens(io.StringIO(text).readline)
            if token.type == tokenize.COMMENT
        }
    except (tokenize.TokenError, SyntaxError):
        return {}
