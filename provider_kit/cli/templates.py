"""Templates of ``chat``: what is asked again and again, with ``$input`` for what changes."""

from __future__ import annotations

import os
from string import Template
from typing import TYPE_CHECKING, Any

from provider_kit.cli.terminal_text import say, say_json
from provider_kit.cli.user_settings import read_template, template_names, template_path, write_template
from provider_kit.errors import ConfigError

if TYPE_CHECKING:
    from provider_kit.cli.chat_settings import ChatSettings

__all__ = [
    "fill_template",
    "run_list_templates",
    "run_remove_template",
    "run_show_template",
    "run_template_path",
    "save_template",
]

#: Entries that are settings of the same name.
_PLAIN = ("system", "model", "temperature", "max_tokens", "schema")


def fill_template(settings: ChatSettings, piped: str) -> None:
    """Take what is not given from the template; its prompt takes the given one, and what is piped in, as ``$input``.

    Raises:
        ConfigError: There is no such template, or its prompt wants an input that is not there.
    """
    name = settings.template or ""
    found = read_template(name)
    for key in _PLAIN:
        if getattr(settings, key) is None and key in found:
            setattr(settings, key, found[key])
    settings.files = (*map(str, found.get("files", ())), *settings.files)
    for tool in map(str, found.get("tools", ())):
        if tool.endswith(".py"):
            settings.tool_files = (*settings.tool_files, tool)
        else:
            settings.tools = (*settings.tools, tool)
    given = "\n\n".join(part for part in (settings.prompt, piped) if part)
    prompt = found.get("prompt")
    if prompt is None:
        settings.prompt = given or None
        return
    template = Template(prompt)
    unknown = [one for one in template.get_identifiers() if one != "input"]
    if unknown:
        raise ConfigError(
            f"The template {name} has an unknown ${unknown[0]}.", hint="$input is what is given; $$ is $."
        )
    takes_input = "input" in template.get_identifiers()
    if takes_input and not given:
        raise ConfigError(
            f"The template {name} needs an input.", hint=f'provider-kit chat --template {name} "…", or pipe it in.'
        )
    try:
        filled = template.substitute(input=given)
    except ValueError:
        raise ConfigError(f"The template {name} has a $ that begins no name.", hint="Write $$ for a dollar.") from None
    settings.prompt = filled if takes_input or not given else f"{filled}\n\n{given}"


def save_template(settings: ChatSettings) -> None:
    """Keep the options of a call as a template."""
    values: dict[str, Any] = {"prompt": settings.prompt, **{key: getattr(settings, key) for key in _PLAIN}}
    # A template is used anywhere; what it names stays where it is.
    values["files"] = [_absolute(path) for path in settings.files] or None
    values["tools"] = [*settings.tools, *map(os.path.abspath, settings.tool_files)] or None
    if isinstance(settings.schema, str) and os.path.isfile(settings.schema):
        values["schema"] = os.path.abspath(settings.schema)
    kept = {key: value for key, value in values.items() if value is not None}
    if not kept:
        raise ConfigError(
            "There is nothing to save.",
            hint='provider-kit chat --save short -s "Be brief."',
        )
    name = settings.save or ""
    there = name in template_names()
    path = write_template(name, kept)
    say(f"{'Replaced' if there else 'Wrote'} {path}.", fg="green")
    say(f'Use it: provider-kit chat --template {name} "…"')


def _absolute(path: str) -> str:
    return path if "://" in path else os.path.abspath(os.path.expanduser(path))


def run_list_templates(as_json: bool) -> None:
    """Print the templates there are."""
    found: dict[str, dict[str, Any]] = {}
    for name in template_names():
        try:
            found[name] = read_template(name)
        except ConfigError as error:
            say(f"Warning: {error.message}", err=True, fg="yellow")
    if as_json:
        say_json(found)
        return
    for name, one in found.items():
        about = " ".join(str(one.get("prompt") or one.get("system") or one.get("model") or "").split())
        say(f"{name:<18} {about[:100]}".rstrip())
    if not found:
        say('There are no templates yet. Make one: provider-kit chat --save short -s "Be brief."')


def run_show_template(name: str) -> None:
    """Print a template."""
    read_template(name)
    with open(template_path(name), encoding="utf-8") as file:
        say(file.read(), nl=False)


def run_template_path(name: str) -> None:
    """Print the file of a template."""
    say(template_path(name))


def run_remove_template(name: str) -> None:
    """Delete a template."""
    if template_path(name) == name:
        raise ConfigError(f"{name!r} is a file, not the name of a template.", hint="Delete the file itself.")
    if not os.path.exists(template_path(name)):
        read_template(name)  # says which there are
    os.unlink(template_path(name))
    say(f"The template {name} was deleted.")
