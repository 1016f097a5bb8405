"""Coroutines run without an event loop."""

import asyncio
import contextlib
import gc

import pytest

from provider_kit.transports.drive import iterate_blocking, run_to_completion, step


class Suspends:
    """What real asynchronous waiting looks like to a driver."""

    def __await__(self):
        yield "suspended"


async def twice(value):
    return 2 * value


def test_a_coroutine_that_never_suspends_gives_its_result():
    """However deep it awaits, one step runs it to its end."""

    async def outer():
        return await twice(await twice(5))

    assert run_to_completion(outer()) == 20
    assert run_to_completion(twice(None or 0)) == 0


def test_an_exception_arrives_as_it_was_raised():
    """Nothing is wrapped, and the traceback leads to the line."""
    error = ValueError("as it was")

    async def fails():
        raise error

    with pytest.raises(ValueError, match="as it was") as caught:
        run_to_completion(fails())
    assert caught.value is error
    assert caught.traceback[-1].name == "fails"


@pytest.mark.parametrize("wait", [Suspends, lambda: asyncio.sleep(0)], ids=["awaitable", "asyncio.sleep"])
def test_a_coroutine_that_suspends_is_closed_and_refused(wait):
    """The error says what to use instead, and the coroutine's own cleaning up is done."""
    cleaned = []

    async def waits():
        try:
            await wait()
        finally:
            cleaned.append(True)

    with pytest.raises(RuntimeError, match="asyncio method"):
        run_to_completion(waits())
    assert cleaned == [True]


def test_a_blocking_generator_gives_its_items_in_order():
    """Falsy items and ``None`` are items, too."""

    async def items():
        for item in (0, None, "", await twice(2)):
            yield item

    assert list(iterate_blocking(items())) == [0, None, "", 4]


def test_leaving_a_blocking_generator_early_closes_it():
    """``break`` runs the generator's ``finally`` at once, once."""
    cleaned = []

    async def items():
        try:
            yield 1
            yield 2
        finally:
            cleaned.append(await twice(1))

    for _ in iterate_blocking(items()):
        break
    assert cleaned == [2]

    iterator = iterate_blocking(items())
    next(iterator)
    iterator.close()
    iterator.close()
    assert cleaned == [2, 2]


def test_an_error_inside_a_blocking_generator_arrives_and_ends_it():
    """After the error there are no more items."""

    async def items():
        yield 1
        raise ValueError("broken")

    iterator = iterate_blocking(items())
    assert next(iterator) == 1
    with pytest.raises(ValueError, match="broken"):
        next(iterator)
    assert list(iterator) == []


def test_a_generator_that_suspends_is_closed_and_refused():
    """The reader sees the clear error, not one about a generator that is still running."""
    cleaned = []

    async def items():
        try:
            yield 1
            await Suspends()
        finally:
            cleaned.append(True)

    iterator = iterate_blocking(items())
    assert next(iterator) == 1
    with pytest.raises(RuntimeError, match="asyncio method") as caught:
        next(iterator)
    assert caught.value.__context__ is None
    assert cleaned == [True]
    assert list(iterator) == []
    gc.collect()


def test_a_generator_that_suspends_while_closing_is_refused():
    """Waiting in a ``finally`` is waiting, too."""

    async def items():
        try:
            yield 1
        finally:
            await Suspends()

    iterator = iterate_blocking(items())
    next(iterator)
    with pytest.raises(RuntimeError, match="asyncio method"):
        iterator.close()
    gc.collect()


def test_a_generator_that_will_not_close_is_refused_all_the_same():
    """Even one that swallows its closing and goes on."""

    async def items():
        with contextlib.suppress(GeneratorExit):
            await Suspends()
        yield 1

    generator = items()
    with pytest.raises(RuntimeError, match="asyncio method"):
        step(generator)
    gc.collect()


def test_one_step_takes_one_item():
    """``StopAsyncIteration`` tells the end, as ``__anext__`` does."""

    async def items():
        yield 1

    generator = items()
    assert step(generator) == 1
    with pytest.raises(StopAsyncIteration):
        step(generator)
    with pytest.raises(StopAsyncIteration):
        step(generator)


def test_a_suspended_step_leaves_a_generator_that_can_be_closed():
    """Whoever took the step may clean up without a second error."""

    async def items():
        yield 1
        await Suspends()

    generator = items()
    step(generator)
    with pytest.raises(RuntimeError, match="asyncio method"):
        step(generator)
    run_to_completion(generator.aclose())


def test_driving_works_inside_a_running_loop():
    """In a notebook, blocking calls are made in the thread of a loop."""

    async def items():
        yield 1
        yield 2

    async def notebook():
        taken = list(iterate_blocking(items()))
        for _ in iterate_blocking(items()):
            break
        return taken, run_to_completion(twice(1))

    assert asyncio.run(notebook()) == ([1, 2], 2)
