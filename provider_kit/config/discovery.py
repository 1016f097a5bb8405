"""Where the configuration file is: the argument, the environment, the working directory, the user's folder."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from provider_kit.errors import ConfigError
from provider_kit.stores.user_folders import needed_folder, user_folder

__all__ = ["CONFIG_VARIABLES", "find_config_file", "read_text", "user_config_file"]

#: Environment variables that name the file, the first one first.
CONFIG_VARIABLES = ("PROVIDER_KIT_CONFIG", "CONFIG_FILE")
#: Names that are looked for in the working directory.
_NAMES = ("provider_kit.yaml", "provider_kit.yml", "config.yaml", "config.yml")
_LARGEST = 1 << 20


def user_config_file() -> str:
    """The configuration file of the user, whether it exists or not.

    Raises:
        ConfigError: There is no home directory.
    """
    folder = needed_folder("config", ConfigError, "Or name the file: PROVIDER_KIT_CONFIG=/path/to/config.yaml")
    return os.path.join(folder, "config.yaml")


def find_config_file(
    path: str | os.PathLike[str] | None = None, environ: Mapping[str, str] | None = None
) -> str | None:
    """The file to read, or ``None`` if there is none.

    Args:
        path: The file itself, which must then exist.
        environ: The environment; default: that of the process.

    Raises:
        ConfigError: The file that was named does not exist.
    """
    environ = os.environ if environ is None else environ
    if path is not None:
        if not isinstance(path, (str, os.PathLike)):
            raise ConfigError(
                f"A configuration file is named by its path, not by {type(path).__name__}.",
                hint="load_config('config.yaml').",
            )
        found = os.path.expanduser(os.fspath(path))
        if not found.strip():
            raise ConfigError("The name of the configuration file is empty.", hint="load_config('config.yaml').")
        return _existing(found, "")
    for variable in CONFIG_VARIABLES:
        if environ.get(variable, "").strip():
            return _existing(os.path.expanduser(environ[variable]), f" ({variable} names it)")
    for name in _NAMES:
        if os.path.isfile(name) and (name.startswith("provider_kit") or _is_ours(name)):
            return name
    if user_folder("config") is None:
        return None
    mine = user_config_file()
    return mine if os.path.isfile(mine) else None


def _existing(path: str, why: str) -> str:
    if os.path.isdir(path):
        raise ConfigError(
            f"{path} is a directory, not a file{why}.", hint=f"Name the file: {path.rstrip('/')}/config.yaml."
        )
    if not os.path.exists(path):
        raise ConfigError(
            f"There is no configuration file {path}{why}.",
            hint=f"provider-kit config init {path} writes one to begin with.",
        )
    return path


def _is_ours(name: str) -> bool:
    """Many programs have a config.yaml; ours has a key providers, or is encrypted."""
    try:
        with open(name, encoding="utf-8", errors="replace") as file:
            text = file.read(_LARGEST)
    except OSError:  # another program's; a file that was named is opened, and its error reported
        return False
    ours = re.compile(r"""^\s*\{?\s*["']?(?:providers?|custom)["']?\s*:\s*(?:[{\[#]|$)""")
    return text.lstrip().startswith("provider-kit-config:") or any(
        ours.match(line) and not line.startswith(("  ", "\t")) for line in text.removeprefix("\ufeff").splitlines()
    )


def read_text(path: str) -> str:
    """The content of a file.

    Raises:
        ConfigError: It cannot be read, is too large, or is not UTF-8.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror or type(error).__name__}.", hint="Check its owner and mode."
        ) from error
    if len(data) > _LARGEST:
        raise ConfigError(f"{path} is larger than {_LARGEST:,} bytes.", hint="Is it the right file?")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{path}:{line}: error: There are bytes that are not UTF-8.", hint="Save the file as UTF-8."
        ) from None
