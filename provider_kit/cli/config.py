"""``provider-kit config``: check the file, show the values in effect, write a first one, encrypt it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import click

from provider_kit.auth.storage.factory import stored_credential
from provider_kit.cli.masked_lines import masked_line
from provider_kit.cli.terminal_text import is_terminal, say, say_json, shown
from provider_kit.config.configuration import read_configuration
from provider_kit.config.discovery import find_config_file, read_text, user_config_file
from provider_kit.config.encrypted import decrypt_config, encrypt_config, is_encrypted
from provider_kit.config.json_schema import config_schema
from provider_kit.config.loader import given_text, open_configuration
from provider_kit.config.problems import Problem
from provider_kit.config.resolved import effective_values
from provider_kit.config.template import starter_config
from provider_kit.errors import ConfigError
from provider_kit.providers.default_choice import default_target
from provider_kit.providers.registry import find_provider, provider_names
from provider_kit.stores.user_folders import user_folder

__all__ = ["run_check", "run_decrypt", "run_encrypt", "run_init", "run_path", "run_schema", "run_show"]


def _file(path: str | None) -> str:
    found = find_config_file(path)
    if found is None:
        raise ConfigError(
            "There is no configuration file."
            + (
                " The config.yaml here has no line 'providers:' and was ignored."
                if os.path.exists("config.yaml")
                else ""
            ),
            hint="provider-kit config init writes one; or name it, or set PROVIDER_KIT_CONFIG.",
        )
    return found


def _text(file: str) -> str:
    text = read_text(file)
    return decrypt_config(text) if is_encrypted(text) else text


def run_check(path: str | None, as_json: bool) -> None:
    """Print every problem like a compiler does."""
    given = given_text() if path is None else None
    if given is not None:
        text, file = given
    else:
        file = _file(path)
        text = _text(file)
    found = read_configuration(text, file)
    errors = sum(problem.severity == "error" for problem in found.problems)
    if as_json:
        rows = [
            {name: getattr(one, name) for name in ("severity", "file", "line", "column", "path", "message", "remedy")}
            for one in found.problems
        ]
        say_json(rows)
        sys.exit(2 if errors else 0)
    lines = text.removeprefix("\ufeff").splitlines()
    for problem in found.problems:
        _print(problem, lines)
    warnings = len(found.problems) - errors
    if errors:
        told = _count(errors, "error") + (f", {_count(warnings, 'warning')}" if warnings else "")
        say(f"{file}: {told}.", fg="red", err=True)
        sys.exit(2)
    on = ", ".join(found.entries) or "none"
    told = f", with {_count(warnings, 'warning')}" if warnings else ""
    say(f"{file} is right{told}. ", fg="green", nl=False)
    routes = f" Routes: {', '.join(found.routing)}." if found.routing else ""
    say(f"Providers: {on}.{routes}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _print(problem: Problem, lines: list[str]) -> None:
    color = "red" if problem.severity == "error" else "yellow"
    say(f"{problem.file}:{problem.line}:{problem.column}: ", nl=False, bold=True)
    say(f"{problem.severity}: ", nl=False, fg=color)
    say(f"{f'{problem.path}: ' if problem.path else ''}{problem.message}")
    if 0 < problem.line <= len(lines) and lines[problem.line - 1].strip():
        shown = masked_line(lines[problem.line - 1])
        say(f"{problem.line:>5} | {shown}")
        if problem.column <= len(shown):
            say(f"      | {' ' * (problem.column - 1)}^", fg=color)
    say(f"        {problem.remedy}")


def run_show(path: str | None, as_json: bool) -> None:
    """Print the settings in effect, and where each comes from."""
    found = open_configuration(path)
    if found is None:
        _show_environment(as_json)
        return
    values = effective_values(found, os.environ)
    if as_json:
        say_json([{"path": one.path, "value": one.shown, "origin": one.origin} for one in values])
        return
    say(f"# {found.file}")
    width = min(44, max((len(one.path) for one in values), default=0))
    for one in values:
        say(f"{one.path:<{width}}  {one.shown:<24}", nl=False)
        say(f"  # {one.origin}" if one.origin else "", fg="bright_black")


def _show_environment(as_json: bool) -> None:
    target = default_target(os.environ)
    rows = []
    for name in provider_names():
        variable = find_provider(name).find_key(os.environ)[1]
        if variable:
            rows.append(
                {"path": f"providers.{name}.api_key", "value": "***", "origin": f"{variable} of the environment"}
            )
    rows.append({"path": "default", "value": target, "origin": "PROVIDER_KIT_MODEL, else the first key, else the demo"})
    if as_json:
        say_json(rows)
        return
    say("# no configuration file; the environment decides")
    for row in rows:
        say(f"{row['path']:<36}  {row['value']:<24}  # {row['origin']}")


def run_init(path: str | None, providers: tuple[str, ...], force: bool) -> None:
    """Write a configuration file to begin with; it holds no secret."""
    file = "config.yaml" if path is None else path
    if not file.strip():
        raise ConfigError("The name of the file is empty.", hint="provider-kit config init config.yaml")
    if os.path.isdir(file):
        raise ConfigError(f"{file} is a directory.", hint=f"Name the file: {os.path.join(file, 'config.yaml')}.")
    if os.path.exists(file) and not force:
        raise ConfigError(f"{file} exists.", hint="Name another file, or --force.")
    found = {name: where for name in providers or provider_names() if (where := _credential_of(name)) is not None}
    names = providers or tuple(found)
    text = starter_config(names, found)
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
    say(f"Wrote {file}, with {', '.join(names)}." if names else f"Wrote {file}.", fg="green")
    missing = [name for name in names if find_provider(name).key_required and name not in found]
    if missing:
        variables = ", ".join((find_provider(name).key_variables or ("",))[0] for name in missing)
        say(f"Set {variables}, or switch off what you do not use (enabled: false).")
    if not names:
        say("There is no key of any provider yet: provider-kit keys set openai", err=True, fg="yellow")
    say(f"Then: provider-kit config check {file}")


def _credential_of(name: str) -> str | None:
    """Where the key of a provider is: its variable, ``api_key`` or ``oauth`` in the storage, or nowhere."""
    provider = find_provider(name)
    if not provider.key_required:
        return None
    variable = provider.find_key(os.environ)[1]
    if variable:
        return variable
    stored = stored_credential(name)
    return None if stored is None else "api_key" if stored.token_type == "api_key" else "oauth"


def run_schema() -> None:
    """Print the JSON Schema of the file."""
    say_json(config_schema())


def run_path() -> None:
    """Print which file is read."""
    found = find_config_file()
    if found is None and user_folder("config") is None:
        found = "none; there is no home directory for one of the user's own"
    say(found if found is not None else f"none; the user's own would be {user_config_file()}")


def run_encrypt(path: str, output: str | None) -> None:
    """Encrypt a file, so that it can be stored where others can read it."""
    text = read_text(_file(path))
    if is_encrypted(text):
        raise ConfigError(f"{path} is encrypted already.", hint="provider-kit config decrypt shows it.")
    found = read_configuration(text, path)
    wrong = [one for one in found.problems if one.severity == "error" and not one.unset_variable]
    if wrong:
        say(f"{path} has problems; see: provider-kit config check {path}", err=True, fg="yellow")
    _write(encrypt_config(text, _key(confirm=True)), output)


def run_decrypt(path: str, output: str | None) -> None:
    """Print an encrypted file decrypted."""
    _write(decrypt_config(read_text(_file(path)), _key(confirm=False)), output)


def _key(*, confirm: bool) -> str | None:
    """The passphrase, typed; ``None`` if the environment has the key."""
    if os.environ.get("PROVIDER_KIT_ENCRYPTION_KEY"):
        return None
    if not is_terminal(sys.stdin):
        raise ConfigError(
            "There is no key.", hint="Set PROVIDER_KIT_ENCRYPTION_KEY, or run it at a terminal to type one."
        )
    return str(click.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True))


def _write(text: str, output: str | None) -> None:
    if output is None:
        click.echo(shown(text), nl=False)
        return
    # Replace the file: neither is the mode of an older one kept, nor a link followed.
    temporary = f"{output}.{os.getpid()}.new"
    descriptor = os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text)
        os.replace(temporary, output)
    except BaseException:  # no partial file is left behind
        with suppress(OSError):
            os.unlink(temporary)
        raise
    say(f"Wrote {output}.", fg="green", err=True)
