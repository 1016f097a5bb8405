"""One provider of the file: its settings are read, completed, and validated without sending anything."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile
from typing import Any

from provider_kit.config.block import Block
from provider_kit.config.credentials import check_keys, note_environment, read_login
from provider_kit.config.document import Item
from provider_kit.config.entries import OTHER_SPELLINGS, ProviderEntry, entry_fields
from provider_kit.config.reader import MISSING, Reader, fetched, in_yaml
from provider_kit.config.typeinfo import Field, fields_of
from provider_kit.dialects.openai_chat import OpenAIChat
from provider_kit.engine.assembly import check_policies
from provider_kit.engine.client_arguments import check_defaults
from provider_kit.engine.endpoint import Endpoint
from provider_kit.errors import AuthError, ConfigError, MissingAPIKeyError, ProviderKitError
from provider_kit.model.config import ProviderConfig
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.oauth import OAuthConfig
from provider_kit.providers.base import Provider
from provider_kit.providers.registry import find_provider, is_known, provider_names
from provider_kit.wire.redaction import MaskedDict

__all__ = ["is_switched_off", "read_entry"]


#: Types of options as they are read from YAML.
_KINDS: dict[type, Any] = {list: tuple[str, ...] | str, dict: Mapping[str, Any]}


def is_switched_off(item: Item, path: str, reader: Reader) -> bool:
    """Whether a provider is disabled; its settings are then not checked."""
    enabled = item.value.get("enabled") if isinstance(item.value, dict) else None
    if enabled is None or enabled.value is None:
        return False
    silent = Reader(reader.file, reader.environ)
    return silent.read(enabled, bool, f"{path}.enabled") is False


def read_entry(name: str, item: Item, path: str, reader: Reader, *, custom: bool) -> ProviderEntry | None:
    """The provider's entry, or ``None`` after problems were reported."""
    if item.value is None:
        item = Item({}, item.line, item.column, item.key_line, item.key_column)
    if not isinstance(item.value, dict):
        reader.tell(
            item, path, f"The settings of {name} must be a mapping.", "Write them below it, indented: 'api_key: …'."
        )
        return None
    before = len(reader.problems)
    provider = _provider(name, item, path, reader, custom=custom)
    found = _read(item, path, reader, provider)
    if provider is None:
        return None
    block = Block(name, item, path, reader, provider, before)
    settings = _settings(block, found)
    # Only the latest ones: earlier ones belong to other blocks, of which there may be thousands.
    own = takewhile(lambda key: key.startswith(f"{path}."), reversed(reader.origins))
    origins = {key.removeprefix(f"{path}."): reader.origins[key] for key in own}
    note_environment(provider, settings, name, origins, reader.environ)
    entry = ProviderEntry(name=name, settings=settings, origins=origins, line=item.key_line or item.line)
    own_fields = {key: value for key, value in settings.items() if key in fields_of(ProviderConfig)}
    reader.try_fields(item, ProviderConfig, {**own_fields, "oauth": None}, path)
    _try_out(block, entry, whole=not _errors(reader, before))
    return None if _errors(reader, before) else entry


def _errors(reader: Reader, before: int) -> bool:
    return any(problem.severity == "error" for problem in reader.problems[before:])


def _read(item: Item, path: str, reader: Reader, provider: Provider | None) -> dict[str, Any]:
    """The values of a block, its options and its OAuth client by their own fields."""
    options: dict[str, Field] = {}
    for name in provider.option_names if provider is not None else ():
        kind: Any = provider.option_kinds.get(name, str) if provider is not None else str
        options[name] = Field(name, _KINDS.get(kind, kind), "", None)
    own = {key: part for key, part in item.value.items() if key not in ("oauth", "type", "options")}
    known = {**options, **entry_fields()}
    found = reader.read_fields(Item(own, item.line, item.column), known, path, also=OTHER_SPELLINGS)
    within = item.value.get("options")
    if within is not None and isinstance(within.value, dict):
        found["options"] = reader.read_fields(within, options, f"{path}.options")
    elif within is not None:
        reader.read(within, Mapping[str, Any], f"{path}.options")
    oauth = item.value.get("oauth")
    if oauth is not None and isinstance(oauth.value, dict):
        found["oauth"] = reader.read_fields(oauth, fields_of(OAuthConfig), f"{path}.oauth")
        reader.try_fields(oauth, OAuthConfig, found["oauth"], f"{path}.oauth")
    elif oauth is not None:
        reader.read(oauth, OAuthConfig, f"{path}.oauth")
    return found


# ------------------------------------------------------------------------------------------------ whose API


def _provider(name: str, item: Item, path: str, reader: Reader, *, custom: bool) -> Provider | None:
    """The provider type: ``type``, else the name."""
    given = item.value.get("type")
    if given is not None and given.value is not None:
        kind = reader.read(given, str, f"{path}.type")
        if kind is MISSING:
            return None
        if is_known(kind):
            return _custom_kind(find_provider(kind), item, custom)
        reader.tell(
            given,
            f"{path}.type",
            f"There is no provider type {kind[:60]!r}.",
            did_you_mean(kind, provider_names()) + "For any OpenAI-compatible server: openai_compatible.",
        )
        return None
    if not custom and is_known(name):
        return find_provider(name)
    if custom or "base_url" in item.value:
        return find_provider("openai_compatible")
    reader.tell(
        item,
        path,
        f"{name!r} is not a known provider, and no type is given.",
        did_you_mean(name, provider_names()) + "Write type: …, or base_url: … for an OpenAI-compatible server.",
        key=True,
    )
    return None


