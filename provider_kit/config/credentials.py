"""Keys and logins of a provider in the file: read, completed from the environment, checked."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from typing import Any

from provider_kit.auth.keys.shape import shape_warning
from provider_kit.auth.storage.factory import find_stored
from provider_kit.config.block import Block
from provider_kit.config.document import Item
from provider_kit.providers.base import Provider, keys_of_variable, shown_variable, variable_prefix
from provider_kit.wire.redaction import redact

__all__ = ["check_keys", "note_environment", "read_login"]

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,79}")
#: Settings that may hold a key in plain text.
_SECRETS = ("api_key", "api_keys", "client_secret")


def read_login(block: Block, settings: dict[str, Any]) -> None:
    """Read ``auth_type`` and the OAuth settings at the provider's own level."""
    kind = settings.pop("auth_type", None)
    oauth = settings.pop("oauth", None)
    given: dict[str, Any] = dict(oauth) if isinstance(oauth, Mapping) else {}
    for key, target in {"client_id": "client_id", "client_secret": "client_secret", "scopes": "default_scopes"}.items():
        if key in settings:
            value = settings.pop(key)
            if target in given and given[target] != value:
                block.tell(key, f"{key} is given twice, here and below oauth.", "Keep one of them.")
            given.setdefault(target, value)
    keys = "api_key" in settings or settings.get("api_keys")
    wanted = kind == "oauth" or given or settings.get("oauth_credentials")
    if kind == "bearer_token" and not wanted:
        if "Authorization" not in block.provider.key_headers("key", None):
            block.tell(
                "auth_type",
                f"Keys of {block.provider.name} are not bearer tokens, and would not be sent as such.",
                "Leave auth_type out for a key; for a login write auth_type: oauth.",
            )
        return
    if not wanted:
        return
    if kind in ("api_key", "bearer_token"):
        block.tell(
            "auth_type",
            "An OAuth client is given, but auth_type says otherwise.",
            "Write auth_type: oauth, or remove the client.",
        )
    if keys:
        block.tell("", "A key and a login are both given.", "Keep the key, or auth_type: oauth.")
    if given or settings.get("oauth_credentials"):
        settings["oauth"] = given
    else:
        settings["client_options"] = {"auth": "oauth"}
    if not given and block.provider.oauth is None and not settings.get("oauth_credentials"):
        block.tell(
            "auth_type",
            f"No OAuth login is known for {block.provider.name}.",
            "Give the server: oauth: {issuer: https://…}, or auth_url and token_url.",
        )


def check_keys(block: Block, settings: dict[str, Any]) -> None:
    """Check that there is a key, and that it looks like one."""
    told_before = len(block.reader.problems)
    variable = settings.pop("api_key_env", None)
    if variable is not None:
        _key_from(block, variable, settings)
    if "api_key" in settings and settings.get("api_keys"):
        block.tell("api_keys", "api_key and api_keys are both given.", "Keep one of them.")
    given = [settings["api_key"]] if "api_key" in settings else list(settings.get("api_keys") or ())
    _check_shapes(block, settings, given)
    has_login = any(settings.get(key) for key in ("oauth", "client_options", "oauth_credentials"))
    about_keys = ("api_key", "api_keys", "api_key_env", "oauth", "oauth_credentials", "auth_type", "client_id")
    told = any(
        problem.severity == "error" and any(problem.path.startswith(f"{block.path}.{key}") for key in about_keys)
        for problem in block.reader.problems[block.before :]
    )
    if given or has_login or told or not block.provider.key_required or len(block.reader.problems) > told_before:
        return
    _find_one(block, settings)


def _find_one(block: Block, settings: Mapping[str, Any]) -> None:
    """Find a key that is not in the file: in the environment, or stored."""
    provider, environ = block.provider, block.reader.environ
    label = settings.get("name") or block.name
    own = f"{variable_prefix(label)}_API_KEY"
    if provider.find_key(environ)[0] or keys_of_variable(own, environ):
        return
    stored, failure = find_stored(label, provider.name)
    if stored is not None and stored.token_type == "api_key":
        return
    if stored is not None:
        block.tell("", "There is no key, but a login.", "Write auth_type: oauth to use it.")
        return
    variables = ", ".join((provider.key_variables or (own,))[:2])
    why = f" What is stored cannot be read: {failure.message}" if failure is not None else ""
    block.tell(
        "",
        f"There is no key: no api_key, and {variables} is not set.{why}",
        f"Write api_key: ${{{(provider.key_variables or (own,))[0]}}} and set it, store one "
        f"(provider-kit keys set {label}), or switch it off (enabled: false).",
    )


