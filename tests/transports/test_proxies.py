"""Proxies: found in the environment or configured, forwarding or tunnelling."""

import base64
import socket
import threading

import pytest

from provider_kit import APIConnectionError, APITimeoutError, ConfigError, MissingDependencyError
from provider_kit.model.config import Timeout


@pytest.fixture
def talk(wire):
    return lambda connection, request: connection.send(
        wire.stream("Hi") if b'"stream":true' in request.body else wire.whole()
    )


def tunnel(connection, host, port):
    """Connect, say so, and carry bytes both ways until one side ends."""
    with socket.create_connection((host, port)) as there:
        connection.send(b"HTTP/1.1 200 Connection established\r\n\r\n")

        def carry(source, target):
            try:
                while data := source.recv(65536):
                    target.sendall(data)
            except OSError:
                pass
            for sock in (source, target):
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

        back = threading.Thread(target=carry, args=(there, connection.sock))
        back.start()
        carry(connection.sock, there)
        back.join()
    connection.closed = True


@pytest.fixture
def proxy(serve, talk):
    """Answers plain requests itself; tunnels the rest to where they want to go."""

    def handle(connection, request):
        if request.method == "CONNECT":
            host, _, port = request.target.partition(":")
            tunnel(connection, host, int(port))
        else:
            talk(connection, request)

    return serve(handle)


async def call_both(world, made):
    assert (await world.chat(made, "Hi")).text == "Hi"
    assert "".join([chunk.text async for chunk in world.stream(made, "Hi")]) == "Hi"
    await world.close(made)


@pytest.mark.parametrize("how", ["configured", "by scheme", "HTTP_PROXY", "ALL_PROXY"])
def test_plain_requests_are_forwarded(proxy, world, client, monkeypatch, secret, how):
    """The proxy gets the whole address, and one connection serves many calls."""
    address = f"http://127.0.0.1:{proxy.port}"
    options = {}
    if how == "configured":
        options["proxy"] = address
    elif how == "by scheme":
        options["proxy"] = {"http": address, "https": "http://127.0.0.1:9"}
    else:
        monkeypatch.setenv(how, address)
    made = client("http://api.invalid", api_key=secret, allow_insecure_http=True, **options)
    world.run(call_both(world, made))
    assert {request.target for request in proxy.requests} == {"http://api.invalid/v1/chat/completions"}
    assert {request.headers["host"] for request in proxy.requests} == {"api.invalid"}
    assert {request.headers["authorization"] for request in proxy.requests} == {f"Bearer {secret}"}
    assert proxy.connections == 1
    assert proxy.wait(proxy.idle)


@pytest.mark.parametrize("variable", ["NO_PROXY", "trust_env"])
def test_the_proxy_is_passed_by(serve, talk, proxy, world, client, monkeypatch, variable):
    """Where the environment says so, or where it is not asked."""
    server = serve(talk)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    if variable == "NO_PROXY":
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    made = client(server, trust_env=variable != "trust_env")
    world.run(call_both(world, made))
    assert len(server.requests) == 2
    assert proxy.connections == 0


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_proxy_is_told_who_asks(serve, talk, proxy, world, client, certificates, scheme):
    """A name and password in its address are for the proxy alone."""
    server = serve(talk, tls=certificates.context())
    made = client(
        server if scheme == "https" else "http://api.invalid",
        proxy=f"http://user:pass%20word@127.0.0.1:{proxy.port}",
        verify=certificates.authority,
    )
    world.run(call_both(world, made))
    login = "Basic " + base64.b64encode(b"user:pass word").decode()
    assert {request.headers.get("proxy-authorization") for request in proxy.requests} == {login}
    assert "proxy-authorization" not in {name for request in server.requests for name in request.headers}


