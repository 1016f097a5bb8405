"""Proxies: found in the environment or configured, forwarding or tunnelling."""

import base64
import socket
import threading
import traceback

import pytest

from provider_kit import (
    APIConnectionError,
    APITimeoutError,
    Client,
    ConfigError,
    MissingDependencyError,
    PermissionDeniedError,
    ProviderKitError,
)
from provider_kit.model.config import HTTPConfig, Timeout
from provider_kit.testing import FakeServer, OAuthServer
from provider_kit.testing import demo as demo_server
from provider_kit.transports.environment import find_proxy


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
        assert watch.seconds < 2.5
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


NO_PROXIES = [
    *("ftp://127.0.0.1:9", "htp://proxy:1", "http://", ":3128", 5, {"htps": "proxy"}),
    *("http:127.0.0.1:3128", "fe80::1", "http://h:abc", "http://h:99999", "http://a b"),
]


@pytest.mark.parametrize("address", NO_PROXIES)
def test_what_is_no_proxy_is_refused_at_once(address):
    """Not taken for an address of something else when the first call is made; a password is not shown."""
    with pytest.raises(ConfigError, match=r"^proxy ") as caught:
        HTTPConfig(proxy=address)
    assert caught.value.hint
    with pytest.raises(ConfigError, match="ftp") as caught:
        HTTPConfig(proxy="ftp://user:the-password@proxy:1")
    assert "the-password" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        *("proxy", "proxy:1", "HTTP://proxy", "http://[::1]:1", "[::1]:1", "socks5h://u:p@h:1"),
        *("http://u:p@ss@proxy:1", "http://u:p/w@proxy:1/", "http://proxy:1/path", " http://proxy:1 ", "", None),
        *({"https": "proxy:1", "http": ""}, {"http": None}),
    ],
)
def test_every_form_of_a_proxy_is_taken(address):
    """As people and environments write them."""
    HTTPConfig(proxy=address)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (" HTTP://proxy:1 ", "http://proxy:1"),
        ("SOCKS5H://proxy:1", "socks5h://proxy:1"),
        ("http://u:se/c#r?e@t@proxy:1", "http://u:se%2Fc%23r%3Fe%40t@proxy:1"),
        ({"https": " PROXY:1/"}, {"https": "PROXY:1/"}),
    ],
)
def test_an_address_is_kept_as_every_library_reads_it(given, kept):
    """Nothing around it, the scheme small, the marks of a password escaped."""
    assert HTTPConfig(proxy=given).proxy == kept


@pytest.mark.parametrize("address", ["socks5://127.0.0.1:9"])
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


#: As they stand in an address, and what they mean.
LOGINS = {
    "user": "user:",
    "user:": "user:",
    ":word": ":word",
    "us%40er:p%25%3Aw%2Frd": "us@er:p%:w/rd",
    "user:p+w": "user:p+w",
    "user:p%C3%A4ss": "user:päss",
    "user:a:b": "user:a:b",
    "user:100%": "user:100%",
}


