"""The protocol of token storages, and the serialization of tokens.

A storage of your own needs four methods, plain or asynchronous: ``store_token``, ``retrieve_token``,
``delete_token`` and ``list_tokens``. One that several processes share should have ``lock`` too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from provider_kit.errors import StorageError
from provider_kit.model.oauth import OAuthToken, TokenInfo

__all__ = ["LockLike", "TokenStorage", "check_key_name", "read_record", "reported", "token_info", "write_record"]

#: Version of the format.
VERSION = 1
#: Seconds since 1970 at which no token is valid any more.
_END_OF_TIME = 1e12
_FIELDS = ("access_token", "refresh_token", "expires_at", "obtained_at", "scopes", "token_type", "client", "extra",
           "refreshing_since")  # fmt: skip


class LockLike(Protocol):
    """A lock between processes that is released when its process dies."""

    def acquire(self) -> bool:
        """Acquire it if it is free, without waiting; return whether it was."""
        ...

    def release(self) -> None:
        """Release it."""
        ...


@runtime_checkable
class TokenStorage(Protocol):
    """Stores tokens. Each method may be plain or asynchronous; plain ones may block."""

    def store_token(self, key: str, token: OAuthToken) -> Any:
        """Store a token under a name, atomically: after a crash the old or the new one is there."""
        ...

    def retrieve_token(self, key: str) -> Any:
        """The token under a name, or ``None``."""
        ...

    def delete_token(self, key: str) -> Any:
        """Delete a token; return whether there was one."""
        ...

    def list_tokens(self) -> Any:
        """The names of all tokens."""
        ...


def check_key_name(key: str) -> str:
    """Check a name for a token.

    Raises:
        StorageError: It is empty, too long, or holds characters that cannot be shown.
    """
    if not isinstance(key, str) or not key or len(key) > 200 or not key.isprintable():
        raise StorageError(
            f"A token cannot be stored under the name {str(key)[:40]!r}.",
            hint="Use a short name, such as the provider's.",
        )
    return key


def check_token(token: Any) -> OAuthToken:
    """Check that a value can be stored.

    Raises:
        StorageError: It is not a token.
    """
    if not isinstance(token, OAuthToken):
        raise StorageError(
            f"A {type(token).__name__} cannot be stored as a token.",
            hint="Store OAuthToken(access_token='…', refresh_token='…', expires_at=…).",
            retryable=False,
        )
    return token


def write_record(token: OAuthToken) -> str:
    """A token as JSON. Holds its secrets."""
    return json.dumps(to_fields(token), separators=(",", ":"))


def to_fields(token: OAuthToken) -> dict[str, Any]:
    """A token as a JSON object; what is not set is left out."""
    check_token(token)
    values = {name: getattr(token, name) for name in _FIELDS}
    values["scopes"] = list(token.scopes)
    values["client"] = dict(token.client)
    values["extra"] = dict(token.extra)
    return {"version": VERSION, **{name: value for name, value in values.items() if value not in (None, [], {})}}


def read_record(text: str | bytes, where: str) -> OAuthToken:
    """Parse a token from JSON.

    Args:
        text: As :func:`write_record` wrote it.
        where: Where it was found, for an error.

    Raises:
        StorageError: It is damaged, or not a token.
    """
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        raise _damaged(where, "is damaged") from None
    return from_fields(fields, where)


def from_fields(fields: Any, where: str) -> OAuthToken:
    """As :func:`read_record`, from the JSON object."""
    if not isinstance(fields, Mapping) or not isinstance(fields.get("access_token"), str):
        raise _damaged(where, "is no token")
    version = fields.get("version", VERSION)
    if not isinstance(version, int) or version > VERSION:
        raise StorageError(
            f"The token in {where} was written by a later version of this library.",
            hint="Upgrade provider-kit, or log in again with another storage.",
            retryable=False,
        )
    values = {name: fields[name] for name in _FIELDS if fields.get(name) is not None}
    numbers = [values.get(name) for name in ("expires_at", "obtained_at", "refreshing_since")]
    texts = [values.get(name) for name in ("refresh_token", "token_type")]
    maps = [values.get(name) for name in ("client", "extra")]
    scopes = values.get("scopes", [])
    if (
        not all(one is None or _is_time(one) for one in numbers)
        or not all(one is None or isinstance(one, str) for one in texts)
        or not all(one is None or isinstance(one, Mapping) for one in maps)
        or not (isinstance(scopes, list) and all(isinstance(scope, str) for scope in scopes))
        or not values["access_token"]
    ):
        raise _damaged(where, "is no token")
    return OAuthToken(**values)


def _is_time(value: Any) -> bool:
    """Whether it is a plausible number of seconds since 1970."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _END_OF_TIME


def _damaged(where: str, how: str) -> StorageError:
    return StorageError(
        f"What is stored in {where} {how}.",
        hint="Move it away, or delete it, and log in again; nothing was changed.",
        retryable=False,
    )


def token_info(key: str, token: OAuthToken, now: float, *, encrypted: bool = False) -> TokenInfo:
    """Information about a token at ``now`` seconds since 1970."""
    remaining = token.remaining(now)
    return TokenInfo(
        key=key,
        is_expired=remaining <= 0,
        expires_at=token.expires_at,
        expires_in=None if token.expires_at is None else remaining,
        scopes=token.scopes,
        token_type=token.token_type,
        refresh_token=token.refresh_token,
        is_encrypted=encrypted,
    )


@contextmanager
def reported(what: str, hint: str, *kinds: type[BaseException]) -> Iterator[None]:
    """Turn errors of a storage's library into a :class:`StorageError` with its message.

    Raises:
        StorageError: One of ``kinds`` was raised.
    """
    try:
        yield
    except StorageError:
        raise
    except kinds as error:
        said = " ".join(str(error).split())[:200]
        raise StorageError(f"{what}: {said or type(error).__name__}.", hint=hint) from error
