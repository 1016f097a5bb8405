"""The arguments of a client: sorted, checked, and refused with a suggestion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from provider_kit.auth.keys.pool import KeyPool
from provider_kit.errors import ConfigError, InvalidRequestError
from provider_kit.model.call_options import ChatOptions
from provider_kit.model.config import CONFIG_FIELDS, ProviderConfig, no_keys
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.inputs import build_request
from provider_kit.model.other_libraries import ROUTER_ARGUMENTS, instead_of_argument
from provider_kit.policies.circuit_breaker import CircuitBreaker
from provider_kit.providers.registry import built_in_names, find_provider, split_model
from provider_kit.transports.base import Transport

__all__ = [
    "CALL_DEFAULTS",
    "check_defaults",
    "check_flag",
    "check_parts",
    "configure",
    "instead_of",
    "options_of",
    "own_options",
    "resolve",
]

#: Arguments of calls that a client, or a file, can have defaults for.
CALL_DEFAULTS = frozenset(ChatOptions.__annotations__) - {
    *("prompt", "files", "model", "extra_headers", "cancel", "correlation_id", "middleware")
}


def resolve(target: str | None, model: str | None, base_url: str | None) -> tuple[str, str | None]:
    """Provider and model from the first argument of a client."""
    if target is None:
        if base_url is None and model is None:
            raise ConfigError(
                "No provider is given.", hint="Client('openai/gpt-5-mini'), or Client(base_url='http://…/v1')."
            )
        if base_url is None:
            return split_model(str(model))
        return "openai_compatible", model
    if not isinstance(target, str) or not target.strip():
        raise ConfigError(
            f"The first argument must be 'provider/model' or a ProviderConfig, not {target!r}.",
            hint="Client('openai/gpt-5-mini').",
        )
    if "://" in target:
        if base_url is not None:
            raise ConfigError("Two base URLs are given.", hint="Pass the address once.")
        return "openai_compatible", model
    provider, named = split_model(target)
    if named is not None and model is not None and named != model:
        raise ConfigError(f"Two models are given: {named!r} and {model!r}.", hint="Name the model once.")
    return provider, named or model


def own_options(provider_name: str, unknown: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """What was given beside ``options``: the provider's own options are taken as keywords, too.

    Type checkers know ``options={…}`` alone, since what a provider takes depends on a text.

    Raises:
        ConfigError: One is none of the provider's options; the hint says what may be meant.
    """
    names = find_provider(provider_name).option_names if unknown else ()
    for name in unknown:
        if name not in names:
            raise ConfigError(f"Unknown argument {name!r}.", hint=instead_of(name, {*known, *names}))
    return {name: value for name, value in unknown.items() if value is not None}


def options_of(given: Any) -> dict[str, Any]:
    """The options of a provider, without those that are ``None``.

    Raises:
        ConfigError: It is no dict.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"options must be a dict, not {type(given).__name__}.", hint="options={'use_responses_api': True}."
        )
    return {name: value for name, value in given.items() if value is not None}


def instead_of(name: str, known: Iterable[str], *, router: bool = False) -> str | None:
    """What to write instead of an argument that clients, or routers, do not take."""
    known = set(known) - {"self", "unknown", "return", "options"}
    meant = (ROUTER_ARGUMENTS.get(name) if router else None) or instead_of_argument(name, known)
    if meant:
        return meant
    if name in CALL_DEFAULTS:
        return f"It is an argument of chat(), not of {'Router' if router else 'Client'}(); or pass defaults={{…}}."
    owners = [one for one in sorted(built_in_names()) if name in find_provider(one).option_names]
    if owners:
        return f"It is an option of {' and '.join(owners)}: Client('{owners[0]}/…', options={{{name!r}: …}})."
    return did_you_mean(name, known).strip() or None


