"""The same chat in every framework, under every server: streams, errors, readers who leave, nothing printed."""

import json
import time

import pytest

ASGI = ("uvicorn", "hypercorn", "granian")
WSGI = ("gunicorn sync", "gunicorn gthread", "gunicorn preload")
#: Daphne knows no lifespan, so it serves Django only. Module, server, path of the view.
SITES = [
    *(("flask_chat", server, "/api/chat") for server in WSGI),
    *(("django_chat", server, "/api/chat") for server in (*WSGI, "uvicorn", "daphne")),
    *(("django_chat", server, "/api/achat") for server in (*ASGI, "daphne", "gunicorn gthread")),
    *((f"{name}_chat", server, "/api/chat") for name in ("fastapi", "litestar", "quart") for server in ASGI),
    ("aiohttp_chat", "aiohttp", "/api/chat"),
]
NAMES = ["-".join((module.removesuffix("_chat"), server.replace(" ", "-"), path[5:])) for module, server, path in SITES]


def events_of(response):
    """The events of an answer."""
    found = []
    for line in response.iter_lines():
        if line.startswith(b"data: "):
            found.append(line[6:].decode())
    assert found[-1] == "[DONE]"
    return [json.loads(one) for one in found[:-1]]


@pytest.mark.long
@pytest.mark.parametrize(("module", "server", "path"), SITES, ids=NAMES)
def test_a_chat_is_served(serve, upstream, module, server, path):
    """Whole, in pieces as they come, with a real status for an early error, and closed when its reader leaves."""
    site = serve(module, server, path)
    with site.ask("What is 2 + 3?") as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-vercel-ai-ui-message-stream"] == "v1"
        assert response.headers["x-accel-buffering"] == "no"
        events = events_of(response)
    assert "".join(one["delta"] for one in events if one["type"] == "text-delta") == "2 + 3 = 5"
    assert [events[0]["type"], events[-1]["type"]] == ["start", "finish"]

    # Piece by piece, and then its reader leaves.
    upstream.reply("word " * 2000)
    upstream.fault(token_delay=0.05)
    begun = time.monotonic()
    response = site.ask()
    lines = response.iter_lines()
    next(line for line in lines if b"text-delta" in line)
    assert time.monotonic() - begun < 5
    before = upstream.open_connections
    response.close()
    assert site.wait_until(lambda: upstream.open_connections < before) < 1

    # A real status, before anything was sent.
    upstream.reset()
    upstream.always(429, retry_after=3600)
    with site.ask() as response:
        assert response.status_code == 429
        assert response.headers["retry-after"] == "3600"
        assert response.text == "There are too many requests at the moment. Try again in 3600 s."

    # A body that is none.
    with site.ask(messages="nonsense") as response:
        assert response.status_code == 400
        assert response.json()["error"]["code"] == "invalid_request"
