"""Problems of a configuration file: position, message and remedy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from attrs import field, frozen

from provider_kit.errors import ConfigError
from provider_kit.wire.redaction import redact

__all__ = ["Problem", "raise_problems"]


@frozen(kw_only=True)
class Problem:
    """One error or warning about a configuration file."""

    message: str = field(converter=redact)
    #: What to write instead, or what to do.
    remedy: str = field(converter=redact)
    #: Path of the file, as it was given.
    file: str
    #: Line, counted from 1.
    line: int
    #: Column, counted from 1.
    column: int = 1
    #: Where in the document: ``providers.openai.timeout``.
    path: str = field(default="", converter=redact)
    severity: Literal["error", "warning"] = "error"
    #: Whether nothing is wrong but that a variable is not set where the file was checked.
    unset_variable: bool = False

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {where}{self.message}"


def raise_problems(file: str, problems: Sequence[Problem]) -> None:
    """Raise all errors as one, if there are any.

    Raises:
        ConfigError: There are errors; ``error.problems`` has them, warnings included.
    """
    errors = [problem for problem in problems if problem.severity == "error"]
    if not errors:
        return
    lines = [f"{problem}\n    {problem.remedy}" for problem in errors]
    count = "a problem" if len(errors) == 1 else f"{len(errors)} problems"
    raise ConfigError(
        "\n  ".join([f"{file} has {count}:", *lines]),
        hint=f"Correct the lines above; provider-kit config check {file} shows them again.",
        problems=problems,
    )
