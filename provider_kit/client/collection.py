"""Clients by name: those of a configuration file, and those created from a program's own configurations."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attrs import evolve

from provider_kit.client.client import Client
from provider_kit.client.router import Router
from provider_kit.client.routes import router_of
from provider_kit.config.configuration import Configuration
from provider_kit.config.loader import choose_entry, open_configuration
from provider_kit.config.problems import Problem
from provider_kit.config.routes import RoutingConfig
from provider_kit.errors import ConfigError
from provider_kit.model.closing import Closing
from provider_kit.model.config import ProviderConfig
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.providers.base import Provider
from provider_kit.providers.registry import find_provider, provider_names, register_provider

__all__ = ["Clients", "ProviderFactory", "load_config", "load_encrypted_config"]


class Clients(Closing, Mapping[str, Client | Router]):
    """The clients and routers of a configuration file, by their names there. Each is created on first use.

    Iterating yields the names of the providers; ``routing`` has those of the routes.

    Example:
        >>> from provider_kit import load_config
        >>> with open("config.yaml", "w") as file:
        ...     _ = file.write("providers:\\n  demo:\\n    model: echo\\n")
        >>> with load_config("config.yaml") as clients:
        ...     clients["demo"].chat("Hello").text
        'Hello'
    """

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._made: dict[str, Client | Router] = {}

    def __getitem__(self, name: str) -> Client | Router:
        made = self._made.get(name)
        if made is not None:
            return made
        route = self._configuration.routing.get(name)
        if route is not None:
            return self._made.setdefault(name, router_of(name, route, self.__getitem__))
        head = name.partition("/")[0] if isinstance(name, str) else None
        if name not in self._configuration.entries and head not in self._configuration.entries:
            if name == "default" and len(self._configuration.entries) == 1:
                return self[next(iter(self._configuration.entries))]
            known = [*self._configuration.entries, *self._configuration.routing]
            raise KeyError(f"{name!r}. {did_you_mean(str(name), known)}There are: {', '.join(known)}.")
        entry, model = choose_entry(self._configuration, name)
        config, options = entry.changed({"model": model} if model else {}).make_config()
        # Two threads may both get here; the first one wins.
        return self._made.setdefault(name, Client(config, **options))

    def __iter__(self) -> Iterator[str]:
        return iter(self._configuration.entries)

    def __len__(self) -> int:
        return len(self._configuration.entries)

    def __contains__(self, name: object) -> bool:
        return name in self._configuration.entries or name in self._configuration.routing

    def __repr__(self) -> str:
        return f"<Clients of {self.file}: {', '.join(self)}>"

    @property
    def providers(self) -> Mapping[str, Client | Router]:
        """The same clients."""
        return self

    @property
    def default(self) -> Client | Router:
        """The client or router of ``default:``, else of the first name in ``preferred_order:``, else the first one.

        Raises:
            ConfigError: None is switched on.
        """
        if self._configuration.default is None:
            raise ConfigError(f"No provider is switched on in {self.file}.", hint="Write enabled: true at one.")
        return self[self._configuration.default]

    @property
    def file(self) -> str:
        """The file they come from."""
        return self._configuration.file

    @property
    def disabled(self) -> list[str]:
        """Names of the providers that are switched off."""
        return list(self._configuration.disabled)

    @property
    def warnings(self) -> list[Problem]:
        """Problems in the file that are not errors."""
        return self._configuration.warnings

    @property
    def routing(self) -> Mapping[str, RoutingConfig]:
        """The routes, which are named choices among several providers."""
        return self._configuration.routing

    def route(self, name: str) -> Router:
        """The router of a route; ``clients[name]`` is the same.

        Raises:
            ConfigError: There is no such route.
        """
        found = self[name] if name in self.routing else None
        if not isinstance(found, Router):
            raise ConfigError(
                f"{self.file} has no route {name!r}.",
                hint=f"{did_you_mean(name, self.routing)}There are: {', '.join(self.routing) or 'none'}.",
            )
        return found

    def close(self) -> None:
        """Close the blocking connections of all clients."""
        for client in list(self._made.values()):
            client.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and the blocking ones."""
        for client in list(self._made.values()):
            await client.aclose()

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError("the clients of a file cannot be pickled; load the file again, or pickle one client")


