"""Sessions of the user's own: used as they are, never closed."""

import asyncio

import aiohttp
import pytest
import requests
import responses
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.auth import AuthBase

from provider_kit import APIConnectionError, APITimeoutError, Client, ConfigError, ResponseLostError
from provider_kit.wire.http import Limits

ADDRESS = "http://127.0.0.1:9/v1"
CHAT = f"{ADDRESS}/chat/completions"


@pytest.fixture
def session():
    with requests.Session() as made:
        made.trust_env = False
        yield made


def client_of(address, session, **options):
    return Client(f"{address}/v1", model="m", session=session, max_retries=0, **options)


def test_an_injected_session_keeps_its_ways(serve, wire, session):
    """Hooks, headers, parameters and cookies of the session take effect."""
    server = serve(wire.whole())
    seen = []
    session.hooks["response"].append(lambda response, **_: seen.append(response.status_code))
    session.headers["X-Team"] = "blue"
    session.params = {"tenant": "7"}
    session.cookies["a"] = "b"
    made = client_of(server.url, session, api_key="sk-0123456789")
    assert made.chat("Hi").text == "Hi"
    made.close()
    request = server.requests[0]
    assert request.headers["x-team"] == "blue"
    assert request.headers["cookie"] == "a=b"
    assert request.headers["authorization"] == "Bearer sk-0123456789"
    assert request.headers["user-agent"].startswith("provider-kit/")
    assert request.target == "/v1/chat/completions?tenant=7"
    assert seen == [200]


def test_an_injected_session_may_sign_requests_itself(serve, wire, session):
    """Its ``auth`` has the last word."""

    class Sign(AuthBase):
        def __call__(self, request):
            request.headers["Authorization"] = f"Signed {len(request.body)}"
            return request

    server = serve(wire.whole())
    session.auth = Sign()
    made = client_of(server.url, session, api_key="sk-0123456789")
    made.chat("Hi")
    assert server.requests[0].headers["authorization"] == f"Signed {len(server.requests[0].body)}"


def test_an_injected_session_is_never_closed(serve, wire, session):
    """Closing the client leaves its connections alone."""
    server = serve(wire.whole())
    for _ in range(2):
        with client_of(server.url, session) as made:
            made.chat("Hi")
    assert session.get(f"{server.url}/v1", timeout=2).status_code == 200
    assert server.connections == 1


def test_an_injected_session_streams(serve, wire, session):
    """At once, and its connection is used again; leaving early frees it."""
    delivered = []

    def handle(connection, request):
        connection.send(wire.stream_head())
        for number, text in enumerate(("one", "two"), 1):
            connection.send(wire.chunk(wire.token(text)))
            assert server.wait(lambda number=number: len(delivered) % 2 == number % 2 or len(delivered) >= 4)
        connection.send(wire.chunk(wire.end), wire.last)

    server = serve(handle)
    made = client_of(server.url, session)
    for _ in range(2):
        for chunk in made.stream("Hi"):
            if chunk.text:
                delivered.append(chunk.text)
    assert delivered == ["one", "two"] * 2
    assert server.connections == 1
    for _ in made.stream("Hi"):
        break
    assert server.wait(server.idle)


def test_an_injected_session_uses_its_adapters(session):
    """A mounted adapter answers in place of the network."""

    class Canned(BaseAdapter):
        def send(self, request, **options):
            assert options["stream"] is True
            assert options["timeout"] == (2, 2)
            raw = HTTPAdapter().build_response(request, _raw(b'{"choices":[{"message":{"content":"canned"}}]}'))
            return raw

        def close(self):
            pass

    session.mount("http://", Canned())
    assert client_of("http://127.0.0.1:9", session, timeout=2).chat("Hi").text == "canned"


def _raw(body):
    import io

    from urllib3 import HTTPResponse

    return HTTPResponse(io.BytesIO(body), headers={"Content-Type": "application/json"}, preload_content=False)


@pytest.mark.parametrize("own", [True, False], ids=["own", "injected"])
@responses.activate
def test_the_responses_library_works(session, own):
    """Whoever tests with it goes on doing so: whole answers, errors, streams, failures."""
    made = Client(ADDRESS, model="m", max_retries=0, session=None if own else session)
    responses.post(CHAT, json={"choices": [{"message": {"content": "faked"}, "finish_reason": "stop"}]})
    answer = made.chat("Hi")
    assert answer.text == "faked"
    assert b'"Hi"' in responses.calls[0].request.body

    responses.replace("POST", CHAT, json={"error": {"message": "slow down"}}, status=429, headers={"Retry-After": "7"})
    with pytest.raises(Exception, match="slow down") as caught:
        made.chat("Hi")
    assert caught.value.retry_after == 7

    events = b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    responses.replace("POST", CHAT, body=events, content_type="text/event-stream")
    assert "".join(chunk.text for chunk in made.stream("Hi")) == "a"

    responses.replace("POST", CHAT, body=requests.ConnectionError("no network"))
    with pytest.raises(APIConnectionError, match="no network") as caught:
        made.chat("Hi")
    assert caught.value.retryable

    responses.replace("POST", CHAT, body=requests.Timeout("too slow"))
    with pytest.raises(APIConnectionError):
        made.chat("Hi")
    made.close()


