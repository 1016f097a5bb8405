"""A server of plain sockets that answers each request well or, by the name of its model, with a fault."""

import json
import re
import socket
import struct
import threading
import time
from collections import Counter
from contextlib import suppress

GOOD = "good"


class Gone(Exception):
    """The client went away, or the server is stopping."""


class Wire:
    """One accepted connection and the request that came on it last: what a fault plays with."""

    def __init__(self, server, sock):
        self.server = server
        self.sock = sock
        self.closed = False
        self._buffer = b""
        #: The request's body, whether it asks for a stream, and its prompt.
        self.body = {}
        self.streams = False
        self.prompt = ""
        self.key = ""
        #: How often this fault was asked for, 1 for the first time.
        self.count = 0

    # ---------------------------------------------------------------------------------------- reading

    def _more(self):
        try:
            data = self.sock.recv(65536)
        except OSError as error:
            raise Gone from error
        if not data:
            raise Gone
        self._buffer += data

    def read(self):
        """Take in the next request, all of it."""
        if not self._buffer:
            self._more()
        self.server.begun += 1
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        length = int(re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)[1])
        while len(self._buffer) < length:
            self._more()
        self.body = json.loads(self._buffer[:length])
        self._buffer = self._buffer[length:]
        self.streams = bool(self.body.get("stream"))
        self.prompt = self.body["messages"][-1]["content"]
        found = re.search(rb"(?i)\r\nauthorization: *bearer ([^\r]+)", head)
        self.key = found[1].decode() if found else ""

    # ---------------------------------------------------------------------------------------- sending

    def send(self, *pieces):
        for piece in pieces:
            try:
                self.sock.sendall(piece)
            except OSError as error:
                raise Gone from error

    def pause(self, seconds):
        if self.server.stopping.wait(seconds):
            raise Gone

    def drip(self, data):
        """One byte now and then."""
        for position in range(len(data)):
            self.send(data[position : position + 1])
            self.pause(0.01)

    def hold(self):
        """Send nothing more; return when the client has gone."""
        with suppress(Gone):
            while True:
                self._more()

    def reset(self, wait=0.02):
        """Close with a reset instead of an orderly end; ``wait`` for what was sent before, which it overtakes."""
        self.pause(wait)
        self.closed = True
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def take_some(self):
        """Take in the next request's first bytes, without looking at them."""
        self._more()
        self.server.begun += 1

    def close_on_next(self, ending):
        """End the connection when the next request's first bytes are here."""
        self.take_some()
        getattr(self, ending)()

    def end(self):
        """Send the end of the connection and listen no more; stay until what was sent has been read."""
        self.closed = True
        self.sock.shutdown(socket.SHUT_WR)
        self.pause(0.1)

    def half_close(self, then=lambda: None):
        """Send the end of the connection, call ``then``, and go on listening, as a proxy does that lost its server."""
        self.closed = True
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
        then()
        self.hold()

    # ---------------------------------------------------------------------------------------- answers

    @staticmethod
    def head(*lines, status="200 OK", kind="application/json"):
        """Status line and headers."""
        return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Type: {kind}", *lines, "", ""]).encode("latin-1")

    @staticmethod
    def completion(text):
        """The body of a whole answer."""
        message = {"role": "assistant", "content": text}
        return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()

    @staticmethod
    def token(text):
        """One event of a stream."""
        return b"data: %s\n\n" % json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode()

    #: The last events of a stream.
    last_events = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'

    @staticmethod
    def chunk(data):
        return b"%x\r\n%s\r\n" % (len(data), data)

    @property
    def answer_head(self):
        """The head of a chunked answer of the kind that was asked for."""
        return self.head("Transfer-Encoding: chunked", kind="text/event-stream" if self.streams else "application/json")

    @property
    def answer_body(self):
        """A good answer to the prompt: the prompt itself, so that answers cannot be mistaken for each other."""
        if self.streams:
            return self.token(self.prompt) + self.last_events
        return self.completion(self.prompt)

    @property
    def beginning(self):
        """The first bytes of a good body; of a stream, one whole event."""
        return self.token("Begun") if self.streams else b'{"choices": [{"index": 0, "mess'

    def whole(self, *lines, status="200 OK", body=None):
        """A whole answer with its length."""
        body = self.answer_body if body is None else body
        kind = "text/event-stream" if self.streams and status.startswith("200") else "application/json"
        return self.head(f"Content-Length: {len(body)}", *lines, status=status, kind=kind) + body

    def answer(self, *lines):
        """A good answer."""
        self.send(self.whole(*lines))

    def refuse(self, status, *lines):
        """An answer with an error status."""
        body = json.dumps({"error": {"message": f"refused with {status}"}}).encode()
        self.send(self.whole(*lines, status=f"{status} Refused", body=body))


class FaultServer:
    """Plays ``faults[model](wire)`` for each request; what is not there is answered well.

    Args:
        faults: Functions of the :class:`Wire`, by name of the model.
        accept: Called with each new connection, before anything is read of it.
    """

    def __init__(self, faults=None, *, accept=None):
        self.faults = dict(faults or {})
        self._on_accept = accept
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        #: Where a redirect leads; nobody answers there.
        self.elsewhere = socket.create_server(("127.0.0.1", 0))
        self.elsewhere.setblocking(False)
        self.stopping = threading.Event()
        #: Requests that were read to their end, by model.
        self.requests = Counter()
        #: Requests of which at least one byte arrived.
        self.begun = 0
        self.connections = 0
        self.failures = []
        self._lock = threading.Lock()
        self._open = {}
        self._acceptor = threading.Thread(target=self._accept, name="fault-server", daemon=True)
        self._acceptor.start()

    @property
    def open(self):
        """Connections that neither side has ended."""
        return len(self._open)

    def settles(self, count, seconds=3.0):
        """Whether no more than ``count`` connections are open soon."""
        end = time.monotonic() + seconds
        while self.open > count:
            if time.monotonic() > end:
                return False
            time.sleep(0.002)
        return True

    def visited_elsewhere(self):
        """Whether somebody followed a redirect."""
        try:
            self.elsewhere.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self.stopping.is_set():
                    sock.close()
                    return
                self.connections += 1
                thread = threading.Thread(target=self._serve, args=(sock,), name="fault-server", daemon=True)
                self._open[thread] = sock
            thread.start()

    def _serve(self, sock):
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire = Wire(self, sock)
            if self._on_accept is not None:
                self._on_accept(wire)
            while not wire.closed:
                wire.read()
                model = wire.body["model"]
                with self._lock:
                    self.requests[model] += 1
                    wire.count = self.requests[model]
                play = self.faults.get(model)
                if play is None:
                    wire.answer()
                else:
                    play(wire)
        except (Gone, OSError):
            pass
        except BaseException as error:
            self.failures.append(error)
        finally:
            sock.close()
            with self._lock:
                self._open.pop(threading.current_thread(), None)

    def stop(self):
        self.stopping.set()
        with self._lock:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self.elsewhere.close()
            threads = list(self._open)
            for sock in self._open.values():
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        for thread in (self._acceptor, *threads):
            thread.join(5)
            assert not thread.is_alive()
        assert self.failures == []
