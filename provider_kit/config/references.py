"""``${…}`` in texts of the configuration: environment variables, defaults, secrets stored elsewhere.

``${NAME}`` and ``${NAME:-default}`` are replaced when the file is read; ``$$`` is a dollar sign.
``${file:path}``, ``${keyring:service/name}``, ``${vault:path#field}`` and ``${aws:name}`` stay references
until their value is needed. The notations of other tools are recognised.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import SequenceMatcher

from attrs import define, field

from provider_kit.config.secret_reference import SecretReference
from provider_kit.config.secrets import secret_schemes
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.wire.redaction import redact

__all__ = ["Expansion", "expand"]

#: How names of credentials end.
_ENDING = re.compile(r"(?:_?API)?_?(?:KEY|TOKEN|SECRET)S?$")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: The notation of LiteLLM and Bifrost for a variable.
_FOREIGN = re.compile(r"(?:os\.environ/([A-Za-z_][A-Za-z0-9_]*)|env\.([A-Z][A-Z0-9_]*))")
#: What may be shown in a message; anything else may be part of a secret.
_CAPITALS = re.compile(r"[A-Z_][A-Z0-9_]*")


@define
class Expansion:
    """A text with its references replaced."""

    #: The text, or a reference whose value is fetched when it is needed.
    value: str | SecretReference = field(default="", repr=False)
    #: ``(message, remedy)`` of each problem.
    errors: list[tuple[str, str]] = field(factory=list)
    warnings: list[tuple[str, str]] = field(factory=list)
    #: Variables whose values are in it.
    variables: list[str] = field(factory=list)
    #: Variables that are not set.
    missing: list[str] = field(factory=list)


def expand(text: str, environ: Mapping[str, str]) -> Expansion:
    """Replace the variables of a text."""
    result = Expansion(text)
    foreign = _FOREIGN.fullmatch(text.strip())
    if foreign:
        name = foreign[1] or foreign[2]
        result.warnings.append(
            (f"{text.strip()!r} is the notation of another tool for a variable.", f"Write ${{{name}}}.")
        )
        text = f"${{{name}}}"
    if "$" not in text:
        return result
    parts = _parts(text, environ, result)
    if any(isinstance(part, tuple) for part in parts):
        result.value = SecretReference(parts)
    else:
        result.value = "".join(part for part in parts if isinstance(part, str))
    return result


def _parts(text: str, environ: Mapping[str, str], result: Expansion) -> list[str | tuple[str, str]]:
    """Texts, and ``(scheme, rest)`` of secrets."""
    parts: list[str | tuple[str, str]] = []
    position = 0
    while position < len(text):
        start = text.find("$", position)
        if start < 0:
            parts.append(text[position:])
            break
        parts.append(text[position:start])
        following = text[start + 1 : start + 2]
        if following == "$":
            parts.append("$")
            position = start + 2
        elif following == "{":
            end = _closing(text, start + 2)
            if end < 0:
                result.errors.append(("'${' is not closed by '}'.", "Write ${NAME}, or $${ for these characters."))
                break
            parts.extend(_reference(text[start + 2 : end], environ, result))
            position = end + 1
        else:
            name = _NAME.match(text, start + 1)
            if name:
                shown = name[0] if _CAPITALS.fullmatch(name[0]) else "NAME"
                result.errors.append(
                    (f"${shown} is not replaced.", f"Write ${{{shown}}}; a dollar sign that is meant as one is $$.")
                )
                position = name.end()
            else:
                parts.append("$")
                position = start + 1
    return parts


def _closing(text: str, position: int) -> int:
    """Position of the brace that closes the one at ``position``, or -1."""
    depth = 1
    while position < len(text):
        if text.startswith("${", position):
            depth += 1
            position += 1
        elif text[position] == "}":
            depth -= 1
            if not depth:
                return position
        position += 1
    return -1


def _related(name: str, environ: Mapping[str, str]) -> list[str]:
    """Variables that are set and whose names differ from this one by a typo or another ending."""
    head = _ENDING.sub("", name)
    found = []
    for other in environ:
        if other[:1] != name[:1] or other == name or not other.isupper() or not environ[other]:
            continue
        rest = _ENDING.sub("", other)
        if rest == head or (abs(len(rest) - len(head)) <= 3 and SequenceMatcher(None, head, rest).ratio() >= 0.8):
            found.append(other)
    return found


def _reference(inner: str, environ: Mapping[str, str], result: Expansion) -> list[str | tuple[str, str]]:
    name, default_sign, default = inner.partition(":-")
    if _NAME.fullmatch(name):
        if environ.get(name):
            result.variables.append(name)
            return [environ[name]]
        if default_sign:
            return _parts(default, environ, result)
        result.missing.append(name)
        similar = did_you_mean(name, _related(name, environ)) if len(name) > 3 else ""
        result.errors.append(
            (
                f"The environment variable {name} is not set{'' if name not in environ else ', or empty'}.",
                f"{similar}Set it: export {name}=…, or write ${{{name}:-default}}.",
            )
        )
        return []
    scheme, colon, rest = inner.partition(":")
    if scheme == "env" and _NAME.fullmatch(rest):
        return _reference(rest, environ, result)
    if colon and scheme in secret_schemes():
        if not rest.strip():
            result.errors.append((f"${{{scheme}:}} names no secret.", f"Write ${{{scheme}:where}}."))
            return []
        inside = _parts(rest, environ, result) if "$" in rest else [rest]
        return [(scheme, "".join(part for part in inside if isinstance(part, str)))]
    shown = redact(inner) if len(inner) < 60 else "…"
    if re.fullmatch(r"[A-Za-z_]\w*[-?+=:].*", inner, re.DOTALL) and not re.fullmatch(
        r"\w+:[^-?+=].*", inner, re.DOTALL
    ):
        result.errors.append(
            (f"${{{shown}}} is shell syntax that is not supported.", "Only ${NAME} and ${NAME:-default} are.")
        )
    else:
        known = ", ".join(f"${{{name}:…}}" for name in secret_schemes())
        result.errors.append(
            (f"${{{shown}}} is not understood.", f"Write ${{NAME}}, ${{NAME:-default}}, or one of {known}.")
        )
    return []