def test_encrypted_requests_are_tunnelled(serve, talk, proxy, world, client, certificates, secret):
    """The proxy sees the host and nothing else; the server's certificate is checked."""
    server = serve(talk, tls=certificates.context())
    address = f"http://127.0.0.1:{proxy.port}"
    made = client(server, proxy=address, verify=certificates.authority, api_key=secret)
    doubtful = client(server, proxy=address)

    async def scenario():
        await call_both(world, made)
        with pytest.raises(APIConnectionError, match="TLS") as caught:
            await world.chat(doubtful, "Hi")
        assert not caught.value.retryable
        await world.close(doubtful)

    world.run(scenario())
    assert {(request.method, request.target) for request in proxy.requests} == {("CONNECT", f"127.0.0.1:{server.port}")}
    assert not any("authorization" in request.headers for request in proxy.requests)
    assert server.requests[0].headers["authorization"] == f"Bearer {secret}"
    assert proxy.connections == 2


@pytest.mark.parametrize("target", ["http://api.invalid", "https://api.invalid"])
def test_a_dead_proxy_is_named(world, client, target):
    """Not the provider is at fault, and nothing was sent."""
    made = client(target, proxy="http://127.0.0.1:9")

    async def scenario():
        with pytest.raises(APIConnectionError, match=r"The proxy on the way to api.invalid .*refused") as caught:
            await world.chat(made, "Hi")
        assert "HTTPS_PROXY" in caught.value.hint
        assert caught.value.retryable
        await world.close(made)

    world.run(scenario())


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "403 Forbidden"])
def test_a_proxy_that_refuses_a_tunnel_is_named(serve, world, client, status):
    """With what it said."""
    server = serve(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
    made = client("https://api.invalid", proxy=server.url)

    async def scenario():
        with pytest.raises(APIConnectionError, match=f"The proxy on the way to api.invalid .*{status}"):
            await world.chat(made, "Hi")
        await world.close(made)

    world.run(scenario())


@pytest.mark.parametrize("kind", ["silent", "dripping", "hanging up"])
@pytest.mark.parametrize("clock", ["connect", "total"])
def test_a_proxy_that_does_not_answer_is_given_up(serve, world, client, stopwatch, kind, clock):
    """Its answer is part of connecting; nothing reached the provider, so trying again is safe."""

    def handle(connection, request):
        if kind == "silent":
            connection.hold()
        elif kind == "dripping":
            connection.drip(b"HTTP/1.1 200 OK\r\nX-Header: " + b"x" * 100)
        else:
            connection.finish()

    server = serve(handle)
    made = client("https://api.invalid", proxy=server.url)
    options = {"timeout": Timeout(connect=0.1)} if clock == "connect" else {"total_timeout": 0.1}

    async def scenario():
        with stopwatch() as watch, pytest.raises(APIConnectionError) as caught:
            await world.chat(made, "Hi", **options)
        assert watch.seconds < 0.7
        if kind != "hanging up":
            assert isinstance(caught.value, APITimeoutError)
            assert caught.value.retryable == (clock == "connect")
        assert await world.until(server.idle)
        await world.close(made)

    world.run(scenario())


def test_a_proxy_that_loses_the_answer_lost_it(serve, world, client):
    """A plain request through a proxy was sent."""
    server = serve(lambda connection, request: connection.reset())
    made = client("http://api.invalid", proxy=server.url)

    async def scenario():
        with pytest.raises(APIConnectionError) as caught:
            await world.chat(made, "Hi")
        assert not caught.value.retryable
        await world.close(made)

    world.run(scenario())


@pytest.mark.parametrize("address", ["socks5://127.0.0.1:9", "ftp://127.0.0.1:9"])
def test_a_proxy_of_another_kind_is_refused(world, client, address):
    """SOCKS needs a package more, and is not known to asyncio; the error names the proxy."""
    made = client("https://api.invalid", proxy=address)

    async def scenario():
        with pytest.raises(
            (ConfigError, APIConnectionError, MissingDependencyError), match=r"(?i)proxy|socks"
        ) as caught:
            await world.chat(made, "Hi")
        assert "proxy" in f"{caught.value} {caught.value.hint}"
        if isinstance(caught.value, MissingDependencyError):
            assert "provider-kit[socks]" in caught.value.hint
        await world.close(made)

    world.run(scenario())
