"""A chat page with Flask: ``flask --app flask_chat run``, or ``gunicorn -k gthread --threads 16 flask_chat:app``."""

from agent import PAGE, TOOLS, client
from flask import Flask, Response, request, send_file

from provider_kit.integrations.flask import ProviderKit, current_client, stream_response
from provider_kit.integrations.ui_stream import messages_from_ui

app = Flask(__name__)
kit = ProviderKit(app, client)


@app.get("/")
def page() -> Response:
    return send_file(PAGE)


@app.post("/api/chat")
def chat() -> Response:
    ui = messages_from_ui(request.get_data())
    talk = current_client.conversation(f"guest/{ui.chat_id}", tools=TOOLS)  # in your program: the id of the user
    return stream_response(talk.stream(ui), protocol="vercel")
