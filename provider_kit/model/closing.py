"""What can be closed, blocking or asyncio, and used with ``with`` and ``async with``."""

from __future__ import annotations

from types import TracebackType
from typing import Self

__all__ = ["AsyncClosing", "BlockingClosing", "Closing"]


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
