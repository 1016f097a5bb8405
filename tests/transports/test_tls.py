"""TLS: checked by default, with authorities and certificates of one's own on request."""

import pytest

from provider_kit import APIConnectionError, APITimeoutError, ConfigError, DeadlineExceededError
from provider_kit.model.config import Timeout

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")


async def call_both(world, made):
    assert (await world.chat(made, "Hi")).text == "Hi"
    assert "".join([chunk.text async for chunk in world.stream(made, "Hi")]) == "Hi"


@pytest.fixture
def talk(wire):
    return lambda connection, request: connection.send(
        wire.stream("Hi") if b'"stream":true' in request.body else wire.whole()
    )


def test_an_unknown_authority_is_refused(serve, talk, world, client, certificates, secret):
    """Nothing is sent, trying again would not help, and the hint tells what would."""
    server = serve(talk, tls=certificates.context())
    made = client(server, api_key=secret, max_retries=3)

    async def scenario():
        for verb in (lambda: world.chat(made, "Hi"), lambda: anext(world.stream(made, "Hi"))):
            with pytest.raises(APIConnectionError, match=r"TLS connection .* failed: .*certificate verify") as caught:
                await verb()
            assert type(caught.value) is APIConnectionError
            assert not caught.value.retryable
            assert "verify=" in caught.value.hint
            assert "CA bundle" in caught.value.hint
        await world.close(made)

    world.run(scenario())
    assert server.requests == []
    assert server.connections == 2


@pytest.mark.parametrize("how", ["verify", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "verify=False"])
def test_an_authority_of_ones_own_is_trusted(serve, talk, world, client, certificates, monkeypatch, how):
    """By path, by variable; or nothing is checked at all. The connection is used again."""
    server = serve(talk, tls=certificates.context())
    options = {}
    if how == "verify":
        options["verify"] = certificates.authority
    elif how == "verify=False":
        options["verify"] = False
    else:
        monkeypatch.setenv(how, certificates.authority)
    made = client(server, **options)

    async def scenario():
        await call_both(world, made)
        await world.close(made)

    world.run(scenario())
    assert server.connections == 1
    assert server.wait(server.idle)


def test_the_name_must_fit(serve, talk, world, client, certificates):
    """A certificate for another host is refused even if its authority is known."""
    server = serve(talk, tls=certificates.context(certificates.stranger))
    made = client(server, verify=certificates.authority)

    async def scenario():
        with pytest.raises(APIConnectionError, match=r"TLS connection to 127.0.0.1") as caught:
            await world.chat(made, "Hi")
        assert not caught.value.retryable
        await world.close(made)

    world.run(scenario())
    assert server.requests == []


def test_a_client_certificate_is_shown(serve, talk, world, client, certificates):
    """Where the server asks for one; without it the call fails and is not repeated."""
    server = serve(talk, tls=certificates.context(ask_client=True))
    made = client(server, verify=certificates.authority, cert=certificates.client)
    bare = client(server, verify=certificates.authority, max_retries=3)

    async def scenario():
        await call_both(world, made)
        with pytest.raises(APIConnectionError) as caught:
            await world.chat(bare, "Hi")
        assert not caught.value.retryable
        await world.close(made)
        await world.close(bare)

    world.run(scenario())


def test_a_bundle_that_is_not_there_is_named(world, client):
    """Before anything is sent."""
    made = client("https://127.0.0.1:9", verify="/no/such/bundle.pem")

    async def scenario():
        with pytest.raises(ConfigError, match=r"/no/such/bundle\.pem") as caught:
            await world.chat(made, "Hi")
        assert caught.value.__cause__ is not caught.value
        await world.close(made)

    world.run(scenario())


def test_a_server_without_tls_is_told_apart(serve, wire, world, client):
    """``https://`` in place of ``http://`` is an error of the address, and is not repeated."""

    def handle(connection):
        connection.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        connection.finish()

    server = serve(handle, read=False)
    made = client(f"https://127.0.0.1:{server.port}", max_retries=3)

    async def scenario():
        with pytest.raises(APIConnectionError, match="TLS") as caught:
            await world.chat(made, "Hi")
        assert not caught.value.retryable
        await world.close(made)

    world.run(scenario())
    assert server.connections == 1


@pytest.mark.parametrize("end", ["finish", "reset"])
def test_a_handshake_that_is_cut_may_be_tried_again(serve, world, client, end):
    """Nothing was sent."""

    def handle(connection):
        connection.take(5)
        getattr(connection, end)()

    server = serve(handle, read=False)
    made = client(f"https://127.0.0.1:{server.port}", retry=lambda error, number: 0 if number == 1 else None)

    async def scenario():
        with pytest.raises(APIConnectionError) as caught:
            await world.chat(made, "Hi")
        assert type(caught.value) is APIConnectionError
        assert caught.value.retryable
        await world.close(made)

    world.run(scenario())
    assert server.connections == 2


@pytest.mark.parametrize("clock", ["connect", "total"])
def test_a_handshake_that_never_ends_is_given_up(serve, world, client, stopwatch, clock):
    """It is part of connecting: nothing was sent, so trying again is safe."""
    server = serve(lambda connection: connection.hold(), read=False)
    made = client(f"https://127.0.0.1:{server.port}")
    options = {"timeout": Timeout(connect=0.15)} if clock == "connect" else {"total_timeout": 0.15}

    async def scenario():
        with stopwatch() as watch, pytest.raises(APITimeoutError) as caught:
            await world.chat(made, "Hi", **options)
        assert 0.1 < watch.seconds < 2.5
        if clock == "connect":
            assert "No connection to" in str(caught.value)
            assert caught.value.retryable
        else:
            assert isinstance(caught.value, DeadlineExceededError)
        assert await world.until(server.idle)
        await world.close(made)

    world.run(scenario())


def test_an_encrypted_answer_that_is_cut_is_lost(serve, wire, world, client, certificates):
    """Without its length it could look whole; with it, it cannot."""

    def handle(connection, request):
        connection.send(wire.whole()[:-9])
        connection.pause(0.02)
        connection.reset()

    server = serve(handle, tls=certificates.context())
    made = client(server, verify=certificates.authority)

    async def scenario():
        with pytest.raises(APIConnectionError) as caught:
            await world.chat(made, "Hi")
        assert not caught.value.retryable
        await world.close(made)

    world.run(scenario())


def test_encrypted_streams_keep_their_clocks(serve, wire, world, client, certificates, stopwatch):
    """As plain ones do."""

    def handle(connection, request):
        connection.send(wire.stream_head())
        connection.drip(wire.chunk(wire.token("x")) * 20)

    server = serve(handle, tls=certificates.context())
    made = client(server, verify=certificates.authority, total_timeout=0.2)

    async def scenario():
        with stopwatch() as watch, pytest.raises(APITimeoutError):
            async for _ in world.stream(made, "Hi"):
                pass
        assert watch.seconds < 2.5
        assert await world.until(server.idle)
        await world.close(made)

    world.run(scenario())
