"""Which providers there are, and what a model string means.

A provider is found by name in three places: what the program registered, what this package contains, and what installed
packages declare under the entry point group ``provider_kit.providers``. Each is imported when it is first used. This
package contains the modules of this folder, each under its own name, and the rows of ``compatible.py``.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from provider_kit.errors import ConfigError, UnknownProviderError
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.providers.base import Provider
from provider_kit.wire.redaction import redact

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["ENTRY_POINTS", "built_in_names", "find_provider", "provider_names", "register_provider", "split_model"]

ENTRY_POINTS = "provider_kit.providers"

#: Modules of this folder that are not providers.
_OTHERS = frozenset(("base", "compatible", "default_choice", "registry"))
_DEMO = "provider_kit.testing.demo"

_ALIASES = {"google": "gemini", "dashscope": "qwen", "lm_studio": "lmstudio", "llama.cpp": "llamacpp", "grok": "xai"}

#: A host with a port, this machine, or a host with the path of an API.
_ADDRESS = re.compile(
    r"(?:localhost|\d+\.\d+\.\d+\.\d+|\[[0-9a-fA-F:]+\]|[\w.-]+:\d{3,5}|[\w-]+(?:\.[\w-]+)+(?=/v\d))(?::\d+)?(?:/|$)"
)
#: Model names that identify their provider without a prefix.
_BARE = (
    (re.compile(r"^(?:gpt-\d|o\d(?:-|$)|chatgpt-|text-embedding-)"), "openai"),
    (re.compile(r"^claude-"), "anthropic"),
    (re.compile(r"^gemini-"), "gemini"),
    (re.compile(r"^grok-"), "xai"),
    (re.compile(r"^deepseek-(?:flash|v\d|chat|reasoner)"), "deepseek"),
    (re.compile(r"^(?:mistral|codestral|ministral|magistral|pixtral)-"), "mistral"),
)

_registered: dict[str, Provider] = {}
_loaded: dict[str, Provider] = {}


def _announced(name: str | None = None) -> list[EntryPoint]:
    """Entry points of installed packages; looked up only where the built-in names do not suffice."""
    found = _all_announced(tuple((folder, _changed(folder)) for folder in sys.path))
    return [entry for entry in found if name is None or entry.name == name]


@lru_cache(maxsize=1)
def _all_announced(folders: tuple[tuple[str, float], ...]) -> list[EntryPoint]:
    """Read again only after a package was installed or removed: it takes milliseconds, and a file may hold thousands of
    unknown names."""
    from importlib.metadata import entry_points

    return list(entry_points(group=ENTRY_POINTS))


def _changed(folder: str) -> float:
    """When something was last added to a folder, or removed from it."""
    try:
        return os.stat(folder or ".").st_mtime
    except OSError:
        return 0.0


def register_provider(provider: Provider) -> Provider:
    """Register a provider under its name, replacing any other of that name.

    Returns:
        The provider itself, so that the call can wrap its definition.

    Raises:
        ConfigError: It is not a :class:`Provider`, or its name cannot precede the slash of a model string.
    """
    if not isinstance(provider, Provider):
        raise ConfigError(
            f"register_provider() takes a Provider, not {type(provider).__name__}.",
            hint="register_provider(Provider(name='acme', base_url='https://api.acme.test/v1')).",
        )
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", provider.name):
        raise ConfigError(f"{provider.name!r} is no name for a provider.", hint="Use letters, digits, '_', '.', '-'.")
    _registered[provider.name] = provider
    return provider


def provider_names() -> list[str]:
    """The names of all providers, sorted."""
    return sorted({*_registered, *built_in_names(), *(entry.name for entry in _announced())})


def built_in_names() -> set[str]:
    """The names of the providers in this package."""
    return {*_modules(), *_rows()}


@lru_cache(maxsize=1)
def _modules() -> dict[str, str]:
    """The providers that have a module of their own, and its name."""
    folder = __name__.rpartition(".")[0]
    found = {name: f"{folder}.{name}" for _, name, _ in iter_modules(sys.modules[folder].__path__)}
    return {name: module for name, module in found.items() if name not in _OTHERS} | {"demo": _DEMO}


def _rows() -> Mapping[str, Provider]:
    from provider_kit.providers.compatible import ROWS

    return ROWS


def find_provider(name: str) -> Provider:
    """The provider of this name.

    Raises:
        UnknownProviderError: There is none; the hint suggests similar names.
    """
    name = _real_name(name)
    found = _registered.get(name) or _loaded.get(name)
    if found is not None:
        return found
    loaded: object
    if name in _modules():
        loaded = import_module(_modules()[name]).PROVIDER
    elif name in _rows():
        loaded = _rows()[name]
    else:
        entry = next(iter(_announced(name)), None)
        loaded = entry.load() if entry is not None else None
    if not isinstance(loaded, Provider):
        names = provider_names()
        raise UnknownProviderError(
            f"Unknown provider {name!r}.",
            hint=did_you_mean(name, names)
            + f"Known: {', '.join(names)}. Any OpenAI-compatible server: Client(base_url='http://…/v1', model='…').",
        )
    _loaded[name] = loaded
    return loaded


def _real_name(name: str) -> str:
    """The name behind an alias, unless the program itself registered a provider of that name."""
    return name if name in _registered else _ALIASES.get(name, name)


def is_known(name: str) -> bool:
    """Whether there is a provider of this name, without importing it."""
    return name in _registered or name in built_in_names() or name in _ALIASES or bool(_announced(name))


def split_model(text: str) -> tuple[str, str | None]:
    """Provider and model of a model string.

    ``provider/model`` is split once, so ``openrouter/anthropic/claude-x`` works; ``provider:model`` counts only if the
    prefix is a provider (``llama3.1:8b`` is a model); a provider alone means its default model; a bare name such as
    ``claude-x`` identifies its provider.

    Raises:
        UnknownProviderError: The text names no known provider.
    """
    text = text.strip()
    head, slash, rest = text.partition("/")
    if slash and is_known(head):
        return _real_name(head), rest or None
    head, colon, rest = text.partition(":")
    if colon and "/" not in head and is_known(head):
        return _real_name(head), rest or None
    if is_known(text):
        return _real_name(text), None
    for pattern, provider in _BARE:
        if pattern.match(text):
            return provider, text
    prefix = text.partition("/")[0] if "/" in text else text.partition(":")[0]
    names = provider_names()
    if redact(text) != text:
        raise UnknownProviderError(
            "The first argument looks like an API key.", hint="Client('openai/gpt-5-mini', api_key=…)."
        )
    if _ADDRESS.match(text):
        raise UnknownProviderError(
            f"{text!r} is an address without its scheme.",
            hint=f"Write it as 'http://{text}', or 'https://{text}' for a server that has a certificate.",
        )
    raise UnknownProviderError(f"{text!r} names no known provider.", hint=_meant(text, prefix, names))


def _meant(text: str, prefix: str, names: list[str]) -> str:
    """What may be meant by a name that is not known: a provider that is spelt like it, or a model of one."""
    from provider_kit.catalog.similar import similar_models  # only mistakes need the catalog

    near = did_you_mean(prefix, names)
    if "/" not in text:
        makers = [find_provider(name) for name in ("openai", "anthropic", "gemini", "xai", "mistral", "deepseek")]
        models = similar_models(text, [f"{one.name}/{one.default_model}" for one in makers])
        if models:
            meant = " or ".join(map(repr, models))
            start = f"{near}Or the model " if near and text != prefix and prefix.isalpha() else "Did you mean "
            return f"{start}{meant}? A model is written provider/model. Providers: {', '.join(names)}."
    return f"{near}Write it as provider/model, e.g. 'openai/gpt-5-mini'. Providers: {', '.join(names)}."
