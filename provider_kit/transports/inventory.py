"""What is open in this process: connections, sessions, tasks, threads, sockets."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
import threading
from typing import Any

from attrs import frozen

__all__ = ["Inventory", "take_inventory"]


@frozen(kw_only=True)
class Inventory:
    """What is open."""

    #: Connections of the library to providers: kept for later, and in use (asyncio).
    idle_connections: int
    busy_connections: int
    #: Sessions of event loops that are still open.
    sessions: int
    #: Tasks of those event loops, by the name of their coroutine.
    tasks: tuple[str, ...]
    #: Threads of this library.
    threads: tuple[str, ...]
    #: Sockets of the whole process; ``None`` where the system does not tell.
    sockets: int | None


def take_inventory() -> Inventory:
    """Look at what is open. It opens and waits for nothing, and may be called in a signal handler."""
    idle = busy = sessions = 0
    tasks: list[str] = []
    blocking = sys.modules.get("provider_kit.transports.requests_transport")
    for transport in list(getattr(blocking, "known_transports", ())):
        idle += transport.idle_connections
    awaited = sys.modules.get("provider_kit.transports.aiohttp_transport")
    loops: set[Any] = set()
    for transport in list(getattr(awaited, "known_transports", ())):
        for loop, here in list(transport.open_sessions()):
            sessions += 1
            loops.add(loop)
            connector: Any = here.connector
            if connector is not None:
                idle += sum(map(len, connector._conns.values()))
                busy += len(connector._acquired)
    for loop in loops:
        tasks += [_name(task) for task in asyncio.all_tasks(loop)]
    names = [thread.name for thread in threading.enumerate() if thread.name.startswith("provider-kit")]
    return Inventory(
        idle_connections=idle,
        busy_connections=busy,
        sessions=sessions,
        tasks=tuple(sorted(tasks)),
        threads=tuple(sorted(names)),
        sockets=_sockets(),
    )


def _name(task: asyncio.Task[Any]) -> str:
    coroutine: Any = task.get_coro()
    return str(getattr(coroutine, "__qualname__", None) or task.get_name())


def _sockets() -> int | None:
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            numbers = [int(name) for name in os.listdir(folder)]
        except (OSError, ValueError):
            continue
        return sum(_is_socket(number) for number in numbers)
    return None


def _is_socket(number: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError:
        return False
