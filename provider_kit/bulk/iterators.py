"""What ``map`` and ``amap`` return: iterators that say what to write where they are used in the wrong way."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Any, Generic, NoReturn, TypeVar

from provider_kit.model.closing import AsyncClosing, BlockingClosing
from provider_kit.transports.drive import iterate_blocking

__all__ = ["AsyncReplies", "Replies"]

R = TypeVar("R")


class Replies(BlockingClosing, Iterator[R], Generic[R]):
    """The answers of ``map``, read by a ``for`` loop; leaving it cancels the rest."""

    def __init__(self, replies: AsyncGenerator[Any, None]) -> None:
        self._replies: Generator[Any, None, None] = iterate_blocking(replies, "map")

    def __iter__(self) -> Iterator[R]:
        return self._replies

    def __next__(self) -> R:
        return next(self._replies)  # type: ignore[no-any-return]  # the generator yields Any

    def close(self) -> None:
        """Cancel what is still running. Safe to call twice."""
        self._replies.close()

    def __aiter__(self) -> NoReturn:
        raise TypeError("map() is read by a plain loop; in asyncio write: async for reply in client.amap(…)")


class AsyncReplies(AsyncClosing, AsyncIterator[R], Generic[R]):
    """The answers of ``amap``, read by an ``async for`` loop; leaving it cancels the rest."""

    def __init__(self, replies: AsyncGenerator[Any, None]) -> None:
        self._replies = replies

    def __aiter__(self) -> AsyncIterator[R]:
        return self._replies

    async def __anext__(self) -> R:
        return await self._replies.__anext__()  # type: ignore[no-any-return]  # the generator yields Any

    async def aclose(self) -> None:
        """Cancel what is still running. Safe to call twice."""
        await self._replies.aclose()

    def __iter__(self) -> NoReturn:
        raise TypeError("amap() is read by async for; in a plain loop write: for reply in client.map(…)")

    def __await__(self) -> NoReturn:
        raise TypeError("amap() is not awaited; write: async for reply in client.amap(…)")
