"""``${keyring:service/name}``: the keychain of the system. Needs ``pip install provider-kit[keyring]``."""

from __future__ import annotations

from provider_kit.errors import AuthError, MissingDependencyError

__all__ = ["fetch"]


def fetch(where: str) -> str:
    """A password of the keychain; ``service/name``, the service alone means ``service/api_key``."""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError as error:
        raise MissingDependencyError(
            "Secrets in the keychain need the package keyring.", hint="pip install provider-kit[keyring]"
        ) from error
    service, _, name = where.rpartition("/")
    if not service:
        service, name = where, "api_key"
    try:
        found = keyring.get_password(service, name)
    except KeyringError as error:
        raise AuthError(
            f"The keychain cannot be read: {type(error).__name__}.",
            code="storage_error",
            hint="Unlock it; on a server without one use ${file:…} or the environment.",
        ) from error
    if found is None:
        raise AuthError(
            f"The keychain has no secret {service!r} / {name!r}.",
            code="invalid_config",
            hint=f"Store it: keyring set {service} {name}",
        )
    return found
