"""A masked line of a configuration file, shown next to a problem in it.

Such a line may be malformed, so secrets in it cannot be found by parsing: only what is certainly not a secret is shown.
That is the name of a setting, and a value that is a number, a word of YAML, a reference, or one plain word of a setting
that holds no secret.
"""

from __future__ import annotations

import re
from difflib import get_close_matches

from provider_kit.config.configuration import TOP_FIELDS
from provider_kit.config.entries import entry_fields
from provider_kit.config.reader import is_secret_path
from provider_kit.wire.redaction import MASK, redact

__all__ = ["masked_line"]

#: Characters of a line that are looked at, and shown.
_LONGEST, _SHOWN = 400, 160
#: Length of a plain number that is not a secret.
_SHORT = 6
#: Settings with user-defined names: headers, arguments, options.
_CLOSED = frozenset({"headers", "auth_params", "defaults", "options", "extra_body", "extra_headers", "extra_query"})
#: Settings whose values may be shown as they stand.
_OPEN = (
    frozenset(name for name in (*entry_fields(), *TOP_FIELDS, "strategy", "id") if not is_secret_path(name)) - _CLOSED
)
#: Numbers, with a unit by mistake; words of YAML; brackets.
_PLAIN = re.compile(r"[-+]?[\d.]{1,18}[a-z]{0,2}|true|false|yes|no|on|off|null|~|[\[\]{},&*|>\s]*", re.IGNORECASE)
#: References to a variable or a secret.
_REFERENCE = re.compile(r"(?P<quote>[\"']?)\$\{(?P<inside>[^{}\"']*)\}(?P=quote)|\$[A-Z_][A-Z0-9_]*")
#: One word, quoted or not; a name that is one of a setting, perhaps misspelt.
_WORD = re.compile(r"(?P<quote>[\"']?)[\w./@+:-]+(?P=quote)")
_NAME = re.compile(r"[A-Za-z_]{1,24}")
#: The content of a mapping or list in one line: a name, its value or a value alone.
_ITEM = re.compile(
    r"(?:(?P<name>[\w-]+)(?P<colon>\s*:\s+))?(?P<value>\"[^\"\\]*\"|'[^']*'|[\"']?\$\{[^{}\"']*\}[\"']?|[\w./@+:$-]+)?\s*"
)


def masked_line(line: str) -> str:
    """The line, with everything masked that may be a secret."""
    shown = "".join(char if char.isprintable() else " " for char in line[:_LONGEST].replace("\t", " "))
    comment = re.search(r"\s#", shown)
    made = _masked(shown[: comment.start()].rstrip()) + "  # …" if comment else _masked(shown.rstrip())
    return redact(made)[:_SHOWN]


def _masked(line: str) -> str:
    pair = re.match(r"(\s*(?:- +)*[\"']?([\w.-]+)[\"']?\s*:\s*)(.*)$", line)
    if pair is not None:
        return f"{pair[1]}{_value(pair[2], pair[3], outermost=True)}"
    rest = re.sub(r"^\s*(?:- +)*", "", line)
    start = line[: len(line) - len(rest)]
    name, blank, value = rest.partition(" ")
    if name in entry_fields() and _PLAIN.fullmatch(value.strip()):  # a colon was forgotten
        return f"{start}{name}{blank}{value}"
    return f"{start}{_value('', rest, outermost=False)}"


def _value(name: str, value: str, *, outermost: bool) -> str:
    reference = _REFERENCE.fullmatch(value)
    if reference is not None:
        return re.sub(r":-[^}]*", f":-{MASK}", value)
    if _PLAIN.fullmatch(value) and not is_secret_path(name) and (name or len(value) <= _SHORT):
        return value
    if not value:
        return ""
    if value[0] in "{[":
        closed = name in _CLOSED or get_close_matches(name, _CLOSED, 1, 0.6)
        own_name = outermost and not is_secret_path(name)
        return (_inside(value, name) if own_name and not closed else None) or MASK
    return value if name in _OPEN and _WORD.fullmatch(value) else MASK


def _inside(text: str, name: str) -> str | None:
    """A mapping or list in one line; ``None`` if it is not written as one should be, to its end."""
    made, position = [], 0
    while position < len(text):
        if text[position] in "{[":
            made.append(text[position])
        elif text[position] in "]},":
            made.append(text[position] + (" " if text[position + 1 : position + 2] == " " else ""))
        else:
            return None
        position += len(made[-1])
        item = _ITEM.match(text, position)
        if item is None or not item.end():
            return None
        inner, value = item["name"], item["value"]
        position = item.end()
        known = inner is None or (inner in entry_fields() and inner not in _CLOSED and not is_secret_path(inner))
        if (value is not None or not known) and text[position : position + 1] in ("{", "["):
            return None  # a bracket in a value, or names that are not ours
        if inner is not None:
            made.append(f"{inner if _NAME.fullmatch(inner) else MASK}{item['colon']}")
        if value is not None:
            made.append(_value(inner or "", value, outermost=False))
    return "".join(made)
