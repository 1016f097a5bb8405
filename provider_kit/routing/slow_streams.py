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

__all__ = ["fast_enough", "require_rate"]

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
    if runtime.kind == "scripted":  # its clock moves only when somebody waits
        return await require_rate(reply, rate, runtime)
    ended = runtime.wakeup()
    late: list[bool] = []

    async def watch() -> None:
        until = runtime.now() + _SECONDS
        while not late and (left := until - runtime.now()) > 0:
            await ended.wait(left)
        if not late:
            late.append(True)
            token.cancel()

    begun = runtime.begin(watch)
    try:
        return await require_rate(reply, rate, runtime)
    except CallCancelledError:
        if late != [True] or (call.cancel is not None and call.cancel.cancelled):
            raise
        raise APITimeoutError(f"The stream stalled in its first {_SECONDS:g} s.", retryable=False) from None
    finally:
        late.append(False)
        ended.wake()
        await begun.aclose()


async def require_rate(reply: Reply, rate: float, runtime: Runtime) -> Reply:
    """The reply, if it is fast enough; what was read of it comes first.

    Args:
        reply: A live answer that has begun.
        rate: The fewest characters per second.
        runtime: The clock.

    Raises:
        APITimeoutError: It is too slow; it was closed.
        ProviderKitError: It broke off meanwhile.
    """
    if reply.state is None:
        return reply
    chunks = reply.take_chunks()
    held: list[Chunk] = []
    characters, begun = 0, runtime.now()
    done = False
    kept = False
    try:
        while characters < _CHARACTERS and len(held) < _PIECES:
            try:
                chunk = await anext(chunks)
            except StopAsyncIteration:
                done = True
                break
            held.append(chunk)
            characters += _length(chunk)
            passed = runtime.now() - begun
            if passed >= _SECONDS or (passed >= 1.0 and characters < rate * passed / 2):
                break
        passed = runtime.now() - begun
        if not done and passed > 0 and characters < rate * passed:
            raise APITimeoutError(
                f"The stream delivered {characters / passed:.1f} characters per second, fewer than the {rate:g} "
                "that are required.",
                retryable=False,
            )
        kept = True
    finally:
        if not kept:
            await chunks.aclose()
    following = _held(held, chunks)
    await anext(following)  # a generator that was never started would not close what it reads from
    return Reply(None, reply.state, following)


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
