"""Secret stores that the configuration can refer to. Each is a module, loaded when used.

Installed packages add others under the entry point group ``provider_kit.secrets``: the name is the scheme, the object a
function from the text after the colon to the secret.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from provider_kit.errors import AuthError, ProviderKitError
from provider_kit.model.secrets import MaskedStr

__all__ = ["fetch_secret", "secret_schemes"]

_GROUP = "provider_kit.secrets"
_BUILT_IN = {name: f"provider_kit.config.secrets.{name}_secret" for name in ("file", "keyring", "vault", "aws")}


@cache
def _announced() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=_GROUP)}


def secret_schemes() -> list[str]:
    """The known schemes of secrets."""
    return [*_BUILT_IN, *(name for name in _announced() if name not in _BUILT_IN)]


def fetch_secret(scheme: str, where: str) -> str:
    """A secret, fetched now.

    Raises:
        AuthError: It does not exist, may not be read, or its store cannot be reached.
        MissingDependencyError: The package that fetches it is not installed.
    """
    try:
        function: Callable[[str], str] = (
            import_module(_BUILT_IN[scheme]).fetch if scheme in _BUILT_IN else _announced()[scheme].load()
        )
        found = function(where.strip())
    except ProviderKitError:
        raise
    except Exception as error:  # whatever a plugin or a vendor's library may raise
        raise AuthError(
            f"The secret ${{{scheme}:{where}}} cannot be fetched: {type(error).__name__}.",
            code="network_error",
            hint="See the cause above.",
        ) from error
    if not isinstance(found, str) or not found:
        raise AuthError(
            f"The secret ${{{scheme}:{where}}} is {'empty' if isinstance(found, str) else 'no text'}.",
            code="invalid_config",
            hint="Store the key itself under this name.",
        )
    return MaskedStr(found)
