"""Tokens in the keychain of the operating system. Needs ``pip install provider-kit[keyring]``."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from provider_kit.auth.storage.base import FileLock, StorageBase, file_lock
from provider_kit.auth.storage.protocol import check_key_name, read_record, reported, write_record
from provider_kit.errors import MissingDependencyError, StorageError
from provider_kit.model.oauth import OAuthToken
from provider_kit.stores.user_folders import lock_folder

__all__ = ["KeyringTokenStorage"]

#: A keychain cannot list its entries, so their names are kept in a separate entry.
_INDEX = "provider-kit index"
#: Windows limits an entry to 2,560 bytes of UTF-16; longer records are split over several.
_PIECE = 1200
_SPLIT = "provider-kit pieces "


class KeyringTokenStorage(StorageBase):
    """Keeps tokens in the keychain: macOS Keychain, Windows Credential Locker, Secret Service, KWallet.

    Args:
        service: Service name of the entries.
        backend: A backend of the package ``keyring``; default: the one it chooses for this machine.

    Raises:
        MissingDependencyError: The package ``keyring`` is not installed.
    """

    is_encrypted = True

    def __init__(self, service: str = "provider-kit", *, backend: Any = None) -> None:
        try:
            import keyring
        except ImportError as error:
            raise MissingDependencyError(
                "The keychain needs the package keyring.", hint="pip install provider-kit[keyring]"
            ) from error
        self._keyring = backend or keyring
        self.service = service

    def __repr__(self) -> str:
        return f"<KeyringTokenStorage {self.service}>"

    def store_token(self, key: str, token: OAuthToken) -> None:
        """Store a token under a name.

        Raises:
            StorageError: The keychain is locked, missing, or refuses.
        """
        check_key_name(key)
        record = write_record(token)
        pieces = [record[start : start + _PIECE] for start in range(0, len(record), _PIECE)]
        lock = self._index_lock()
        try:
            before = self._get(key)
            if len(pieces) == 1:
                self._set(key, record)
            else:
                # The pieces are written under new names first; then the entry that lists them changes atomically.
                names = [f"{key}#{self._generation(before)}.{number}" for number in range(len(pieces))]
                for name, piece in zip(names, pieces, strict=True):
                    self._set(name, piece)
                self._set(key, _SPLIT + json.dumps(names))
            self._drop_pieces(before)
            self._list_as([*self.list_tokens(), key])
        finally:
            lock.release()

    def retrieve_token(self, key: str) -> OAuthToken | None:
        """The token under a name, or ``None``.

        Raises:
            StorageError: The keychain is locked or missing, or what is in it is damaged.
        """
        found = self._get(key)
        if found is None:
            return None
        if found.startswith(_SPLIT):
            record = "".join(self._get(name) or "" for name in _names(found))
            again = self._get(key)
            if again != found:  # it is being rewritten right now
                return self.retrieve_token(key)
            found = record
        return read_record(found, f"the keychain under {key!r}")

    def delete_token(self, key: str) -> bool:
        """Delete a token; return whether there was one."""
        lock = self._index_lock()
        try:
            before = self._get(key)
            if before is not None:
                self._delete(key)
                self._drop_pieces(before)
            self._list_as([name for name in self.list_tokens() if name != key])
        finally:
            lock.release()
        return before is not None

    def list_tokens(self) -> list[str]:
        """The names of all tokens, sorted."""
        try:
            names = json.loads(self._get(_INDEX) or "[]")
        except ValueError:
            names = []
        return sorted({name for name in names if isinstance(name, str)})

    def lock(self, key: str) -> FileLock:
        """A lock that keeps other processes from refreshing the same token."""
        return file_lock(lock_folder(), f"keyring\0{self.service}\0{key}")

    # -------------------------------------------------------------------------------------------- entries

    def _index_lock(self) -> FileLock:
        lock = self.lock(_INDEX)
        lock.wait(10.0)
        return lock

    def _list_as(self, names: list[str]) -> None:
        self._set(_INDEX, json.dumps(sorted(set(names))))

    def _generation(self, before: str | None) -> int:
        """Old and new pieces must not share a name."""
        names = _names(before) if before is not None and before.startswith(_SPLIT) else []
        return 1 if names and names[0].rpartition("#")[2].startswith("0.") else 0

    def _drop_pieces(self, before: str | None) -> None:
        if before is not None and before.startswith(_SPLIT):
            for name in _names(before):
                self._delete(name)

    def _reported(self) -> Any:
        return reported(
            "The keychain cannot be used",
            "Unlock it. On a server without one, use FileTokenStorage or EncryptedTokenStorage instead.",
            Exception,  # each backend has its own exceptions
        )

    def _get(self, name: str) -> str | None:
        with self._reported():
            found = self._keyring.get_password(self.service, _entry(name))
        return found if isinstance(found, str) else None

    def _set(self, name: str, text: str) -> None:
        with self._reported():
            self._keyring.set_password(self.service, _entry(name), text)

    def _delete(self, name: str) -> None:
        if self._get(name) is not None:
            with self._reported():
                self._keyring.delete_password(self.service, _entry(name))


def _entry(name: str) -> str:
    """The name of an entry; some keychains (Windows) are case-insensitive."""
    if name == name.lower():
        return name
    return f"{name.lower()}~{hashlib.sha256(name.encode()).hexdigest()[:10]}"


def _names(entry: str) -> list[str]:
    try:
        found = json.loads(entry.removeprefix(_SPLIT))
    except ValueError:
        found = None
    if not isinstance(found, list):
        raise StorageError("An entry of the keychain is damaged.", hint="Log out and log in again.", retryable=False)
    return [str(name) for name in found]
