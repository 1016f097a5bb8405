"""A server that sends exactly the bytes it is told to, and the two worlds that talk to it."""

import asyncio
import gzip
import json
import re
import socket
import ssl
import struct
import threading
import time
from contextlib import suppress

import pytest

from provider_kit import Client
from provider_kit.model.config import HTTPConfig
from provider_kit.transports.aiohttp_transport import AiohttpTransport
from provider_kit.transports.drive import run_to_completion
from provider_kit.transports.requests_transport import RequestsTransport
from provider_kit.wire.http import HttpRequest, Limits

SECRET = "sk-secret-0123456789abcdef"


class Gone(Exception):
    """The client went away, or the server is stopping."""


class Request:
    """A request as it came in."""

    def __init__(self, head, body, connection):
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = lines[0].split(" ", 2)
        self.headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        self.body = body
        #: Number of the connection it came on, 1 for the first.
        self.connection = connection


class Connection:
    """One accepted connection; a handler's hands on the wire."""

    def __init__(self, server, sock, number):
        self.server = server
        self.sock = sock
        self.number = number
        self.closed = False
        self._buffer = b""

    def _more(self):
        try:
            data = self.sock.recv(65536)
        except OSError as error:
            raise Gone from error
        if not data:
            raise Gone
        self._buffer += data

    def take(self, count):
        while len(self._buffer) < count:
            self._more()
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    def head(self):
        """The next request's head, as it came."""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return head

    def read(self):
        """The next request."""
        head = self.head()
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        return Request(head, self.take(int(length[1])) if length else b"", self.number)

    def send(self, *pieces):
        for piece in pieces:
            try:
                self.sock.sendall(piece)
            except OSError as error:
                raise Gone from error

    def pause(self, seconds):
        if self.server.stopping.wait(seconds):
            raise Gone

    def drip(self, data, pause=0.03):
        """One byte now and then."""
        for position in range(len(data)):
            self.send(data[position : position + 1])
            self.pause(pause)

    def hold(self):
        """Send nothing more; return when the client has gone."""
        with suppress(Gone):
            while True:
                self._more()

    def reset(self):
        """Close with a reset instead of an orderly end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.closed = True
        self.sock.close()

    def finish(self):
        """Send the end of the connection; what was sent before arrives."""
        self.closed = True
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
        self.hold()
        self.sock.close()


class RawServer:
    """Calls ``handler(connection, request)`` for each request, in a thread for each connection.

    The handler sends what it likes. Where ``read`` is false it gets the connection alone.
    """

    def __init__(self, handler, *, tls=None, read=True):
        self._handler = handler
        self._tls = tls
        self._read = read
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self._listener.getsockname()[1]
        self.stopping = threading.Event()
        self.requests = []
        self.failures = []
        #: Connections accepted so far.
        self.connections = 0
        #: Connections that have ended, by either side.
        self.ended = 0
        self._lock = threading.Lock()
        self._open = {}
        self._acceptor = threading.Thread(target=self._accept, name="raw-server", daemon=True)
        self._acceptor.start()

    @property
    def url(self):
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def open(self):
        return self.connections - self.ended

    def wait(self, condition, seconds=3.0):
        """Whether something becomes true soon."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            time.sleep(0.003)
        return True

    def idle(self):
        """Whether every connection has ended."""
        return not self.open

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
                number = self.connections
                thread = threading.Thread(target=self._serve, args=(sock, number), name="raw-server", daemon=True)
                self._open[thread] = sock
            thread.start()

    def _serve(self, sock, number):
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            connection = Connection(self, sock, number)
            while not connection.closed:
                if not self._read:
                    self._handler(connection)
                    break
                request = connection.read()
                self.requests.append(request)
                self._handler(connection, request)
        except (Gone, OSError):
            pass
        except BaseException as error:
            self.failures.append(error)
        finally:
            sock.close()
            with self._lock:
                self.ended += 1
                self._open.pop(threading.current_thread(), None)

    def stop(self):
        self.stopping.set()
        with self._lock:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            threads = list(self._open)
            for sock in self._open.values():
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(5)
        for thread in threads:
            thread.join(5)
        assert not self._acceptor.is_alive()
        assert not any(thread.is_alive() for thread in threads)
        assert self.failures == []


@pytest.fixture
def serve():
    """Start a server: ``serve(handler)``, ``serve(b"an answer for each request")``; stopped after the test."""
    servers = []

    def start(handler, **options):
        if isinstance(handler, bytes):
            data = handler
            server = RawServer(lambda connection, request: connection.send(data), **options)
        else:
            server = RawServer(handler, **options)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


