"""The settings below a provider's name, and their result: a configuration and a client's arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Literal

from attrs import evolve, field, frozen

from provider_kit.auth.oauth.presets import oauth_config
from provider_kit.auth.storage.factory import stored_credential
from provider_kit.config.reader import fetched
from provider_kit.config.secret_reference import SecretList, SecretReference
from provider_kit.config.typeinfo import Field, fields_of
from provider_kit.model.config import ProviderConfig

__all__ = ["OTHER_SPELLINGS", "ProviderEntry", "entry_fields"]

#: Names of our keys in other tools, without underscores and in lower case.
OTHER_SPELLINGS = {
    "key": "api_key",
    "token": "api_key",
    "keys": "api_keys",
    "apitoken": "api_key",
    "secret": "api_key",
    "url": "base_url",
    "apibase": "base_url",
    "endpoint": "base_url",
    "host": "base_url",
    "apiurl": "base_url",
    "baseuri": "base_url",
    "modelname": "model",
    "retries": "max_retries",
    "numretries": "max_retries",
    "requesttimeout": "timeout",
    "timeoutseconds": "timeout",
    "provider": "type",
    "kind": "type",
    "disabled": "enabled",
    "active": "enabled",
    "ratelimits": "rate_limit",
    "limits": "rate_limit",
    "extraheaders": "headers",
    "proxy": "http",
    "verify": "http",
    "oauth2": "oauth",
    "credentials": "oauth_credentials",
    "cache": "response_cache",
    "auth": "auth_type",
    "organizationid": "organization",
    "projectid": "project_id",
}


@frozen(kw_only=True)
class _OnlyInFiles:
    """Settings of a provider that exist in files only, in addition to those of ``ProviderConfig``."""

    #: Whether the provider is used; the settings of a disabled one are not checked.
    enabled: bool = True
    #: A comment.
    description: str | None = None
    #: Default model; alias of default_model.
    model: str | None = None
    #: Models of a custom server; the first one is the default.
    models: tuple[str, ...] = ()
    #: Name of the environment variable that holds the key.
    api_key_env: str | None = None
    #: Authentication method; oauth for a login.
    auth_type: Literal["api_key", "oauth", "bearer_token"] | None = None
    #: Id of your OAuth client.
    client_id: str | None = None
    client_secret: str | None = None
    #: Scopes a login requests.
    scopes: tuple[str, ...] = ()
    #: Retry policy: none, default, aggressive or conservative.
    retry: Literal["none", "default", "aggressive", "conservative"] | None = None
    #: Arguments for every call, e.g. temperature.
    defaults: Mapping[str, Any] = field(factory=dict)


@cache
def entry_fields() -> dict[str, Field]:
    """All settings below a provider's name, without the options of the provider."""
    return {**fields_of(_OnlyInFiles), **fields_of(ProviderConfig)}


@frozen(kw_only=True)
class ProviderEntry:
    """One provider of a configuration file, from which a client can be created."""

    #: Its name in the file.
    name: str
    #: All settings, with secrets not fetched yet.
    settings: Mapping[str, Any] = field(repr=lambda settings: f"<{len(settings)} settings>")
    #: Path below the provider to where its value comes from.
    origins: Mapping[str, str] = field(factory=dict)
    #: Line of its name in the file.
    line: int = 1

    def changed(self, changes: Mapping[str, Any], *, besides: Iterable[str] = ()) -> ProviderEntry:
        """A copy with explicit arguments, which override the file.

        Args:
            changes: Settings of the configuration.
            besides: Arguments passed to the client directly; their settings in the file are dropped.
        """
        given = {("default_model" if name == "model" else name): value for name, value in changes.items()}
        settings = dict(self.settings)
        replaced = {*given, *besides}
        if {"api_key", "api_keys", "auth"} & replaced:
            replaced |= {"api_key", "api_keys", "oauth", "oauth_credentials", "client_options"}
        if "max_retries" in given:
            replaced.add("retry")
        settings = {name: value for name, value in settings.items() if name not in replaced}
        origins = {**self.origins, **dict.fromkeys(given, "argument")}
        return evolve(self, settings={**settings, **given}, origins=origins)

    def make_config(self, *, fetch: bool = True) -> tuple[ProviderConfig, dict[str, Any]]:
        """The configuration, and further arguments of the client.

        Args:
            fetch: Whether secrets other than API keys are fetched now; if not, placeholders are used.

        Raises:
            ConfigError: A setting is invalid.
            AuthError: A secret cannot be fetched.
        """
        settings = dict(self.settings)
        client: dict[str, Any] = dict(settings.pop("client_options", {}))
        keys = settings.pop("api_keys", ())
        if any(isinstance(key, SecretReference) for key in keys):
            settings["api_key"] = SecretList(keys)
        elif keys:
            settings["api_keys"] = tuple(keys)
        for name, value in settings.items():
            if name != "api_key":
                settings[name] = fetched(value, fetch=fetch)
        known = fields_of(ProviderConfig)
        client |= {name: settings.pop(name) for name in ("defaults", "retry") if name in settings}
        options = {name: settings.pop(name) for name in list(settings) if name not in known}
        if options:
            settings["options"] = {**settings.get("options", {}), **options}
        if "oauth" in settings and isinstance(settings["oauth"], Mapping):
            settings["oauth"] = oauth_config(str(settings["type"]), **settings["oauth"])
        settings.setdefault("name", self.name)
        if fetch and client.get("auth") == "oauth" and settings["type"] != settings["name"]:
            client["auth"] = _login_under(settings["name"], settings["type"])
        return ProviderConfig(**settings), client


def _login_under(name: str, kind: str) -> Any:
    """The login stored under the name in the file, else under the name of the provider."""
    if stored_credential(name) is not None or stored_credential(kind) is None:
        return "oauth"
    from provider_kit.auth.oauth.authenticator import OAuthAuthenticator

    return OAuthAuthenticator(kind, config=oauth_config(kind))
