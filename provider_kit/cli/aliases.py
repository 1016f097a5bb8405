"""``provider-kit aliases``: short names of models."""

from __future__ import annotations

from collections.abc import Collection

from provider_kit.cli.tables import print_table
from provider_kit.cli.target import read_configuration_if_any
from provider_kit.cli.terminal_text import say, say_json
from provider_kit.cli.user_settings import check_name, read_aliases, write_aliases
from provider_kit.errors import ConfigError
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.providers.registry import is_known, split_model

__all__ = ["run_list_aliases", "run_remove_alias", "run_set_alias"]


def run_list_aliases(as_json: bool) -> None:
    """Print the aliases."""
    found = read_aliases()
    if as_json:
        say_json(found)
        return
    if not found:
        say("There are no aliases yet. Make one: provider-kit aliases set fast openai/gpt-5-mini")
    print_table(["Alias", "Model"], [[name, model] for name, model in found.items()], (18, 0))


def run_set_alias(name: str, model: str) -> None:
    """Let a name stand for a model."""
    check_name(name, "an alias")
    if is_known(name):
        raise ConfigError(f"{name} is a provider.", hint="Choose another name.")
    if "://" not in model and model.partition("/")[0] not in _configured():
        split_model(model)  # raises where it names nothing
    write_aliases({**read_aliases(), name: model})
    say(f'{name} stands for {model}: provider-kit -m {name} "…"')


def _configured() -> Collection[str]:
    found = read_configuration_if_any()
    return () if found is None else found.entries


def run_remove_alias(name: str) -> None:
    """Forget an alias."""
    found = read_aliases()
    if name not in found:
        raise ConfigError(
            f"There is no alias {name!r}.",
            hint=f"{did_you_mean(name, found)}There are: {', '.join(found) or 'none'}.",
        )
    del found[name]
    write_aliases(found)
    say(f"{name} stands for nothing any more.")
