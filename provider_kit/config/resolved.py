"""The values in effect and the origin of each. Secrets are never shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import asdict, frozen, has

from provider_kit.auth.storage.factory import stored_credential
from provider_kit.config.configuration import Configuration
from provider_kit.config.entries import ProviderEntry
from provider_kit.config.reader import is_secret_path
from provider_kit.config.routes import members_of
from provider_kit.model.config import DEFAULT_TIMEOUT, DEFAULT_TOTAL_TIMEOUT
from provider_kit.model.secrets import MASK
from provider_kit.providers.registry import find_provider
from provider_kit.wire.redaction import redact

__all__ = ["Value", "effective_values"]

#: Settings shown for every provider, whether set or not.
_ALWAYS = ("type", "api_key", "base_url", "model", "timeout", "total_timeout", "max_retries")


@frozen
class Value:
    """One setting in effect."""

    #: ``providers.openai.timeout``.
    path: str
    #: The value with secrets masked.
    shown: str
    #: Where it comes from: file and line, a variable, ``default``.
    origin: str


def effective_values(configuration: Configuration, environ: Mapping[str, str]) -> list[Value]:
    """The settings of every provider that is switched on, in the order of the file."""
    found: list[Value] = []
    for entry in configuration.entries.values():
        found.extend(_values(entry, environ))
    found.extend(Value(f"providers.{name}.enabled", "false", configuration.file) for name in configuration.disabled)
    if configuration.default:
        found.append(Value("default", configuration.default, configuration.file))
    for name, route in configuration.routing.items():
        members = ", ".join(one.provider or f"{one.strategy} ({len(one.providers)})" for one in members_of(route))
        found.append(Value(f"routing.{name}", f"{route.strategy} {members}", configuration.file))
    return found


def _values(entry: ProviderEntry, environ: Mapping[str, str]) -> list[Value]:
    config, _ = entry.make_config(fetch=False)
    provider = find_provider(config.type)
    origins = dict(entry.origins)
    settings: dict[str, Any] = {name: value for name, value in entry.settings.items() if name != "client_options"}
    shown: dict[str, tuple[str, str]] = {"type": (config.type, origins.get("type", "its name"))}
    shown["api_key"] = _key(entry, provider.key_required, environ, origins)
    address = provider.find_base_url(config, environ)
    shown["base_url"] = (redact(address or ""), origins.get("base_url", f"default of {provider.name}"))
    model = config.default_model or provider.default_model
    shown["model"] = (model or "none", origins.get("model") or origins.get("default_model") or "default")
    shown["timeout"] = (_text("timeout", settings.pop("timeout", DEFAULT_TIMEOUT)), origins.get("timeout", "default"))
    total = settings.pop("total_timeout", DEFAULT_TOTAL_TIMEOUT)
    shown["total_timeout"] = (_text("total_timeout", total), origins.get("total_timeout", "default"))
    shown["max_retries"] = (str(config.max_retries), origins.get("max_retries", "default"))
    for name, value in settings.items():
        if name in (*_ALWAYS, "api_keys", "default_model", "name"):
            continue
        origin = origins.get(name) or next(
            (o for key, o in origins.items() if key.startswith((f"{name}.", f"{name}["))), ""
        )
        shown[name] = (_text(name, value), origin or "the file")
    return [Value(f"providers.{entry.name}.{name}", text, origin) for name, (text, origin) in shown.items()]


def _key(
    entry: ProviderEntry, required: bool, environ: Mapping[str, str], origins: Mapping[str, str]
) -> tuple[str, str]:
    settings = entry.settings
    several = settings.get("api_keys")
    if several:
        where = [origin for key, origin in origins.items() if key.startswith("api_keys")]
        return f"{len(several)} keys {MASK}", "; ".join(dict.fromkeys(where)) or "the file"
    if "oauth" in settings or "client_options" in settings or settings.get("oauth_credentials"):
        return "a login", origins.get("auth_type", "the file")
    if "api_key" in settings or "api_key" in origins:
        return MASK, origins.get("api_key", "the file")
    if stored_credential(entry.name, str(settings["type"])) is not None:
        return MASK, "stored by provider-kit keys set or auth login"
    return ("missing" if required else "none needed"), ""


def _text(name: str, value: Any) -> str:
    if name == "headers" and isinstance(value, Mapping):
        return ", ".join(f"{key}={MASK}" for key in value)  # a header's name does not reveal whether it holds a secret
    if name == "oauth" and isinstance(value, Mapping):  # each of its fields is checked separately
        return ", ".join(f"{key}={_text(str(key), part)}" for key, part in value.items())
    if is_secret_path(name) and not isinstance(value, (bool, int, float)):
        return MASK
    if isinstance(value, type) or callable(value):
        return MASK
    if has(type(value)):
        value = asdict(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_text(str(key), part)}" for key, part in value.items() if part is not None)
    if isinstance(value, (tuple, list)):
        return ", ".join(_text(name, part) for part in value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return redact(str(value).lower() if isinstance(value, bool) else str(value))
