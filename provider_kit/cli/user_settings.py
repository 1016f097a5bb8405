"""What users keep for the command: aliases of models, templates, and whether calls are logged.

They are files in the user's configuration folder: ``aliases.yaml``, ``templates/NAME.yaml``, ``logs-off``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from provider_kit.errors import ConfigError
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.text_bytes import read_text
from provider_kit.stores.user_folders import needed_folder, user_folder

__all__ = [
    "TEMPLATE_KEYS",
    "check_name",
    "read_aliases",
    "read_template",
    "set_user_switch",
    "template_names",
    "template_path",
    "user_switch",
    "write_aliases",
    "write_template",
]

#: What a template may hold, with the types of each.
TEMPLATE_KEYS: Mapping[str, tuple[type, ...]] = {
    "prompt": (str,),
    "system": (str,),
    "model": (str,),
    "temperature": (int, float),
    "max_tokens": (int,),
    "schema": (str, dict),
    "files": (list,),
    "tools": (list,),
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def check_name(name: str, what: str) -> str:
    """A name that can be that of a file.

    Raises:
        ConfigError: It cannot.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is no name of {what}.", hint="Use letters, digits, '.', '_' and '-'.")
    return name


def _folder() -> str:
    return needed_folder("config", ConfigError, "Aliases and templates are kept there.")


def _read_yaml(path: str, what: str) -> dict[str, Any]:
    import yaml

    try:
        with open(path, "rb") as file:
            text = read_text(file.read())
        found = yaml.safe_load(text or "") if text is not None else None
    except OSError as error:
        raise ConfigError(f"{what} cannot be read: {error.strerror or error}.", hint=f"Look at {path}.") from None
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = "" if line is None else f" in line {line + 1}"
        raise ConfigError(f"{what} is no valid YAML{where}.", hint=f"Look at {path}.") from None
    if found is None:
        found = {}
    if not isinstance(found, dict):
        raise ConfigError(f"{what} must hold names and values.", hint=f"Look at {path}.")
    return found


def _write(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    temporary = f"{path}.{os.getpid()}.new"
    descriptor = os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)


# ------------------------------------------------------------------------------------------------ aliases


def read_aliases() -> dict[str, str]:
    """The models that short names stand for.

    Raises:
        ConfigError: The file cannot be used.
    """
    folder = user_folder("config")
    path = os.path.join(folder, "aliases.yaml") if folder else ""
    if not path or not os.path.exists(path):
        return {}
    found = _read_yaml(path, "The file of aliases")
    wrong = next(
        (name for name, model in found.items() if not isinstance(name, str) or not isinstance(model, str)), None
    )
    if wrong is not None:
        raise ConfigError(f"The alias {wrong!r} must stand for one model.", hint=f"Look at {path}.")
    return found


def write_aliases(aliases: Mapping[str, str]) -> None:
    """Keep them."""
    import yaml

    _write(os.path.join(_folder(), "aliases.yaml"), yaml.safe_dump(dict(sorted(aliases.items())), allow_unicode=True))


# ------------------------------------------------------------------------------------------------ templates


def template_path(name: str) -> str:
    """The file of a template: of this name, or at this path.

    Raises:
        ConfigError: It is neither.
    """
    if os.sep in name or name.endswith((".yaml", ".yml")):
        return name
    return os.path.join(_folder(), "templates", f"{check_name(name, 'a template')}.yaml")


def template_names() -> list[str]:
    """The templates there are."""
    folder = user_folder("config")
    try:
        files = os.listdir(os.path.join(folder, "templates")) if folder else []
    except OSError:
        files = []
    names = (file.removesuffix(".yaml") for file in files if file.endswith(".yaml"))
    return sorted(name for name in names if _NAME.fullmatch(name) and not name.endswith((".yaml", ".yml")))


def read_template(name: str) -> dict[str, Any]:
    """A template: by name, or the path of a file.

    Raises:
        ConfigError: There is none, or it cannot be used.
    """
    path = template_path(name)
    if not os.path.exists(path):
        names = template_names()
        raise ConfigError(
            f"There is no template {name!r}.",
            hint=f"{did_you_mean(name, names)}There are: {', '.join(names) or 'none yet; --save NAME makes one'}.",
        )
    found = _read_yaml(path, f"The template {name}")
    for key, value in found.items():
        kinds = TEMPLATE_KEYS.get(key)
        if kinds is None:
            raise ConfigError(
                f"The template {name} has an unknown entry {key!r}.",
                hint=f"{did_you_mean(str(key), TEMPLATE_KEYS)}Entries are {', '.join(TEMPLATE_KEYS)}.",
            )
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise ConfigError(f"{key} of the template {name} cannot be {value!r}.", hint=f"Look at {path}.")
    return found


def write_template(name: str, template: Mapping[str, Any]) -> str:
    """Keep a template; returns its file."""
    import yaml

    if template_path(name) == name:
        raise ConfigError(f"{name!r} is no name of a template.", hint="Give it a name without a path: --save short.")
    path = template_path(name)
    _write(path, yaml.safe_dump(dict(template), allow_unicode=True, sort_keys=False))
    return path


# ------------------------------------------------------------------------------------------------ switches


def user_switch(name: str) -> bool:
    """Whether a switch is on, which is a file of its name."""
    folder = user_folder("config")
    return folder is not None and os.path.exists(os.path.join(folder, name))


def set_user_switch(name: str, on: bool) -> None:
    """Turn a switch on or off."""
    path = os.path.join(_folder(), name)
    if on:
        _write(path, "")
    else:
        with suppress(FileNotFoundError):
            os.unlink(path)
