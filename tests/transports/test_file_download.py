"""Files that the library downloads itself: bounded, and never from inside."""

import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from provider_kit import (
    APIConnectionError,
    APITimeoutError,
    CallCancelledError,
    CancelToken,
    Client,
    DeadlineExceededError,
    Document,
    HTTPConfig,
    Image,
    InvalidRequestError,
    Message,
    ScriptedTransport,
)
from provider_kit.testing import FakeServer
from provider_kit.transports.file_download import _check_address, _Refused, download

PNG = b"\x89PNG\r\n\x1a\nrest IEND"
INSIDE = HTTPConfig(allow_private_downloads=True)
ANSWER = {"json": {"message": {"role": "assistant", "content": "Hi"}, "done": True, "done_reason": "stop"}}


class Pages(BaseHTTPRequestHandler):
    """A server with a picture, redirects, and some mischief."""

    def do_GET(self):
        self.server.seen.append((self.path, dict(self.headers)))
        path, _, query = self.path.partition("?")
        if path == "/to":
            self.send_response(302)
            self.send_header("Location", query)
            self.end_headers()
        elif path == "/packed":
            import gzip

            packed = gzip.compress(b"name,count\n" * 10_000)
            self.send_response(200)
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Type", "text/csv")
            self.end_headers()
            self.wfile.write(packed[: len(packed) * int(query or 100) // 100])
        elif path == "/login":
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(b"<html>Please log in</html>")
        elif path == "/export":
            self.send_response(200)
            self.send_header("Content-Type", "application/pdf")
            self.end_headers()
            self.wfile.write(b"%PDF-1.7 rest %%EOF")
        elif path == "/stall":
            self.send_response(200)
            self.end_headers()
            self.wfile.flush()
            self.server.released.wait(20)
        elif path == "/gone":
            self.send_error(404)
        elif path == "/drip":
            self.send_response(200)
            self.end_headers()
            for _ in range(100):
                try:
                    self.wfile.write(b"x")
                    self.wfile.flush()
                except OSError:
                    return
                time.sleep(0.05)
        else:
            body = b"x" * 100_000 if path == "/large" else PNG
            self.send_response(200)
            self.send_header("Content-Type", "image/png; charset=binary")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def pages():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    server.seen, server.released = [], threading.Event()
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1"),
        *("::1", "fe80::1", "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1"),
        *("2002:7f00:1::", "224.0.0.1", "ff02::1", "fe80::1%eth0", "240.0.0.1", "255.255.255.255"),
    ],
)
def test_what_leads_inside_is_refused(address):
    """Loopback, private networks, the metadata of clouds, and what hides an address in another."""
    with pytest.raises(_Refused):
        _check_address(address, "host")


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "64:ff9b::808:808"])
def test_public_addresses_are_not(address):
    """Of both kinds."""
    _check_address(address, "host")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "2130706433", "0x7f.1", "127.1"])
def test_this_machine_is_not_asked(pages, host):
    """However its address is written."""
    with pytest.raises((InvalidRequestError, APIConnectionError)):
        download(f"http://{host}:{pages.server_port}/a.png", HTTPConfig(), 5.0)
    assert pages.seen == []


def test_a_name_that_resolves_inside_is_refused(pages, monkeypatch):
    """The connection goes to the address that was checked, so that a second answer of DNS changes nothing."""
    asked = []

    def resolve(host, port, *args, **options):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(InvalidRequestError, match="its address is not public") as caught:
        download(f"http://innocent.test:{pages.server_port}/a.png", HTTPConfig(trust_env=False), 5.0)
    assert "allow_private_downloads=True" in caught.value.hint
    assert asked == ["innocent.test"]
    assert pages.seen == []


def test_where_it_is_allowed_a_file_comes_from_inside(pages):
    """With its type and its name."""
    found = download(f"{pages.url}/folder/a.png?signature=1", INSIDE, 5.0)
    assert (found.data, found.media_type, found.filename) == (PNG, "image/png", "a.png")


