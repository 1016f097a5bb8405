"""Runs the engine's coroutines without an event loop.

A coroutine over a blocking transport never suspends: its first step runs the whole call. The functions here take that
step. There is no loop, no thread and no second copy of the engine.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine, Generator
from contextlib import suppress
from typing import Any, TypeVar

from provider_kit.transports.loop_warning import BlockingCallWarning, is_event_loop_running, warn_if_in_event_loop

__all__ = ["iterate_blocking", "run_to_completion", "step"]

T = TypeVar("T")

_SUSPENDED = (
    "A blocking call would have to await something asynchronous. Use the asyncio method (achat, astream, …)  "
    "from asyncio, or pass blocking callables and storages to the blocking API; middleware and plugins of a blocking "
    "call may await nothing but call_next and call.runtime.sleep()."
)


def run_to_completion(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never suspends.

    Raises:
        RuntimeError: It did suspend: asynchronous I/O was awaited from the blocking API.
        BlockingCallWarning: An event loop runs here, and warnings are errors.
    """
    if is_event_loop_running():
        try:
            warn_if_in_event_loop()
        except BlockingCallWarning:
            coroutine.close()
            raise
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]  # StopIteration carries the coroutine's T
    coroutine.close()
    raise RuntimeError(_SUSPENDED)


def step(generator: AsyncGenerator[T, None]) -> T:
    """The next item of an async generator that never suspends.

    Raises:
        StopAsyncIteration: There is none.
        RuntimeError: It did suspend.
    """
    awaitable = generator.__anext__()
    try:
        awaitable.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]  # StopIteration carries the generator's T
    with suppress(Exception, GeneratorExit):
        awaitable.throw(GeneratorExit())  # its close() would leave the generator running and impossible to close
    raise RuntimeError(_SUSPENDED)


def iterate_blocking(generator: AsyncGenerator[T, None], verb: str | None = None) -> Generator[T, None, None]:
    """The items of an async generator that never suspends; leaving early closes it.

    Args:
        generator: The generator.
        verb: The public method whose result this is, to be named if an event loop runs here.
    """
    if verb is not None:
        warn_if_in_event_loop(verb)
    try:
        while True:
            try:
                item = step(generator)
            except StopAsyncIteration:
                return
            yield item
    finally:
        run_to_completion(generator.aclose())
