"""``${file:/run/secrets/openai}``: a file with nothing but the secret, as Docker and Kubernetes mount them."""

from __future__ import annotations

import os

from provider_kit.errors import AuthError

__all__ = ["fetch"]

_LARGEST = 65536


def fetch(where: str) -> str:
    """The content of a file, without the line break at its end."""
    path = os.path.expanduser(where)
    try:
        with open(path, encoding="utf-8-sig") as file:  # editors may put a byte order mark first
            text = file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise AuthError(
            f"The secret file {where} cannot be read: {reason}.",
            code="invalid_config",
            hint="It must exist, be readable by the user of this program, and hold the secret alone.",
        ) from None
    if len(text) > _LARGEST:
        raise AuthError(f"The secret file {where} is too large for a secret.", code="invalid_config")
    return text.strip()
