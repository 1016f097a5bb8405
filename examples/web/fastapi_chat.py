"""A chat page with FastAPI: ``uvicorn fastapi_chat:app``, then http://127.0.0.1:8000/."""

from typing import Annotated

from agent import PAGE, TOOLS, client
from fastapi import Depends, FastAPI, Request
from fastapi.responses import FileResponse

from provider_kit import Client, ProviderKitError
from provider_kit.integrations.asgi import error_response, get_client, lifespan, stream_response
from provider_kit.integrations.ui_stream import messages_from_ui

app = FastAPI(lifespan=lifespan(client), exception_handlers={ProviderKitError: error_response})


@app.get("/")
async def page() -> FileResponse:
    return FileResponse(PAGE)


@app.post("/api/chat", response_model=None)
async def chat(request: Request, client: Annotated[Client, Depends(get_client())]):
    ui = messages_from_ui(await request.body())
    talk = client.conversation(f"guest/{ui.chat_id}", tools=TOOLS)  # in your program: the id of the user
    return stream_response(talk.astream(ui), protocol="vercel")
