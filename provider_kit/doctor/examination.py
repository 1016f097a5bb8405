"""The state of one examination: what the checks use, and their findings so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field

from provider_kit.doctor.findings import Finding, Status
from provider_kit.doctor.recording import RecordingTransport
from provider_kit.engine.call import Call
from provider_kit.engine.endpoint import Endpoint
from provider_kit.engine.handler import Handler
from provider_kit.errors import ProviderKitError
from provider_kit.model.config import ProviderConfig
from provider_kit.wire.redaction import redact

__all__ = ["Examination"]

_GRAVITY = {"skipped": 0, "ok": 1, "warning": 2, "failed": 3}


@define(kw_only=True)
class Examination:
    """The client that is examined, and the findings so far."""

    endpoint: Endpoint
    config: ProviderConfig
    model: str | None
    #: The handler of the calls, each with one attempt.
    handler: Handler
    #: Makes a call: operation, request and seconds.
    make_call: Callable[[str, Any, float], Call]
    transport: RecordingTransport
    environ: Mapping[str, str] = field(repr=False)
    #: Time on the clock at which all of it must have ended.
    deadline: float
    #: Number of streamed calls; each costs some tokens.
    calls: int
    #: Whether connections are opened in the usual way, so that they can be probed.
    network: bool
    #: Arguments of every call of the client.
    defaults: Mapping[str, Any] = field(repr=lambda defaults: f"<{len(defaults)} defaults>")
    #: The limits the provider reported.
    rate_limits: Callable[[], list[Any]]
    found: list[Finding] = field(factory=list)

    def tell(
        self,
        check: str,
        status: Status,
        message: str,
        hint: str | None = None,
        *,
        seconds: float | None = None,
        **data: Any,
    ) -> None:
        """Add a finding; of one check the most severe counts, and the first of equal severity."""
        message, hint = redact(message, self.endpoint.secrets), redact(hint, self.endpoint.secrets) if hint else None
        known = self.find(check)
        if known is not None:
            if _GRAVITY[known.status] >= _GRAVITY[status]:
                return
            self.found.remove(known)
        self.found.append(Finding(check, status, message, hint=hint, seconds=seconds, data=data))

    def find(self, check: str) -> Finding | None:
        """The finding of a check, if it was made."""
        return next((finding for finding in self.found if finding.check == check), None)

    def settle(self, check: str, message: str, **data: Any) -> None:
        """Mark a check as passed after all, whatever was added before."""
        known = self.find(check)
        if known is not None:
            self.found.remove(known)
        self.tell(check, "ok", message, **data)

    def tell_error(
        self, check: str, error: ProviderKitError, hint: str | None = None, message: str | None = None
    ) -> None:
        """Add the error a check ended with."""
        facts: dict[str, Any] = {"error": type(error).__name__, "explain": error.topic}
        if getattr(error, "status_code", None) is not None:
            facts["status_code"] = error.status_code  # type: ignore[attr-defined]  # an APIError's
        self.tell(check, "failed", message or " ".join(str(error).split()), hint or error.hint, **facts)

    def left(self, most: float) -> float:
        """Seconds that one step may take: no more than ``most``, and no more than are left."""
        return float(max(0.2, min(most, self.deadline - self.transport.now())))

    @property
    def over(self) -> bool:
        """Whether there is no time left."""
        return bool(self.transport.now() >= self.deadline)

    @property
    def hopeless(self) -> bool:
        """Whether a prerequisite of all further checks has failed."""
        stops = ("key", "dns", "tcp", "tls", "proxy", "base_url", "service", "credentials")
        return any(finding.status == "failed" and finding.check in stops for finding in self.found)
