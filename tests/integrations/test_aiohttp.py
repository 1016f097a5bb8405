"""aiohttp.web: what its handlers and middleware add."""

import asyncio

import aiohttp
import pytest
from aiohttp import web

from provider_kit import Client, RateLimitError
from provider_kit.integrations.aiohttp import CLIENTS, clients_ctx, error_middleware, stream_response


async def site(handler):
    """A server with one view, and its address."""
    app = web.Application(middlewares=[error_middleware])
    app.cleanup_ctx.append(clients_ctx(Client("demo/echo")))
    app.router.add_get("/", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/"


def ask(handler, read):
    """What ``read`` makes of the answer of a view."""

    async def main():
        runner, url = await site(handler)
        try:
            async with aiohttp.ClientSession() as session, session.get(url) as response:
                return await asyncio.wait_for(read(response), 10)
        finally:
            await runner.cleanup()

    return asyncio.run(main())


def test_clients_live_with_the_application():
    """And further headers take the place of ours."""

    async def view(request):
        stream = request.app[CLIENTS].default.astream("Hello")
        return await stream_response(request, stream, "text", headers={"Cache-Control": "private"})

    async def read(response):
        return response.headers.getall("cache-control"), await response.text()

    assert ask(view, read) == (["private"], "Hello")


def test_errors_become_answers():
    """With the middleware; nothing of the error's text is told."""

    async def view(request):
        raise RateLimitError("secret", status_code=429, retry_after=3)

    async def read(response):
        return response.status, response.headers["retry-after"], (await response.json())["error"]["code"]

    assert ask(view, read) == (429, "3", "rate_limited")


def test_a_text_that_breaks_off_is_followed_by_no_second_answer():
    """The connection is broken off, although a middleware makes answers of errors."""

    async def view(request):
        async def source():
            yield "half of "
            await asyncio.sleep(0.05)
            raise RateLimitError("secret", status_code=429)

        return await stream_response(request, source(), "text")

    async def read(response):
        found = b""
        with pytest.raises(aiohttp.ClientError):
            async for piece, _ in response.content.iter_chunks():
                found += piece
        return found

    assert ask(view, read) == b"half of "