class Wire:
    """Makes answers as bytes."""

    @staticmethod
    def completion(text="Hi"):
        """The body of a whole answer."""
        message = {"role": "assistant", "content": text}
        return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()

    @staticmethod
    def token(text):
        """One event of a stream."""
        return b"data: %s\n\n" % json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode()

    #: The last events of a stream.
    end = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    #: Keeps a stream alive without bringing anything.
    ping = b": ping\n\n"
    #: Ends a chunked body.
    last = b"0\r\n\r\n"

    @staticmethod
    def chunk(data):
        return b"%x\r\n%s\r\n" % (len(data), data)

    @staticmethod
    def head(*lines, status="200 OK", kind="application/json"):
        return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Type: {kind}", *lines, "", ""]).encode("latin-1")

    def stream_head(self, *lines):
        """The head of a chunked event stream."""
        return self.head("Transfer-Encoding: chunked", *lines, kind="text/event-stream")

    def whole(self, body=None, *lines, status="200 OK", kind="application/json"):
        """A whole answer with its length."""
        body = self.completion() if body is None else body
        return self.head(f"Content-Length: {len(body)}", *lines, status=status, kind=kind) + body

    def stream(self, *texts):
        """A whole chunked stream of these tokens."""
        events = [*(self.token(text) for text in texts), self.end]
        return self.stream_head() + b"".join(self.chunk(event) for event in events) + self.last

    @staticmethod
    def gzip(data):
        return gzip.compress(data)


@pytest.fixture
def wire():
    return Wire()


class BlockingWorld:
    """Requests underneath; a scenario is driven to its end without a loop."""

    name = "blocking"

    def transport(self, config=None, **options):
        return RequestsTransport(config, **options)

    def run(self, scenario):
        return run_to_completion(scenario)

    async def chat(self, client, *args, **options):
        return client.chat(*args, **options)

    def stream(self, client, *args, **options):
        return _BlockingStream(client.stream(*args, **options))

    async def models(self, client):
        return client.models()

    async def close(self, client):
        client.close()

    async def pause(self, seconds):
        time.sleep(seconds)

    async def until(self, condition, seconds=3.0):
        """Whether something becomes true soon; the loop goes on meanwhile."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            await self.pause(0.003)
        return True

    def stop(self):
        pass


class _BlockingStream:
    """A blocking stream, for ``async for`` over code that never suspends."""

    def __init__(self, stream):
        self._stream = stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            return next(self._stream)
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self):
        self._stream.close()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self._stream.close()


class AsyncioWorld(BlockingWorld):
    """Aiohttp underneath; all scenarios of a test run in one loop."""

    name = "asyncio"

    def __init__(self):
        self._runner = asyncio.Runner()

    def transport(self, config=None, **options):
        return AiohttpTransport(config, **options)

    def run(self, scenario):
        return self._runner.run(scenario)

    async def chat(self, client, *args, **options):
        return await client.achat(*args, **options)

    def stream(self, client, *args, **options):
        return client.astream(*args, **options)

    async def models(self, client):
        return await client.amodels()

    async def close(self, client):
        await client.aclose()

    async def pause(self, seconds):
        await asyncio.sleep(seconds)

    def stop(self):
        self._runner.close()


@pytest.fixture(params=[BlockingWorld, AsyncioWorld], ids=lambda kind: kind.name)
def world(request):
    """Both worlds, one after the other; scenarios are coroutines in either."""
    made = request.param()
    yield made
    made.stop()


@pytest.fixture
def client(request):
    """Make a client of a server that does not try again; closed after the test."""
    made = []

    def make(server, **options):
        address = server if isinstance(server, str) else server.url
        http = {name: options.pop(name) for name in list(options) if name in HTTPConfig.__annotations__}
        options.setdefault("max_retries", 0)
        found = Client(f"{address}/v1", model="m", http=HTTPConfig(**http), **options)
        made.append(found)
        return found

    yield make
    for found in made:
        found.close()


def post(url, body=b"{}", **headers):
    """A request for the protocol level."""
    return HttpRequest("POST", url, {"Content-Type": "application/json", **headers}, body)


@pytest.fixture(name="post")
def _post():
    return post


@pytest.fixture
def limits():
    """Make limits: seconds from now for ``total``, the rest as in :class:`Limits`."""

    def make(*, total=None, **given):
        given.setdefault("connect", 2.0)
        given.setdefault("first", 5.0)
        given.setdefault("idle", 5.0)
        return Limits(deadline=None if total is None else time.monotonic() + total, **given)

    return make


class Stopwatch:
    """How long a block took."""

    seconds = 0.0

    def __enter__(self):
        self._start = time.monotonic()
        return self

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self._start


@pytest.fixture
def stopwatch():
    return Stopwatch


@pytest.fixture
def secret():
    """An API key that must not show up anywhere."""
    return SECRET


class Certificates:
    """A private authority, a server's certificate for 127.0.0.1, and a client's."""

    def __init__(self, folder):
        self.folder = folder
        self._key, self._issuer = None, None
        self.authority = self._make("authority")
        self.server = self._make("server")
        self.client = self._make("client")
        #: A server's, for another name.
        self.stranger = self._make("stranger", "other.invalid")

    def _make(self, name, host=None):
        import datetime
        import ipaddress

        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"provider-kit test {name}")])
        first = self._issuer is None
        if first:
            self._key, self._issuer = key, subject
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=first, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if first:
            usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        else:
            names = [x509.DNSName(host) if host else x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        path = self.folder / f"{name}.pem"
        path.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return str(path)

    def context(self, certificate=None, *, ask_client=False):
        """A server's TLS settings."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate or self.server)
        if ask_client:
            context.load_verify_locations(self.authority)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    """No certificate setting or ``.netrc`` of the machine reaches a transport."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "NETRC"):
        monkeypatch.delenv(name, raising=False)
