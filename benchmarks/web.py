"""What the web helpers cost: the first byte against the bare framework, and 500 streams at once.

::

    $ python benchmarks/web.py

Each framework serves the same pieces twice, by its own streaming answer and by ``stream_response``, under a real server
on this machine. Needs the extras of the tests.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import requests

BIN = Path(sys.executable).parent
PIECES = "['one ', 'two ', 'three']"
ASYNC = f"""
import asyncio
async def pieces():
    for piece in {PIECES}:
        yield piece
async def raw():
    async for piece in pieces():
        yield piece.encode()
async def slow():
    for number in range(100):
        await asyncio.sleep(0.05)
        yield 'word '
"""
SYNC = f"""
def pieces():
    yield from {PIECES}
def raw():
    yield from (piece.encode() for piece in pieces())
"""
APPS = {
    "fastapi uvicorn": (
        ASYNC
        + """
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from provider_kit.integrations.asgi import stream_response
app = FastAPI()
@app.get('/bare')
async def bare():
    return StreamingResponse(raw())
@app.get('/ours', response_model=None)
async def ours():
    return stream_response(pieces(), 'text')
@app.get('/slow', response_model=None)
async def slowly():
    return stream_response(slow(), 'vercel')
""",
        "uvicorn --port {port} --log-level error --backlog 1024 bench_app:app",
    ),
    "flask gunicorn gthread": (
        SYNC
        + """
from flask import Flask, Response
from provider_kit.integrations.flask import stream_response
app = Flask(__name__)
@app.get('/bare')
def bare():
    return Response(raw())
@app.get('/ours')
def ours():
    return stream_response(pieces(), 'text')
""",
        "gunicorn -b 127.0.0.1:{port} -k gthread --threads 8 --log-level error --no-control-socket bench_app:app",
    ),
    "django gunicorn gthread": (
        SYNC
        + """
from django.conf import settings
settings.configure(SECRET_KEY='x', ROOT_URLCONF=__name__, ALLOWED_HOSTS=['*'])
from django.core.wsgi import get_wsgi_application
from django.http import StreamingHttpResponse
from django.urls import path
app = get_wsgi_application()
from provider_kit.integrations.django import stream_response
urlpatterns = [
    path('bare', lambda request: StreamingHttpResponse(raw())),
    path('ours', lambda request: stream_response(pieces(), 'text')),
]
""",
        "gunicorn -b 127.0.0.1:{port} -k gthread --threads 8 --log-level error --no-control-socket bench_app:app",
    ),
    "django uvicorn": (
        ASYNC
        + """
from django.conf import settings
settings.configure(SECRET_KEY='x', ROOT_URLCONF=__name__, ALLOWED_HOSTS=['*'])
from django.core.asgi import get_asgi_application
from django.http import StreamingHttpResponse
from django.urls import path
app = get_asgi_application()
from provider_kit.integrations.django import astream_response
async def bare(request):
    return StreamingHttpResponse(raw())
async def ours(request):
    return await astream_response(pieces(), 'text')
urlpatterns = [path('bare', bare), path('ours', ours)]
""",
        "uvicorn --port {port} --log-level error bench_app:app",
    ),
    "aiohttp.web": (
        ASYNC
        + """
from aiohttp import web
from provider_kit.integrations.aiohttp import stream_response
async def bare(request):
    response = web.StreamResponse()
    await response.prepare(request)
    async for piece in raw():
        await response.write(piece)
    return response
async def ours(request):
    return await stream_response(request, pieces(), 'text')
def app(argv):
    made = web.Application()
    made.add_routes([web.get('/bare', bare), web.get('/ours', ours)])
    return made
""",
        "python -m aiohttp.web -H 127.0.0.1 -P {port} bench_app:app",
    ),
}


def first_bytes(base: str) -> tuple[float, float]:
    """Median milliseconds to the first byte, bare and ours, in turns."""
    found: dict[str, list[float]] = {"bare": [], "ours": []}
    with requests.Session() as session:
        for _ in range(200):
            for name, times in found.items():
                begun = time.perf_counter()
                with session.get(f"{base}/{name}", stream=True) as response:
                    response.raw.read1(1)
                    times.append(time.perf_counter() - begun)
                    assert response.raw.read() is not None
    return tuple(statistics.median(times[20:]) * 1000 for times in found.values())


async def slow_streams(base: str, count: int) -> tuple[float, float]:
    """Seconds of the median and of the slowest of so many streams at once."""

    async def one(session):
        begun = time.perf_counter()
        async with session.get(f"{base}/slow") as response:
            body = await response.read()
        assert body.endswith(b"data: [DONE]\n\n"), body[-100:]
        assert body.count(b"text-delta") == 100
        return time.perf_counter() - begun

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        times = await asyncio.gather(*(one(session) for _ in range(count)))
    return statistics.median(times), max(times)


def memory(pid: int) -> float:
    """Resident megabytes of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def main() -> None:
    for number, (name, (code, command)) in enumerate(APPS.items()):
        port = 18080 + number
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "bench_app.py").write_text(code)
            program, *arguments = command.format(port=port).split()
            path = os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])
            process = subprocess.Popen(
                [BIN / program, *arguments],
                env=os.environ | {"PYTHONPATH": path},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            base = f"http://127.0.0.1:{port}"
            try:
                for _ in range(200):
                    try:
                        requests.get(f"{base}/bare", timeout=5).raise_for_status()
                        break
                    except requests.ConnectionError:
                        time.sleep(0.1)
                bare, ours = first_bytes(base)
                print(f"{name:<26} first byte: bare {bare:5.2f} ms, ours {ours:5.2f} ms, +{ours - bare:.2f} ms")
                if "slow" in code and "fastapi" in name:
                    for count in (1, 500, 500, 500):
                        middle, slowest = asyncio.run(slow_streams(base, count))
                        print(f"{count:>4} streams at once: median {middle:.2f} s, slowest {slowest:.2f} s,", end=" ")
                        print(f"{memory(process.pid):.0f} MB")
            finally:
                process.terminate()
                process.wait()


if __name__ == "__main__":
    main()