def _custom_kind(provider: Provider, item: Item, custom: bool) -> Provider:
    """A custom server of type openai is a server that speaks OpenAI's API, and is not OpenAI."""
    openai = find_provider("openai")
    imitates = custom and provider is openai and not set(openai.option_names) & item.value.keys()
    return find_provider("openai_compatible") if imitates else provider


# ------------------------------------------------------------------------------------------------ its settings


def _settings(block: Block, found: Mapping[str, Any]) -> dict[str, Any]:
    """The settings read, with names of the file replaced by those of the configuration."""
    settings = {key: value for key, value in found.items() if key not in ("enabled", "description", "type")}
    settings["type"] = block.provider.name
    model, models = settings.pop("model", None), settings.pop("models", ())
    if model and settings.get("default_model") not in (None, model):
        block.tell("model", "model and default_model differ.", "Keep one of them.")
    chosen = model or settings.get("default_model") or (models[0] if models else None)
    if chosen:
        settings["default_model"] = chosen
        _check_model(block, chosen)
    if models and "models" in block.provider.option_names:
        settings["models"] = tuple(models)
    if settings.get("retry") and "max_retries" in found:
        block.tell(
            "retry", "retry and max_retries are both given.", "Keep one: a policy includes the number of retries."
        )
    read_login(block, settings)
    check_keys(block, settings)
    return settings


def _check_model(block: Block, model: str) -> None:
    """``openai/gpt-x`` below ``openai`` would be sent with its prefix."""
    prefix = f"{block.provider.name}/"
    speaks_so = (block.provider.default_model or "").startswith(
        prefix
    )  # OpenRouter has models with its own name as prefix
    if model.startswith(prefix) and not speaks_so and block.provider.dialect is OpenAIChat:
        key = next((one for one in ("model", "default_model", "models") if one in block.item.value), "")
        block.tell(
            key,
            f"The model includes the provider's name, which would be sent with it: {model}.",
            f"Write {model.removeprefix(prefix)}.",
            warning=True,
        )


# ------------------------------------------------------------------------------------------------ tried out


def _try_out(block: Block, entry: ProviderEntry, *, whole: bool) -> None:
    """Create everything a client needs, but send nothing.

    Args:
        whole: Whether no problem was found so far; if not, only independent parts are created.
    """
    settings = entry.settings
    checks: list[Any] = []
    if isinstance(settings.get("base_url"), str) and not whole:
        address = {"type": settings["type"], "base_url": settings["base_url"], "name": block.name}
        checks.append(lambda: Endpoint(block.provider, ProviderConfig(**address), MaskedDict(block.reader.environ)))
    if "defaults" in settings:
        checks.append(lambda: check_defaults(fetched(settings["defaults"], fetch=False)))
    if whole:
        checks.append(lambda: _make(block, entry))
    for check in checks:
        try:
            check()
        except MissingAPIKeyError:
            pass  # reported by check_keys, or it is stored
        except ProviderKitError as error:
            key = _key_of(error, block.item)
            block.tell(key, in_yaml(error.message), in_yaml(error.hint or "Correct the value."))
        except (TypeError, ValueError, AttributeError, LookupError) as error:  # from a provider of a plugin
            block.tell("", f"These settings cannot be used: {type(error).__name__}.", "Check their kinds.")


def _make(block: Block, entry: ProviderEntry) -> None:
    config, client = entry.make_config(fetch=False)
    endpoint = Endpoint(block.provider, config, MaskedDict(block.reader.environ))
    parts = check_policies(
        config,
        retry=client.get("retry"),
        api_keys=(),
        auth=client.get("auth"),
        rate_limiter=None,
        circuit_breaker=None,
        response_cache=None,
        store=config.store,
        on_event=None,
    )
    if callable(config.api_key) or parts.pool is not None:
        endpoint.check_transport_security()
    else:
        endpoint.keys  # noqa: B018  # finds them, and whether they may travel to this address


def _key_of(error: ProviderKitError, item: Item) -> str:
    """The key that an error of the library is about, by the words in it."""
    text = error.message.lower()
    if "default" in text and "defaults" in item.value:
        return "defaults"
    if isinstance(error, AuthError) or "api key" in text:
        for key in ("api_key", "api_keys", "api_key_env", "oauth_credentials", "auth_type"):
            if key in item.value and not (isinstance(error, ConfigError) and "base_url" in item.value):
                return key
    if ("url" in text or "unencrypted" in text) and "base_url" in item.value:
        return "base_url"
    if "header" in text and "headers" in item.value:
        return "headers"
    words = set(text.replace("'", " ").replace(".", " ").replace(":", " ").split())
    return next((key for key in item.value if key in words), "")
