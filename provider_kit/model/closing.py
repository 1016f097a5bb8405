"""What can be closed, in both worlds, and by ``with`` and ``async with``."""

from __future__ import annotations

from types import TracebackType
from typing import Self

__all__ = ["Closing"]


class Closing:
    """Closes itself at the end of a ``with`` or ``async with`` block."""

    def close(self) -> None:
        """Close what blocking calls have opened. It can be used again."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Close what the running event loop, and what blocking calls have opened."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
