"""A service for containers: a chat endpoint, probes, settings from a file. See ``docs/deploying.rst``."""

from typing import Annotated

from fastapi import Depends, FastAPI, Request, Response

from provider_kit import ProviderKitError, Router
from provider_kit.integrations.asgi import error_response, get_client, lifespan, stream_response
from provider_kit.integrations.ui_stream import messages_from_ui

app = FastAPI(lifespan=lifespan(), exception_handlers={ProviderKitError: error_response})


@app.get("/health/live")
async def live() -> Response:
    """Whether the process answers; nothing else is asked, so that an outage of a provider restarts nothing."""
    return Response("ok")


@app.get("/health/ready")
async def ready(request: Request) -> Response:
    """Whether the settings are read, and with them the clients are there."""
    return Response("ok" if get_client()(request) else "no client")


@app.post("/api/chat", response_model=None)
async def chat(request: Request, client: Annotated[Router, Depends(get_client())]):
    ui = messages_from_ui(await request.body())
    return stream_response(client.astream(ui), protocol="vercel")
