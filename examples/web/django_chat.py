"""A chat page with Django, a project in one file: ``python django_chat.py runserver``, or a server with ``wsgi``."""

import os
import sys

from agent import PAGE, TOOLS
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import path
from django.views.decorators.csrf import ensure_csrf_cookie

# As CHAT_MODEL=openai/gpt-5-mini for the other pages; the demo needs no key.
KIND, _, NAME = os.environ.get("CHAT_MODEL", "demo").partition("/")

if not settings.configured:
    settings.configure(
        SECRET_KEY=os.environ.get("SECRET_KEY", "only for trying it out"),
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["127.0.0.1", "localhost"],
        INSTALLED_APPS=["provider_kit.integrations.django"],
        MIDDLEWARE=[
            "django.middleware.gzip.GZipMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "provider_kit.integrations.django.middleware.ErrorMiddleware",
        ],
        PROVIDER_KIT={"default": {"type": KIND, **({"model": NAME} if NAME else {})}},
    )

from provider_kit.integrations.django import astream_response, clients, stream_response
from provider_kit.integrations.ui_stream import messages_from_ui


@ensure_csrf_cookie
def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(PAGE.read_bytes())


def chat(request: HttpRequest) -> HttpResponseBase:
    ui = messages_from_ui(request.body)
    talk = clients["default"].conversation(f"guest/{ui.chat_id}", tools=TOOLS)  # in your program: the id of the user
    return stream_response(talk.stream(ui), protocol="vercel")


async def achat(request: HttpRequest) -> HttpResponseBase:
    ui = messages_from_ui(request.body)
    talk = clients["default"].conversation(f"guest/{ui.chat_id}", tools=TOOLS)
    return await astream_response(talk.astream(ui), protocol="vercel")


urlpatterns = [path("", page), path("api/chat", chat), path("api/achat", achat)]
wsgi, asgi = get_wsgi_application(), get_asgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
