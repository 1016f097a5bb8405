"""Checks without the network: versions, environment, keys, the token storage."""

from __future__ import annotations

import os
import re
import ssl
import stat
import sys
from importlib import metadata
from typing import Any

from provider_kit._version import __version__
from provider_kit.auth.credential_pool import CredentialPool
from provider_kit.auth.keys.shape import shape_warning
from provider_kit.auth.storage.factory import default_token_folder, open_token_storage, stored_credential
from provider_kit.doctor.examination import Examination
from provider_kit.errors import MissingAPIKeyError, ProviderKitError
from provider_kit.providers.base import keys_of_variable, shown_variable
from provider_kit.transports.base import Transport
from provider_kit.transports.threads import run_in_daemon_thread, with_timeout

__all__ = [
    "examine_environment",
    "examine_key",
    "examine_token_storage",
    "examine_used_keys",
    "examine_versions",
]

#: Seconds a user's function may take to return the key.
_SECONDS = 15.0

_PACKAGES = ("requests", "urllib3", "aiohttp", "attrs", "cattrs", "pyyaml", "oauthlib")


def examine_versions(one: Examination) -> None:
    """The installed versions of the dependencies, against the required ones."""
    python = ".".join(map(str, sys.version_info[:3]))
    found: dict[str, Any] = {"provider_kit": __version__, "python": python, "openssl": ssl.OPENSSL_VERSION.split()[1]}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "missing"
    wrong = _too_old(found)
    text = f"provider_kit {__version__}, Python {python}, requests {found['requests']}, aiohttp {found['aiohttp']}"
    if wrong:
        one.tell("versions", "failed", f"{text}. {wrong}", "pip install --upgrade provider-kit", **found)
    else:
        one.tell("versions", "ok", text, **found)


def _too_old(found: dict[str, Any]) -> str:
    try:
        wanted = metadata.requires("provider-kit") or []
    except metadata.PackageNotFoundError:
        return ""
    for line in wanted:
        need = re.match(r"([A-Za-z0-9_-]+)\s*>=\s*([\d.]+)\s*$", line)
        if not need or need[1].lower() not in found:
            continue
        here = found[need[1].lower()]
        if here == "missing":
            return f"{need[1]} is not installed."
        if _numbers(here) < _numbers(need[2]):
            return f"{need[1]} {here} is older than {need[2]}."
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def examine_environment(one: Examination) -> None:
    """Variables that contradict each other, or that change what is sent where."""
    provider, config, environ = one.endpoint.provider, one.config, one.environ
    problems: list[tuple[str, str]] = []
    notes: list[str] = []
    own_keys = config.api_key is not None or config.api_keys or one.endpoint.given_pool is not None
    found = {} if own_keys else {name: keys_of_variable(name, environ) for name in provider.key_variables}
    found = {name: keys for name, keys in found.items() if keys}
    set_ones = [shown_variable(name, environ) for name in found]
    if len({tuple(key.strip() for key in keys) for keys in found.values()}) > 1:
        problems.append(
            (f"{' and '.join(set_ones)} hold different keys; {set_ones[0]} is used.", "Unset the wrong ones.")
        )
    if set_ones:
        if any(key != key.strip() or key.strip()[:1] in "\"'" for key in next(iter(found.values()))):
            problems.append((f"{set_ones[0]} has white space or quotes around the key.", "Set it again without them."))
        notes.append(f"the key is that of {set_ones[0]}")
    if config.base_url is None:
        for name in provider.base_url_variables:
            if environ.get(name):
                notes.append(f"{name} sets the address")
                break
    proxies = [name for name in environ if name.lower() in ("http_proxy", "https_proxy", "all_proxy") and environ[name]]
    if proxies and config.http.trust_env:
        notes.append(f"{', '.join(sorted(proxies))} set")
    if environ.get("PROVIDER_KIT_DEBUG_HTTP"):
        notes.append("PROVIDER_KIT_DEBUG_HTTP shows every request")
    if problems:
        message = " ".join(problem for problem, _ in problems)
        one.tell("environment", "warning", message, " ".join(hint for _, hint in problems))
    else:
        one.tell("environment", "ok", f"{'; '.join(notes) or 'no relevant variable is set'}.")