def load_config(path: str | os.PathLike[str] | None = None) -> Clients:
    """The clients of a configuration file. Nothing is sent, and no connection is opened.

    Args:
        path: The file. Default: ``PROVIDER_KIT_CONFIG`` or ``CONFIG_FILE``, else ``provider_kit.yaml`` or
            ``config.yaml`` in the working directory, else ``config.yaml`` in the user's configuration folder.

    Raises:
        ConfigError: There is no file, or something in it is wrong: ``error.problems`` has all of it, each
            with its line and its remedy.
        EncryptionError: It is encrypted, and ``PROVIDER_KIT_ENCRYPTION_KEY`` does not open it.
    """
    return _clients(open_configuration(path))


def load_encrypted_config(path: str | os.PathLike[str] | None, key: str | bytes) -> Clients:
    """The clients of an encrypted configuration file, see ``provider-kit config encrypt``.

    Args:
        path: The file; ``None`` as in :func:`load_config`.
        key: A key of :func:`generate_encryption_key`, or the passphrase.

    Raises:
        EncryptionError: The key is wrong, or the file is damaged.
        ConfigError: As :func:`load_config`.
        MissingDependencyError: The package ``cryptography`` is not installed.
    """
    return _clients(open_configuration(path, key=key))


def _clients(found: Configuration | None) -> Clients:
    if found is None:
        raise ConfigError(
            "There is no configuration file.",
            hint="Name it: load_config('config.yaml'), or PROVIDER_KIT_CONFIG. provider-kit config init writes one.",
        )
    return Clients(found)


class ProviderFactory:
    """Creates clients from configurations that a program builds itself.

    Example:
        >>> from provider_kit import ProviderConfig, ProviderFactory
        >>> factory = ProviderFactory()
        >>> factory.create("demo", ProviderConfig(type="demo", default_model="echo")).chat("Hello").text
        'Hello'
    """

    def __init__(self) -> None:
        self._made: dict[str, Callable[[ProviderConfig], Client]] = {}

    def create(self, type: str, config: ProviderConfig | None = None, **settings: Any) -> Client:
        """Create a client of a provider.

        Args:
            type: The provider.
            config: Its configuration; its own ``type`` must be the same or is replaced.
            settings: Fields of :class:`ProviderConfig`, where no configuration is given.

        Raises:
            UnknownProviderError: There is no such provider.
            ConfigError: The configuration is invalid.
        """
        if config is not None and settings:
            raise ConfigError("A configuration and settings are both given.", hint="Use config.replace(…).")
        made = self._made.get(type)
        if made is None:
            find_provider(type)
        config = ProviderConfig(type=type, **settings) if config is None else config
        if config.type != type:
            config = config.replace(type=type)
        return Client(config) if made is None else made(config)

    def register_provider(self, type: str, provider: Provider | Callable[[ProviderConfig], Client]) -> None:
        """Register another provider: a :class:`Provider`, or a function from a configuration to a client.

        Raises:
            ConfigError: It is neither.
        """
        if isinstance(provider, Provider):
            register_provider(provider if provider.name == type else evolve(provider, name=type))
        elif callable(provider):
            self._made[type] = provider
        else:
            raise ConfigError(
                f"A provider must be a Provider or a function, not {provider!r}.",
                hint="factory.register_provider('acme', Provider(name='acme', base_url='https://…/v1')).",
            )

    def names(self) -> list[str]:
        """The names of its providers, sorted."""
        return sorted({*provider_names(), *self._made})
