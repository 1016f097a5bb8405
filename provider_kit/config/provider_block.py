"""One provider of the file: its settings read, completed, and tried out without sending anything."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from typing import Any

from provider_kit.auth.key_shape import shape_warning
from provider_kit.config.document import Item
from provider_kit.config.entries import OTHER_SPELLINGS, ProviderEntry, entry_fields
from provider_kit.config.reader import MISSING, Reader
from provider_kit.config.shapes import Field, fields_of
from provider_kit.dialects.openai_chat import OpenAIChat
from provider_kit.engine.endpoint import Endpoint
from provider_kit.errors import AuthError, ConfigError, MissingAPIKeyError, ProviderKitError
from provider_kit.model.config import ProviderConfig
from provider_kit.model.nearest import nearest
from provider_kit.model.oauth import OAuthConfig
from provider_kit.providers.base import Provider
from provider_kit.providers.registry import find_provider, is_known, provider_names
from provider_kit.stores.tokens.opening import stored_credential
from provider_kit.wire.redaction import HiddenDict

__all__ = ["read_entry"]


def read_entry(name: str, item: Item, path: str, reader: Reader, *, custom: bool) -> Any:
    """The provider's entry; ``MISSING`` if it is switched off, ``None`` after problems were told."""
    if item.value is None:
        item = Item({}, item.line, item.column, item.key_line, item.key_column)
    if not isinstance(item.value, dict):
        reader.tell(
            item, path, f"The settings of {name} must be a mapping.", "Write them below it, indented: 'api_key: …'."
        )
        return None
    if _switched_off(item, path, reader):
        return MISSING
    before = len(reader.problems)
    provider = _provider(name, item, path, reader, custom=custom)
    known = dict(entry_fields())
    if provider is not None:
        known |= {one: Field(one, Any, "", None) for one in provider.option_names if one not in known}
    oauth = item.value.get("oauth")
    own = {key: part for key, part in item.value.items() if key not in ("oauth", "type")}
    found = reader.read_fields(Item(own, item.line, item.column), known, path, also=OTHER_SPELLINGS)
    if isinstance(oauth, Item) and oauth.value is not None:
        found["oauth"] = (
            reader.read_fields(oauth, fields_of(OAuthConfig), f"{path}.oauth")
            if isinstance(oauth.value, dict)
            else reader.read(oauth, OAuthConfig, f"{path}.oauth")
        )
    if provider is None:
        return None
    settings = _settings(provider, name, found, item, path, reader)
    origins = {
        key.removeprefix(f"{path}."): origin for key, origin in reader.origins.items() if key.startswith(f"{path}.")
    }
    _note_environment(provider, settings, name, origins, reader.environ)
    entry = ProviderEntry(name=name, settings=settings, origins=origins, line=item.key_line or item.line)
    own_fields = {key: value for key, value in settings.items() if key in fields_of(ProviderConfig)}
    reader.try_fields(item, ProviderConfig, {**own_fields, "oauth": None}, path)
    if not any(problem.severity == "error" for problem in reader.problems[before:]):
        _try_out(entry, provider, item, path, reader)
    if any(problem.severity == "error" for problem in reader.problems[before:]):
        return None
    return entry


def _switched_off(item: Item, path: str, reader: Reader) -> bool:
    """Whether it is not used; what stands in it is then not looked at."""
    enabled = item.value.get("enabled")
    if enabled is None or enabled.value is None:
        return False
    silent = Reader(reader.file, reader.environ)
    return silent.read(enabled, bool, f"{path}.enabled") is False


def _provider(name: str, item: Item, path: str, reader: Reader, *, custom: bool) -> Provider | None:
    """Whose API it is: ``type``, else the name."""
    given = item.value.get("type")
    if given is not None and given.value is not None:
        kind = reader.read(given, str, f"{path}.type")
        if kind is MISSING:
            return None
        if is_known(kind):
            return _custom_kind(find_provider(kind), custom)
        reader.tell(
            given,
            f"{path}.type",
            f"There is no provider type {kind[:60]!r}.",
            nearest(kind, provider_names()) + "For any OpenAI-compatible server: openai_compatible.",
        )
        return None
    if not custom and is_known(name):
        return find_provider(name)
    if custom or "base_url" in item.value:
        return find_provider("openai_compatible")
    reader.tell(
        item,
        path,
        f"{name!r} is no known provider, and no type is given.",
        nearest(name, provider_names()) + "Write type: …, or base_url: … for an OpenAI-compatible server.",
        key=True,
    )
    return None


