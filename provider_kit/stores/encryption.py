"""Encrypting texts with a key or a passphrase. Needs ``pip install provider-kit[crypto]``.

An encrypted text names its encryption: ``<header>scrypt:<n>:<r>:<p>:<salt>:<Fernet token>`` for a passphrase,
``<header>fernet:<Fernet token>`` for a key; the header names its kind and format version.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Sequence
from typing import Any

from provider_kit.errors import EncryptionError, MissingDependencyError
from provider_kit.model.secrets import MaskedStr, as_masked

__all__ = ["ENCRYPTION_VARIABLE", "TokenCipher", "generate_encryption_key"]

#: Costs of scrypt: 32 MB and about a tenth of a second (OWASP's advice for interactive use is N=2^17; a
#: token record is read in each start of a command, so this is the smallest cost of the same table).
_N, _R, _P = 2**15, 8, 3
ENCRYPTION_VARIABLE = "PROVIDER_KIT_ENCRYPTION_KEY"


def generate_encryption_key() -> str:
    """A new random key, e.g. for :class:`EncryptedTokenStorage`.

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
            "Encryption needs the package cryptography.", hint="pip install provider-kit[crypto]"
        ) from error
    return fernet


class TokenCipher:
    """Encrypts and decrypts with one of several keys.

    Args:
        header: Prefix of an encrypted text.
        what: What is encrypted, for errors: ``stored token``.
        if_lost: What to do when the key is lost.
        key: A key of :func:`generate_encryption_key`, or several: the first one encrypts, all decrypt.
        passphrase: A passphrase instead of a key, or several.
        key_file: A file that holds the key.

    Raises:
        EncryptionError: No key is given and the environment has none, or it is malformed.
        MissingDependencyError: The package ``cryptography`` is not installed.
    """

    def __init__(
        self,
        *,
        header: str,
        what: str,
        if_lost: str,
        key: str | Sequence[str] | None = None,
        passphrase: str | Sequence[str] | None = None,
        key_file: str | os.PathLike[str] | None = None,
    ) -> None:
        self._module = _fernet()
        self.header, self._what, self._if_lost = header, what, if_lost
        if sum(given is not None for given in (key, passphrase, key_file)) > 1:
            raise EncryptionError("Several keys are given.", hint="Pass one of key=, passphrase=, key_file=.")
        if key_file is not None:
            key = _read_key(key_file)
        key, passphrase = _hidden(key), _hidden(passphrase)
        if key is None and passphrase is None:
            key = as_masked(os.environ.get(ENCRYPTION_VARIABLE) or None)
        if key is None and passphrase is None:
            raise EncryptionError(
                "No encryption key is given.",
                hint="Pass key= (see generate_encryption_key()), passphrase= or key_file=, "
                f"or set {ENCRYPTION_VARIABLE}.",
            )
        self._keys = [self._check(one) for one in _several(key)]
        self._passphrases = [MaskedStr(words) for words in _several(passphrase)]
        if any(not words for words in self._passphrases):
            raise EncryptionError("The passphrase is empty.", hint="Pass the words it was encrypted with.")
        self._salt: bytes | None = None
        self._derived: dict[tuple[bytes, int, int, int, int], Any] = {}

    def forget_salt(self) -> None:
        """Encrypt with a new salt from now on."""
        self._salt = None

    def _check(self, key: str) -> Any:
        try:
            return self._module.Fernet(key.strip().encode())
        except (ValueError, binascii.Error):
            raise EncryptionError(
                "The encryption key is malformed.",
                hint="A key has 44 characters, see generate_encryption_key(). For a passphrase use passphrase=.",
            ) from None

    def encrypt(self, plain: bytes) -> str:
        """Encrypt."""
        if self._keys:
            return f"{self.header}fernet:{self._keys[0].encrypt(plain).decode()}"
        if self._salt is None:
            self._salt = os.urandom(16)
        salt = base64.urlsafe_b64encode(self._salt).decode()
        sealed = self._derive(self._salt, _N, _R, _P, 0).encrypt(plain).decode()
        return f"{self.header}scrypt:{_N}:{_R}:{_P}:{salt}:{sealed}"

    def decrypt(self, record: str) -> bytes:
        """Decrypt.

        Raises:
            EncryptionError: The key is wrong, or the text is damaged or of an unknown form.
        """
        kind, _, rest = record.removeprefix(self.header).partition(":")
        candidates: list[Any] = []
        if kind == "fernet":
            candidates, sealed = list(self._keys), rest
        elif kind == "scrypt":
            n, r, p, salt, sealed = self._scrypt_header(rest)
            for number in range(len(self._passphrases)):
                if (found := self._try(self._derive(salt, n, r, p, number), sealed)) is not None:
                    self._salt = self._salt or (salt if number == 0 and (n, r, p) == (_N, _R, _P) else None)
                    return found
        else:
            raise EncryptionError(
                f"The {self._what} is encrypted in a way this version does not know.", hint="Upgrade provider-kit."
            )
        for candidate in candidates:
            if (found := self._try(candidate, sealed)) is not None:
                return found
        with_words = " It was encrypted with a passphrase." if kind == "scrypt" and self._keys else ""
        raise EncryptionError(
            f"The {self._what} cannot be decrypted: the key is wrong, or the record is damaged.",
            details="nothing was changed",
            hint=f"Use the key it was encrypted with; old keys can be listed after the new one.{with_words} "
            f"If the key is lost, {self._if_lost}.",
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
        # A record must not use up all memory or time.
        if not (2**14 <= costs[0] <= 2**20 and costs[0] & (costs[0] - 1) == 0 and 1 <= costs[1] <= 32):
            costs = (0, 0, 0)
        # 128 * n * r bytes are needed, for p times as long.
        if not 1 <= costs[2] <= 16 or not made or costs[0] * costs[1] > 2**21 or costs[0] * costs[1] * costs[2] > 2**23:
            raise EncryptionError(f"The {self._what} is damaged.", hint=f"It must be created again: {self._if_lost}.")
        return (*costs, made, sealed)

    def _derive(self, salt: bytes, n: int, r: int, p: int, number: int) -> Any:
        name = (salt, n, r, p, number)
        found = self._derived.get(name)
        if found is None:  # two threads may both derive it; a lock would need care after a fork
            from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

            if len(self._derived) > 100:
                self._derived.clear()
            raw = Scrypt(salt=salt, length=32, n=n, r=r, p=p).derive(self._passphrases[number].encode())
            found = self._derived[name] = self._module.Fernet(base64.urlsafe_b64encode(raw))
        return found


def _hidden(given: str | Sequence[str] | None) -> str | Sequence[str] | None:
    """The same, hidden from ``repr``."""
    if given is None or isinstance(given, str):
        return as_masked(given)
    return [MaskedStr(one) for one in given]


def _several(given: str | Sequence[str] | None) -> list[str]:
    if given is None:
        return []
    return [given] if isinstance(given, str) else list(given)


def _read_key(path: str | os.PathLike[str]) -> str | None:
    try:
        with open(os.path.expanduser(os.fspath(path)), encoding="ascii") as file:
            return as_masked(file.read().strip())
    except (OSError, ValueError) as error:
        raise EncryptionError(
            f"The key file {os.fspath(path)} cannot be read: {type(error).__name__}.",
            hint="It must exist, be readable by you alone, and hold one key of generate_encryption_key().",
        ) from error
