"""Any storage, with its tokens encrypted. Needs ``pip install provider-kit[crypto]``.

A record says how it was made: ``provider-kit:1:scrypt:<n>:<r>:<p>:<salt>:<Fernet token>`` for a
passphrase, ``provider-kit:1:fernet:<Fernet token>`` for a key. The name of the token is inside, so that
one record cannot take another's place. Its expiry stays readable, nothing else does.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Awaitable, Sequence
from inspect import isawaitable
from typing import Any, cast

from provider_kit.auth.token_storage import TokenStorage, from_fields, to_fields
from provider_kit.errors import EncryptionError, MissingDependencyError
from provider_kit.model.hidden import HiddenFields, HiddenText, hide
from provider_kit.model.oauth import OAuthToken
from provider_kit.stores.tokens.base import StorageBase

__all__ = ["EncryptedTokenStorage", "generate_encryption_key"]

_HEADER = "provider-kit:1:"
#: Type of a record whose token is sealed.
_KIND = "encrypted"
#: Costs of scrypt: 32 MB and about a tenth of a second (OWASP's advice for interactive use is N=2^17; a
#: token record is read in each start of a command, so this is the smallest cost of the same table).
_N, _R, _P = 2**15, 8, 3
_ENVIRONMENT = "PROVIDER_KIT_ENCRYPTION_KEY"


def generate_encryption_key() -> str:
    """A new random key for :class:`EncryptedTokenStorage`.

    Raises:
        MissingDependencyError: The package ``cryptography`` is not installed.
    """
    fernet = _fernet().Fernet
    key: bytes = fernet.generate_key()
    return key.decode()


def _fernet() -> Any:
    try:
        from cryptography import fernet
    except ImportError as error:
        raise MissingDependencyError(
            "Encrypted tokens need the package cryptography.", hint="pip install provider-kit[crypto]"
        ) from error
    return fernet


class EncryptedTokenStorage(StorageBase):
    """Encrypts what another storage keeps.

    Args:
        inner: The storage underneath, plain or asynchronous; this one is then asynchronous likewise.
        key: A key of :func:`generate_encryption_key`, or several: the first one encrypts, all decrypt.
        passphrase: Words instead of a key, or several; slow to try (scrypt, a salt for each storage).
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
        self._module = _fernet()
        self.inner = inner
        if sum(given is not None for given in (key, passphrase, key_file)) > 1:
            raise EncryptionError("Several keys are given.", hint="Pass one of key=, passphrase=, key_file=.")
        if key_file is not None:
            key = _read_key(key_file)
        key, passphrase = _hidden(key), _hidden(passphrase)
        if key is None and passphrase is None:
            key = hide(os.environ.get(_ENVIRONMENT) or None)
        if key is None and passphrase is None:
            raise EncryptionError(
                "No encryption key is given.",
                hint=f"Pass key= (see generate_encryption_key()), passphrase= or key_file=, or set {_ENVIRONMENT}.",
            )
        self._keys = [self._check(one) for one in _several(key)]
        self._passphrases = [HiddenText(words) for words in _several(passphrase)]
        if any(not words for words in self._passphrases):
            raise EncryptionError("The passphrase is empty.", hint="Pass the words the tokens were encrypted with.")
        self._salt: bytes | None = None
        self._derived: dict[tuple[bytes, int, int, int, int], Any] = {}
        if hasattr(inner, "lock"):
            self.lock = inner.lock

    def __repr__(self) -> str:
        return f"<EncryptedTokenStorage over {self.inner!r}>"

    # -------------------------------------------------------------------------------------------- protocol

    def store_token(self, key: str, token: OAuthToken) -> None:
        """Encrypt a token and keep it under a name.

        Raises:
            StorageError: The storage underneath cannot be written.
        """
        plain = json.dumps({"key": key, **to_fields(token)}).encode()
        done: Any = self.inner.store_token(
            key,
            OAuthToken(
                access_token=self._seal(plain),
                expires_at=token.expires_at,
                obtained_at=token.obtained_at,
                token_type=_KIND,
            ),
        )
        return cast(None, done)  # of an asynchronous storage it is to be awaited

    def retrieve_token(self, key: str) -> OAuthToken | None:
        """The token under a name, decrypted, or ``None``.

        Raises:
            EncryptionError: The key is wrong, or the record is not encrypted, damaged, or of another name.
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
                f"The stored record of {key!r} is that of another token.",
                hint="Somebody moved it there. Delete it and log in again.",
            )
        return from_fields(fields, f"the encrypted record of {key!r}")

    def _fields(self, record: str) -> HiddenFields | None:
        opened = self._open(record)
        try:
            fields = json.loads(opened)
        except ValueError:
            return None
        return HiddenFields(fields) if isinstance(fields, dict) else None

    def delete_token(self, key: str) -> bool:
        """Forget a token; whether there was one. Needs no key."""
        return cast(bool, self.inner.delete_token(key))

    def list_tokens(self) -> list[str]:
        """The names of all tokens, sorted. Needs no key."""
        return cast("list[str]", self.inner.list_tokens())

    def rotate(self) -> int:
        """Encrypt all tokens anew with the first key; also those that were stored unencrypted. How many.

        Raises:
            EncryptionError: One of them cannot be decrypted with any of the keys; it is left as it is.
        """
        self._salt = None
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

    # -------------------------------------------------------------------------------------------- encryption

    def _check(self, key: str) -> Any:
        try:
            return self._module.Fernet(key.strip().encode())
        except (ValueError, binascii.Error):
            raise EncryptionError(
                "The encryption key is malformed.",
                hint="A key has 44 characters, see generate_encryption_key(). For words use passphrase=.",
            ) from None

    def _seal(self, plain: bytes) -> str:
        if self._keys:
            return f"{_HEADER}fernet:{self._keys[0].encrypt(plain).decode()}"
        if self._salt is None:
            self._salt = os.urandom(16)
        salt = base64.urlsafe_b64encode(self._salt).decode()
        sealed = self._derive(self._salt, _N, _R, _P, 0).encrypt(plain).decode()
        return f"{_HEADER}scrypt:{_N}:{_R}:{_P}:{salt}:{sealed}"

    def _open(self, record: str) -> bytes:
        kind, _, rest = record.removeprefix(_HEADER).partition(":")
        candidates: list[Any] = []
        if kind == "fernet":
            candidates, sealed = list(self._keys), rest
        elif kind == "scrypt":
            n, r, p, salt, sealed = self._scrypt_header(rest)
            for number in range(len(self._passphrases)):
                if found := self._try(self._derive(salt, n, r, p, number), sealed):
                    self._salt = self._salt or (salt if number == 0 and (n, r, p) == (_N, _R, _P) else None)
                    return found
        else:
            raise EncryptionError(
                "The stored token is encrypted in a way this version does not know.", hint="Upgrade provider-kit."
            )
        for candidate in candidates:
            if found := self._try(candidate, sealed):
                return found
        with_words = " It was encrypted with a passphrase." if kind == "scrypt" and self._keys else ""
        raise EncryptionError(
            "The stored token cannot be decrypted: the key is wrong, or the record is damaged.",
            details="nothing was changed",
            hint=f"Use the key it was encrypted with; old keys can stand behind the new one.{with_words} "
            "If the key is lost, delete the token and log in again.",
        )

    def _try(self, fernet: Any, sealed: str) -> bytes | None:
        try:
            opened: bytes = fernet.decrypt(sealed.encode())
        except self._module.InvalidToken:
            return None
        return opened

    def _scrypt_header(self, rest: str) -> tuple[int, int, int, bytes, str]:
        try:
            n, r, p, salt, sealed = rest.split(":", 4)
            costs = int(n), int(r), int(p)
            made = base64.urlsafe_b64decode(salt)
        except ValueError:
            costs, made, sealed = (0, 0, 0), b"", ""
        # A record must not make us spend all memory or time.
        if not (2**14 <= costs[0] <= 2**20 and costs[0] & (costs[0] - 1) == 0 and 1 <= costs[1] <= 32):
            costs = (0, 0, 0)
        if not 1 <= costs[2] <= 16 or not made:
            raise EncryptionError("The stored record is damaged.", hint="Delete the token and log in again.")
        return (*costs, made, sealed)

    def _derive(self, salt: bytes, n: int, r: int, p: int, number: int) -> Any:
        name = (salt, n, r, p, number)
        found = self._derived.get(name)
        if found is None:  # two threads may both derive it; a lock would be in the way of a fork
            from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

            if len(self._derived) > 100:
                self._derived.clear()
            raw = Scrypt(salt=salt, length=32, n=n, r=r, p=p).derive(self._passphrases[number].encode())
            found = self._derived[name] = self._module.Fernet(base64.urlsafe_b64encode(raw))
        return found


def _hidden(given: str | Sequence[str] | None) -> str | Sequence[str] | None:
    """The same, which no ``repr`` shows any more."""
    if given is None or isinstance(given, str):
        return hide(given)
    return [HiddenText(one) for one in given]


def _several(given: str | Sequence[str] | None) -> list[str]:
    if given is None:
        return []
    return [given] if isinstance(given, str) else list(given)


def _read_key(path: str | os.PathLike[str]) -> str | None:
    try:
        with open(os.path.expanduser(os.fspath(path)), encoding="ascii") as file:
            return hide(file.read().strip())
    except (OSError, ValueError) as error:
        raise EncryptionError(
            f"The key file {os.fspath(path)} cannot be read: {type(error).__name__}.",
            hint="It must exist, be readable by you alone, and hold one key of generate_encryption_key().",
        ) from error