@pytest.mark.parametrize("how", ["configured", "environment"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("login", LOGINS)
def test_names_and_passwords_of_every_kind(
    serve, talk, proxy, world, client, certificates, monkeypatch, scheme, how, login
):
    """Without a password (RFC 7617: the colon is sent), without a name, with escapes; alike in both worlds."""
    server = serve(talk, tls=certificates.context())
    address = f"http://{login}@127.0.0.1:{proxy.port}"
    options = {"verify": certificates.authority}
    if how == "configured":
        options["proxy"] = address
    else:
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", address)
    made = client(server if scheme == "https" else "http://api.invalid", **options)
    world.run(call_both(world, made))
    wanted = "Basic " + base64.b64encode(LOGINS[login].encode()).decode()
    assert {request.headers.get("proxy-authorization") for request in proxy.requests} == {wanted}
    assert "proxy-authorization" not in {name for request in server.requests for name in request.headers}


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_servers_of_this_process_are_no_proxys_business(proxy, call, monkeypatch, variable):
    """The fake ones and the demo are asked directly, with a key and without."""
    monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
    with FakeServer() as server:
        for target in ("openai/gpt-4o", "anthropic/claude-sonnet-4-5", "ollama/llama3"):
            with server.client(target, max_retries=0) as made:
                assert call.chat(made, "What is 20 + 22?").text == "20 + 22 = 42"
                assert call.stream(made, "What is 20 + 22?")[1].text == "20 + 22 = 42"
        with Client(server.base_url(), model="m", max_retries=0) as made:
            assert call.chat(made, "What is 20 + 22?").text == "20 + 22 = 42"
    try:
        with Client("demo/echo") as made:
            assert call.chat(made, "Hello").text == "Hello"
    finally:
        demo_server.stop_demo()
    assert proxy.connections == 0


def test_the_authorization_server_of_this_process_is_no_proxys_business(proxy, monkeypatch):
    """Its discovery and its token endpoint are asked directly."""
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
    with OAuthServer() as server:
        assert find_proxy(f"{server.url}/token", HTTPConfig()) is None
        address = server.url
    assert find_proxy(f"{address}/token", HTTPConfig()) == f"http://127.0.0.1:{proxy.port}"
    assert proxy.connections == 0


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_key_for_this_machine_is_not_shown_to_a_proxy_of_the_environment(
    serve, talk, proxy, world, client, monkeypatch, secret, name, variable
):
    """The server on this machine is asked directly. Without a key, the environment decides."""
    server = serve(talk)
    monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
    made = client(f"http://{name}:{server.port}", api_key=secret)
    world.run(call_both(world, made))
    assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {secret}"}
    assert proxy.connections == 0
    keyless = client(f"http://{name}:{server.port}")
    world.run(call_both(world, keyless))
    assert len(server.requests) == 2
    assert {request.target for request in proxy.requests} == {f"http://{name}:{server.port}/v1/chat/completions"}
    assert not any("authorization" in request.headers for request in proxy.requests)


@pytest.mark.parametrize("name", ["X-Api-Key", "Authorization", "Ocp-Apim-Subscription-Key", "Cookie"])
@pytest.mark.parametrize("once", [True, False], ids=["of one call", "of every call"])
def test_a_credential_in_a_header_is_a_key_too(serve, talk, proxy, world, client, monkeypatch, secret, name, once):
    """Whichever header holds it, and also where only one call has it."""
    server = serve(talk)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    made = client(server, **({} if once else {"headers": {name: secret}}))
    world.run(world.chat(made, "Hi", **({"extra_headers": {name: secret}} if once else {})))
    assert [request.headers[name.lower()] for request in server.requests] == [secret]
    assert proxy.connections == 0


def test_a_proxy_that_was_configured_is_taken_at_its_word(serve, talk, proxy, world, client, secret):
    """Whoever writes proxy= means it, for this machine too."""
    server = serve(talk)
    made = client(server, api_key=secret, proxy=f"http://127.0.0.1:{proxy.port}")
    world.run(call_both(world, made))
    assert server.connections == 0
    assert {request.headers["authorization"] for request in proxy.requests} == {f"Bearer {secret}"}


def everything_of(error):
    """All that a report of an error can show: its chain, their attributes and arguments, their tracebacks."""
    shown, waiting, seen = [], [error], set()
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, BaseException):
            shown.append("".join(traceback.format_exception(item, chain=False)))
            shown += [repr(item), str(item)]
            waiting += [item.__cause__, item.__context__, *vars(item).values(), *item.args]
        elif isinstance(item, (list, tuple, set)):
            waiting += item
        elif isinstance(item, dict):
            waiting += [*item.keys(), *item.values()]
        elif item is not None:
            shown.append(repr(item))
            waiting += vars(item).values() if hasattr(item, "__dict__") and not callable(item) else ()
            waiting += [
                getattr(item, name) for name in ("proxy", "url", "headers", "proxy_headers") if hasattr(item, name)
            ]
    return "\n".join(shown)


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "403 Forbidden", "502 Bad Gateway"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("how", ["configured", "environment"])
@pytest.mark.parametrize("verb", ["chat", "stream"])
def test_no_password_of_a_proxy_is_in_an_error(serve, wire, world, client, monkeypatch, status, scheme, how, verb):
    """Neither in its words nor in those of its causes, nor in anything that hangs on them."""
    encoded = base64.b64encode(b"somebody:s3cret-w0rd").decode()
    page = f"<html>{encoded} is not welcome</html>".encode()
    server = serve(wire.whole(page, "Proxy-Authenticate: Basic realm=x", status=status, kind="text/html"))
    address = f"http://somebody:s3cret-w0rd@127.0.0.1:{server.port}"
    if how == "environment":
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", address)
    made = client(f"{scheme}://api.invalid", **({"proxy": address} if how == "configured" else {}))

    async def scenario():
        with pytest.raises(ProviderKitError) as caught:
            if verb == "chat":
                await world.chat(made, "Hi")
            else:
                async for _ in world.stream(made, "Hi"):
                    pass
        shown = everything_of(caught.value)
        assert "s3cret-w0rd" not in shown
        if scheme == "https":
            assert isinstance(caught.value, APIConnectionError)
            assert encoded not in shown
        elif status.startswith("403"):
            assert isinstance(caught.value, PermissionDeniedError)
        await world.close(made)

    world.run(scenario())
    assert server.requests[0].headers["proxy-authorization"] == f"Basic {encoded}"


@pytest.mark.parametrize("what", ["nobody listens", "it hangs up", "it resets", "it is no proxy"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_password_of_a_proxy_that_fails_is_in_an_error(serve, world, client, scheme, what):
    """The same where the proxy says nothing of use."""

    def handle(connection, request):
        if what == "it resets":
            connection.reset()
        elif what == "it is no proxy":
            connection.send(b"\x16\x03\x01 no HTTP\r\n\r\n")
            connection.finish()
        else:
            connection.finish()

    port = 9 if what == "nobody listens" else serve(handle).port
    made = client(f"{scheme}://api.invalid", proxy=f"http://somebody:s3cret-w0rd@127.0.0.1:{port}")

    async def scenario():
        with pytest.raises(ProviderKitError) as caught:
            await world.chat(made, "Hi")
        shown = everything_of(caught.value)
        assert "s3cret-w0rd" not in shown
        assert base64.b64encode(b"somebody:s3cret-w0rd").decode() not in shown
        await world.close(made)

    world.run(scenario())


def test_a_server_of_this_machine_that_is_away_may_not_be_running(world, client):
    """That is asked first; of another machine it is the address and the network."""

    async def scenario(address, hint):
        made = client(address, proxy="")
        with pytest.raises(APIConnectionError, match="No connection to") as caught:
            await world.chat(made, "Hi")
        assert hint in caught.value.hint
        await world.close(made)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world.run(scenario(f"http://127.0.0.1:{port}", "running, and does it listen on this port"))
    world.run(scenario(f"http://localhost:{port}", "running, and does it listen on this port"))
    world.run(scenario("http://nobody.invalid", "Check the base URL, the network"))