def _custom_kind(provider: Provider, custom: bool) -> Provider:
    """A custom server of type openai is a server that speaks OpenAI's API, and is not OpenAI."""
    speaks_openai = provider.dialect is OpenAIChat and not provider.local
    return find_provider("openai_compatible") if custom and speaks_openai else provider


def _settings(
    provider: Provider, name: str, found: Mapping[str, Any], item: Item, path: str, reader: Reader
) -> dict[str, Any]:
    """What was read, with the file's own words turned into those of the configuration."""
    settings = {key: value for key, value in found.items() if key not in ("enabled", "description", "type")}
    settings["type"] = provider.name
    model, models = settings.pop("model", None), settings.pop("models", ())
    if model and settings.get("default_model") not in (None, model):
        reader.tell(item.value["model"], f"{path}.model", "model and default_model differ.", "Keep one of them.")
    chosen = model or settings.get("default_model") or (models[0] if models else None)
    if chosen:
        settings["default_model"] = chosen
    variable = settings.pop("api_key_env", None)
    if variable:
        _key_from(variable, settings, item, path, reader)
    if "api_key" in settings and settings.get("api_keys"):
        reader.tell(item.value["api_keys"], f"{path}.api_keys", "api_key and api_keys are both given.", "Keep one.")
    _login(provider, settings, item, path, reader)
    _keys(provider, name, settings, item, path, reader)
    return settings


def _key_from(variable: str, settings: dict[str, Any], item: Item, path: str, reader: Reader) -> None:
    place = item.value["api_key_env"]
    if "api_key" in settings or settings.get("api_keys"):
        reader.tell(place, f"{path}.api_key_env", "Keys are given twice.", "Keep api_key_env, or api_key.")
    elif reader.environ.get(variable):
        settings["api_key"] = reader.environ[variable]
        reader.origins[f"{path}.api_key"] = f"{reader.file}:{place.line}, {variable} of the environment"
    else:
        reader.tell(
            place,
            f"{path}.api_key_env",
            f"The environment variable {variable[:60]} is not set.",
            f"Set it: export {variable[:60]}=…",
        )


def _login(provider: Provider, settings: dict[str, Any], item: Item, path: str, reader: Reader) -> None:
    """``auth_type: oauth`` and the OAuth client that stands at the provider's own level."""
    kind = settings.pop("auth_type", None)
    shortcuts = {
        target: settings.pop(key)
        for key, target in (
            ("client_id", "client_id"),
            ("client_secret", "client_secret"),
            ("scopes", "default_scopes"),
        )
        if key in settings
    }
    oauth = settings.get("oauth")
    wanted = kind == "oauth" or oauth is not None or shortcuts or settings.get("oauth_credentials")
    if not wanted:
        return
    if kind in ("api_key", "bearer_token"):
        reader.tell(
            item.value["auth_type"],
            f"{path}.auth_type",
            "An OAuth client is given, but auth_type says otherwise.",
            "Write auth_type: oauth, or remove the client.",
        )
    if "api_key" in settings or settings.get("api_keys"):
        reader.tell(item, path, "A key and a login are both given.", "Keep the key, or auth_type: oauth.", key=True)
    changes = {**shortcuts, **(oauth if isinstance(oauth, Mapping) else {})}
    if changes or settings.get("oauth_credentials"):
        settings["oauth"] = changes
    else:
        settings.pop("oauth", None)
        settings["client_options"] = {"auth": "oauth"}
    if not changes and provider.oauth is None and not settings.get("oauth_credentials"):
        reader.tell(
            item.value.get("auth_type", item),
            f"{path}.auth_type",
            f"No OAuth login is known for {provider.name}.",
            "Give the server: oauth: {issuer: https://…}, or auth_url and token_url.",
        )


