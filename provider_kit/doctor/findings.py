"""The findings of the doctor as values. They never hold a secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attrs import define, field, frozen

from provider_kit.model.display import html_table
from provider_kit.wire.redaction import redact, redact_value

__all__ = ["Diagnosis", "Finding", "Status"]

Status = Literal["ok", "warning", "failed", "skipped"]


def _clean(text: str | None) -> str | None:
    return None if text is None else redact(text)


@frozen
class Finding:
    """The outcome of one check."""

    #: Name of the check: ``dns``, ``tls``, ``credentials``, …
    check: str
    #: ``ok``, ``warning``, ``failed`` or ``skipped``.
    status: Status
    #: What was found.
    message: str = field(converter=redact)
    #: The remedy.
    hint: str | None = field(default=None, converter=_clean, kw_only=True)
    #: Seconds it took, where that is relevant.
    seconds: float | None = field(default=None, kw_only=True)
    #: The numbers behind it.
    data: Mapping[str, Any] = field(factory=dict, converter=redact_value, kw_only=True)


@define
class Diagnosis:
    """Everything that was found about one provider."""

    #: Your name for it, or its type.
    provider: str
    model: str | None = None
    base_url: str = field(default="", converter=redact)
    findings: list[Finding] = field(factory=list)
    #: Seconds all of it took.
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing failed; warnings do not count."""
        return not self.failed

    @property
    def failed(self) -> list[Finding]:
        """What does not work."""
        return [finding for finding in self.findings if finding.status == "failed"]

    @property
    def warnings(self) -> list[Finding]:
        """What works but needs attention."""
        return [finding for finding in self.findings if finding.status == "warning"]

    def __bool__(self) -> bool:
        return self.ok

    def find(self, check: str) -> Finding | None:
        """The finding of one check."""
        return next((finding for finding in self.findings if finding.check == check), None)

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        return {
            "provider": self.provider,
            "model": self.model,
            "base_url": self.base_url,
            "ok": self.ok,
            "seconds": round(self.seconds, 3),
            "findings": [
                {
                    "check": one.check,
                    "status": one.status,
                    "message": one.message,
                    "hint": one.hint,
                    "seconds": None if one.seconds is None else round(one.seconds, 4),
                    "data": dict(one.data),
                }
                for one in self.findings
            ],
        }

    def __str__(self) -> str:
        return self.as_text()

    def _repr_html_(self) -> str:
        """How notebooks show it: a row for each check, with what to do about it."""
        title = f"{self.provider} at {self.base_url}{f', {self.model}' if self.model else ''}"
        rows = [(one.status, one.check, one.message, one.hint or "") for one in self.findings]
        return html_table(title, ("", "check", "found", "what to do"), rows)

    def as_text(self) -> str:
        """The same as a plain table."""
        marks = {"ok": "ok  ", "warning": "warn", "failed": "FAIL", "skipped": "-   "}
        lines = [f"{self.provider} at {self.base_url}{f', {self.model}' if self.model else ''}"]
        for one in self.findings:
            lines.append(f"  {marks[one.status]}  {one.check:<14} {one.message}")
            if one.hint and one.status in ("failed", "warning"):
                lines.append(f"{'':<23}-> {one.hint}")
        return "\n".join(lines)
