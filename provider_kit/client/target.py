"""One target of a router, as users write it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from provider_kit.client.verbs import Verbs
from provider_kit.errors import ConfigError

__all__ = ["Target"]

#: The largest weight; a larger one would leave nothing to the others.
_MOST_WEIGHT = 1e9


def _is_target(instance: object, attribute: object, value: Any) -> None:
    if isinstance(value, (str, Verbs)):
        return
    raise ConfigError(
        f"A target must be 'provider/model', a Client, a Router or a Target, not {type(value).__name__}.",
        hint="Router(['openai/gpt-5-mini', Client('ollama/llama3.2'), Target('groq/…', weight=3)]).",
    )


def _is_weight(instance: object, attribute: object, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _MOST_WEIGHT:
        raise ConfigError(
            f"A weight must be a number of 0 or more, up to a billion, not {str(value)[:40]}.",
            hint="A target of weight 0 is asked only when no other one is left.",
        )


def _is_priority(instance: object, attribute: object, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(
            f"A priority must be a whole number, not {value!r}.",
            hint="Targets of priority 1 are asked only when none of priority 0 can answer.",
        )


def _is_name(instance: object, attribute: Any, value: Any) -> None:
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise ConfigError(f"The {attribute.name} of a target must be a text, not {value!r}.")


def _is_mapping(instance: object, attribute: object, value: Any) -> None:
    if value is not None and not isinstance(value, Mapping):
        raise ConfigError(f"defaults must be a dict, not {type(value).__name__}.", hint="{'temperature': 0}.")


@frozen
class Target:
    """One target of a :class:`Router`, where more is to be said of it than its name.

    Raises:
        ConfigError: An argument is invalid.
    """

    #: ``"provider/model"``, a :class:`Client`, or another :class:`Router`.
    target: str | Verbs = field(validator=_is_target)
    #: Its model; default: that of the client.
    model: str | None = field(default=None, kw_only=True, validator=_is_name)
    #: Its share among the targets of its priority; 0: only when nothing else is left.
    weight: float = field(default=1.0, kw_only=True, validator=_is_weight)
    #: Targets of a higher number are asked only when none of a lower number can answer.
    priority: int = field(default=0, kw_only=True, validator=_is_priority)
    #: Arguments of each call to it, where the call itself does not set them.
    defaults: Mapping[str, Any] | None = field(default=None, kw_only=True, validator=_is_mapping)
    #: Its name in reports; default: ``provider/model``.
    name: str | None = field(default=None, kw_only=True, validator=_is_name)
