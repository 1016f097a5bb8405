"""A blocking call in a running event loop: one warning for each line, which says what to write there."""

import asyncio
import sys
import types
import warnings

import pytest

from provider_kit import BlockingCallWarning, Client, Router
from provider_kit.transports import loop_warning


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch):
    """What other tests were warned of."""
    monkeypatch.setattr(loop_warning, "_warned", set())


def warned(function):
    """The warnings of a function that is called in a running loop, twice."""

    async def main():
        function()
        function()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(main())
    return caught


CALLS = {
    "chat": (lambda x: x.chat("Hi"), "await ….achat(…)"),
    "stream": (lambda x: list(x.stream("Hi")), "async for … in ….astream(…)"),
    "a piece of a stream": (lambda x: next(x.stream("Hi")), "async for … in ….astream(…)"),
    "text of a stream": (lambda x: list(x.stream("Hi").text()), "async for … in ….astream(…)"),
    "run": (lambda x: x.run("Hi"), "await ….arun(…)"),
    "stream_run": (lambda x: list(x.stream_run("Hi")), "async for … in ….astream_run(…)"),
    "map": (lambda x: list(x.map(["Hi"])), "async for … in ….amap(…)"),
    "say": (lambda x: x.conversation().say("Hi"), "await ….asay(…)"),
    "a streamed turn": (lambda x: list(x.conversation().stream("Hi")), "async for … in ….astream(…)"),
    "models": (lambda x: x.models(), "await ….amodels(…)"),
    "embed": (lambda x: x.embed("Hi"), "await ….aembed(…)"),
    "health_check": (lambda x: x.health_check(), "await ….ahealth_check(…)"),
    "typed": (lambda x: x.chat("Bob, 7", output_type=dict), "await ….achat(…)"),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("kind", ["client", "router"])
def test_a_blocking_call_in_a_running_loop_warns_once(kind, name):
    """It names the twin, and the line of the program."""
    call, twin = CALLS[name]
    client = Client("demo")
    with client if kind == "client" else Router([client]) as target:
        (warning,) = warned(lambda: call(target))
    assert warning.category is BlockingCallWarning
    assert twin in str(warning.message)
    assert warning.filename == __file__
    assert warning.lineno == call.__code__.co_firstlineno


def test_each_line_is_warned_of():
    """Not only the first one."""
    client = Client("demo/echo")

    def two():
        client.chat("Hi")
        client.chat("Hi")

    assert len(warned(two)) == 2
    client.close()


def test_what_is_no_call_does_not_warn():
    """Making and closing things, and streams that nobody has begun to read."""
    client = Client("demo/echo")

    def quick():
        client.conversation()
        client.stream("Hi")
        client.with_options(temperature=0)
        client.close()
        with client:
            pass

    assert warned(quick) == []


def test_a_thread_beside_the_loop_does_not_warn():
    """It blocks nobody; asyncio.to_thread is one way to do it."""
    with Client("demo/echo") as client, warnings.catch_warnings():
        warnings.simplefilter("error")

        async def main():
            return await asyncio.to_thread(client.chat, "Hi")

        assert asyncio.run(main()).text == "Hi"


def test_no_call_is_made_where_warnings_are_errors():
    """And nothing is left behind."""
    with Client("demo/echo") as client:

        async def main():
            with pytest.raises(BlockingCallWarning):
                client.chat("Hi")
            with pytest.raises(BlockingCallWarning):
                list(client.stream("Hi"))

        asyncio.run(main())
        assert client.metrics.request_count == 0


@pytest.mark.parametrize("shell", [object(), None])
def test_ipython_is_not_warned(monkeypatch, shell):
    """There a loop always runs, and waits for the cell. That it is merely imported does not count."""
    module = types.ModuleType("IPython")
    module.get_ipython = lambda: shell
    monkeypatch.setitem(sys.modules, "IPython", module)
    with Client("demo/echo") as client:
        assert len(warned(lambda: client.chat("Hi"))) == (shell is None)
