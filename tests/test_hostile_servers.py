"""Servers that mean harm, or have gone mad: no secret is shown, no terminal is steered, nothing hangs."""

import asyncio
import logging
import socket
import threading
import time
import urllib.request
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner

from provider_kit import (
    Client,
    ConfigError,
    InvalidRequestError,
    ProviderKitError,
    ScriptedTransport,
    StreamError,
    load_config,
)
from provider_kit.cli import cli
from provider_kit.testing import FakeServer, OAuthServer, Reply

#: One that looks like a key, and one that looks like nothing.
KEYS = ["sk-echo-0123456789abcdef", "Zq7w8e9r0t1y2u3i4o5p6a"]
TARGETS = {
    "openai": ("openai/gpt-4o", {}),
    "responses": ("openai/gpt-4o", {"use_responses_api": True}),
    "anthropic": ("anthropic/claude-sonnet-4-5", {}),
    "gemini": ("gemini/gemini-2.0-flash", {}),
    "ollama": ("ollama/llama3", {}),
}


@pytest.fixture
def server():
    threads = threading.active_count()
    with FakeServer() as made:
        yield made
    assert threading.active_count() == threads


@pytest.fixture(params=TARGETS)
def dialect(request):
    """Each way of speaking: a target and its options."""
    return TARGETS[request.param]


def everything_of(error):
    """All texts that hang on an error: its words, attributes, arguments, causes, the partial answer."""
    shown, waiting, seen = [], [error], set()
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, (str, bytes)):
            shown.append(str(item))
        elif isinstance(item, BaseException):
            shown += [repr(item), str(item)]
            waiting += [item.__cause__, item.__context__]
            waiting += [*item.args, *vars(item).values(), getattr(item, "doc", None)]
        elif isinstance(item, (list, tuple, set)):
            waiting += item
        elif hasattr(item, "items"):
            waiting += [*item.keys(), *item.values()]
        elif hasattr(item, "__attrs_attrs__"):
            waiting += [getattr(item, one.name) for one in item.__attrs_attrs__]
    return "\n".join(shown)


def ask(client, call, verb):
    """Call and read; the error it ends with, if it does."""
    try:
        getattr(call, verb)(client, "Hi")
    except ProviderKitError as error:
        return error
    return None


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
def test_a_key_that_an_error_answer_echoes_is_masked(server, call, dialect, key, verb, status):
    """In its text, its code, its headers and its request id."""
    target, options = dialect
    client = server.client(target, api_key=key, max_retries=0, **options)
    echo = f"The key {key} is not known."
    for name in ("x-request-id", "request-id"):
        server.fault(status=status, message=echo, code=f"bad-{key}", headers={name: f"req-{key}", "x-echo": echo})
        error = ask(client, call, verb)
        assert error is not None
        assert error.attempts
        assert key not in everything_of(error)
    client.close()


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("verb", ["chat", "stream"])
@pytest.mark.parametrize(
    "body",
    [
        b'{"x": "KEY", ',
        b"KEY",
        b"<html>KEY</html>",
        b'["KEY"]',
        b'"KEY"',
        b'{"error": "KEY"}',
        b'{"error": {"message": "KEY", "code": "KEY", "type": "KEY", "param": "KEY"}}',
        b'{"error": {"message": {"deep": ["KEY"]}}}',
        b'{"choices": "KEY", "content": "KEY", "candidates": "KEY", "message": "KEY", "output": "KEY"}',
        b'{"KEY": {"KEY": "KEY"}}',
        b"\xff\xfeKEY\x00",
    ],
)
@pytest.mark.parametrize("status", [200, 400, 502])
def test_a_key_in_an_answer_that_cannot_be_read_is_masked(server, call, dialect, key, verb, body, status):
    """No error has it, and none refers to the text that could not be read."""
    target, options = dialect
    client = server.client(target, api_key=key, max_retries=0, **options)
    server.fault(body=body.replace(b"KEY", key.encode()), status=status)
    error = ask(client, call, verb)
    if status != 200:
        assert error is not None
    assert key not in everything_of(error)
    client.close()


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(("how", "after"), [("error", 0), ("error", 2), ("error", 6), ("cut", 6), ("cut", 7)])
def test_a_key_in_a_stream_that_fails_is_masked(server, call, dialect, key, after, how):
    """In the error of the stream, the partial answer, and the headers and the request id of both."""
    target, options = dialect
    client = server.client(target, api_key=key, max_retries=0, **options)
    echo = f"The key {key} is not known."
    server.reply(Reply(f"{echo} " * 5, thinking=f"{echo} Is it? "))
    headers = {"x-request-id": f"req-{key}", "request-id": f"req-{key}", "x-echo": echo}
    fault = {"error_after": after, "message": echo, "code": f"bad-{key}"} if how == "error" else {"cut_after": after}
    server.fault(headers=headers, **fault)
    error = ask(client, call, "stream")
    if error is not None:
        assert key not in everything_of(error)
    client.close()


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("cut", range(1, 24, 2))
def test_a_key_cut_in_two_is_masked_in_dumps(wire_pieces, call, caplog, key, cut):
    """Whether the first or the second half follows something else that was masked."""
    other = "sk-other-fedcba9876543210"
    pieces = [f'data: {{"a": "{other}", "b": "{key[:cut]}'.encode(), f'{key[cut:]}", "c": "{other}"}}\n\n'.encode()]
    client = wire_pieces(pieces, key)
    with caplog.at_level(logging.DEBUG, logger="provider_kit.http.dump"):
        ask(client, call, "stream")
    shown = "\n".join(record.getMessage() for record in caplog.records)
    assert "BODY" in shown
    assert key not in shown
    assert key[: max(cut, 12)] not in shown
    assert other not in shown


