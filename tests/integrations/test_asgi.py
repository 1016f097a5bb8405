"""ASGI without a framework, and what each framework adds: lifespan, dependency, errors."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from provider_kit import Client, ConfigError, ProviderKitError, RateLimitError
from provider_kit.integrations.asgi import error_response, get_client, lifespan, stream_response
from provider_kit.testing import FakeServer


def serve(response, *, method="POST", leave=None):
    """Status, headers and body of a bare ASGI call."""
    sent = []

    async def receive():
        if leave is None:
            await asyncio.Event().wait()
        await leave.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    async def main():
        await response({"type": "http", "method": method}, receive, send)

    asyncio.run(main())
    assert [one["type"] for one in sent[1:]] == ["http.response.body"] * (len(sent) - 1)
    assert not sent[-1].get("more_body")
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(one["body"] for one in sent[1:])


def test_it_is_an_application_of_its_own():
    """No framework is needed; further headers are added."""
    response = stream_response(Client("demo").astream("What is 2 + 3?"), "text", headers={"X-Mine": "1"})
    status, headers, body = serve(response)
    assert (status, body) == (200, b"2 + 3 = 5")
    assert headers["x-mine"] == "1"
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert headers["cache-control"] == "no-cache, no-transform"


def test_a_head_asks_nothing():
    """The headers alone."""
    with FakeServer() as server:
        status, _, body = serve(stream_response(server.client().astream("Hello")), method="HEAD")
        assert (status, body, server.requests) == (200, b"", [])


@pytest.mark.parametrize("error", [ConnectionResetError("gone"), OSError("gone")])
def test_a_server_that_says_so_when_it_writes(error):
    """As since version 2.4 of the specification: the call upstream is closed, and nothing is raised."""
    with FakeServer() as server:
        server.reply("word " * 5000)
        server.fault(token_delay=0.02)
        client = server.client()

        async def receive():
            await asyncio.Event().wait()

        async def send(message):
            if message["type"] == "http.response.body" and b"word" in message["body"]:
                raise error

        async def main():
            await asyncio.wait_for(stream_response(client.astream("Hello"))({"method": "GET"}, receive, send), 5)
            for _ in range(200):
                if not server.open_connections:
                    break
                await asyncio.sleep(0.01)
            assert not server.open_connections
            await client.aclose()

        asyncio.run(main())


def test_an_error_of_the_source_is_no_reader_who_left():
    """Also one that looks like it: the answer is not ended as a whole one is."""

    async def source():
        yield "half"
        raise ConnectionResetError("the database is gone")

    with pytest.raises(ConnectionResetError):
        serve(stream_response(source(), "text"))


def test_cookies_are_all_sent():
    """And a header of the application takes the place of ours."""
    pytest.importorskip("starlette")
    import starlette.responses  # noqa: F401  # stream_response looks whether it is loaded

    response = stream_response(Client("demo/echo").astream("Hello"), headers={"Cache-Control": "private"})
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        await asyncio.Event().wait()

    asyncio.run(response({"method": "GET"}, receive, send))
    headers = sent[0]["headers"]
    assert len([value for name, value in headers if name == b"set-cookie"]) == 2
    assert [value for name, value in headers if name == b"cache-control"] == [b"private"]


def test_quart_does_not_cut_a_long_answer():
    """Its own limit is a minute for a whole answer."""
    quart = pytest.importorskip("quart")

    async def source():
        for _ in range(8):
            await asyncio.sleep(0.05)
            yield "x"

    app = quart.Quart("test")
    app.config["RESPONSE_TIMEOUT"] = 0.1
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = True

    @app.get("/")
    async def view():
        return await stream_response(source(), "text").parts()

    scope = {
        **{"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http"},
        **{"path": "/", "raw_path": b"/", "query_string": b"", "root_path": "", "headers": [], "extensions": {}},
        **{"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80)},
    }
    sent, asked = [], []

    async def main():
        complete = asyncio.Event()

        async def receive():
            if asked:  # as servers do, once the answer is complete
                await complete.wait()
                return {"type": "http.disconnect"}
            asked.append(1)
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            sent.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                complete.set()

        await app(scope, receive, send)

    asyncio.run(main())
    assert b"".join(one.get("body", b"") for one in sent) == b"x" * 8


def test_a_cancelled_view_closes_the_call():
    """As a server does that ends."""
    with FakeServer() as server:
        server.reply("word " * 5000)
        server.fault(token_delay=0.02)
        client = server.client()
        begun = asyncio.Event()

        async def receive():
            await asyncio.Event().wait()

        async def send(message):
            begun.set()

        async def main():
            task = asyncio.create_task(stream_response(client.astream("Hello"))({"method": "GET"}, receive, send))
            await asyncio.wait_for(begun.wait(), 5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            for _ in range(200):
                if not server.open_connections:
                    break
                await asyncio.sleep(0.01)
            assert not server.open_connections
            assert [one.get_name() for one in asyncio.all_tasks() if "reader" in one.get_name()] == []
            await client.aclose()

        asyncio.run(main())


def test_lifespans_are_composed():
    """That of the application runs inside, and its state is kept."""
    order = []

    @asynccontextmanager
    async def inner(app):
        order.append("begun")
        yield {"mine": 1}
        order.append("ended")

    class App:
        pass

    async def main():
        app = App()
        app.state = App()
        async with lifespan({"a": {"type": "demo", "model": "echo"}}, inner)(app) as state:
            assert state["mine"] == 1
            request = App()
            request.app, request.state = app, App()
            client = get_client()(request)
            assert (await client.achat("Hello")).text == "Hello"
            assert get_client("a")(request) is client
        assert order == ["begun", "ended"]

    asyncio.run(main())


def test_an_application_without_a_lifespan_says_so():
    """What to write."""
    with pytest.raises(ConfigError) as caught:
        get_client()(object())
    assert "lifespan" in caught.value.hint


def test_wrong_settings_end_the_start():
    """With all that is wrong."""

    async def main():
        async with lifespan({"a": {"type": "opnai"}})(object()):
            pass

    with pytest.raises(ConfigError, match="opnai"):
        asyncio.run(main())


@pytest.fixture(params=["fastapi", "starlette", "litestar"])
def site(request):
    """The same two views in each framework."""
    name = request.param
    config = {"echo": {"type": "demo", "model": "echo"}}

    async def streamed(request):
        return stream_response(get_client()(request).astream("Hello"), "text")

    async def failing(request):
        raise RateLimitError("secret", status_code=429, retry_after=3)

    handlers = {ProviderKitError: error_response}
    if name == "fastapi":
        from fastapi import FastAPI, Request

        app = FastAPI(lifespan=lifespan(config), exception_handlers=handlers)
        streamed.__annotations__ = failing.__annotations__ = {"request": Request}
        app.get("/stream")(streamed)
        app.get("/fail")(failing)
    elif name == "starlette":
        from starlette.applications import Starlette
        from starlette.routing import Route

        routes = [Route("/stream", streamed), Route("/fail", failing)]
        app = Starlette(routes=routes, lifespan=lifespan(config), exception_handlers=handlers)
    else:
        from litestar import Litestar, Request, get

        from provider_kit.integrations.asgi import StreamResponse

        streamed.__annotations__ = {"request": Request, "return": StreamResponse}
        failing.__annotations__ = {"request": Request, "return": str}
        views = [get("/stream")(streamed), get("/fail")(failing)]
        app = Litestar(views, lifespan=[lifespan(config)], exception_handlers=handlers, openapi_config=None)
    return app


def test_frameworks_take_it(site):
    """As an answer, and as the handler of errors; under a real server."""
    import threading

    import requests
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(site, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            thread.join(0.01)
        base = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        with requests.Session() as session:
            assert session.get(f"{base}/stream", timeout=10).text == "Hello"
            failed = session.get(f"{base}/fail", timeout=10)
            assert (failed.status_code, failed.headers["retry-after"]) == (429, "3")
            assert failed.json()["error"]["code"] == "rate_limited"
    finally:
        server.should_exit = True
        thread.join(10)
