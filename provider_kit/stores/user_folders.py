"""The user's own folders, where there are any.

In a container with an arbitrary user id there may be no home directory at all. Features that need none must work there,
so nothing here raises unless a folder is required; the error then names the variable to set.
"""

from __future__ import annotations

import os
from typing import Literal

from provider_kit.errors import ProviderKitError

__all__ = ["file_remedy", "lock_folder", "needed_folder", "user_folder"]

_VARIABLES = {
    "config": "XDG_CONFIG_HOME",
    "data": "XDG_DATA_HOME",
    "state": "XDG_STATE_HOME",
    "cache": "XDG_CACHE_HOME",
}


def user_folder(kind: Literal["config", "data", "state", "cache"]) -> str | None:
    """The user's folder for files of a kind, whether it exists or not; ``None`` if there is no home directory."""
    import platformdirs

    try:
        found = getattr(platformdirs, f"user_{kind}_dir")("provider-kit", appauthor=False)
    except (RuntimeError, KeyError, OSError):  # there is none; Python versions raise different errors
        return None
    return found if os.path.isabs(found) else None


def needed_folder(kind: Literal["config", "data", "state", "cache"], error: type[ProviderKitError], hint: str) -> str:
    """As :func:`user_folder`, where it is required.

    Args:
        kind: What is kept there.
        error: The class of the error where there is none.
        hint: An alternative, as a sentence.

    Raises:
        ProviderKitError: There is no home directory.
    """
    found = user_folder(kind)
    if found is None:
        raise error("There is no home directory to keep files in.", hint=f"Set HOME or {_VARIABLES[kind]}. {hint}")
    return found


def file_remedy(path: str, otherwise: str) -> str:
    """The remedy for a file that cannot be used, because of the file or its folder.

    Args:
        path: The file.
        otherwise: The remedy if nothing is wrong with the path.
    """
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path):
        return f"{path} is a directory: name a file in it."
    if os.path.exists(folder) and not os.path.isdir(folder):
        return f"{folder} is a file, not a directory: choose another location."
    if not os.path.isdir(folder):
        return f"The directory {folder} does not exist, and cannot be created: choose another location."
    if not os.access(folder, os.W_OK):
        return f"The directory {folder} is not writable for this user: choose another location, or change its owner."
    return otherwise


def lock_folder() -> str:
    """A folder for lock files, so that none is created next to the user's own files."""
    state = user_folder("state")
    if state is not None:
        return os.path.join(state, "locks")
    import tempfile  # only a system without homes needs it

    owner = os.getuid() if hasattr(os, "getuid") else "user"
    return os.path.join(tempfile.gettempdir(), f"provider-kit-{owner}", "locks")
