"""Takes a snapshot of an exchange that failed, without its secrets."""

from __future__ import annotations

from provider_kit.engine.attempt_state import AttemptState
from provider_kit.errors import ProviderKitError
from provider_kit.model.secrets import MASK, MaskedStr
from provider_kit.model.snapshots import ErrorSnapshot
from provider_kit.wire.http import HttpRequest
from provider_kit.wire.redaction import is_secret_header, redact, redact_headers

__all__ = ["snapshot_of"]

_SHOWN = 4096


def snapshot_of(attempts: AttemptState, sent: HttpRequest, error: ProviderKitError, now: float) -> ErrorSnapshot:
    """The exchange of an attempt that failed.

    Args:
        attempts: The call.
        sent: What was sent.
        error: What went wrong; its own texts are masked already.
        now: The clock.
    """
    endpoint, lease = attempts.endpoint, attempts.lease
    secrets = [*endpoint.secrets, sent.secret]
    headers = {
        name: MASK if isinstance(value, MaskedStr) or is_secret_header(name) else value
        for name, value in sent.headers.items()
    }
    body = (sent.body or b"")[: 4 * _SHOWN].decode("utf-8", "replace")
    return ErrorSnapshot(
        method=sent.method,
        url=redact(sent.url, secrets),
        request_headers=redact_headers(headers, secrets),
        request_body=redact(body, secrets)[:_SHOWN],
        status=getattr(error, "status_code", None),
        response_headers=dict(getattr(error, "headers", None) or {}),
        response_body=getattr(error, "body", None),
        started=lease.time,
        duration=now - lease.started,
        correlation_id=attempts.call.correlation_id,
    )