def check_flag(name: str, value: Any) -> None:
    """A switch is ``True`` or ``False``; a word such as ``"no"`` would count as true.

    Raises:
        ConfigError: It is something else.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be True or False, not {value!r}.")


def check_parts(session: Any, async_session: Any, transport: Any) -> None:
    """Check the types of sessions and transports by their methods, so that nothing is imported."""
    if session is not None and not hasattr(session, "prepare_request"):
        raise ConfigError(f"session must be a requests.Session, not {type(session).__name__}.")
    if async_session is not None and not hasattr(async_session, "cookie_jar"):
        raise ConfigError(f"async_session must be an aiohttp.ClientSession, not {type(async_session).__name__}.")
    if transport is not None and not isinstance(transport, Transport):
        raise ConfigError(f"transport must have the methods of Transport; {type(transport).__name__} lacks some.")


def check_defaults(defaults: Mapping[str, Any] | None) -> dict[str, Any]:
    """Check the default keyword arguments of calls; only those that ``chat()`` accepts."""
    if defaults is not None and not isinstance(defaults, Mapping):
        raise ConfigError(f"defaults must be a dict, not {type(defaults).__name__}.", hint="{'temperature': 0}.")
    for name in defaults or {}:
        if name not in CALL_DEFAULTS:
            raise ConfigError(
                f"Unknown default {name!r}.",
                hint=instead_of_argument(name, CALL_DEFAULTS) or did_you_mean(name, CALL_DEFAULTS).strip() or None,
            )
    if not defaults:
        return {}
    try:
        build_request("Hello", {}, default_model="any", defaults=dict(defaults))
    except InvalidRequestError as error:
        raise ConfigError(f"A default cannot be used: {error.message}", hint=error.hint) from None
    return dict(defaults)


def configure(
    target: Any, given: Mapping[str, Any], unknown: Mapping[str, Any], usual: Mapping[str, Any]
) -> tuple[ProviderConfig, Any]:
    """The configuration of a client, and the keys it was given separately.

    Args:
        target: Its first argument.
        given: Its other arguments, by name.
        unknown: Further arguments: options of its provider, or mistakes.
        usual: Defaults of the other arguments.

    Raises:
        UnknownProviderError: ``target`` names no known provider.
        ConfigError: The arguments are invalid or contradict each other.
    """
    settings = {name: given[name] for name in CONFIG_FIELDS & given.keys() if not _is_part(name, given[name])}
    api_keys = () if given["api_keys"] is None else given["api_keys"]
    if isinstance(target, ProviderConfig):
        beside = [name for name, value in settings.items() if value is not usual[name] and not _says_nothing(value)]
        own = own_options(target.type, unknown, given)
        if beside or own or (api_keys and not isinstance(api_keys, KeyPool)):
            # It is complete; further arguments would be ignored.
            raise ConfigError(
                "A ProviderConfig and further arguments were given.",
                hint="Put them into the ProviderConfig, or use config.replace(…).",
            )
        config = target if given["model"] is None else target.replace(default_model=given["model"])
    else:
        provider_name, settings["default_model"] = resolve(target, given["model"], given["base_url"])
        if given["base_url"] is None and target is not None and "://" in target:
            settings["base_url"] = target
        own = own_options(provider_name, unknown, given)
        for name in ("headers", "http", "api_keys", "model_overrides"):
            if settings.get(name, ()) is None:
                del settings[name]
        settings["options"] = options_of(settings.get("options")) | own
        config = ProviderConfig(type=provider_name, **settings)
    plain = not isinstance(api_keys, (KeyPool, Mapping)) and not callable(api_keys)
    if plain and not api_keys and given["api_keys"] is not None:
        raise no_keys()
    return config, api_keys


def _is_part(name: str, value: Any) -> bool:
    """Whether an argument that also exists in a configuration is given as an object, which a configuration cannot
    hold."""
    if name == "api_keys":
        return isinstance(value, (KeyPool, Mapping)) or callable(value)
    if name == "circuit_breaker":
        return isinstance(value, CircuitBreaker)
    return name == "response_cache" or (name == "store" and not isinstance(value, str))


def _says_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, (str, bytes, list, tuple, dict)) and not value)
