"""Opens a storage by its address or name, as in ``PROVIDER_KIT_TOKEN_STORAGE`` and on the command line."""

from __future__ import annotations

import os
from collections.abc import Coroutine
from importlib.metadata import entry_points
from inspect import isawaitable
from typing import Any, cast

from provider_kit.auth.storage.protocol import TokenStorage
from provider_kit.errors import ConfigError, EncryptionError, ProviderKitError, StorageError
from provider_kit.model.oauth import OAuthToken
from provider_kit.stores.base import ADDRESSES
from provider_kit.stores.user_folders import needed_folder
from provider_kit.wire.redaction import redact

__all__ = ["default_token_folder", "find_stored", "open_token_storage", "stored_credential", "stored_names"]

_VARIABLES = ("PROVIDER_KIT_TOKEN_STORAGE", "TOKEN_STORAGE")
#: Entry points of this group name storages of other packages; each is called with the full address.
_GROUP = "provider_kit.storages"


def default_token_folder() -> str:
    """The user's folder for logins.

    Raises:
        StorageError: There is no home directory.
    """
    folder = needed_folder(
        "data", StorageError, "Or name a location for tokens: PROVIDER_KIT_TOKEN_STORAGE=/path/.tokens/"
    )
    return os.path.join(folder, "tokens")


def stored_credential(*names: str) -> OAuthToken | None:
    """The key or login stored under the first of these names that has one.

    A storage that cannot be opened or read counts as empty; see :func:`find_stored` for the reason.
    """
    return find_stored(*names)[0]


def find_stored(*names: str) -> tuple[OAuthToken | None, ProviderKitError | None]:
    """As :func:`stored_credential`, with the reason if the storage cannot be read."""
    try:
        storage = open_token_storage()
        for name in names:
            found = storage.retrieve_token(name)
            if isawaitable(found):
                cast(Coroutine[Any, Any, Any], found).close()
                return None, None
            if found is not None and found.token_type == "encrypted":
                raise EncryptionError("what is stored is encrypted, and PROVIDER_KIT_ENCRYPTION_KEY is not set")
            if found is not None:
                return cast(OAuthToken, found), None
    except ProviderKitError as error:
        return None, error
    return None, None


def stored_names() -> list[str]:
    """The names under which a key or a login is stored; none if the storage cannot be read."""
    try:
        names: Any = open_token_storage().list_tokens()
    except ProviderKitError:  # reported when one of them is used
        return []
    if isawaitable(names):
        cast(Coroutine[Any, Any, Any], names).close()
        return []
    return [str(name) for name in names]


def open_token_storage(
    where: str | os.PathLike[str] | None = None, *, encryption_key: str | None = None
) -> TokenStorage:
    """The storage at an address.

    Args:
        where: ``file`` (the user's folder), ``memory``, ``keyring``, the path of a file or directory,
            ``sqlite:///path``, ``redis://…``, or an address of an installed plugin. Default: the variable
            ``PROVIDER_KIT_TOKEN_STORAGE`` or ``TOKEN_STORAGE``, else ``file``.
        encryption_key: Encrypt the tokens with this key. Default: ``PROVIDER_KIT_ENCRYPTION_KEY``, if set.

    Raises:
        ConfigError: No storage has such an address.
        MissingDependencyError: The library for it is not installed.
        EncryptionError: The key is malformed.
    """
    if where is None:
        where = next((os.environ[name] for name in _VARIABLES if os.environ.get(name, "").strip()), "file")
    storage = _open(os.fspath(where))
    key = encryption_key or os.environ.get("PROVIDER_KIT_ENCRYPTION_KEY")
    if not key or getattr(storage, "is_encrypted", False):
        return storage
    from provider_kit.auth.storage.encrypted import EncryptedTokenStorage

    return EncryptedTokenStorage(storage, key=key)


def _open(where: str) -> TokenStorage:
    if where == "memory":
        from provider_kit.auth.storage.memory import MemoryTokenStorage

        return MemoryTokenStorage()
    if where == "keyring":
        from provider_kit.auth.storage.keyring import KeyringTokenStorage

        return KeyringTokenStorage()
    if where.startswith(ADDRESSES):
        from provider_kit.auth.storage.redis import RedisTokenStorage

        return RedisTokenStorage(where)
    if where.startswith("sqlite://"):
        from provider_kit.auth.storage.sqlite import SQLiteTokenStorage

        return SQLiteTokenStorage(where.removeprefix("sqlite://").removeprefix("/") or "tokens.db")
    scheme = where.partition("://")[0]
    for point in entry_points(group=_GROUP):
        if point.name in (where, scheme):
            return cast(TokenStorage, point.load()(where))
    if "://" in where:
        raise ConfigError(
            f"No token storage is known at {redact(where)!r}.",
            hint="Use file, memory, keyring, a path, sqlite:///path or redis://….",
        )
    from provider_kit.auth.storage.files import FileTokenStorage

    return FileTokenStorage(default_token_folder() + os.sep if where == "file" else where)
