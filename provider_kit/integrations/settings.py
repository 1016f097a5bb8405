"""The clients of an application: from a file, from its settings, or from its own code."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from provider_kit.client.client import Client
from provider_kit.client.collection import Clients, load_config
from provider_kit.client.router import Router
from provider_kit.config.configuration import read_configuration
from provider_kit.errors import ConfigError, MissingDependencyError
from provider_kit.model.closing import Closing

__all__ = [
    "OwnClients",
    "clients_of",
    "clients_of_settings",
    "document_of",
    "is_made",
    "needs_extra",
    "settings_problems",
]

#: Keys of a whole file; a dict without any of them has the providers themselves.
_TOP = ("providers", "routing", "custom", "preferred_order")


class OwnClients(Closing, Mapping[str, Client | Router]):
    """Clients that a program has made itself, by name; the first one is the default."""

    def __init__(self, made: Mapping[str, Client | Router]) -> None:
        self._made = dict(made)

    def __getitem__(self, name: str) -> Client | Router:
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)

    @property
    def default(self) -> Client | Router:
        """The one named ``default``, else the first one."""
        return self._made.get("default") or next(iter(self._made.values()))

    def close(self) -> None:
        """Close the blocking connections of all clients."""
        for client in self._made.values():
            client.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and the blocking ones."""
        for client in self._made.values():
            await client.aclose()


def clients_of(
    config: str | os.PathLike[str] | Mapping[str, Any] | Clients | Client | Router | None = None,
) -> Clients | OwnClients:
    """The clients that an application was given: a file, settings, clients by name, or one client.

    Raises:
        ConfigError: They are wrong; ``error.problems`` has all of it.
    """
    if isinstance(config, (Clients, OwnClients)):
        return config
    if isinstance(config, (Client, Router)):
        return OwnClients({"default": config})
    if isinstance(config, Mapping):
        if is_made(config):
            return OwnClients(config)
        return clients_of_settings(config)
    return load_config(config)


def is_made(config: Mapping[str, Any]) -> bool:
    """Whether a dict has clients, not settings of clients."""
    return bool(config) and all(isinstance(one, (Client, Router)) for one in config.values())


def clients_of_settings(settings: Mapping[str, Any], name: str = "settings") -> Clients:
    """Clients of settings with the keys of the YAML file: the whole of it, or the providers alone.

    Args:
        settings: The settings, such as ``{"default": {"type": "openai", "model": "gpt-5-mini"}}``.
        name: What they are called, for errors.

    Raises:
        ConfigError: Something in them is wrong: ``error.problems`` has all of it.
    """
    return Clients(read_configuration(document_of(settings, name), name).check())


def settings_problems(settings: Any, name: str) -> list[tuple[str, str, str, bool]]:
    """What is wrong with settings: where, what, what to do, and whether it is only a warning."""
    try:
        found = read_configuration(document_of(settings, name), name)
    except ConfigError as error:
        return [(name, error.message, error.hint or "", False)]
    plain = not _is_whole(settings)
    return [
        (_in_python(name, one.path, plain), one.message, one.remedy or "", one.severity == "warning")
        for one in found.problems
    ]


def _is_whole(settings: Mapping[str, Any]) -> bool:
    return any(key in settings for key in _TOP)


def _in_python(name: str, path: str, plain: bool) -> str:
    """A place in the file as one in the settings: ``PROVIDER_KIT["default"]["model"]``."""
    keys = [key for key in path.split(".") if key]
    if plain and keys[:1] == ["providers"]:
        keys = keys[1:]
    return name + "".join(f'["{key}"]' for key in keys)


def document_of(settings: Any, name: str) -> str:
    """Settings as the text of a file.

    Raises:
        ConfigError: They hold what no file could.
    """
    if not isinstance(settings, Mapping):
        raise ConfigError(
            f"{name} must be a dict, not {type(settings).__name__}.",
            hint=f'{name} = {{"default": {{"type": "openai", "model": "gpt-5-mini"}}}}',
        )
    whole = settings if _is_whole(settings) else {"providers": settings}
    return yaml.safe_dump(_plain(whole, name), sort_keys=False, allow_unicode=True)


def _plain(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner, f'{name}["{key}"]') for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(inner, name) for inner in value]
    if value is None or type(value) in (bool, int, float):
        return value
    if isinstance(value, (str, os.PathLike)) or type(value).__name__ == "__proxy__":  # a text that is translated late
        return str(value)
    raise ConfigError(
        f"{name} is a {type(value).__name__}, which a configuration cannot hold.",
        hint="Give texts, numbers, lists and dicts; or make the client yourself, and pass that.",
    )


def needs_extra(package: str, extra: str) -> MissingDependencyError:
    """The error of a module whose framework is not installed."""
    return MissingDependencyError(f"The package {package} is not installed.", hint=f"pip install provider-kit[{extra}]")
