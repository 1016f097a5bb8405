"""``${vault:secret/data/openai#value}``: HashiCorp Vault. Needs ``pip install provider-kit[vault]``.

``VAULT_ADDR``, ``VAULT_TOKEN`` (or ``~/.vault-token``), ``VAULT_NAMESPACE`` and the certificates' variables
apply as for Vault's own tools. Source: developer.hashicorp.com, "KV secrets engine".
"""

from __future__ import annotations

import os
from typing import Any

from provider_kit.errors import AuthError, MissingDependencyError
from provider_kit.model.secrets import MaskedFields

__all__ = ["fetch"]

_SECONDS = 10


def fetch(where: str) -> str:
    """A field of a secret; without ``#field`` the field ``value``, or the only one there is."""
    try:
        import hvac  # type: ignore[import-untyped]  # ships no types
        from hvac import exceptions as failures
    except ImportError as error:
        raise MissingDependencyError("Secrets in Vault need hvac.", hint="pip install provider-kit[vault]") from error
    path, _, name = where.partition("#")
    if not os.environ.get("VAULT_ADDR"):
        raise AuthError("VAULT_ADDR is not set.", code="invalid_config", hint="export VAULT_ADDR=https://vault:8200")
    client = hvac.Client(timeout=_SECONDS, namespace=os.environ.get("VAULT_NAMESPACE") or None)
    try:
        answer = client.read(path.strip("/"))
    except (failures.Forbidden, failures.Unauthorized):
        raise AuthError(
            f"Vault refuses to show {path}.",
            code="invalid_credentials",
            hint="Check VAULT_TOKEN and the policy behind it: it needs read on this path.",
        ) from None
    except failures.InvalidPath:
        answer = None
    except (failures.VaultError, OSError) as error:
        raise AuthError(
            f"Vault cannot be called: {type(error).__name__}.",
            code="network_error",
            hint="Check VAULT_ADDR, that Vault is unsealed, and the network.",
        ) from None  # the cause shows the request
    finally:
        client.adapter.close()
    fields: Any = (answer or {}).get("data") if isinstance(answer, dict) else None
    if isinstance(fields, dict) and isinstance(fields.get("data"), dict) and "metadata" in fields:
        fields = fields["data"]  # version 2 of the engine wraps it
    answer = None
    fields = MaskedFields(fields) if isinstance(fields, dict) else None
    if not fields:
        raise AuthError(
            f"Vault has nothing at {path}.",
            code="invalid_config",
            hint="Version 2 of the KV engine needs /data/ after the mount: secret/data/openai.",
        )
    wanted = name or ("value" if "value" in fields or len(fields) != 1 else next(iter(fields)))
    if wanted not in fields:
        raise AuthError(
            f"The secret {path} has no field {wanted!r}.",
            code="invalid_config",
            hint=f"It has: {', '.join(sorted(fields))}. Write ${{vault:{path}#field}}.",
        )
    value = fields[wanted]
    return value if isinstance(value, str) else ""  # reported as empty
