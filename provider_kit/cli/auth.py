"""``provider-kit auth``: log in, show the state of logins, refresh, log out."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from typing import Any

from provider_kit.auth.oauth.authenticator import OAuthAuthenticator
from provider_kit.auth.oauth.login import can_open_browser
from provider_kit.auth.oauth.presets import oauth_config
from provider_kit.auth.oauth.shared_logins import is_login_key
from provider_kit.auth.storage.factory import open_token_storage
from provider_kit.cli.device_code import show_code
from provider_kit.cli.target import read_configuration_if_any
from provider_kit.cli.terminal_text import say, say_json
from provider_kit.config.entries import ProviderEntry
from provider_kit.config.loader import open_configuration
from provider_kit.errors import AuthError, ConfigError, ProviderKitError
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.oauth import OAuthConfig, TokenInfo
from provider_kit.providers.base import variable_prefix
from provider_kit.providers.registry import find_provider, provider_names

__all__ = ["has_login", "run_login", "run_logout", "run_refresh", "run_status"]


def has_login(provider: str) -> bool:
    """Whether a login of this provider is stored."""
    try:
        return provider in open_token_storage().list_tokens()
    except ProviderKitError:  # reported when it is needed
        return False


#: Seconds after which an unfinished refresh counts as failed.
_REFRESH_TAKES = 120.0


# ------------------------------------------------------------------------------------------------ login


def run_login(
    provider: str,
    device: bool,
    browser: bool | None,
    port: int | None,
    scopes: tuple[str, ...],
    timeout: float,
    **addresses: str | None,
) -> None:
    """Log in to a provider."""
    entry = _entry_of_file(provider)
    config = _config(provider, entry, port, addresses)
    with OAuthAuthenticator(provider, config=config) as authenticator:
        wanted = scopes or None
        if device:
            info = authenticator.device_login(wanted, show=show_code, timeout=timeout)
        else:
            _tell_where(browser)
            info = authenticator.login(
                wanted,
                open_browser=browser,
                show=_show_address,
                paste=sys.stdin is not None and not sys.stdin.closed,
                complain=_complain,
                timeout=timeout,
            )
        _tell_success(provider, info, repr(authenticator.storage))
        if provider in provider_names() or entry is not None:
            say(f'Try: provider-kit chat -m {provider} "Hello"')


def _config(
    provider: str, entry: ProviderEntry | None, port: int | None, addresses: dict[str, str | None]
) -> OAuthConfig:
    given: dict[str, Any] = {name: value for name, value in addresses.items() if value}
    if port is not None:
        given["redirect_url"] = f"http://127.0.0.1:{port}/callback"
    config = _config_of_entry(entry, given) if entry is not None else oauth_config(provider, **given)
    known = config.auth_url or config.device_url or config.issuer
    if not known:
        with_presets = [name for name in provider_names() if find_provider(name).oauth is not None]
        near = did_you_mean(provider, [*provider_names(), *_names_of_file()])
        raise AuthError(
            f"No OAuth login is known for {provider}.",
            code="invalid_config",
            provider=provider,
            hint=f"{near}Presets: {', '.join(with_presets)}. For others pass --issuer, or --auth-url and --token-url, "
            "or give them in the configuration file.",
        )
    if config.protocol == "oauth2" and not config.client_id:
        prefix = provider.upper().replace("-", "_")
        raise AuthError(
            f"A login to {provider} needs your own OAuth client.",
            code="invalid_config",
            provider=provider,
            hint=f"Register one in the provider's console, then set {prefix}_CLIENT_ID (and {prefix}_CLIENT_SECRET), "
            "or pass --client-id.",
        )
    return config


def _entry_of_file(provider: str) -> ProviderEntry | None:
    """The entry of the configuration file with this name; an unreadable entry is an error."""
    found = read_configuration_if_any()
    if found is not None and provider in found.broken:
        found.check()
    return found.entries.get(provider) if found is not None else None


def _names_of_file() -> list[str]:
    found = open_configuration(check=False)
    return list(found.entries) if found is not None else []


def _config_of_entry(entry: ProviderEntry, given: dict[str, Any]) -> OAuthConfig:
    """The OAuth client of a provider of the file."""
    config, _ = entry.make_config()
    prefix = variable_prefix(entry.name)
    own = {name: os.environ.get(f"{prefix}_{name.upper()}") for name in ("client_id", "client_secret")}
    if config.oauth is None:
        return oauth_config(config.type, **{**{name: value for name, value in own.items() if value}, **given})
    missing = {name: value for name, value in own.items() if value and not getattr(config.oauth, name)}
    return config.oauth.replace(**{**missing, **given})


def _authenticator(provider: str, *, needed: bool = True) -> OAuthAuthenticator:
    """Of a login that is stored, with the OAuth client of the file if it has one, and can be read where ``needed``."""
    config = None
    try:
        entry = _entry_of_file(provider)
        config = _config_of_entry(entry, {}) if entry is not None and "oauth" in entry.settings else None
    except ProviderKitError as error:
        if needed:
            raise
        told = f"The configuration file is ignored: {' '.join(str(error).split())}"
        say(told[:300], err=True, fg="yellow")
    return OAuthAuthenticator(provider, config=config)


def _tell_where(browser: bool | None) -> None:
    if browser or (browser is None and can_open_browser()):
        say("Opening your browser ...", err=True)


def _show_address(url: str) -> None:
    say("Open this address to log in:\n", err=True)
    say(f"  {url}\n", err=True, fg="cyan")
    if sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty():
        say(
            "Waiting for the browser. If it runs on another machine, it\n"
            "cannot show its last page: copy the address of that page from the\n"
            "browser, paste it here and press Enter.",
            err=True,
        )


def _complain(error: AuthError) -> None:
    say("That is not the final address of this login:", err=True, fg="yellow")
    say(f"{error.details or error.message}\nPaste the full final address of the browser.", err=True)


def _tell_success(provider: str, info: TokenInfo, where: str) -> None:
    say(f"Logged in to {provider}.", fg="green")
    if info.expires_in is None:
        say("The server did not say when the access token expires.")
    elif info.can_refresh:
        say(f"The access token is valid for {_span(info.expires_in)} and is refreshed automatically.")
    else:
        say(f"The access token expires in {_span(info.expires_in)}; the server gave no refresh token.")
    say(f"Kept in {where.strip('<>')}.")


# ------------------------------------------------------------------------------------------------ the others


def run_status(provider: str | None, as_json: bool) -> None:
    """Show the state of logins."""
    storage = open_token_storage()
    names = [provider] if provider is not None else [n for n in storage.list_tokens() if not is_login_key(n)]
    rows = [_row(storage, name) for name in names]
    if provider is None:
        rows = [row for row in rows if row["state"] != "key"]
    if as_json:
        say_json(rows)
    elif not rows:
        say(f"There is no login ({repr(storage).strip('<>')}).")
        say("Log in with: provider-kit auth login PROVIDER")
    else:
        width = max(12, *(len(row["provider"]) for row in rows))
        for row in rows:
            color = {"logged in": "green", "expired": "yellow"}.get(row["state"], "red")
            say(f"{row['provider']:<{width}}  ", nl=False)
            say(f"{row['state']:<14}", fg=color, nl=False)
            say(row["text"])
    if any(row["state"] not in ("logged in", "expired") for row in rows) or (provider is None and not rows):
        sys.exit(1)


def _row(storage: Any, name: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "provider": name,
        "state": "not logged in",
        "text": f"provider-kit auth login {name}",
        "expires_at": None,
        "can_refresh": False,
        "scopes": [],
    }
    try:
        token = storage.retrieve_token(name)
    except ProviderKitError as error:
        return {**row, "state": "unreadable", "text": f"{error.message} {error.hint or ''}".strip()}
    if token is None:
        return row
    if token.token_type == "api_key":
        return {**row, "state": "key", "text": "a key is stored, which needs no login; see: provider-kit keys list"}
    left = token.remaining(time.time())
    can_refresh = bool(token.refresh_token)
    row |= {"expires_at": token.expires_at, "can_refresh": can_refresh, "scopes": list(token.scopes)}
    if left > 0:
        span = "expiry unknown" if token.expires_at is None else f"for {_span(left)}"
        row |= {"state": "logged in", "text": f"{span}{', then refreshed automatically' if can_refresh else ''}"}
    elif can_refresh:
        row |= {"state": "expired", "text": "refreshed automatically with the next call"}
    else:
        row |= {"state": "over", "text": f"provider-kit auth login {name}"}
    if can_refresh and token.refreshing_since is not None and time.time() - token.refreshing_since > _REFRESH_TAKES:
        row["text"] = f"the last refresh failed; try: provider-kit auth refresh {name}"
    return row


def run_refresh(provider: str) -> None:
    """Refresh a token now."""
    _refuse_key(provider)
    with _authenticator(provider) as authenticator:
        info = authenticator.refresh_token()
        good = "expiry unknown" if info.expires_in is None else f"good for {_span(info.expires_in)}"
        say(f"Refreshed the token of {provider}; {good}.")


def _refuse_key(provider: str) -> None:
    """Refuse if a key, not a login, is stored under the name."""
    is_key = False
    with suppress(ProviderKitError):  # an unreadable storage is reported by the command itself
        stored = open_token_storage().retrieve_token(provider)
        is_key = stored is not None and stored.token_type == "api_key"
    if is_key:
        raise ConfigError(
            f"A key of {provider} is stored, not a login.",
            hint=f"It needs no refresh; to delete it: provider-kit keys rm {provider}",
        )


def run_logout(provider: str, revoke: bool) -> None:
    """Delete a token, and revoke it at the server."""
    _refuse_key(provider)
    with _authenticator(provider, needed=False) as authenticator:
        had = authenticator.logout(revoke=revoke)
    if not had:
        say(f"There was no login to {provider}.")
        return
    say(f"Logged out of {provider}.")


def _span(seconds: float) -> str:
    """A time span as text."""
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count != 1 else ''}"
    return "less than a minute"
