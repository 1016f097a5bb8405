"""Answers many prompts, in their order, with a bounded number of calls in flight.

The prompts are read only as fast as calls are made, and answers are held only until those before them have come, so
that a million prompts need no more memory than a hundred.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from typing import Any, Literal, TypeAlias

from provider_kit.bulk.progress import make_bar
from provider_kit.errors import InvalidRequestError
from provider_kit.model.cancellation import CancelToken
from provider_kit.model.messages import Message
from provider_kit.transports.base import Begun, Runtime

__all__ = ["OnError", "check_map", "map_prompts"]

#: What happens when a call fails: the error ends the run, or is yielded in place of the answer.
OnError: TypeAlias = Literal["raise", "return"]

#: Answers that may wait for a slow one before them, for each call in flight.
_AHEAD = 8
#: The number of what is no answer, but a prompt.
_PROMPT = -1


def check_map(prompts: Any, concurrency: Any, on_error: Any, *, awaited: bool) -> None:
    """Check the arguments of a bulk run.

    Raises:
        InvalidRequestError: One of them is wrong.
    """
    if isinstance(prompts, (str, bytes, Mapping, Message)) or not (
        hasattr(prompts, "__iter__") or hasattr(prompts, "__aiter__")
    ):
        raise InvalidRequestError(
            f"prompts must be a list or another iterable of prompts, not {type(prompts).__name__}.",
            hint="client.map(['one', 'two']); for a single prompt: client.chat('…').",
        )
    if not awaited and not hasattr(prompts, "__iter__"):
        raise InvalidRequestError(
            "These prompts come asynchronously.", hint="Write: async for reply in client.amap(prompts)."
        )
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise InvalidRequestError(f"concurrency must be a whole number from 1 on, not {concurrency!r}.")
    if on_error not in ("raise", "return"):
        raise InvalidRequestError(f"on_error {on_error!r} is not understood.", hint="Use 'raise' or 'return'.")


async def map_prompts(
    ask: Callable[[Any], Any],
    prompts: Any,
    runtime: Runtime,
    cancel: CancelToken,
    *,
    concurrency: int,
    progress: Any,
    on_error: OnError,
) -> AsyncGenerator[Any, None]:
    """Yield the answer to each prompt, in the order of the prompts.

    Args:
        ask: Answers one prompt; awaited.
        prompts: An iterable, or an asynchronous one in asyncio.
        runtime: The world of the caller.
        cancel: The token of the calls, cancelled when the reader leaves.
        concurrency: Most calls at once.
        progress: Whether to show a bar; or a function of the number done and of all, if that is known.
        on_error: What happens when a call fails.
    """
    bar = make_bar(progress, _length_of(prompts))
    source = _reader(prompts)
    waiter = runtime.wakeup()
    done: dict[int, Any] = {}
    ended: deque[tuple[int, Any]] = deque()
    running: dict[int, Begun] = {}
    begun = given = 0
    most_ahead = concurrency * _AHEAD
    is_awaited = hasattr(prompts, "__aiter__")
    exhausted = wanted = waits_for_prompt = False
    demand = runtime.wakeup()

    async def work(number: int, prompt: Any) -> None:
        try:
            outcome: Any = (True, await ask(prompt))
        except BaseException as error:  # raised again by the reader, or by this task
            outcome = (False, error)
            if not isinstance(error, Exception):
                ended.append((number, outcome))
                waiter.wake()
                raise
        ended.append((number, outcome))
        waiter.wake()

    async def read() -> None:
        """Read all prompts in one task, beside the calls, since they may be long in coming."""
        nonlocal wanted
        try:
            found = None
            while found is not _END:
                while not wanted:
                    await demand.wait(None)
                wanted = False
                found = await source()
                ended.append((_PROMPT, (True, found)))
                waiter.wake()
        except BaseException as error:  # raised again by the reader, or by this task
            ended.append((_PROMPT, (False, error)))
            waiter.wake()
            if not isinstance(error, Exception):
                raise
        finally:
            closing = getattr(prompts, "aclose", None)
            if closing is not None:
                await closing()

    reading: Begun | None = None
    try:
        while True:
            while not exhausted and not waits_for_prompt and len(running) < concurrency and begun - given < most_ahead:
                if is_awaited:
                    wanted = waits_for_prompt = True
                    demand.wake()
                    reading = reading or runtime.begin(read)
                    break
                found = await source()
                if found is _END:
                    exhausted = True
                    break
                running[begun] = runtime.begin(partial(work, begun, found))
                begun += 1
            if exhausted and given == begun:
                return
            while not ended:
                await waiter.wait(None)
            while ended:
                number, outcome = ended.popleft()
                if number == _PROMPT:
                    waits_for_prompt = False
                    good, found = outcome
                    if not good:
                        raise found
                    exhausted = found is _END
                    if not exhausted:
                        running[begun] = runtime.begin(partial(work, begun, found))
                        begun += 1
                    continue
                running.pop(number, None)
                bar.advance()
                good, done[number] = outcome
                if not good and (on_error == "raise" or not isinstance(done[number], Exception)):
                    raise done[number]
            while given in done:
                value = done.pop(given)
                given += 1
                yield value
    finally:
        if running:
            cancel.cancel()
        for one in (*running.values(), *([reading] if reading is not None else [])):
            await one.aclose()
        bar.close()


_END: Any = object()


def _length_of(prompts: Any) -> int | None:
    return len(prompts) if hasattr(prompts, "__len__") else None


def _reader(prompts: Any) -> Callable[[], Any]:
    """A function that gives the next prompt, and at last :data:`_END`."""
    if hasattr(prompts, "__aiter__"):
        later: AsyncIterator[Any] = prompts.__aiter__()

        async def read_later() -> Any:
            try:
                return await later.__anext__()
            except StopAsyncIteration:
                return _END

        return read_later
    plain: Iterator[Any] = iter(prompts)

    async def read() -> Any:
        return next(plain, _END)

    return read