def test_nothing_of_the_client_is_sent_along(pages):
    """No key, no cookie."""
    download(f"{pages.url}/a.png", INSIDE, 5.0)
    (_, headers) = pages.seen[0]
    assert not {name.lower() for name in headers} & {"authorization", "x-api-key", "cookie"}


def test_redirects_are_followed_a_few_times(pages):
    """Relative ones, too."""
    assert download(f"{pages.url}/to?/to?/a.png", INSIDE, 5.0).data == PNG
    with pytest.raises(InvalidRequestError, match="more than 3 redirects"):
        download(f"{pages.url}/to?/to?/to?/to?/a.png", INSIDE, 5.0)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://x.test/a", "gopher://x.test/"])
def test_a_redirect_leads_to_no_other_scheme(pages, target):
    """Only to the web."""
    with pytest.raises(InvalidRequestError, match="not an address that can be downloaded"):
        download(f"{pages.url}/to?{target}", INSIDE, 5.0)


def test_a_redirect_inside_is_refused(pages, monkeypatch):
    """Each step is checked anew."""
    real = socket.getaddrinfo
    steps = iter(["93.184.216.34"])

    def resolve(host, port, *args, **options):
        if host == "public.test":
            next(steps)
            return real("127.0.0.1", port, *args, **options)
        return real(host, port, *args, **options)

    checked = []

    def check(address, host):
        checked.append(host)
        if address == host == "public.test":
            raise ValueError  # a name is no address
        if host != "public.test":
            raise _Refused(host)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr("provider_kit.transports.file_download._check_address", check)
    url = f"http://public.test:{pages.server_port}/to?http://127.0.0.1:{pages.server_port}/secret"
    with pytest.raises(InvalidRequestError, match="not public"):
        download(url, HTTPConfig(trust_env=False), 5.0)
    assert [path for path, _ in pages.seen] == [url.partition(str(pages.server_port))[2]]
    assert checked == ["public.test", "public.test", "127.0.0.1"]  # the name, its address, and where it leads


def test_too_large_a_file_is_left_off(pages):
    """At the limit, not at its end."""
    with pytest.raises(InvalidRequestError, match="larger than 1,000 bytes") as caught:
        download(f"{pages.url}/large", HTTPConfig(allow_private_downloads=True, max_download_bytes=1000), 5.0)
    assert "max_download_bytes" in caught.value.hint


def test_a_server_that_drips_is_left(pages):
    """The time is for all of it."""
    began = time.monotonic()
    with pytest.raises(APITimeoutError, match=r"in 0\.3 seconds"):
        download(f"{pages.url}/drip", INSIDE, 0.3)
    assert time.monotonic() - began < 2


def test_a_file_that_is_not_there_is_told(pages):
    """Without the query of its address, which may hold a signature."""
    with pytest.raises(InvalidRequestError, match="HTTP 404") as caught:
        download(f"{pages.url}/gone?signature=secret", INSIDE, 5.0)
    assert "secret" not in str(caught.value)


