"""An agent behind a web page: it asks in the page before it pays.

Run it with ``python approve_in_a_web_view.py provider/model serve`` and open http://127.0.0.1:8080/. Without ``serve``
it starts, talks to itself once, and ends.
"""

import asyncio
import html
import sys

import aiohttp
from aiohttp import web

from provider_kit import Client, tool


@tool(requires_approval=True)
def pay(amount: float = 3, to: str = "Bob") -> str:
    """Pay money."""
    return f"paid {amount:g} to {to}"


client = Client(sys.argv[1] if len(sys.argv) > 1 else "demo")
talk = client.conversation(tools=[pay])


def page() -> web.Response:
    """The conversation, and a question for each call that waits."""
    said = "".join(f"<p><b>{one.role}</b> {html.escape(one.text)}</p>" for one in talk.messages if one.text)
    asked = "".join(
        f"<p>{html.escape(f'{call.name} {call.arguments}')}"
        f"<button name='approve' value='{html.escape(call.id)}'>Allow</button>"
        f"<button name='deny' value='{html.escape(call.id)}'>Refuse</button></p>"
        for call in talk.pending_tool_calls
    )
    form = asked or "<input name='say' autofocus><button>Send</button>"
    return web.Response(text=f"{said}<form method='post'>{form}</form>", content_type="text/html")


async def show(request: web.Request) -> web.Response:
    """GET /"""
    return page()


async def act(request: web.Request) -> web.Response:
    """POST /: something was said, or a call was decided."""
    data = await request.post()
    if "say" in data:
        await talk.asay(str(data["say"]))
    else:
        if "approve" in data:
            talk.approve(str(data["approve"]))
        else:
            talk.deny(str(data["deny"]), "The user said no.")
        await talk.aresume()
    return page()


app = web.Application()
app.add_routes([web.get("/", show), web.post("/", act)])


async def try_it() -> None:
    """Say something, allow what is asked, and show the last page."""
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.post("/", data={"say": "Please pay Bob."}) as response:
            assert "Allow" in await response.text()
        async with session.post("/", data={"approve": talk.pending_tool_calls[0].id}) as response:
            print(await response.text())
    await runner.cleanup()
    await client.aclose()


if sys.argv[2:] == ["serve"]:
    web.run_app(app, host="127.0.0.1", port=8080)
else:
    asyncio.run(try_it())
