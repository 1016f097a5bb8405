"""Hints as somebody at the command can follow them: options of the command, settings of the configuration file.

The errors of the library speak of Python's arguments; a person at a terminal has none to pass.
"""

from __future__ import annotations

import re

import click

__all__ = ["at_the_command"]

#: An argument of Python's, with its value.
_ARGUMENT = re.compile(r"(?<![\w.])([a-z_]+)=('[^']*'|\"[^\"]*\"|…|True|False|[\d.]+(?<!\.))?(?![\w=(])")
#: A call in Python stays one.
_CALL = re.compile(r"(\w+\([^()]*\))")
#: A setting is not passed.
_PASSED = re.compile(r"\bpass (\w+(?:: \S+)? in the configuration file)")
#: Whole phrases that have another meaning here.
_PHRASES = (
    (" pass api_key=…,", ""),
    ("pass api_key=…", "store it: provider-kit keys set PROVIDER"),
    ("Pass the key as api_key=", "Set the key in the environment, or store it with provider-kit keys set"),
    (", or stream the answer with stream()", ", or leave out --no-stream"),
    ("client.models() lists", "provider-kit models lists"),
)
#: Options of providers; like the fields of ProviderConfig, they stand in the file.
_OF_PROVIDERS = frozenset({"project_id", "project", "organization", "api_version", "use_responses_api"})


def at_the_command(hint: str, command: click.Command | None = None) -> str:
    """The hint in the words of the command.

    Args:
        hint: An error's hint.
        command: What was run; its options can be named. Default: the running one.
    """
    if "=" not in hint and "(" not in hint:
        return hint
    for phrase, here in _PHRASES:
        hint = hint.replace(phrase, here)
    context = click.get_current_context(silent=True)
    known = command or (context.command if context is not None else None)
    options = (
        {one.name: max(one.opts, key=len) for one in known.params if isinstance(one, click.Option)} if known else {}
    )
    settings = _settings()

    def here_as(match: re.Match[str]) -> str:
        name, value = match[1], (match[2] or "").strip("'\"")
        if name in options:
            return f"{options[name]} {value}".strip() if value != "…" else options[name]
        if name in settings:
            shown = {"True": ": true", "False": ": false", "": "", "…": ""}.get(value, f": {value}")
            return f"{name}{shown} in the configuration file"
        return match[0]

    parts = _CALL.split(hint)
    parts[::2] = [_ARGUMENT.sub(here_as, part) for part in parts[::2]]
    return _PASSED.sub(r"set \1", "".join(parts))


def _settings() -> frozenset[str]:
    from attrs import fields

    from provider_kit.model.config import ProviderConfig

    return frozenset(field.name for field in fields(ProviderConfig)) | _OF_PROVIDERS
