"""A chat page with Quart: ``hypercorn quart_chat:app``, then http://127.0.0.1:8000/."""

from agent import PAGE, TOOLS, client
from quart import Quart, request

from provider_kit import ProviderKitError
from provider_kit.integrations.asgi import error_answer, lifespan, stream_response
from provider_kit.integrations.ui_stream import messages_from_ui

app = Quart(__name__)
app.register_error_handler(ProviderKitError, error_answer)


@app.while_serving
async def clients():
    async with lifespan(client)(app):
        yield


@app.get("/")
async def page():
    return PAGE.read_text()


@app.post("/api/chat")
async def chat():
    ui = messages_from_ui(await request.get_data())
    talk = client.conversation(f"guest/{ui.chat_id}", tools=TOOLS)  # in your program: the id of the user
    return await stream_response(talk.astream(ui), protocol="vercel").parts()
