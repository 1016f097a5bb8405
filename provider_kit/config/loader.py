"""Loads and checks a configuration file."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from provider_kit.config.discovery import find_config_file, read_text
from provider_kit.errors import ConfigError
from provider_kit.model.did_you_mean import did_you_mean

if TYPE_CHECKING:
    from provider_kit.config.configuration import Configuration
    from provider_kit.config.entries import ProviderEntry

__all__ = ["choose_entry", "given_configuration", "given_text", "open_configuration"]

_log = logging.getLogger("provider_kit")
#: Text and name of a configuration that stands in the place of the file.
_given: ContextVar[tuple[str, str] | None] = ContextVar("_given", default=None)


@contextmanager
def given_configuration(text: str, name: str) -> Iterator[None]:
    """Let a text be the configuration wherever no file is named, as the settings of an application are.

    Args:
        text: YAML.
        name: What it is called, for errors.
    """
    before = _given.set((text, name))
    try:
        yield
    finally:
        _given.reset(before)


def given_text() -> tuple[str, str] | None:
    """Text and name of the configuration of :func:`given_configuration`."""
    return _given.get()


def open_configuration(
    path: str | os.PathLike[str] | None = None, *, key: str | bytes | None = None, check: bool = True
) -> Configuration | None:
    """The configuration of a file, decrypted if it is encrypted; ``None`` if there is no file.

    Args:
        path: The file; default: see :func:`find_config_file`.
        key: Key or passphrase of an encrypted file; default: ``PROVIDER_KIT_ENCRYPTION_KEY``.
        check: Whether to raise its errors.

    Raises:
        ConfigError: The file cannot be read, or something in it is wrong.
        EncryptionError: The key is missing or wrong.
    """
    given = _given.get() if path is None else None
    if given is not None:
        from provider_kit.config.configuration import read_configuration  # mostly there is no file to be read

        found = read_configuration(*given)
    else:
        file = find_config_file(path)
        if file is None:
            return None
        _log.debug("The configuration is read from %s.", file)
        found = _read(file, key)
    if check:
        found.check()
        for warning in found.warnings:
            _log.warning("%s %s", warning, warning.remedy)
    return found


def _read(file: str, key: str | bytes | None) -> Configuration:
    """Apart from what raises: no frame of a traceback holds the file's text."""
    from provider_kit.config.configuration import read_configuration
    from provider_kit.config.encrypted import decrypt_config, is_encrypted

    text = read_text(file)
    sealed = is_encrypted(text)
    return read_configuration(decrypt_config(text, key) if sealed else text, file, sealed=sealed)


def choose_entry(configuration: Configuration, name: str | None) -> tuple[ProviderEntry, str | None]:
    """The provider of a name, and the model after a slash.

    Raises:
        ConfigError: The file has no such provider.
    """
    wanted = name or configuration.default
    if wanted is None:
        raise ConfigError(f"No provider is switched on in {configuration.file}.", hint="Write enabled: true at one.")
    head, _, model = wanted.partition("/")
    entry = configuration.entries.get(wanted) or configuration.entries.get(head)
    if entry is None:
        known = ", ".join(configuration.entries)
        off = " It is switched off there." if head in configuration.disabled else ""
        raise ConfigError(
            f"{configuration.file} has no provider {head!r}.",
            hint=f"{did_you_mean(head, configuration.entries)}{off} It has: {known}.".strip(),
        )
    return entry, (model or None) if wanted not in configuration.entries else None