def _key_from(block: Block, variable: str, settings: dict[str, Any]) -> None:
    """``api_key_env: NAME``."""
    prefix = block.provider.key_prefix
    if not _VARIABLE.fullmatch(variable) or redact(variable) != variable or (prefix and variable.startswith(prefix)):
        block.tell("api_key_env", "This must be the name of a variable.", "Write its name, e.g. MY_API_KEY, not a key.")
    elif "api_key" in settings or settings.get("api_keys"):
        block.tell("api_key_env", "Keys are given twice.", "Keep api_key_env, or api_key.")
    elif block.reader.environ.get(variable):
        settings["api_key"] = block.reader.environ[variable]
        place = block.item.value["api_key_env"]
        block.reader.origins[f"{block.path}.api_key"] = (
            f"{block.reader.file}:{place.line}, {variable} of the environment"
        )
    else:
        shown = variable if variable.isupper() else "it"
        message, remedy = f"The environment variable {shown} is not set.", f"Set it: export {shown.upper()}=…"
        block.tell("api_key_env", message, remedy, unset_variable=True)


def _check_shapes(block: Block, settings: Mapping[str, Any], given: list[Any]) -> None:
    where = block.item.value.get("api_key") or block.item.value.get("api_keys") or block.item
    key_name = "api_key" if "api_key" in block.item.value else "api_keys" if "api_keys" in block.item.value else ""
    for number, key in enumerate(given):
        if isinstance(key, str) and ("base_url" not in settings or not key.strip()):
            found = shape_warning(block.provider, key)
            if found is not None:
                place = where.value[number] if isinstance(where.value, list) and number < len(where.value) else where
                severity: Any = "warning" if key.strip() else "error"
                block.reader.tell(place, f"{block.path}.{key_name}".rstrip("."), *found, severity=severity)
    open_ones = [key for key in _SECRETS if _stands_in_clear(block.item.value.get(key))]
    if open_ones and not block.reader.sealed and _open_to_others(block.reader.file):
        first = open_ones[0]
        variable = (block.provider.key_variables or (f"{variable_prefix(block.name)}_API_KEY",))[0]
        block.tell(
            first,
            "The file holds a key and can be read by others.",
            f"Write ${{{variable if first != 'client_secret' else 'MY_CLIENT_SECRET'}}}, "
            f"or chmod 600 {block.reader.file}.",
            warning=True,
        )


def _stands_in_clear(item: Item | None) -> bool:
    if item is None:
        return False
    texts = [part.value for part in item.value] if isinstance(item.value, list) else [item.value]
    return any(isinstance(text, str) and text and not re.match(r"\$|os\.environ/|env\.[A-Z]", text) for text in texts)


def _open_to_others(file: str) -> bool:
    try:
        mode = os.stat(file).st_mode
    except (OSError, ValueError):
        return False
    return os.name == "posix" and stat.S_ISREG(mode) and bool(mode & 0o044)


def note_environment(
    provider: Provider, settings: Mapping[str, Any], name: str, origins: dict[str, str], environ: Mapping[str, str]
) -> None:
    """Record the origin of values from the environment."""
    own = variable_prefix(str(settings.get("name") or name))
    has_login = any(settings.get(key) for key in ("oauth", "client_options", "oauth_credentials"))
    if "api_key" not in settings and not settings.get("api_keys") and not has_login:
        for variable in (*provider.key_variables, f"{own}_API_KEY"):
            if keys_of_variable(variable, environ):
                origins["api_key"] = f"{shown_variable(variable, environ)} of the environment"
                break
    if "base_url" not in settings:
        for variable in (*provider.base_url_variables, f"{own}_BASE_URL"):
            if environ.get(variable):
                origins["base_url"] = f"{variable} of the environment"
                break