def test_a_server_that_is_not_there_is_told():
    """As a failure of the network."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(APIConnectionError, match="cannot be downloaded"):
        download(f"http://127.0.0.1:{port}/a.png", INSIDE, 5.0)


# ------------------------------------------------------------------------------------------------ in a call


def test_a_link_is_downloaded_where_the_provider_takes_none(call, pages):
    """Once, however often the conversation is sent."""
    with FakeServer() as server:
        client = server.client("ollama/llava", http=INSIDE)
        link = Image(url=f"{pages.url}/a.png")
        for _ in range(2):
            call.chat(client, Message.user("What is it?", link))
        sent = server.requests[-1].json["messages"][0]
    assert len(pages.seen) == 1
    assert sent["images"] == ["iVBORw0KGgpyZXN0IElFTkQ="]
    assert link.data is None


def test_a_link_inside_is_refused_before_anything_is_sent(call, pages):
    """Whoever wrote it may not be the owner of the program."""
    with FakeServer() as server:
        client = server.client("ollama/llava")
        with pytest.raises(InvalidRequestError, match="not public"):
            call.chat(client, "What is it?", files=[f"{pages.url}/a.png"])
        assert not server.requests
    assert not pages.seen


@pytest.mark.parametrize(
    ("target", "link", "downloads"),
    [
        ("openai/gpt-4o", "https://x.test/a.png", False),
        ("openai/gpt-4o", "https://x.test/a.pdf", True),
        ("openai/gpt-6-sol", "https://x.test/a.pdf", False),
        ("openai/gpt-6-sol", "https://x.test/a.txt", True),
        ("anthropic/claude-opus-5", "https://x.test/a.png", False),
        ("anthropic/claude-opus-5", "https://x.test/a.pdf", False),
        ("anthropic/claude-opus-5", "https://x.test/a.csv", True),
        ("gemini/gemini-3-pro", "https://x.test/a.png", True),
        ("gemini/gemini-3-pro", "https://www.youtube.com/watch.mp4", False),
        ("openrouter/v/m", "https://x.test/a.pdf", False),
        ("openrouter/v/m", "https://x.test/a.mp4", False),
        ("mistral/m", "https://x.test/a.pdf", False),
        ("groq/m", "https://x.test/a.png", False),
    ],
)
def test_a_link_is_passed_on_where_the_provider_fetches_it(call, target, link, downloads):
    """Else its content is sent."""
    content = {"png": PNG, "pdf": b"%PDF-1.4 %%EOF", "txt": b"words", "csv": b"a,b"}.get(link[-3:], b"")
    answers = [{"body": content}] if downloads else []
    answer = {
        "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}],
        "candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}],
        "content": [{"type": "text", "text": "Hi"}],
        "object": "response",
        "status": "completed",
        "output": [],
    }
    transport = ScriptedTransport([*answers, {"json": answer}])
    client = Client(target, api_key="sk-test-0123456789", transport=transport, max_retries=0)
    call.chat(client, "Look:", files=[link])
    *fetched, sent = transport.requests
    assert [request.url for request in fetched] == ([link] if downloads else [])
    assert (link in json.dumps(json.loads(sent.body))) is not downloads


def test_what_the_provider_never_takes_is_not_downloaded(call):
    """A document for one that takes none."""
    transport = ScriptedTransport([])
    client = Client("groq/m", api_key="gsk_test_0123456789", transport=transport, max_retries=0)
    with pytest.raises(InvalidRequestError, match="takes no documents"):
        call.chat(client, Message.user("Read", Document(url="https://x.test/a.pdf", media_type="application/pdf")))
    assert not transport.requests


def test_a_page_of_an_error_is_no_picture(call):
    """The content decides."""
    transport = ScriptedTransport([{"body": b"<!DOCTYPE html><html>"}, ANSWER])
    client = Client("ollama/m", transport=transport, max_retries=0)
    with pytest.raises(InvalidRequestError, match="is no image/png: it holds text"):
        call.chat(client, "Look", files=["https://x.test/a.png"])


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1\\@93.184.216.34/x",
        "http://127%2e0.0.1/",
        "http://127.0.0.1./x",
        "http://localhost./",
        "http://sub.localhost/",
        "http://[::1%25lo]/",
        "http://[::1]/",
        "http://2130706433/",
        "http://user@127.0.0.1/",
        "http://93.184.216.34\t@127.0.0.1/",
    ],
)
@pytest.mark.parametrize("proxied", [True, False])
def test_no_spelling_of_this_machine_is_asked(pages, url, proxied):
    """Neither directly nor through a proxy, which would read the address again. A refused connection is none here."""
    with pytest.raises(InvalidRequestError, match=r"not public|not an address"):
        download(url, HTTPConfig(proxy=pages.url if proxied else None, trust_env=False), 3.0)
    assert pages.seen == []


@pytest.mark.parametrize("url", ["http://h.test:99999/?a=SECRET", "http://a b/?a=SECRET", "http://[::1/?a=SECRET"])
def test_the_query_of_an_address_is_in_no_error(url):
    """It may hold a signature; neither the error nor what it was raised from tells it."""
    with pytest.raises(InvalidRequestError) as caught:
        download(url, INSIDE, 3.0)
    error = caught.value
    while error is not None:
        assert "SECRET" not in f"{error} {error!r}"
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("url", ["http://[::1/x", "http://", "http:///x", "file:///etc/passwd", "http://a b/"])
def test_what_is_no_address_is_told(url):
    """Whatever the standard library raises for it."""
    with pytest.raises(InvalidRequestError, match="not an address"):
        download(url, INSIDE, 3.0)


def test_a_redirect_to_what_is_no_address_is_told(pages):
    """As if it had been given."""
    with pytest.raises(InvalidRequestError, match="not an address"):
        download(f"{pages.url}/to?http://[::1", INSIDE, 3.0)


def test_a_packed_file_must_be_whole(pages):
    """The server did not say how long it is."""
    assert download(f"{pages.url}/packed", INSIDE, 5.0).data == b"name,count\n" * 10_000
    for percent in (1, 50, 99):
        with pytest.raises(APIConnectionError, match="ended before it was complete"):
            download(f"{pages.url}/packed?{percent}", INSIDE, 5.0)
    with pytest.raises(InvalidRequestError, match="larger than 5,000 bytes"):
        download(f"{pages.url}/packed", HTTPConfig(allow_private_downloads=True, max_download_bytes=5000), 5.0)


@pytest.fixture
def server():
    with FakeServer() as made:
        yield made


def test_a_login_page_is_not_sent_as_the_file(call, server, pages):
    """It was said what the file is."""
    client = server.client("gemini/gemini-3-pro", http=INSIDE)
    with pytest.raises(InvalidRequestError, match="no application/pdf: it holds text"):
        call.chat(client, "Read:", files=[Document(url=f"{pages.url}/login?id=1", media_type="application/pdf")])


def test_a_link_that_does_not_tell_yields_to_what_it_leads_to(call, server, pages):
    """It is taken for a picture only as long as nothing is known."""
    client = server.client("gemini/gemini-3-pro", http=INSIDE)
    call.chat(client, "Read:", files=[f"{pages.url}/export?id=1"])
    assert "application/pdf" in json.dumps(server.requests[-1].json)


def test_what_was_downloaded_serves_the_same_address_and_rights_only(call, server, pages):
    """Another client may not be allowed to."""
    picture = Image(url=f"{pages.url}/a.png")
    loose = server.client("ollama/llava", http=INSIDE)
    call.chat(loose, "See:", files=[picture])
    call.chat(loose, "See:", files=[picture])
    assert len(pages.seen) == 1
    strict = server.client("ollama/llava")
    with pytest.raises(InvalidRequestError, match="not public"):
        call.chat(strict, "See:", files=[picture])
    picture.url = f"{pages.url}/gone"
    with pytest.raises(InvalidRequestError, match="HTTP 404"):
        call.chat(loose, "See:", files=[picture])


def test_a_cancelled_call_does_not_wait_for_a_download(call, server, pages):
    """In both worlds, and no loop waits for it either."""
    cancel = CancelToken()
    timer = threading.Timer(0.2, cancel.cancel)
    timer.start()
    began = time.monotonic()
    client = server.client("ollama/llava", http=INSIDE)
    with pytest.raises(CallCancelledError):
        call.chat(client, "See:", files=[f"{pages.url}/stall"], cancel=cancel)
    timer.join()
    assert time.monotonic() - began < 4


def test_a_download_ends_with_the_deadline_of_its_call(call, server, pages):
    """Like everything else of it."""
    client = server.client("ollama/llava", http=INSIDE, total_timeout=0.3)
    with pytest.raises(DeadlineExceededError):
        call.chat(client, "See:", files=[f"{pages.url}/stall"])


@pytest.mark.parametrize("target", ["anthropic/claude-opus-5", "openai/gpt-4o", "ollama/llava"])
def test_addresses_that_are_not_of_the_web_go_only_where_they_are_known(call, target):
    """Google's storage is known to Google."""
    client = Client(target, api_key="k-0123456789", transport=ScriptedTransport([]))
    with pytest.raises(InvalidRequestError, match="gs://"):
        call.chat(client, "See:", files=[Image(url="gs://bucket/a.png")])
