"""What was sent and what came back when a call failed, masked and shortened, for those who look for the cause."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

__all__ = ["ErrorSnapshot"]


@frozen(kw_only=True)
class ErrorSnapshot:
    """One exchange that failed. Credentials are masked; prompts and answers are not."""

    method: str
    url: str
    request_headers: Mapping[str, str] = field(factory=dict)
    #: The first 4,096 characters.
    request_body: str = ""
    #: ``None`` if there was no answer.
    status: int | None = None
    response_headers: Mapping[str, str] = field(factory=dict)
    #: The answer, as JSON or text; of a stream what the error says of it.
    response_body: Any = None
    #: Seconds since 1970 when it was sent, and how many it took.
    started: float = 0.0
    duration: float = 0.0
    correlation_id: str = ""

    def __str__(self) -> str:
        lines = [f"{self.method} {self.url}", *(f"  {name}: {value}" for name, value in self.request_headers.items())]
        lines += [f"  {self.request_body}"] if self.request_body else []
        lines.append(f"answer: {self.status or 'none'} after {self.duration:.3f} s")
        lines += [f"  {name}: {value}" for name, value in self.response_headers.items()]
        lines += [f"  {self.response_body}"] if self.response_body else []
        return "\n".join(lines)