async def examine_key(one: Examination, transport: Transport) -> None:
    """Check that there is a key, and that it looks like one of this provider."""
    endpoint = one.endpoint
    try:
        pool = endpoint.keys
        source = endpoint.key_source
        keys = None
        if source.function is not None:
            keys = list(await with_timeout(transport.kind, lambda: source.fetch(transport), one.left(_SECONDS)))
    except TimeoutError:
        one.tell("key", "failed", "The function that returns the key did not return in time.", "Give it a timeout.")
        return
    except MissingAPIKeyError as error:
        login = stored_credential(endpoint.name, endpoint.provider.name)
        one.tell_error("key", error, "A login is stored: pass auth='oauth'." if login is not None else None)
        return
    except ProviderKitError as error:
        one.tell_error("key", error)
        return
    if isinstance(pool, CredentialPool):
        await _examine_logins(one, transport, pool)
        return
    values = keys if keys is not None else list(pool.secrets)
    if not values:
        one.tell("key", "ok", "None is needed.")
        return
    count = "One key" if len(values) == 1 else f"{len(values)} keys"
    if one.config.base_url is None and endpoint.base_url == (endpoint.provider.base_url or "").rstrip("/"):
        for value in values:
            warning = shape_warning(endpoint.provider, value)
            if warning is not None:
                one.tell("key", "warning", *warning)
                return
    one.tell("key", "ok", f"{count}, of the right form." if endpoint.provider.key_prefix else f"{count}.")


async def _examine_logins(one: Examination, transport: Transport, pool: CredentialPool) -> None:
    """Check that each login has a token that is valid, or can be refreshed."""
    seconds = one.left(_SECONDS)
    until = transport.now() + seconds
    try:
        failures = await with_timeout(transport.kind, lambda: pool.failures(transport, until), seconds)
    except TimeoutError:
        one.tell("key", "failed", "The login was not refreshed in time.", "Check the authorization server.")
        return
    if not failures:
        one.tell("key", "ok", "A login is used." if len(pool) == 1 else f"{len(pool)} logins are used.")
    elif len(failures) == len(pool):
        one.tell_error("key", next(iter(failures.values())))
    else:
        told = "; ".join(f"{name}: {error.message}" for name, error in failures.items())
        hints = dict.fromkeys(error.hint for error in failures.values() if error.hint)
        one.tell("key", "warning", f"{len(failures)} of {len(pool)} logins do not work. {told}", " ".join(hints))


def examine_used_keys(one: Examination, transport: Transport) -> None:
    """Of several keys: those that were refused or have no quota left."""
    pool = vars(one.endpoint).get("keys")
    if pool is None or len(pool) < 2:
        return
    states = [status for status in pool.status(transport.now()) if status.state in ("dead", "parked")]
    if states:
        told = ", ".join(f"{status.key} is {status.state} ({status.last_error})" for status in states)
        one.tell("key", "warning", f"{len(pool)} keys; {told}.", "Replace dead keys; a parked one's quota is used up.")


async def examine_token_storage(one: Examination, transport: Transport) -> None:
    """Check that logins can be read and written, and by no other user."""
    await run_in_daemon_thread(transport.kind, _look_at_storage, one)


def _look_at_storage(one: Examination) -> None:
    try:
        folder = default_token_folder()
    except ProviderKitError:  # no home directory, so nothing is stored in it
        folder = ""
    chosen = one.environ.get("PROVIDER_KIT_TOKEN_STORAGE") or one.environ.get("TOKEN_STORAGE")
    if not chosen and not os.path.exists(folder):
        one.tell("token_storage", "ok", "Nothing is stored.")
        return
    try:
        storage = open_token_storage()
        names: Any = storage.list_tokens()
        for name in names:
            storage.retrieve_token(name)
    except ProviderKitError as error:
        one.tell_error("token_storage", error)
        return
    path = getattr(storage, "path", None) or getattr(getattr(storage, "inner", None), "path", None)
    if isinstance(path, str) and os.name == "posix" and os.path.exists(path):
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if mode & 0o077:
            one.tell(
                "token_storage",
                "failed",
                f"Other users can read {path} (mode {mode:o}).",
                f"chmod {'700' if os.path.isdir(path) else '600'} {path}",
            )
            return
        if not os.access(path, os.W_OK):
            one.tell(
                "token_storage",
                "failed",
                f"{path} cannot be written, so no login can be refreshed.",
                f"chmod u+w {path}",
            )
            return
    if isinstance(path, str) and not os.path.exists(path):
        parent = os.path.dirname(path)
        while parent and not os.path.exists(parent):
            parent = os.path.dirname(parent)
        if not os.access(parent or ".", os.W_OK) or parent.startswith("/proc"):
            message = f"{path} does not exist and cannot be created, so no login can be stored."
            one.tell("token_storage", "failed", message, "Choose another location with PROVIDER_KIT_TOKEN_STORAGE.")
            return
    count = len(names)
    one.tell("token_storage", "ok", f"{count} {'entry' if count == 1 else 'entries'} in {str(storage).strip('<>')}.")
