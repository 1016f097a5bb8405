"""What this process is doing with providers at this moment: open connections, tasks, calls in flight and waiting.

For leaks and hangs: in a program, or from outside by a signal.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import Any

from attrs import asdict, frozen

from provider_kit.engine.engine_parts import known_engines
from provider_kit.errors import ConfigError
from provider_kit.transports.inventory import Inventory, take_inventory

__all__ = ["DebugReport", "LiveCall", "debug_report", "report_on_signal"]


@frozen(kw_only=True)
class LiveCall:
    """A call that has begun and not ended."""

    provider: str
    operation: str
    model: str | None
    correlation_id: str
    #: How long it has been running, in seconds.
    seconds: float


@frozen(kw_only=True)
class DebugReport:
    """What is going on."""

    #: Connections, sessions, tasks, threads and sockets.
    open: Inventory
    #: The calls in flight, the oldest first.
    calls: tuple[LiveCall, ...]
    #: How many of them wait for a slot (``max_concurrency``) or for a rate limit.
    waiting: int
    #: Clients that share nothing, each with its own limits and keys.
    clients: int

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON can hold it."""
        return asdict(self)

    def __str__(self) -> str:
        found = self.open
        sockets = "unknown" if found.sockets is None else str(found.sockets)
        lines = [
            f"provider_kit: {self.clients} clients, {len(self.calls)} calls in flight, {self.waiting} of them waiting",
            f"connections: {found.idle_connections} idle, {found.busy_connections} in use by asyncio; "
            f"sessions: {found.sessions}; sockets of the process: {sockets}",
            f"threads: {', '.join(found.threads) or 'none'}",
            f"tasks: {len(found.tasks)}",
        ]
        lines += [f"  {name}" for name in found.tasks[:50]]
        for call in self.calls[:200]:
            model = f" {call.model}" if call.model else ""
            lines.append(f"  {call.seconds:8.1f} s  {call.provider} {call.operation}{model} ({call.correlation_id})")
        return "\n".join(lines)


def debug_report() -> DebugReport:
    """What this process is doing with providers at this moment; it waits for nothing.

    Example:
        >>> from provider_kit import Client, debug_report
        >>> client = Client("demo/echo")
        >>> stream = client.stream("Hello")
        >>> first = next(stream)
        >>> [call.operation for call in debug_report().calls]
        ['stream']
        >>> stream.close()
    """
    calls: list[LiveCall] = []
    waiting = 0
    engines = list(known_engines)
    for parts in engines:
        admission, endpoint = parts.admission, parts.endpoint
        now = endpoint.clock()
        waiting += admission.waiting
        for operation, model, started, correlation_id in list(parts.live.values()):
            calls.append(
                LiveCall(
                    provider=endpoint.name,
                    operation=operation,
                    model=model,
                    correlation_id=correlation_id,
                    seconds=max(0.0, now - started),
                )
            )
    calls.sort(key=lambda call: -call.seconds)
    return DebugReport(open=take_inventory(), calls=tuple(calls), waiting=waiting, clients=len(engines))


def report_on_signal(number: int | None = None) -> None:
    """Print the report to standard error whenever a signal comes: ``kill -USR1 PID``.

    Args:
        number: The signal; default: ``SIGUSR1``.

    Raises:
        ConfigError: The system has no such signal, or this is not the main thread.
    """
    wanted = number if number is not None else getattr(signal, "SIGUSR1", None)
    if wanted is None:
        raise ConfigError("This system has no SIGUSR1.", hint="Call debug_report() instead.")

    def report(_number: int, _frame: Any) -> None:
        try:
            sys.stderr.write(f"{debug_report()}\n")
            sys.stderr.flush()
        except Exception as error:  # a signal comes at any time, also while modules are imported
            with suppress(Exception):
                os.write(2, f"No report at this moment: {type(error).__name__}.\n".encode())

    try:
        signal.signal(wanted, report)
    except (ValueError, OSError) as error:
        raise ConfigError(
            f"The signal {wanted} cannot be handled here: {error}.", hint="Call it in the main thread."
        ) from None
