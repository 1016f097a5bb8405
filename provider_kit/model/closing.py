"""What can be closed, blocking or asyncio, and used with ``with`` and ``async with``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from types import TracebackType
from typing import Any, Self

from provider_kit.errors import InvalidRequestError

__all__ = ["AsyncClosing", "BlockingClosing", "Closing", "aclose_generator", "close_generator"]


def close_generator(generator: Generator[Any, Any, Any]) -> None:
    """Close a generator, which must not be running.

    Raises:
        InvalidRequestError: Another thread is reading it.
    """
    try:
        generator.close()
    except ValueError as error:
        if not getattr(generator, "gi_running", False):
            raise
        raise InvalidRequestError("The stream is being read in another thread.", hint=_END_IT) from error


async def aclose_generator(generator: AsyncGenerator[Any, Any]) -> None:
    """Close an asynchronous generator, which must not be running.

    Raises:
        InvalidRequestError: Another task is reading it.
    """
    try:
        await generator.aclose()
    except RuntimeError as error:
        if not getattr(generator, "ag_running", False):
            raise
        raise InvalidRequestError("The stream is being read in another task.", hint=_END_IT) from error


_END_IT = "To end it from there, give the call a token: cancel=CancelToken(), and cancel() that."


class BlockingClosing:
    """Closes itself at the end of a ``with`` block."""

    def close(self) -> None:
        """Close what blocking calls have opened. The object can be used again."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class AsyncClosing:
    """Closes itself at the end of an ``async with`` block."""

    async def aclose(self) -> None:
        """Close what was opened in the running event loop and by blocking calls."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


class Closing(BlockingClosing, AsyncClosing):
    """Closes itself at the end of a ``with`` or ``async with`` block."""
