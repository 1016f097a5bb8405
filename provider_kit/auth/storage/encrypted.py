"""Any storage, with its tokens encrypted. Needs ``pip install provider-kit[crypto]``.

A record names its encryption: ``provider-kit:1:scrypt:<n>:<r>:<p>:<salt>:<Fernet token>`` for a passphrase,
``provider-kit:1:fernet:<Fernet token>`` for a key. The name of the token is encrypted with it, so that records cannot
be swapped. Only its expiry stays readable.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Sequence
from inspect import isawaitable
from typing import Any, cast

from provider_kit.auth.storage.base import StorageBase
from provider_kit.auth.storage.protocol import TokenStorage, from_fields, to_fields
from provider_kit.errors import EncryptionError
from provider_kit.model.oauth import OAuthToken
from provider_kit.model.secrets import MaskedFields
from provider_kit.stores.encryption import TokenCipher, generate_encryption_key

__all__ = ["EncryptedTokenStorage", "generate_encryption_key"]

_HEADER = "provider-kit:1:"
#: Type of an encrypted record.
_KIND = "encrypted"


class EncryptedTokenStorage(StorageBase):
    """Encrypts the tokens of another storage.

    Args:
        inner: The storage underneath, plain or asynchronous; this one is then the same.
        key: A key of :func:`generate_encryption_key`, or several: the first one encrypts, all decrypt.
        passphrase: A passphrase instead of a key, or several; slow to guess (scrypt, with a salt for each storage).
        key_file: A file that holds the key.

    Without any of these the key comes from ``PROVIDER_KIT_ENCRYPTION_KEY``.

    Raises:
        EncryptionError: No key is given, or it is malformed.
        MissingDependencyError: The package ``cryptography`` is not installed.

    Example:
        >>> from provider_kit import EncryptedTokenStorage, FileTokenStorage, OAuthToken, generate_encryption_key
        >>> key = generate_encryption_key()
        >>> storage = EncryptedTokenStorage(FileTokenStorage(".tokens.json"), key=key)
        >>> storage.store_token("gemini", OAuthToken(access_token="ya29…"))
        >>> storage.get_token_info("gemini").is_encrypted
        True
    """

    is_encrypted = True

    def __init__(
        self,
        inner: TokenStorage,
        *,
        key: str | Sequence[str] | None = None,
        passphrase: str | Sequence[str] | None = None,
        key_file: str | os.PathLike[str] | None = None,
    ) -> None:
        self.inner = inner
        self._cipher = TokenCipher(
            header=_HEADER,
            what="stored token",
            if_lost="delete the token and log in again",
            key=key,
            passphrase=passphrase,
            key_file=key_file,
        )
        if hasattr(inner, "lock"):
            self.lock = inner.lock

    def __repr__(self) -> str:
        return f"<EncryptedTokenStorage over {self.inner!r}>"

    # -------------------------------------------------------------------------------------------- protocol

    def store_token(self, key: str, token: OAuthToken) -> None:
        """Encrypt a token and store it under a name.

        Raises:
            StorageError: The storage underneath cannot be written.
        """
        plain = json.dumps({"key": key, **to_fields(token)}).encode()
        done: Any = self.inner.store_token(
            key,
            OAuthToken(
                access_token=self._cipher.encrypt(plain),
                expires_at=token.expires_at,
                obtained_at=token.obtained_at,
                token_type=_KIND,
            ),
        )
        return cast(None, done)  # an awaitable, if the storage is asynchronous

    def retrieve_token(self, key: str) -> OAuthToken | None:
        """The token under a name, decrypted, or ``None``.

        Raises:
            EncryptionError: The key is wrong, or the record is unencrypted, damaged, or belongs to another name.
            StorageError: The storage underneath cannot be read.
        """
        found = self.inner.retrieve_token(key)
        if isawaitable(found):
            return cast(OAuthToken, self._retrieve_later(key, found))
        return None if found is None else self._decrypted(key, found)

    async def _retrieve_later(self, key: str, waiting: Awaitable[OAuthToken | None]) -> OAuthToken | None:
        found = await waiting
        return None if found is None else self._decrypted(key, found)

    def _decrypted(self, key: str, found: OAuthToken) -> OAuthToken:
        if not found.access_token.startswith(_HEADER):
            raise EncryptionError(
                f"The token of {key!r} is stored unencrypted.",
                hint="Call rotate() once to encrypt what was stored before; or log in again.",
            )
        fields = self._fields(found.access_token)
        if fields is None or fields.pop("key", None) != key:
            raise EncryptionError(
                f"The stored record of {key!r} belongs to another token.",
                hint="It was moved there. Delete it and log in again.",
            )
        return from_fields(fields, f"the encrypted record of {key!r}")

    def _fields(self, record: str) -> MaskedFields | None:
        opened = self._cipher.decrypt(record)
        try:
            fields = json.loads(opened)
        except ValueError:
            return None
        return MaskedFields(fields) if isinstance(fields, dict) else None

    def delete_token(self, key: str) -> bool:
        """Delete a token; return whether there was one. Needs no key."""
        return cast(bool, self.inner.delete_token(key))

    def list_tokens(self) -> list[str]:
        """The names of all tokens, sorted. Needs no key."""
        return cast("list[str]", self.inner.list_tokens())

    def rotate(self) -> int:
        """Re-encrypt all tokens with the first key, including unencrypted ones; return their number.

        Raises:
            EncryptionError: One of them cannot be decrypted with any of the keys; it is left as it is.
        """
        self._cipher.forget_salt()
        count = 0
        for key in self.list_tokens():
            found = self.inner.retrieve_token(key)
            if found is not None:
                plain = found.access_token.startswith(_HEADER)
                self.store_token(key, self._decrypted(key, found) if plain else found)
                count += 1
        return count

    def close(self) -> None:
        """Close the storage underneath."""
        close = getattr(self.inner, "close", None)
        if close is not None:
            close()
