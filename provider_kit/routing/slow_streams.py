"""A stream that is too slow is left before its reader has seen anything of it.

Its first pieces are held back until enough is known of its rate: for five seconds or 256 characters, whichever comes
first.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from provider_kit.engine.call import Call
from provider_kit.engine.handler import Handler, Reply
from provider_kit.errors import APITimeoutError, CallCancelledError
from provider_kit.model.cancellation import CancelToken
from provider_kit.model.chat import Chunk
from provider_kit.transports.base import Runtime

__all__ = ["fast_enough"]

#: Seconds, characters and pieces that are held back at most.
_SECONDS, _CHARACTERS, _PIECES = 5.0, 256, 512


async def fast_enough(handler: Handler, call: Call, rate: float) -> Reply:
    """The reply of a handler to a streamed call, if it is fast enough; a stream that stalls is left, too.

    Raises:
        APITimeoutError: It is too slow; it was closed.
        ProviderKitError: It failed.
    """
    runtime, token = call.runtime, CancelToken(call.cancel)
    reply = await handler.handle(call.replace(cancel=token))
    if reply.state is None:
        return reply
    start = _Start(reply, rate, runtime)
    if runtime.kind == "scripted":  # its clock moves only when somebody waits
        return await start.read()
    ended = runtime.wakeup()
    over = stalled = False

    async def watch() -> None:
        nonlocal stalled
        until = runtime.now() + _SECONDS
        while not over and (left := until - runtime.now()) > 0:
            await ended.wait(left)
        if not over and start.characters < rate * _SECONDS:  # else the next piece ends the wait
            stalled = True
            token.cancel()

    begun = runtime.begin(watch)
    try:
        return await start.read()
    except CallCancelledError:
        if not stalled or (call.cancel is not None and call.cancel.cancelled):
            raise
        raise APITimeoutError(f"The stream stalled in its first {_SECONDS:g} s.", retryable=False) from None
    finally:
        over = True
        ended.wake()
        await begun.aclose()


class _Start:
    """The first pieces of a stream, which tell its rate.

    Args:
        reply: A live answer that has begun.
        rate: The fewest characters per second.
        runtime: The clock.
    """

    def __init__(self, reply: Reply, rate: float, runtime: Runtime) -> None:
        self._reply = reply
        self._rate = rate
        self._runtime = runtime
        self.characters = 0

    async def read(self) -> Reply:
        """The reply, if it is fast enough; what was read of it comes first.

        Raises:
            APITimeoutError: It is too slow; it was closed.
            ProviderKitError: It broke off meanwhile.
        """
        now, rate = self._runtime.now, self._rate
        chunks = self._reply.take_chunks()
        held: list[Chunk] = []
        begun = now()
        done = kept = False
        try:
            while self.characters < _CHARACTERS and len(held) < _PIECES:
                try:
                    chunk = await anext(chunks)
                except StopAsyncIteration:
                    done = True
                    break
                held.append(chunk)
                self.characters += _length(chunk)
                passed = now() - begun
                # Less than half the rate after a second will hardly be made good; earlier, a pause says nothing.
                if passed >= _SECONDS or (passed >= 1.0 and self.characters < rate * passed / 2):
                    break
            passed = now() - begun
            if not done and passed > 0 and self.characters < rate * passed:
                raise APITimeoutError(
                    f"The stream delivered {self.characters / passed:.1f} characters per second, fewer than the "
                    f"{rate:g} that are required.",
                    retryable=False,
                )
            kept = True
        finally:
            if not kept:
                await chunks.aclose()
        following = _held(held, chunks)
        await anext(following)  # a generator that was never started would not close what it reads from
        return Reply(None, self._reply.state, following)


def _length(chunk: Chunk) -> int:
    calls = sum(len(call.arguments) for call in chunk.tool_calls or ())
    return len(chunk.text) + len(chunk.thinking) + calls


async def _held(held: list[Chunk], chunks: AsyncGenerator[Chunk, None]) -> AsyncGenerator[Chunk | None, None]:
    """The chunks that were held back, then the others."""
    try:
        yield None
        while held:
            yield held.pop(0)
        async for chunk in chunks:
            yield chunk
    finally:
        await chunks.aclose()