@pytest.fixture
def wire_pieces():
    """A client whose answers are shown, and come in these pieces."""
    made = []

    def make(pieces, key):
        transport = ScriptedTransport([{"stream": pieces}])
        client = Client("openai/gpt-4o", api_key=key, transport=transport, debug_http=True, max_retries=0)
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


@pytest.mark.parametrize("size", [1, 3, 7, 20])
def test_a_key_in_many_pieces_is_masked_in_dumps(wire_pieces, call, caplog, size):
    """Byte by byte, too."""
    key = KEYS[1]
    data = (f'data: {{"a": "Bearer {key}", "b": "{key}{key}", "c": "x{key}y"}}\n\n' * 3).encode()
    client = wire_pieces([data[at : at + size] for at in range(0, len(data), size)], key)
    with caplog.at_level(logging.DEBUG, logger="provider_kit.http.dump"):
        ask(client, call, "stream")
    shown = "".join(record.getMessage().partition("BODY ")[2] for record in caplog.records)
    assert key not in shown
    assert key[:12] not in shown


def _usage(number):
    """An answer of every dialect at once, with such numbers in it."""
    counts = b",".join(
        b'"%s": NUMBER' % name
        for name in (b"prompt_tokens", b"completion_tokens", b"total_tokens", b"input_tokens", b"output_tokens")
    )
    gemini = b'"promptTokenCount": NUMBER, "candidatesTokenCount": NUMBER, "totalTokenCount": NUMBER'
    return (
        b'{"choices": [{"index": NUMBER, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}],'
        b'"created": NUMBER, "usage": {' + counts + b'}, "usageMetadata": {' + gemini + b"},"
        b'"candidates": [{"index": NUMBER, "content": {"role": "model", "parts": [{"text": "x"}]}}],'
        b'"type": "message", "role": "assistant", "content": [{"type": "text", "text": "x"}], "status": "completed",'
        b'"output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]}],'
        b'"message": {"role": "assistant", "content": "x"}, "done": true,'
        b'"prompt_eval_count": NUMBER, "eval_count": NUMBER}'
    ).replace(b"NUMBER", number)


MAD = {
    "deep lists": b'{"choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"a": ' * 50_000 + b"1" + b"}" * 50_000,
    "deep and cut": b"[" * 100_000,
    "infinity": _usage(b"1e999"),
    "400 digits": _usage(b"9" * 400),
    "5000 digits": _usage(b"9" * 5000),
    "not a number": _usage(b"NaN"),
    "minus": _usage(b"-1"),
    "fractions": _usage(b"0.5"),
    "half a character": b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": "\\ud800"}}]}',
    "nothing": b"",
    "nulls": _usage(b"null"),
    "texts": _usage(b'"many"'),
    "lists": _usage(b"[1]"),
}


@pytest.mark.parametrize("what", MAD)
@pytest.mark.parametrize("status", [200, 400, 500])
def test_what_no_server_should_send_is_a_typed_error_or_an_answer(server, call, dialect, what, status):
    """Never anything else; the one place there is comes back, and the next call is answered."""
    target, options = dialect
    client = server.client(target, max_retries=0, max_concurrency=1, **options)
    for verb in ("chat", "stream"):
        began, response, told = time.monotonic(), None, None
        server.fault(body=MAD[what], status=status)
        try:
            result = getattr(call, verb)(client, "Hi")
            response = result[1] if verb == "stream" else result
        except ProviderKitError as error:
            told = error
        if response is not None:
            assert status == 200
            assert repr(response)
            assert isinstance(response.text, str)
            assert response.usage is not None
        else:
            assert str(told)
            assert told.attempts
        assert time.monotonic() - began < 5
        assert call.chat(client, "What is 20 + 22?", total_timeout=5).text == "20 + 22 = 42"
        assert client._admission.slots.taken == 0
    client.close()


