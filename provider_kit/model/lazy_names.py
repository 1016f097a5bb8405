"""Names of a package that are loaded on first use (PEP 562), which keeps its import fast."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

__all__ = ["lazy_names", "names_by_module"]


def names_by_module(table: str) -> dict[str, tuple[str, ...]]:
    """Parse lines of the form ``module: Name Name``; a continuation line has no colon."""
    homes: dict[str, tuple[str, ...]] = {}
    module = ""
    for line in table.split("\n"):
        before, colon, after = line.partition(":")
        module = before.strip() if colon else module
        names = (after if colon else before).split()
        if names:
            homes[module] = (*homes.get(module, ()), *names)
    return homes


def lazy_names(
    package: str, homes: Mapping[str, tuple[str, ...]], instead: Mapping[str, str] = MappingProxyType({})
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` and the ``__dir__`` of a package.

    Args:
        package: Its name.
        homes: The names of each module, by module.
        instead: Names that other libraries have, and what to write instead.
    """
    home_of = {name: module for module, names in homes.items() for name in names}

    def get(name: str) -> Any:
        module = home_of.get(name)
        if module is None:
            hint = f". {instead[name]}" if name in instead else ""
            raise AttributeError(f"module {package!r} has no attribute {name!r}{hint}")
        value = getattr(import_module(module), name)
        vars(sys.modules[package])[name] = value
        return value

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home_of})

    return get, listed
