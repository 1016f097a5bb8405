"""Settings of the ready-made plugins: keyword arguments, which the settings of a registration override."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provider_kit.errors import ConfigError
from provider_kit.model.did_you_mean import did_you_mean

__all__ = ["take_settings"]


def take_settings(plugin: Any, config: Mapping[str, Any], names: tuple[str, ...]) -> None:
    """Set those attributes of a plugin that its settings name.

    Args:
        plugin: The plugin.
        config: Its settings.
        names: What it understands.

    Raises:
        ConfigError: A setting is not known.
    """
    for name, value in config.items():
        if name not in names:
            raise ConfigError(
                f"The plugin {plugin.name} has no setting {name!r}.",
                hint=f"{did_you_mean(str(name), names)}There are: {', '.join(names)}.",
            )
        setattr(plugin, name, value)
