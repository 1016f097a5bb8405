"""Calls the functions that users give, plain, asynchronous or generators, from either world and within a limit of time.

The context variables of the caller are those of the function, in whatever thread it runs.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from provider_kit.transports.threads import bounded, run_in_daemon_thread, with_timeout

__all__ = ["call_user_function"]

_NOTHING: Any = object()


async def call_user_function(
    kind: str,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    is_async: bool,
    is_generator: bool,
    report: Callable[[Any], object] | None,
    seconds: float | None,
) -> Any:
    """Call a function.

    Args:
        kind: ``blocking`` or ``asyncio``.
        function: The function.
        arguments: Its arguments.
        is_async: Whether it must be awaited, or iterated asynchronously.
        is_generator: Whether it yields: what comes before the last value is reported, the last is the result.
        report: Called with progress, maybe in another thread.
        seconds: The limit of time.

    Raises:
        TimeoutError: It took longer; a thread is then perhaps still running.
        Exception: What the function raised.
    """
    if kind == "asyncio":
        if is_async:
            if seconds is None:
                return await _awaited(function, arguments, is_generator, report)
            return await with_timeout(kind, lambda: _awaited(function, arguments, is_generator, report), seconds)
        call = _in_context(lambda: _called(function, arguments, is_generator, report))
        if seconds is None:
            value = await run_in_daemon_thread(kind, call)
        else:
            value = await with_timeout(kind, lambda: run_in_daemon_thread(kind, call), seconds)
        return await value if hasattr(value, "__await__") else value
    if is_async:
        return bounded(_in_context(lambda: asyncio.run(_awaited(function, arguments, is_generator, report))), seconds)
    if seconds is not None:
        value = bounded(_in_context(lambda: _called(function, arguments, is_generator, report)), seconds)
    else:
        value = _called(function, arguments, is_generator, report)
    if hasattr(value, "__await__"):
        return bounded(_in_context(lambda: asyncio.run(_finished(value))), seconds)
    return value


def _not_cancelled(error: asyncio.CancelledError, task: asyncio.Task[Any] | None) -> BaseException:
    """The error for a function that raised ``CancelledError`` itself, as when a task it waited for was cancelled."""
    if task is not None and task.cancelling():
        return error
    return RuntimeError("the function raised CancelledError, although nobody cancelled it")


async def _finished(awaitable: Any) -> Any:
    return await awaitable


def _in_context(function: Callable[[], Any]) -> Callable[[], Any]:
    context = contextvars.copy_context()
    return lambda: context.run(function)


async def _awaited(
    function: Callable[..., Any], arguments: tuple[Any, ...], is_generator: bool, report: Callable[[Any], object] | None
) -> Any:
    if not is_generator:
        try:
            return await function(*arguments)
        except asyncio.CancelledError as error:
            raise _not_cancelled(error, asyncio.current_task()) from error
    last: Any = _NOTHING
    generator: AsyncGenerator[Any, None] = function(*arguments)
    try:
        async for value in generator:
            if last is not _NOTHING and report is not None:
                report(last)
            last = value
    except asyncio.CancelledError as error:
        raise _not_cancelled(error, asyncio.current_task()) from error
    finally:
        await generator.aclose()
    return None if last is _NOTHING else last


def _called(
    function: Callable[..., Any], arguments: tuple[Any, ...], is_generator: bool, report: Callable[[Any], object] | None
) -> Any:
    if not is_generator:
        try:
            return function(*arguments)
        except asyncio.CancelledError as error:
            raise _not_cancelled(error, None) from error
    last: Any = _NOTHING
    generator: Generator[Any, None, Any] = function(*arguments)
    try:
        while True:
            try:
                value = next(generator)
            except StopIteration as stop:
                return stop.value if last is _NOTHING else last
            if last is not _NOTHING and report is not None:
                report(last)
            last = value
    finally:
        generator.close()
