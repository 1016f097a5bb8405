"""A chat page with Litestar: ``uvicorn litestar_chat:app``, then http://127.0.0.1:8000/."""

from agent import PAGE, TOOLS, client
from litestar import Litestar, Request, get, post
from litestar.response import File

from provider_kit import ProviderKitError
from provider_kit.integrations.asgi import StreamResponse, error_response, get_client, lifespan, stream_response
from provider_kit.integrations.ui_stream import messages_from_ui


@get("/")
async def page() -> File:
    return File(PAGE, content_disposition_type="inline", media_type="text/html")


@post("/api/chat", status_code=200)
async def chat(request: Request) -> StreamResponse:
    ui = messages_from_ui(await request.body())
    talk = get_client()(request).conversation(f"guest/{ui.chat_id}", tools=TOOLS)  # in your program: the id of the user
    return stream_response(talk.astream(ui), protocol="vercel")


app = Litestar([page, chat], lifespan=[lifespan(client)], exception_handlers={ProviderKitError: error_response})
