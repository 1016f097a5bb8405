"""How long a failure keeps a target out, besides its circuit."""

from __future__ import annotations

from provider_kit.errors import (
    AllKeysExhaustedError,
    AllProvidersFailedError,
    AuthenticationError,
    AuthError,
    CircuitOpenError,
    InsufficientQuotaError,
    PaymentRequiredError,
    ProviderKitError,
    RateLimitError,
)

__all__ = ["cooldown_of"]

#: Seconds for a rate limit without a time, a quota without one, and a key that was refused.
_LIMITED, _QUOTA, _REFUSED = 5.0, 60.0, 60.0
#: The longest cool-down in seconds; a quota is renewed at the latest then.
_LONGEST = 3600.0


def cooldown_of(error: ProviderKitError) -> tuple[float, str]:
    """Seconds for which a target is not asked after a failure, and why; 0 for none."""
    told: float | None = getattr(error, "retry_after", None)
    if isinstance(error, (InsufficientQuotaError, PaymentRequiredError)):
        seconds, reason = told or _QUOTA, "its quota is used up"
    elif isinstance(error, RateLimitError):
        seconds, reason = told or _LIMITED, "its rate limit is reached"
    elif isinstance(error, CircuitOpenError):
        seconds, reason = told or 0.0, "its circuit is open"
    elif isinstance(error, AllKeysExhaustedError):
        seconds, reason = told or _LIMITED, "none of its keys can be used"
    elif isinstance(error, AllProvidersFailedError):
        seconds, reason = told or 0.0, "all of its targets failed"
    elif isinstance(error, (AuthenticationError, AuthError)):
        seconds, reason = _REFUSED, "its key was refused"
    else:
        seconds, reason = told or 0.0, "it asks for time"
    return min(max(0.0, seconds), _LONGEST), reason
