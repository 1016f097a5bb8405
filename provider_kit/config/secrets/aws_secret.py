"""``${aws:name}``: AWS Secrets Manager. Needs ``pip install provider-kit[aws]``.

Region and credentials are those of the AWS tools: ``AWS_REGION``, profiles, roles. ``${aws:name#field}``
takes one field of a secret that is a JSON object. Source: AWS API reference, ``GetSecretValue``.
"""

from __future__ import annotations

import json

from provider_kit.errors import AuthError, MissingDependencyError
from provider_kit.model.secrets import MaskedFields, as_masked

__all__ = ["fetch"]


def fetch(where: str) -> str:
    """The text of a secret, or one of its fields."""
    try:
        import boto3  # type: ignore[import-untyped]  # ships no types
        from botocore import exceptions as failures  # type: ignore[import-untyped]  # ships no types
        from botocore.config import Config  # type: ignore[import-untyped]  # ships no types
    except ImportError as error:
        raise MissingDependencyError("Secrets of AWS need boto3.", hint="pip install provider-kit[aws]") from error
    name, _, wanted = where.partition("#")
    settings = Config(connect_timeout=5, read_timeout=10, retries={"max_attempts": 2})
    try:
        client = boto3.client("secretsmanager", config=settings)
        try:
            answer = client.get_secret_value(SecretId=name)
        finally:
            client.close()
    except failures.ClientError as error:
        raise _refused(name, error.response.get("Error", {}).get("Code", "")) from None
    except (failures.NoRegionError, failures.NoCredentialsError, failures.PartialCredentialsError) as error:
        raise AuthError(
            f"AWS cannot be called: {type(error).__name__}.",
            code="invalid_config",
            hint="Set AWS_REGION and credentials, or run with an assigned role.",
        ) from None
    except failures.BotoCoreError as error:
        raise AuthError(
            f"AWS Secrets Manager cannot be reached: {type(error).__name__}.",
            code="network_error",
            hint="Check the network, the region and AWS_ENDPOINT_URL.",
        ) from None
    text = as_masked(answer.pop("SecretString", None))
    if text is None:
        raise AuthError(f"The secret {name} is binary.", code="invalid_config", hint="Store it as a text.")
    return _field(name, text, wanted) if wanted else str(text)


def _refused(name: str, code: str) -> AuthError:
    if code == "ResourceNotFoundException":
        return AuthError(
            f"AWS Secrets Manager has no secret {name}.", code="invalid_config", hint="Check its name and the region."
        )
    denied = "Denied" in code or "Token" in code or "Signature" in code
    return AuthError(
        f"AWS refuses to show the secret {name} ({code}).",
        code="invalid_credentials" if denied else "provider_unavailable",
        hint="The role needs secretsmanager:GetSecretValue for it." if denied else "Try again shortly.",
    )


def _field(name: str, text: str, wanted: str) -> str:
    try:
        found = json.loads(text, object_hook=MaskedFields)
    except ValueError:
        found = None
    if not isinstance(found, dict) or wanted not in found:
        known = f"It has: {', '.join(sorted(found))}." if isinstance(found, dict) else "It is not a JSON object."
        raise AuthError(f"The secret {name} has no field {wanted!r}.", code="invalid_config", hint=known)
    value = found[wanted]
    return value if isinstance(value, str) else ""  # reported as empty
