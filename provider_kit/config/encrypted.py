"""Encrypted configuration files. Needs ``pip install provider-kit[crypto]``.

The file is one line: ``provider-kit-config:1:`` and an encrypted text (Fernet, with a key or with a passphrase and
scrypt). The environment variable ``PROVIDER_KIT_ENCRYPTION_KEY`` decrypts it automatically.
"""

from __future__ import annotations

import os
import re

from provider_kit.errors import EncryptionError
from provider_kit.stores.encryption import ENCRYPTION_VARIABLE, TokenCipher

__all__ = ["decrypt_config", "encrypt_config", "is_encrypted"]

_HEADER = "provider-kit-config:1:"


def is_encrypted(text: str) -> bool:
    """Whether a file's text was made by :func:`encrypt_config`."""
    return text.lstrip().startswith("provider-kit-config:")


def encrypt_config(text: str, key: str | bytes | None = None) -> str:
    """Encrypt a configuration.

    Args:
        text: The YAML text.
        key: A key of ``generate_encryption_key()``, or any other text as a passphrase. Default:
            ``PROVIDER_KIT_ENCRYPTION_KEY``.

    Raises:
        EncryptionError: There is no key.
        MissingDependencyError: The package ``cryptography`` is not installed.
    """
    return _cipher(key).encrypt(text.encode()) + "\n"


def decrypt_config(text: str, key: str | bytes | None = None) -> str:
    """The YAML text of an encrypted configuration. Arguments as :func:`encrypt_config`.

    Raises:
        EncryptionError: The key is wrong, or the file is damaged.
        MissingDependencyError: The package ``cryptography`` is not installed.
    """
    text = text.strip()
    if not text.startswith(_HEADER):
        raise EncryptionError(
            "The configuration is encrypted in a way this version does not know."
            if is_encrypted(text)
            else "The configuration is not encrypted.",
            hint="Upgrade provider-kit." if is_encrypted(text) else "Read it with load_config().",
        )
    try:
        return _cipher(key).decrypt(text).decode()
    except UnicodeDecodeError:
        raise EncryptionError("The configuration is damaged.", hint="Restore it from a backup.") from None


def _cipher(key: str | bytes | None) -> TokenCipher:
    given: dict[str, str] = {}
    key = key.decode() if isinstance(key, bytes) else key or os.environ.get(ENCRYPTION_VARIABLE) or None
    if key is not None:
        given = {"key" if re.fullmatch(r"[A-Za-z0-9_-]{43}=", key.strip()) else "passphrase": key}
    return TokenCipher(header=_HEADER, what="configuration", if_lost="restore it from a backup", **given)
