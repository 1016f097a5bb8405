"""A configuration file as a whole: reading, checks, and the result."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from attrs import define, field

from provider_kit.config.document import Item, read_document
from provider_kit.config.entries import ProviderEntry
from provider_kit.config.problems import Problem, raise_problems
from provider_kit.config.provider_block import is_switched_off, read_entry
from provider_kit.config.reader import MISSING, Reader
from provider_kit.config.routes import RoutingConfig, read_routes
from provider_kit.config.typeinfo import Field
from provider_kit.errors import UnknownProviderError
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.providers.registry import is_known, split_model
from provider_kit.wire.redaction import redact

__all__ = ["TOP_FIELDS", "Configuration", "read_configuration"]

#: The top-level keys of the file.
TOP_FIELDS = {
    one.name: one
    for one in (
        Field(
            "providers", Mapping[str, Any], "The providers, by a name you choose; the default type is the name.", None
        ),
        Field("custom", Mapping[str, Any], "Servers that speak OpenAI's API, by a name you choose.", None),
        Field("default", str, "Name of the provider to use by default.", None),
        Field("preferred_order", tuple[str, ...], "Names of providers, the preferred one first.", None),
        Field("routing", Mapping[str, RoutingConfig], "Choices among several providers, by a name you choose.", None),
    )
}
#: Names of the blocks in other tools.
_OTHER_BLOCKS = {"router": "routing", "routes": "routing", "models": "providers", "modellist": "providers"}
#: Names below ``providers`` that are not providers.
_LISTS = ("enabled", "preferred_order", "custom")


@define
class Configuration:
    """The content of a configuration file."""

    #: Path of the file, as it was found.
    file: str
    #: The providers that are switched on, by their name in the file.
    entries: dict[str, ProviderEntry] = field(factory=dict)
    #: Names of those that are switched off.
    disabled: list[str] = field(factory=list)
    #: Names of those that could not be read.
    broken: list[str] = field(factory=list)
    routing: dict[str, RoutingConfig] = field(factory=dict)
    #: The default provider.
    default: str | None = None
    #: All errors and warnings, by line.
    problems: list[Problem] = field(factory=list)

    @property
    def warnings(self) -> list[Problem]:
        """The problems that are not errors."""
        return [problem for problem in self.problems if problem.severity == "warning"]

    def check(self) -> Configuration:
        """Raise all errors at once.

        Raises:
            ConfigError: ``error.problems`` has everything.
        """
        raise_problems(self.file, self.problems)
        return self


def read_configuration(
    text: str, file: str, environ: Mapping[str, str] | None = None, *, sealed: bool = False
) -> Configuration:
    """Read a file's text. Never raises for its content: look at ``problems``, or call ``check()``.

    Args:
        text: YAML (or JSON, which is YAML).
        file: Its path, for the problems.
        environ: The environment; default: that of the process.
        sealed: Whether the file itself is encrypted, so that it may be readable by others.
    """
    made = Configuration(file)
    tree, problems, unread = read_document(text, file)
    syntax = tuple(problems)
    reader = Reader(file, os.environ if environ is None else environ, problems, sealed=sealed)
    if tree is None and not problems:
        tree = Item({}, 1, 1)
        reader.tell(tree, "", "The file is empty.", "provider-kit config init writes one to begin with.")
    elif tree is not None and not isinstance(tree.value, dict):
        reader.tell(tree, "", "The file must hold a mapping with the key providers.", "Begin with 'providers:'.")
    elif tree is not None:
        _read_top(tree, made, reader)
    # A line with a syntax error is not reported twice.
    reader.problems = [one for one in reader.problems if one.line not in unread or one in syntax]
    made.problems = sorted(reader.problems, key=lambda problem: (problem.line, problem.column))
    return made


def _read_top(tree: Item, made: Configuration, reader: Reader) -> None:
    blocks = dict(tree.value)
    providers, custom = blocks.pop("providers", None), blocks.pop("custom", None)
    astray = _astray(blocks, providers, reader)
    named: dict[str, Item] = {name: blocks.pop(name) for name in astray}
    listed: dict[str, Item] = {}
    if providers is not None and isinstance(providers.value, dict):
        named |= providers.value
        _shifted_settings(named, reader)
        for name in _LISTS:
            if name in named and (name != "custom" or isinstance(named[name].value, dict)):
                listed[name] = named.pop(name)
    elif providers is not None and not astray:
        if providers.value is None:
            reader.tell(providers, "providers", "There is no provider.", "Write one below, e.g. 'openai:'.", key=True)
        else:
            reader.tell(
                providers,
                "providers",
                "providers must be a mapping of names, not a list or a text.",
                "Write 'openai:' below it, indented, and its settings below that.",
            )
    customs = [("providers.custom", listed.get("custom")), ("custom", custom)]
    wanted = _enabled(listed.get("enabled"), named, customs, reader)
    _read_entries(named, made, reader, "providers", wanted)
    for path, block in customs:
        if block is not None and isinstance(block.value, dict):
            _read_entries(block.value, made, reader, path, wanted)
        elif block is not None and block.value is not None:
            reader.tell(block, path, "custom must be a mapping of names.", "Write 'my-server:' below it.")
    if providers is None and custom is None and not astray and _nearest_block(blocks) is None:
        remedy = "Begin the file with 'providers:'."
        if "model_list" in blocks:
            remedy = "This is LiteLLM's form; the page 'Coming from another library' shows ours."
        reader.tell(tree, "", "There is no key providers.", remedy)
    order = listed.get("preferred_order")
    if order is not None and "preferred_order" in blocks:
        reader.tell(
            order, "providers.preferred_order", "preferred_order is given twice.", "Keep one of them.", key=True
        )
    elif order is not None:
        blocks["preferred_order"] = order
    routing = blocks.pop("routing", None)
    rest = Item(blocks, 1, 1)
    found = reader.read_fields(rest, TOP_FIELDS, "", also=_OTHER_BLOCKS)
    if routing is not None:
        names = (*made.entries, *made.disabled, *made.broken)
        made.routing = read_routes(
            routing, names, reader, lambda name, item, path: _check_name(name, item, path, made, reader)
        )
    _read_choices(found, rest, made, reader)


def _nearest_block(blocks: Mapping[str, Item]) -> str | None:
    """A misspelt ``providers`` among the unknown keys."""
    return next((name for name in blocks if did_you_mean(name, ["providers"])), None)


# ------------------------------------------------------------------------------------------------ indentation


def _astray(blocks: Mapping[str, Item], providers: Item | None, reader: Reader) -> list[str]:
    """Providers at the level of ``providers:`` instead of below it."""
    if providers is not None and providers.value is not None:
        return []
    found = []
    for name, item in blocks.items():
        settings = item.value if isinstance(item.value, dict) else {}
        if name in TOP_FIELDS or name.startswith("x-"):
            continue
        if is_known(name) or {"api_key", "api_keys", "model", "base_url"} & settings.keys():
            found.append(name)
            if providers is not None:
                message = f"{name} is at the level of providers, not below it."
                remedy = "Indent it and everything below it by two more spaces."
            else:
                message = f"{name} is at the left margin; the line 'providers:' above it is missing."
                remedy = "Write 'providers:' above it, and indent this by two spaces."
            reader.tell(item, name, message, remedy, key=True)
    return found


def _shifted_settings(named: dict[str, Item], reader: Reader) -> None:
    """Settings at the level of their provider instead of below it."""
    from provider_kit.config.entries import entry_fields

    previous: str | None = None
    for name in list(named):
        item = named[name]
        if isinstance(item.value, dict) or name in _LISTS:
            previous = name
            continue
        if previous is not None and name in entry_fields() and not is_known(name):
            reader.tell(
                item,
                f"providers.{name}",
                f"{name} is at the level of {previous}, not below it.",
                "Indent it by two more spaces.",
                key=True,
            )
            del named[name]
            if named.get(previous) is not None and named[previous].value is None:
                del named[previous]
        elif item.value is None:
            previous = name


# ------------------------------------------------------------------------------------------------ the parts


def _enabled(
    item: Item | None, named: Mapping[str, Item], customs: list[tuple[str, Item | None]], reader: Reader
) -> tuple[str, ...] | None:
    """``providers.enabled``: a list of those that count; ``None`` for all."""
    if item is None:
        return None
    names = reader.read(item, tuple[str, ...], "providers.enabled")
    if names is MISSING or names is None:
        return None
    others = [one.value for _, one in customs if one is not None and isinstance(one.value, dict)]
    known = [*named, *(name for block in others for name in block)]
    for name in names:
        if name not in known:
            reader.tell(
                item,
                "providers.enabled",
                f"There is no provider {redact(name[:60])!r} in this file.",
                did_you_mean(name, known).strip()
                or f"Write it below providers, or remove it here. There are: {', '.join(known)}.",
            )
        elif name in named and is_switched_off(named[name], f"providers.{name}", reader):
            reader.tell(
                named[name].value["enabled"],
                f"providers.{name}.enabled",
                f"{name} is switched off here, but is in the list of those that are on.",
                "Remove it from the list, or this line.",
            )
    return tuple(names)


def _read_entries(
    named: Mapping[str, Item], made: Configuration, reader: Reader, block: str, wanted: tuple[str, ...] | None
) -> None:
    for name, item in named.items():
        if name.startswith("x-"):
            continue
        path = f"{block}.{name}"
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name):
            reader.tell(
                item,
                block,
                f"{redact(name[:60])!r} is not a valid provider name.",
                "Use letters, digits, '_', '.' and '-'.",
                key=True,
            )
        elif name in (*made.entries, *made.disabled, *made.broken):
            reader.tell(item, path, f"There is a provider {name!r} already.", "Choose another name.", key=True)
        elif is_switched_off(item, path, reader) or (wanted is not None and name not in wanted):
            made.disabled.append(name)
        else:
            entry = read_entry(name, item, path, reader, custom=block != "providers")
            if entry is None:
                made.broken.append(name)
            else:
                made.entries[name] = entry


def _read_choices(found: Mapping[str, Any], rest: Item, made: Configuration, reader: Reader) -> None:
    """Read the default provider and the routes; all names must exist in the file."""
    order = found.get("preferred_order") or ()
    wanted = [("default", found["default"])] if found.get("default") else []
    for block, name in (*wanted, *(("preferred_order", name) for name in order)):
        _check_name(name, rest.value[block], block, made, reader)
    made.default = found.get("default") or next(
        (name for name in (*order, *made.entries) if name in made.entries), None
    )


def _check_name(name: str, item: Item, path: str, made: Configuration, reader: Reader) -> bool:
    known = [*made.entries, *made.disabled, *made.broken]
    head = name.partition("/")[0]
    if head in made.entries or name in made.entries or (path == "default" and name in made.routing):
        return True
    if head in made.broken or name in made.broken:
        return False  # its errors are reported at its own line
    if head in made.disabled or name in made.disabled:
        reader.tell(item, path, f"{name} is switched off.", "Switch it on (enabled: true), or remove it here.")
        return False
    try:
        split_model(name)
        reason = f"{name} is not below providers."
    except UnknownProviderError:
        reason = f"There is no provider {redact(name[:60])!r} in this file."
    remedy = (
        did_you_mean(name, known).strip() or f"Write it below providers. There are: {', '.join(known) or 'none yet'}."
    )
    reader.tell(item, path, reason, remedy)
    return False