PATHS = [
    *("../../v1/other", "a/../../b", "..", ".", "a/..", "%2e%2e/%2e%2e", "..%2f..", "a%2fb", "models/../../x"),
    *("a?key=1", "a#b", "a b", "a\\..\\b", "a\nb", "a\r\nHost: x", "a\tb", "a;b", "\u2025/x", "//evil.invalid/x", "/x"),
]


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize(
    ("target", "options"),
    [("gemini", {}), ("azure", {"base_url": "https://own.openai.azure.com", "api_version": "2024-06-01"})],
    ids=["gemini", "azure"],
)
def test_a_models_name_never_leads_elsewhere(call, target, options, name):
    """Where it is written into the address: another path, a query, a header."""
    transport = ScriptedTransport([{"json": {}}])
    client = Client(target, model=name, api_key=KEYS[0], transport=transport, max_retries=0, **options)
    for verb in ("chat", "stream"):
        error = ask(client, call, verb)
        if transport.requests:
            parts = urlsplit(transport.requests[-1].url)
            assert parts.hostname in ("generativelanguage.googleapis.com", "own.openai.azure.com")
            assert ".." not in parts.path
            assert parts.query in ("", "alt=sse", "api-version=2024-06-01")
            assert "//" not in parts.path
        else:
            assert isinstance(error, InvalidRequestError)


@pytest.mark.parametrize(
    "name", ["Content-Length", "content-length", "Transfer-Encoding", "Host", "HOST", "tRANSFER-eNCODING"]
)
@pytest.mark.parametrize("value", ["0", "5", "chunked", "other.invalid"])
def test_headers_of_the_connection_are_refused(server, call, name, value):
    """Of one call and of all of them: nothing is sent."""
    with server.client(max_retries=0) as client:
        with pytest.raises(InvalidRequestError, match="connection itself"):
            call.chat(client, "Hi", extra_headers={name: value})
        with pytest.raises(InvalidRequestError, match="connection itself"):
            call.stream(client, "Hi", extra_headers={name: value})
    with pytest.raises(ConfigError, match="connection itself"):
        server.client(headers={name: value})
    assert server.requests == []


@pytest.mark.parametrize("name", ["X-A\r\nHost", "X-A:", "X A", "", "X-A\0", "X-Ä"])
def test_headers_that_are_none_are_refused(server, call, name):
    """Names that would end a line, or begin another one."""
    with server.client(max_retries=0) as client, pytest.raises(InvalidRequestError):
        call.chat(client, "Hi", extra_headers={name: "x"})
    assert server.requests == []


#: A new title, a cleared screen, a link, a bell, eight-bit controls, another direction of writing.
ESCAPES = (
    "\x1b]0;mine\x07 \x1b[2J\x1b[31m \x1b]8;;http://evil.invalid\x1b\\ \x07 \x08\x08 \x9b31m \x9d0;x\x9c \r\x7f done"
)
CONTROLS = [chr(code) for code in (*range(9), *range(11, 32), 127, *range(128, 160))]


