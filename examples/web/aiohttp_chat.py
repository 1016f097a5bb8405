"""A chat page with aiohttp.web: ``python -m aiohttp.web -H 127.0.0.1 -P 8000 aiohttp_chat:make_app``."""

from agent import PAGE, TOOLS, client
from aiohttp import web

from provider_kit.integrations.aiohttp import CLIENTS, clients_ctx, error_middleware, stream_response
from provider_kit.integrations.ui_stream import messages_from_ui


async def page(request: web.Request) -> web.FileResponse:
    return web.FileResponse(PAGE)


async def chat(request: web.Request) -> web.StreamResponse:
    ui = messages_from_ui(await request.read())
    talk = request.app[CLIENTS].default.conversation(
        f"guest/{ui.chat_id}", tools=TOOLS
    )  # in your program: the id of the user
    return await stream_response(request, talk.astream(ui), protocol="vercel")


def make_app(argv=None) -> web.Application:
    app = web.Application(middlewares=[error_middleware])
    app.cleanup_ctx.append(clients_ctx(client))
    app.add_routes([web.get("/", page), web.post("/api/chat", chat)])
    return app