def _keys(provider: Provider, name: str, settings: Mapping[str, Any], item: Item, path: str, reader: Reader) -> None:
    """That there is a key, and that it looks like one."""
    given = [settings["api_key"]] if "api_key" in settings else list(settings.get("api_keys") or ())
    where = item.value.get("api_key") or item.value.get("api_keys") or item
    for number, key in enumerate(given):
        if isinstance(key, str) and "base_url" not in settings:
            place = where.value[number] if isinstance(where.value, list) and number < len(where.value) else where
            warning = shape_warning(provider, key)
            if warning:
                reader.tell(place, f"{path}.api_key", *warning, severity="warning")
    literal = [one for one in (item.value.get("api_key"), item.value.get("api_keys")) if one is not None]
    if any(_stands_in_clear(one) for one in literal) and _open_to_others(reader.file):
        reader.tell(
            literal[0],
            f"{path}.api_key",
            "A key stands in a file that others can read.",
            f"Write ${{{(provider.key_variables or ('MY_API_KEY',))[0]}}}, or chmod 600 {reader.file}.",
            severity="warning",
        )
    has_login = "oauth" in settings or "client_options" in settings or settings.get("oauth_credentials")
    told = any(key in item.value for key in ("api_key", "api_keys", "api_key_env"))
    if given or has_login or told or not provider.key_required:
        return
    own = f"{name.upper().replace('-', '_').replace('.', '_')}_API_KEY"
    if provider.find_key(reader.environ)[0] or reader.environ.get(own):
        return
    stored = stored_credential(name, provider.name)
    if stored is not None and stored.token_type == "api_key":
        return
    if stored is not None:
        reader.tell(item, path, "There is no key, but a login.", "Write auth_type: oauth to use it.", key=True)
        return
    variables = ", ".join((provider.key_variables or (own,))[:2])
    reader.tell(
        item,
        path,
        f"There is no key: no api_key, and {variables} is not set.",
        f"Write api_key: ${{{(provider.key_variables or (own,))[0]}}} and set it, or store one: "
        f"provider-kit keys set {name}",
        key=True,
    )


def _stands_in_clear(item: Item) -> bool:
    texts = [part.value for part in item.value] if isinstance(item.value, list) else [item.value]
    return any(isinstance(text, str) and text and "${" not in text for text in texts)


def _open_to_others(file: str) -> bool:
    try:
        mode = os.stat(file).st_mode
    except (OSError, ValueError):
        return False
    return os.name == "posix" and stat.S_ISREG(mode) and bool(mode & 0o044)


def _note_environment(
    provider: Provider, settings: Mapping[str, Any], name: str, origins: dict[str, str], environ: Mapping[str, str]
) -> None:
    """Where values come from that the file does not give but the environment does."""
    own = name.upper().replace("-", "_").replace(".", "_")
    if "api_key" not in settings and not settings.get("api_keys"):
        for variable in (*provider.key_variables, f"{own}_API_KEY"):
            if environ.get(variable):
                origins["api_key"] = f"{variable} of the environment"
                break
    if "base_url" not in settings:
        for variable in (*provider.base_url_variables, f"{own}_BASE_URL"):
            if environ.get(variable):
                origins["base_url"] = f"{variable} of the environment"
                break


def _try_out(entry: ProviderEntry, provider: Provider, item: Item, path: str, reader: Reader) -> None:
    """Make everything a client is made of, but send nothing."""
    try:
        config, _ = entry.make_config(fetch=False)
        endpoint = Endpoint(provider, config, HiddenDict(reader.environ))
        if not callable(config.api_key):
            endpoint.keys  # noqa: B018  # finds them, and whether they may travel to this address
    except MissingAPIKeyError:
        pass  # told above, or it is stored
    except ProviderKitError as error:
        place, below = _place_of(error, item)
        reader.tell(place, f"{path}{below}", error.message, error.hint or "Correct the value.", key=place is item)


def _place_of(error: ProviderKitError, item: Item) -> tuple[Item, str]:
    """The setting that an error of the library is about, by the words in it."""
    text = error.message.lower()
    if isinstance(error, AuthError) or "api key" in text:
        for key in ("api_key", "api_keys", "api_key_env"):
            if key in item.value and not (isinstance(error, ConfigError) and "base_url" in item.value):
                return item.value[key], f".{key}"
    if ("url" in text or "unencrypted" in text) and "base_url" in item.value:
        return item.value["base_url"], ".base_url"
    if "header" in text and "headers" in item.value:
        return item.value["headers"], ".headers"
    for key, part in item.value.items():
        if re.search(rf"\b{re.escape(key)}\b", text):
            return part, f".{key}"
    return item, ""