@pytest.fixture
def command(server, tmp_path, monkeypatch):
    """A function: run the command against the server, at a terminal; what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROVIDER_KIT_TOKEN_STORAGE", f"{tmp_path}/kept/")
    import provider_kit.cli.chat  # noqa: F401  # else it would take the function below for the real one, and keep it

    monkeypatch.setattr("provider_kit.cli.terminal_text.is_terminal", lambda *_: True)
    monkeypatch.setattr("provider_kit.cli.chat.is_terminal", lambda *_: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("OPENAI_API_KEY", KEYS[0])

    def run(*arguments, input=None):
        result = CliRunner().invoke(
            cli, [*arguments, "--base-url", server.base_url()], input=input, prog_name="provider-kit"
        )
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


def raw_controls(text):
    """Controls that would reach a terminal."""
    return [char for char in CONTROLS if char in text]


@pytest.mark.parametrize("how", [(), ("--no-stream",)], ids=["streamed", "whole"])
def test_a_models_answer_does_not_steer_the_terminal(server, command, how):
    """Its words arrive, its escapes do not."""
    server.reply(f"Hello {ESCAPES}")
    result = command("chat", "Hi", "-m", "openai/gpt-4o", *how)
    assert result.exit_code == 0
    assert "Hello" in result.output
    assert "done" in result.output
    assert raw_controls(result.output) == []


@pytest.mark.parametrize("how", [(), ("--no-stream",)], ids=["streamed", "whole"])
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_an_error_body_does_not_steer_the_terminal(server, command, how, status):
    """Neither its text nor its code nor its request id."""
    server.always(status=status, message=f"No {ESCAPES}", code=f"c{ESCAPES}")
    result = command("chat", "Hi", "-m", "openai/gpt-4o", "--max-retries", "0", *how)
    assert result.exit_code != 0
    assert "Error" in result.output
    assert raw_controls(result.output) == []


def test_an_error_in_a_stream_does_not_steer_the_terminal(server, command):
    """What came before it neither."""
    server.reply(f"Hello {ESCAPES}")
    server.fault(error_after=4, message=f"No {ESCAPES}")
    result = command("chat", "Hi", "-m", "openai/gpt-4o", "--max-retries", "0")
    assert result.exit_code != 0
    assert raw_controls(result.output) == []


OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class SilentCrowd:
    """A browser that opens many connections first, on which nothing is ever said."""

    def __init__(self, count):
        self.count = count
        self.sockets = []
        self.status = None

    def __call__(self, url):
        self.thread = threading.Thread(target=self._visit, args=(url,))
        self.thread.start()

    def _visit(self, url):
        back = urlsplit(parse_qs(urlsplit(url).query)["redirect_uri"][0])
        for _ in range(self.count):
            self.sockets.append(socket.create_connection((back.hostname, back.port), 5))
        with OPENER.open(url, timeout=10) as page:
            self.status = page.status

    def close(self):
        self.thread.join(10)
        for sock in self.sockets:
            sock.close()


@pytest.mark.parametrize("count", [50, 200])
def test_silent_connections_do_not_block_a_login(world, tmp_path, monkeypatch, count):
    """Dozens on which nothing is said: the one that says something is heard at once."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with OAuthServer() as server:
        crowd = SilentCrowd(count)
        began = time.monotonic()
        try:
            world(server.authenticator(), "login", open_browser=crowd, show=None, timeout=20)
        finally:
            crowd.close()
        assert crowd.status == 200
        assert time.monotonic() - began < 4


MANY = range(10_000)
#: Unknown names in a configuration file, each like a known one.
UNKNOWN = {
    "settings": "providers:\n  openai:\n    type: openai\n" + "".join(f"    defualt_modle_{n}: x\n" for n in MANY),
    "types": "providers:\n" + "".join(f"  n{n}:\n    type: opnai{n}\n" for n in MANY),
    "providers": "providers:\n" + "".join(f"  opnai{n}:\n    default_model: m\n" for n in MANY),
    "variables": "providers:\n"
    + "".join(f"  n{n}:\n    type: openai\n    api_key: ${{OPNAI_KEY_{n}}}\n" for n in MANY[:6_000]),
    "enabled names": f"providers:\n  openai: {{}}\n  enabled: [{', '.join(f'opnai{n}' for n in MANY)}]\n",
    "top": "providers:\n  openai: {}\n" + "".join(f"provdiers_{n}: x\n" for n in MANY),
}


@pytest.mark.parametrize("where", UNKNOWN)
def test_thousands_of_unknown_names_are_told_soon(tmp_path, where):
    """Wherever they stand; each is told."""
    path = tmp_path / "provider_kit.yaml"
    path.write_text(UNKNOWN[where], encoding="utf-8")
    began = time.process_time()
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert time.process_time() - began < 10
    assert len(caught.value.problems) >= 100


def test_many_calls_to_a_mad_server_leave_nothing(server):
    """A hundred at once through two places, each answered with something else."""
    client = server.client(max_retries=0, max_concurrency=2)
    for number in range(100):
        server.fault(body=list(MAD.values())[number % len(MAD)], status=(200, 400, 500)[number % 3])

    async def main():
        return await asyncio.gather(*(client.achat("Hi") for _ in range(100)), return_exceptions=True)

    results = asyncio.run(main())
    assert [one for one in results if isinstance(one, Exception) and not isinstance(one, ProviderKitError)] == []
    assert (client._admission.slots.taken, len(client._admission.slots)) == (0, 0)
    assert client.chat("What is 20 + 22?").text == "20 + 22 = 42"
    client.close()


def test_what_was_received_is_left_as_it_is_where_no_secret_is_in_it(server, call):
    """Harmless headers and the stand-in key of a local server are words that a model may write."""
    text = "Send application/json to the Research Assistant on lm-studio and so on and so on"
    client = server.client(
        api_key="lm-studio", headers={"Accept": "application/json", "X-Title": "Research Assistant"}, max_retries=0
    )
    server.reply(text)
    server.fault(cut_after=12)
    with pytest.raises(StreamError) as caught:
        call.stream(client, "Hi")
    received = caught.value.partial.text
    assert received
    assert text.startswith(received)
    assert "application/json" in received
    client.close()
