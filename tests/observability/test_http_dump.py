"""``debug_http``: every request and answer shown, secrets masked, bodies cut, streams as they come."""

import logging
import time

import pytest

from provider_kit import APIConnectionError, Client, ProviderConfig, ProviderKitError
from provider_kit.testing import FakeServer

KEY = "sk-secret-0123456789abcdef"


@pytest.fixture
def shown(caplog):
    """The lines that were shown."""
    caplog.set_level(logging.DEBUG, "provider_kit.http.dump")
    yield lambda: [record.getMessage() for record in caplog.records if record.name == "provider_kit.http.dump"]
    logging.getLogger("provider_kit.http.dump").handlers.clear()


def test_both_ways_are_shown(world, shown):
    with FakeServer() as server:
        server.reply(f"the key is {KEY} and " + "x" * 10000)
        client = server.client("openai/gpt-4o", api_key=KEY, debug_http=True, headers={"X-Api-Token": "my-own-token"})
        world(client, "chat", f"My key is {KEY}")
        client.close()
    told = "\n".join(shown())
    assert "REQUEST POST http://127.0.0.1" in told
    assert '"model":"gpt-4o"' in told
    assert "RESPONSE 200 after" in told
    assert "Authorization: ***" in told
    assert "more characters" in told
    assert "secret-0123" not in told
    assert "my-own-token" not in told
    assert len(told) < 12000


def test_a_stream_is_shown_piece_by_piece_and_not_held_back(world, shown):
    """The first piece is shown, and reaches the caller, before the last one is sent."""
    times = []
    with FakeServer() as server:
        server.fault(token_delay=0.05)
        client = server.client("openai/gpt-4o", debug_http=True)
        server.reply("one two three four five six")

        if world.name == "blocking":
            for chunk in client.stream("Hi"):
                times.append((chunk.text, time.monotonic()))
        else:
            import asyncio

            async def read():
                async for chunk in client.astream("Hi"):
                    times.append((chunk.text, time.monotonic()))

            asyncio.run(read())
        client.close()
    words = [when for text, when in times if text]
    assert words[-1] - words[0] > 0.1
    lines = shown()
    assert sum(" BODY " in line for line in lines) > 5
    assert any("END" in line and "pieces" in line for line in lines)


def test_a_failure_is_shown(world, shown):
    client = Client("openai/gpt-4o", api_key=KEY, base_url="http://127.0.0.1:9/v1", debug_http=True, max_retries=0)
    with pytest.raises(APIConnectionError):
        world(client, "chat", "Hi")
    client.close()
    assert any("FAILED APIConnectionError" in line for line in shown())


@pytest.mark.parametrize("value", ["1", "true", "0", ""])
def test_the_environment_turns_it_on(monkeypatch, shown, value):
    monkeypatch.setenv("PROVIDER_KIT_DEBUG_HTTP", value)
    with FakeServer() as server, server.client("openai/gpt-4o") as client:
        client.chat("Hi")
    assert bool(shown()) == (value in ("1", "true"))


def test_whoever_has_no_logging_sees_it_on_standard_error(capsys, monkeypatch):
    """Without any handler of his own."""
    for logger in (logging.getLogger(), logging.getLogger("provider_kit")):
        monkeypatch.setattr(logger, "handlers", [])
    dump = logging.getLogger("provider_kit.http.dump")
    with FakeServer() as server, server.client("openai/gpt-4o", debug_http=True) as client:
        client.chat("Hi")
    assert "REQUEST POST" in capsys.readouterr().err
    dump.handlers.clear()


def test_it_is_part_of_the_configuration(shown):
    with FakeServer() as server:
        config = ProviderConfig(
            type="openai", api_key=KEY, base_url=server.base_url(), default_model="x", debug_http=True
        )
        with Client(config) as client:
            client.chat("Hi", model="gpt-4o")
    assert shown()


@pytest.mark.parametrize("stream", [False, True])
def test_a_secret_is_masked_wherever_it_is_cut(shown, stream):
    """By the cap of a body, or between two pieces of a stream; of a form that nobody knows."""
    key = "0123456789abcdef0123456789abcdef-XYZ"
    for filler in range(4040, 4110, 7):
        with FakeServer() as server:
            server.reply("x" * filler + key + "y" * 10)
            with server.client("openai/gpt-4o", api_key=key, debug_http=True) as client:
                if stream:
                    list(client.stream("Hi"))
                else:
                    client.chat("Hi")
    told = "\n".join(shown())
    for length in range(12, len(key)):
        assert key[:length] not in told


def test_a_secret_that_comes_in_two_pieces(shown):
    """Each piece alone shows nothing of it."""
    from provider_kit.testing.http_server import LoopbackService, Outgoing

    key = "0123456789abcdef0123456789abcdef-XYZ"

    async def pieces():
        import asyncio

        for piece in (f"data: {key[:20]}", f"{key[20:]}\n\n"):
            yield piece.encode()
            await asyncio.sleep(0.05)

    async def answer(incoming):
        return Outgoing(200, {"content-type": "text/event-stream"}, pieces=pieces())

    with LoopbackService(answer) as service:
        client = Client("openai/x", api_key=key, base_url=f"{service.url}/v1", debug_http=True, max_retries=0)
        with pytest.raises(ProviderKitError):
            list(client.stream("Hi"))
        client.close()
    told = "".join(shown())
    assert "data: " in told
    assert key[:20] not in told
    assert key[20:] not in told


def test_dumps_are_not_doubled(capsys, monkeypatch):
    """By a logging that is set up after the client was made."""
    from provider_kit import configure_logging

    for logger in (logging.getLogger(), logging.getLogger("provider_kit")):
        monkeypatch.setattr(logger, "handlers", [])
    with FakeServer() as server, server.client("openai/gpt-4o", debug_http=True) as client:
        client.chat("Hi")
        configure_logging("debug")
        capsys.readouterr()
        client.chat("Hi")
    assert capsys.readouterr().err.count("REQUEST POST") == 1
    logger = logging.getLogger("provider_kit")
    logger.propagate = True
    logger.setLevel(logging.NOTSET)
    logging.getLogger("provider_kit.http.dump").handlers.clear()
