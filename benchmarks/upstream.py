"""A fast upstream on loopback that answers with canned bytes; run in a process of its own.

The path decides: ``/v1/chat/completions`` (OpenAI's form) or ``/v1/messages`` (Anthropic's). A prompt may
hold ``chunks=N`` (length of a stream), ``delay=MS`` (wait before the answer) and ``hold=MS`` (keep a
stream open before its end).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

TEXT = "A call costs what its layers cost; a good layer costs little. " * 8
HEADERS = (
    b"date: Sun, 01 Nov 2026 10:00:00 GMT\r\nserver: upstream\r\nx-request-id: req_benchmark\r\n"
    b"x-ratelimit-limit-requests: 10000\r\nx-ratelimit-remaining-requests: 9999\r\n"
    b"x-ratelimit-reset-requests: 6ms\r\nx-ratelimit-limit-tokens: 2000000\r\n"
    b"x-ratelimit-remaining-tokens: 1999000\r\nx-ratelimit-reset-tokens: 30ms\r\n"
    b"strict-transport-security: max-age=31536000\r\nx-content-type-options: nosniff\r\ncf-ray: 0-FRA\r\n"
)
ORDER = re.compile(rb"(chunks|delay|hold)=(\d+)")


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


USAGE = {"prompt_tokens": 40, "completion_tokens": 90, "total_tokens": 130}
CHUNK = {"id": "chatcmpl-b", "object": "chat.completion.chunk", "created": 1, "model": "benchmark", "service_tier": "x"}


@cache
def whole(dialect: str) -> bytes:
    if dialect == "openai":
        message = {"role": "assistant", "content": TEXT, "refusal": None, "annotations": []}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        body = {**CHUNK, "object": "chat.completion", "choices": [choice], "usage": USAGE}
    else:
        usage = {"input_tokens": 40, "output_tokens": 90}
        content = [{"type": "text", "text": TEXT}]
        body = {"id": "msg_b", "type": "message", "role": "assistant", "model": "b", "content": content}
        body |= {"stop_reason": "end_turn", "stop_sequence": None, "usage": usage}
    data = _json(body)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % len(data)
    return head + HEADERS + b"\r\n" + data


def _event(payload: Any, name: str | None = None) -> bytes:
    data = (b"event: %s\n" % name.encode() if name else b"") + b"data: " + _json(payload) + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


@cache
def streamed(dialect: str, count: int) -> tuple[bytes, bytes]:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n" + HEADERS + b"\r\n"
    words = TEXT.split()
    if dialect == "openai":

        def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            return _event({**CHUNK, "choices": [choice], "usage": None})

        begin = [chunk({"role": "assistant", "content": ""})]
        middle = [chunk({"content": words[n % len(words)] + " "}) for n in range(count)]
        end = [chunk({}, "stop"), _event({**CHUNK, "choices": [], "usage": USAGE}), b"e\r\ndata: [DONE]\n\n\r\n"]
    else:

        def named(kind: str, **fields: Any) -> bytes:
            return _event({"type": kind, **fields}, kind)

        start = {"id": "msg_b", "type": "message", "role": "assistant", "model": "b", "content": []}
        begin = [
            named("message_start", message={**start, "usage": {"input_tokens": 40, "output_tokens": 1}}),
            named("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        ]
        middle = [
            named("content_block_delta", index=0, delta={"type": "text_delta", "text": words[n % len(words)] + " "})
            for n in range(count)
        ]
        end = [
            named("content_block_stop", index=0),
            named("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": count}),
            named("message_stop"),
        ]
    return head + b"".join(begin + middle), b"".join(end) + b"0\r\n\r\n"


class Upstream(asyncio.Protocol):
    """One connection: a request in, canned bytes out, again and again."""

    connections = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = b""
        Upstream.connections += 1
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        found = re.search(rb"content-length: *(\d+)", head)
        size = end + 4 + (int(found[1]) if found else 0)
        if len(self.buffer) < size:
            return
        request, self.buffer = self.buffer[:size], self.buffer[size:]
        if request.startswith(b"GET /connections"):
            body = b"%d" % Upstream.connections
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
            return
        orders = {name: int(number) for name, number in ORDER.findall(request)}
        dialect = "anthropic" if b"/messages" in request[:100] else "openai"
        loop = asyncio.get_running_loop()
        if re.search(rb'"stream": ?true', request):
            first, rest = streamed(dialect, orders.get(b"chunks", 20))
            if b"hold" in orders:
                self.transport.write(first)
                loop.call_later(orders[b"hold"] / 1000, self.transport.write, rest)
            else:
                self.transport.write(first + rest)
        elif b"delay" in orders:
            loop.call_later(orders[b"delay"] / 1000, self.transport.write, whole(dialect))
        else:
            self.transport.write(whole(dialect))


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


@contextlib.contextmanager
def running() -> Iterator[str]:
    """The address of an upstream that runs until the block is left."""
    process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


if __name__ == "__main__":
    asyncio.run(serve())
