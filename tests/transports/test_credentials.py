"""Credentials: they reach the provider, and nobody else."""

import aiohttp
import pytest
import requests

from provider_kit import APIError, Client, ConfigError


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
@pytest.mark.parametrize("own", [True, False], ids=["own session", "injected session"])
def test_redirects_are_not_followed(serve, wire, world, secret, status, own):
    """The other host never hears of the call, so the key cannot reach it."""
    other = serve(wire.whole())
    server = serve(wire.whole(b"moved", f"Location: {other.url}/v1/chat/completions", status=status))

    async def scenario():
        sessions = {}
        if not own:
            sessions = (
                {"session": requests.Session(), "async_session": aiohttp.ClientSession()}
                if (world.name == "asyncio")
                else {"session": requests.Session()}
            )
        made = Client(f"{server.url}/v1", model="m", api_key=secret, max_retries=0, **sessions)
        for verb in (lambda: world.chat(made, "Hi"), lambda: anext(world.stream(made, "Hi"))):
            with pytest.raises(APIError) as caught:
                await verb()
            assert caught.value.status_code == int(status[:3])
        await world.close(made)
        if "async_session" in sessions:
            await sessions["async_session"].close()
        if sessions:
            sessions["session"].close()

    world.run(scenario())
    assert [request.headers["authorization"] for request in server.requests] == [f"Bearer {secret}"] * 2
    assert other.connections == 0


@pytest.fixture
def netrc(tmp_path, monkeypatch):
    """A ``.netrc`` with a login for this very host."""
    path = tmp_path / "netrc"
    path.write_text("machine 127.0.0.1 login nobody password wrong\ndefault login nobody password wrong\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.usefixtures("netrc")
def test_a_netrc_does_not_replace_the_key(serve, wire, world, client, secret):
    """An entry for the host would, if it were read."""
    server = serve(wire.whole())
    made = client(server, api_key=secret)

    async def scenario():
        await world.chat(made, "Hi")
        await anext(world.stream(made, "Hi"))
        await world.close(made)

    world.run(scenario())
    assert [request.headers["authorization"] for request in server.requests] == [f"Bearer {secret}"] * 2


@pytest.mark.usefixtures("netrc")
def test_a_netrc_does_not_replace_the_key_in_an_injected_session(serve, wire, world, secret):
    """Not even where the session itself trusts the environment."""
    server = serve(wire.whole())

    async def scenario():
        with requests.Session() as session:
            options = {"session": session}
            if world.name == "asyncio":
                options["async_session"] = aiohttp.ClientSession(trust_env=True)
            made = Client(f"{server.url}/v1", model="m", api_key=secret, **options)
            if world.name == "blocking":
                await world.chat(made, "Hi")
                assert server.requests[0].headers["authorization"] == f"Bearer {secret}"
            else:
                with pytest.raises(ConfigError, match="AUTHORIZATION header"):  # aiohttp refuses to choose
                    await world.chat(made, "Hi")
                assert server.requests == []
                await options["async_session"].close()

    world.run(scenario())


@pytest.mark.usefixtures("netrc")
def test_a_call_without_a_key_has_no_authorization(serve, wire, world, client):
    """A local server is not told somebody's login."""
    server = serve(wire.whole())
    made = client(server)

    async def scenario():
        await world.chat(made, "Hi")
        await world.close(made)

    world.run(scenario())
    assert "authorization" not in server.requests[0].headers


def test_cookies_are_neither_kept_nor_sent(serve, wire, world, client):
    """A cookie would tie calls of different keys together."""
    server = serve(wire.whole(None, "Set-Cookie: a=b; Path=/", "Set-Cookie: c=d"))
    made = client(server)

    async def scenario():
        await world.chat(made, "Hi")
        await world.chat(made, "Hi")
        await world.close(made)

    world.run(scenario())
    assert ["cookie" in request.headers for request in server.requests] == [False, False]


def test_errors_do_not_show_the_key(serve, wire, world, client, secret):
    """Not even where the server repeats it."""
    server = serve(wire.whole(f'{{"error":{{"message":"bad key {secret}"}}}}'.encode(), status="401 Unauthorized"))
    made = client(server, api_key=secret)

    async def scenario():
        with pytest.raises(APIError) as caught:
            await world.chat(made, "Hi")
        assert secret not in f"{caught.value!r} {caught.value} {vars(caught.value)}"
        await world.close(made)

    world.run(scenario())