@pytest.mark.parametrize("end", ["reset", "finish", "cut head", "cut body"])
def test_a_lost_answer_is_lost_in_an_injected_session_too(serve, wire, session, end):
    """Sent is sent, whoever sends."""

    def handle(connection, request):
        if end == "cut head":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-")
        elif end == "cut body":
            connection.send(wire.whole()[:-5])
        (connection.reset if end == "reset" else connection.finish)()

    made = client_of(serve(handle).url, session)
    with pytest.raises(Exception, match=r".") as caught:
        made.chat("Hi")
    if end != "cut head":  # http.client takes that for an empty answer
        assert type(caught.value) is ResponseLostError
    assert not caught.value.retryable


def test_a_refused_connection_is_refused_in_an_injected_session_too(session):
    """Nothing was sent, so trying again is safe."""
    with pytest.raises(APIConnectionError, match="refused") as caught:
        client_of("http://127.0.0.1:9", session).chat("Hi")
    assert type(caught.value) is APIConnectionError
    assert caught.value.retryable


def test_a_silent_server_is_given_up_in_an_injected_session_too(serve, session):
    """Its read timeout is what remains of the clocks."""
    server = serve(lambda connection, request: connection.hold())
    made = client_of(server.url, session)
    for options in ({"timeout": 0.1}, {"total_timeout": 0.1}):
        with pytest.raises(APITimeoutError) as caught:
            made.chat("Hi", **options)
        assert not caught.value.retryable
    assert server.wait(server.idle)


def test_a_certificate_is_checked_in_an_injected_session_too(serve, wire, session, certificates):
    """By the session's own settings."""
    server = serve(wire.whole(), tls=certificates.context())
    made = client_of(server.url, session)
    with pytest.raises(APIConnectionError, match="TLS") as caught:
        made.chat("Hi")
    assert not caught.value.retryable
    session.verify = certificates.authority
    assert made.chat("Hi").text == "Hi"


def test_an_injected_aiohttp_session_keeps_its_ways(serve, wire):
    """Its headers and connector are used; it is never closed."""
    server = serve(wire.whole())

    async def scenario():
        async with aiohttp.ClientSession(headers={"X-Team": "blue"}) as session:
            for _ in range(2):
                async with Client(f"{server.url}/v1", model="m", async_session=session) as made:
                    assert (await made.achat("Hi")).text == "Hi"
                    async for _ in made.astream("Hi"):
                        pass
            assert not session.closed
            async with session.get(server.url) as response:
                assert response.status == 200

    asyncio.run(scenario())
    assert {request.headers.get("x-team") for request in server.requests} == {"blue"}
    assert server.connections == 1


def test_a_closed_aiohttp_session_is_named(serve, wire):
    """Nothing was lost, so the error does not say so."""
    server = serve(wire.whole())

    async def scenario():
        session = aiohttp.ClientSession()
        made = Client(f"{server.url}/v1", model="m", async_session=session)
        await made.achat("Hi")
        await session.close()
        with pytest.raises(ConfigError, match="closed"):
            await made.achat("Hi")
        await made.aclose()

    asyncio.run(scenario())


def test_an_injected_aiohttp_session_is_left_alone_when_its_loop_has_ended(serve, wire, post):
    """Its owner closes it, or not."""
    from provider_kit.transports.aiohttp_transport import AiohttpTransport

    server = serve(wire.whole())
    made = []

    async def first():
        made.append(aiohttp.ClientSession())
        made.append(AiohttpTransport(session=made[0]))
        await made[1].send(post(server.url), Limits())

    async def second():
        with pytest.raises(Exception, match=r"."):
            await made[1].send(post(server.url), Limits(deadline=made[1].now() + 1))

    loop = asyncio.new_event_loop()
    loop.run_until_complete(first())
    connector = made[0].connector
    asyncio.run(second())
    assert made[0].connector is connector
    loop.run_until_complete(made[0].close())
    loop.close()


def test_sessions_are_not_pickled(session):
    """They belong to their process."""
    import pickle

    with pytest.raises(TypeError, match="session"):
        pickle.dumps(client_of("http://127.0.0.1:9", session))
