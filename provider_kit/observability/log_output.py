"""Log output as text or JSON: ``configure_logging``.

The library logs to ``provider_kit`` and its children (``.http``, ``.auth``, ``.routing``, ``.stream``) and shows
nothing by default. A program with its own logging setup does not need this.
"""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime
from typing import Any, TextIO

from provider_kit.errors import ConfigError
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.json_text import dumps_text
from provider_kit.observability.standard_error import StandardError
from provider_kit.wire.redaction import redact

__all__ = ["configure_logging"]

_VARIABLES = ("PROVIDER_KIT_LOG_LEVEL", "LOG_LEVEL")
_LEVELS = ("debug", "info", "warning", "error", "critical")
#: Fields of a call in its log records.
_FACTS = ("provider", "model", "operation", "request_id", "correlation_id", "event")


def configure_logging(
    level: str | int | None = None,
    *,
    json: bool = False,
    stream: TextIO | None = None,
    file: str | os.PathLike[str] | None = None,
) -> logging.Logger:
    """Show the library's log. Calling it again replaces what was set up before.

    Args:
        level: ``debug``, ``info``, ``warning``, ``error``, or a number. Default: ``PROVIDER_KIT_LOG_LEVEL``
            or ``LOG_LEVEL``, else ``info``.
        json: One JSON object per line: timestamp, level, message, and provider, model and request_id where known.
        stream: Where to; default: standard error.
        file: A file to which every line is appended as well.

    Returns:
        The logger ``provider_kit``.

    Raises:
        ConfigError: The level is not known, or the file cannot be opened.

    Example:
        >>> from provider_kit import configure_logging
        >>> configure_logging("warning").level
        30
    """
    number = _number(level)
    formatter: logging.Formatter = _JSONLines() if json else _Lines()
    handlers: list[logging.Handler] = [StandardError() if stream is None else logging.StreamHandler(stream)]
    if file is not None:
        try:
            handlers.append(logging.FileHandler(os.path.expanduser(os.fspath(file)), encoding="utf-8"))
        except OSError as error:
            raise ConfigError(
                f"The log file {os.fspath(file)} cannot be opened: {error.strerror}.",
                hint="It is a directory: name a file in it."
                if os.path.isdir(os.path.expanduser(os.fspath(file)))
                else "Its folder must exist and be writable.",
            ) from error
    logger = logging.getLogger("provider_kit")
    for place in (logger, logging.getLogger("provider_kit.http.dump")):
        for old in [handler for handler in place.handlers if getattr(handler, "of_provider_kit", False)]:
            place.removeHandler(old)
            old.close()
    for handler in handlers:
        handler.setFormatter(formatter)
        handler.of_provider_kit = True  # type: ignore[attr-defined]  # our mark, to find it again
        logger.addHandler(handler)
    logger.setLevel(number)
    logger.propagate = False
    return logger


def _number(level: str | int | None) -> int:
    variable = None
    if level is None:
        variable = next((name for name in _VARIABLES if os.environ.get(name, "").strip()), None)
        level = "info" if variable is None else os.environ[variable]
    if isinstance(level, int) and not isinstance(level, bool):
        return level
    name = str(level).strip().lower()
    name = {"warn": "warning", "trace": "debug", "fatal": "critical"}.get(name, name)
    if name not in _LEVELS:
        raise ConfigError(
            f"The log level {str(level)[:40]!r}{f' in {variable}' if variable else ''} is not known.",
            hint=f"{did_you_mean(name, _LEVELS)}There are: {', '.join(_LEVELS)}."
            + (" If another program needs this value, set PROVIDER_KIT_LOG_LEVEL." if variable == "LOG_LEVEL" else ""),
        )
    return int(getattr(logging, name.upper()))


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Lines(logging.Formatter):
    """``2026-11-25T07:00:00.000Z INFO provider_kit.http: openai: … model=…``."""

    def format(self, record: logging.LogRecord) -> str:
        facts = " ".join(
            f"{name}={value}"
            for name in ("model", "correlation_id")
            if (value := getattr(record, name, None)) not in (None, "")
        )
        text = f"{_time(record)} {record.levelname} {record.name}: {record.getMessage()}{f' {facts}' if facts else ''}"
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        return redact(text)


class _JSONLines(logging.Formatter):
    """One JSON object for each record."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "timestamp": _time(record),
            "level": record.levelname.lower(),
            "message": redact(record.getMessage()),
            "logger": record.name,
        }
        line.update({name: getattr(record, name, None) for name in _FACTS if getattr(record, name, None) is not None})
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        return dumps_text(line)
