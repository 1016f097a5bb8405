"""Addresses, headers and what is merged into requests."""

import pytest

from provider_kit import (
    APIError,
    AuthenticationError,
    Client,
    ConfigError,
    HTTPConfig,
    InvalidRequestError,
    ProviderConfig,
    ScriptedTransport,
)
from provider_kit.wire.merging import deep_merge, merge_headers

KEY = "test-key-0123456789"
ANSWER = {"json": {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}}


def make(**options):
    options.setdefault("api_key", KEY)
    options.setdefault("transport", ScriptedTransport([ANSWER], repeat=True))
    return Client("openai/gpt-4o", **options)


# ------------------------------------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("https://host.example/v1", "https://host.example/v1/chat/completions"),
        ("https://host.example/v1/", "https://host.example/v1/chat/completions"),
        (" https://host.example/v1// ", "https://host.example/v1/chat/completions"),
        ("https://host.example", "https://host.example/chat/completions"),
        ("https://host.example:8443/a/b", "https://host.example:8443/a/b/chat/completions"),
        ("https://host.example/v1?api-version=2", "https://host.example/v1/chat/completions?api-version=2"),
        ("https://host.example/v1/?api-version=2", "https://host.example/v1/chat/completions?api-version=2"),
        ("HTTPS://host.example/v1", "HTTPS://host.example/v1/chat/completions"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1/chat/completions"),
        ("https://host.example/@v1", "https://host.example/@v1/chat/completions"),
    ],
)
def test_paths_are_appended_to_the_base_url(given, url):
    """Slashes do not matter, a query stays behind the path."""
    client = make(base_url=given)
    client.chat("Hello")
    assert client._own[2].requests[0].url == url


def test_a_query_of_your_own_joins_that_of_the_base_url():
    """extra_query is added behind what the address has."""
    client = make(base_url="https://host.example/v1?api-version=2")
    client.chat("Hello", extra_query={"a": "b c"})
    assert client._own[2].requests[0].url == "https://host.example/v1/chat/completions?api-version=2&a=b+c"


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("host.example/v1", "'https://host.example/v1'"),
        ("//host.example/v1", "'https://host.example/v1'"),
        ("ftp://host.example/v1", "'https://host.example/v1'"),
        ("htps://host.example/v1", "'https://host.example/v1'"),
        ("localhost:8080", "'http://localhost:8080'"),
    ],
)
def test_an_address_without_its_scheme_is_refused_with_the_right_one(given, hint):
    """The hint shows how to write it."""
    with pytest.raises(ConfigError, match="is not an http:// or https:// address") as caught:
        make(base_url=given)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "given",
    [
        "http://",
        "https:///v1",
        "http://[::1",
        "http://host.example:99999",
        "http://host.example:abc",
        "https://ho st.example",
        "https://host.example/v 1",
        "https://host.example\\@evil.example",
        "https://host\n.example",
        5,
        b"https://host.example",
    ],
    ids=repr,
)
def test_an_address_that_is_none_is_refused(given):
    """Told when the client is made, not with the first call."""
    with pytest.raises(ConfigError):
        make(base_url=given)


@pytest.mark.parametrize(
    "given",
    [
        "https://user:hunter2secret@host.example/v1",
        "https://hunter2secret@host.example/v1",
        "https://:hunter2secret@host.example",
        "ftp://user:hunter2secret@host.example",
        "user:hunter2secret@host.example/v1",
        "//user:hunter2secret@host.example/v1",
    ],
)
def test_a_password_inside_an_address_is_refused_and_not_shown(given):
    """Credentials belong into api_key."""
    with pytest.raises(ConfigError, match="user name or password") as caught:
        make(base_url=given)
    assert "hunter2secret" not in str(caught.value) + str(caught.value.hint)


def test_a_key_inside_an_address_is_not_shown():
    """A key in the query is used, but masked wherever the address is told."""
    client = make(base_url="https://host.example/v1?key=hunter2secret")
    assert "hunter2secret" not in repr(client)
    assert "hunter2secret" in client.base_url


def test_a_provider_without_an_address_asks_for_one():
    """The hint names argument and variable."""
    with pytest.raises(ConfigError, match="needs a base URL") as caught:
        Client("openai_compatible/m")
    assert "OPENAI_COMPATIBLE_BASE_URL" in caught.value.hint
    with pytest.raises(ConfigError, match="needs a base URL"):
        Client("azure/m")


def test_the_address_may_stand_in_the_environment(monkeypatch):
    """The provider's variable is read; an argument goes before it."""
    monkeypatch.setenv("OPENAI_BASE_URL", "https://proxy.example/v1")
    assert make().base_url == "https://proxy.example/v1"
    assert make(base_url="https://other.example/v1").base_url == "https://other.example/v1"


# ------------------------------------------------------------------------------------------------ keys in the clear


@pytest.mark.parametrize(
    "host",
    ["api.example.com", "192.168.0.7", "10.0.0.1", "127.0.0.1.evil.example", "127.evil.example", "localhost.evil"],
)
def test_a_key_does_not_travel_in_the_clear(call, host):
    """http:// to another machine is refused before anything is sent."""
    client = make(base_url=f"http://{host}/v1")
    for verb in (call.chat, call.stream):
        with pytest.raises(ConfigError, match=f"unencrypted to {host}") as caught:
            verb(client, "Hello")
        assert "allow_insecure_http=True" in caught.value.hint
    assert client._own[2].requests == []


def test_a_key_may_travel_in_the_clear_if_you_say_so(call):
    """``allow_insecure_http=True`` allows it."""
    client = make(base_url="http://192.168.0.7/v1", allow_insecure_http=True)
    assert call.chat(client, "Hello").text == "Hi"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.9.1", "localhost", "LOCALHOST", "a.localhost", "[::1]", "0.0.0.0"]
)
def test_this_machine_needs_no_encryption(call, host):
    """Loopback addresses are as good as https."""
    assert call.chat(make(base_url=f"http://{host}:8000/v1"), "Hello").text == "Hi"


def test_without_a_key_nothing_needs_encryption(call):
    """A server in the own network that takes no key can be called."""
    client = Client("http://192.168.0.7:8000/v1", model="m", transport=ScriptedTransport([ANSWER]))
    assert call.chat(client, "Hello").text == "Hi"


# ------------------------------------------------------------------------------------------------ headers


def test_headers_of_yours_go_over_the_librarys(call, fake_server):
    """The call's over the client's over the provider's, whatever their case; None takes one away."""
    client = fake_server.client(
        headers={"user-agent": "mine/1", "X-A": "client", "ACCEPT": "*/*"}, http=HTTPConfig(user_agent="other")
    )
    call.chat(client, "Hello", extra_headers={"x-a": "call", "accept": None})
    headers = fake_server.requests[0].headers
    assert headers["user-agent"] == "mine/1"
    assert headers["x-a"] == "call"
    assert headers.get("accept") in (None, "*/*")
    assert headers["content-type"] == "application/json"
    call.chat(fake_server.client(http=HTTPConfig(user_agent="other/2")), "Hello")
    assert fake_server.requests[1].headers["user-agent"] == "other/2"


def test_a_header_can_be_a_number_or_taken_away():
    """Values are written as text; None for the client's headers removes one of the library's."""
    client = make(headers={"X-Number": 5, "accept": None})
    client.chat("Hello")
    sent = client._own[2].requests[0].headers
    assert sent["X-Number"] == "5"
    assert "Accept" not in sent


@pytest.mark.parametrize("name", ["Content-Type", "content-type"])
def test_a_content_type_of_yours_is_kept(name):
    """Also where a request has no body."""
    transport = ScriptedTransport([{"json": {"data": []}}, ANSWER])
    client = make(headers={name: "application/x"}, transport=transport)
    client.models()
    client.chat("Hello")
    assert {k.lower(): v for k, v in transport.requests[1].headers.items()}["content-type"] == "application/x"


def test_a_request_without_a_body_has_no_content_type():
    """GET requests say nothing of a body."""
    transport = ScriptedTransport([{"json": {"data": []}}])
    make(transport=transport).models()
    assert "content-type" not in {name.lower() for name in transport.requests[0].headers}
    assert transport.requests[0].body is None


@pytest.mark.parametrize(
    "headers",
    [{"X-A": "a\r\nX-B: b"}, {"X-A": "a\nb"}, {"X-A": "a\0"}, {"X A": "1"}, {"X:A": "1"}, {"": "1"}, {"X-A\n": "1"}],
    ids=repr,
)
def test_a_header_that_would_break_out_is_refused(call, headers):
    """Line breaks never become headers of their own, wherever the header was given; the value is not shown."""
    client = make()
    with pytest.raises(InvalidRequestError, match="cannot be sent"):
        call.chat(client, "Hello", extra_headers=headers)
    assert client._own[2].requests == []
    with pytest.raises(ConfigError, match="cannot be sent"):
        make(headers=headers)


def test_the_accept_header_follows_the_kind_of_call():
    """Streams ask for events, uncompressed; whole answers for JSON."""
    transport = ScriptedTransport([ANSWER, ANSWER])
    client = make(transport=transport)
    client.chat("Hello")
    list(client.stream("Hello"))
    whole, streamed = (request.headers for request in transport.requests)
    assert (whole["Accept"], whole["Accept-Encoding"]) == ("application/json", "gzip, deflate")
    assert (streamed["Accept"], streamed["Accept-Encoding"]) == ("text/event-stream", "identity")


def test_merging_headers_compares_names_without_case():
    """The later value wins, in its own case."""
    assert merge_headers({"A": "1", "B": "2"}, {"a": "3", "B": None, "C": "4"}) == {"a": "3", "C": "4"}
    base = {"A": "1"}
    assert merge_headers(base, {}) == base
    assert merge_headers(base, {}) is not base


# ------------------------------------------------------------------------------------------------ bodies


def test_merging_bodies_goes_into_dicts_only():
    """Dicts inside dicts are merged, everything else replaced; nothing given is changed."""
    base = {"a": {"b": {"c": 1}, "d": [1]}, "e": 1}
    extra = {"a": {"b": {"x": 2}, "d": [2]}, "e": {"f": 1}, "g": None}
    merged = deep_merge(base, extra)
    assert merged == {"a": {"b": {"c": 1, "x": 2}, "d": [2]}, "e": {"f": 1}, "g": None}
    assert base == {"a": {"b": {"c": 1}, "d": [1]}, "e": 1}
    assert extra == {"a": {"b": {"x": 2}, "d": [2]}, "e": {"f": 1}, "g": None}


def test_calls_do_not_leak_into_one_another():
    """What one call adds is not in the next one."""
    transport = ScriptedTransport([ANSWER], repeat=True)
    client = make(transport=transport, defaults={"extra_body": {"a": {"b": 1}}})
    client.chat("Hello", extra_body={"c": 1}, extra_headers={"X-A": "1"})
    client.chat("Hello")
    assert b'"c"' not in transport.requests[1].body
    assert b'"a":{"b":1}' in transport.requests[1].body
    assert "X-A" not in transport.requests[1].headers


# ------------------------------------------------------------------------------------------------ options


def test_an_unknown_option_is_told_with_the_nearest_known_one():
    """Options are checked whether they come as arguments or in a config."""
    with pytest.raises(ConfigError, match="Unknown argument 'organisation'") as caught:
        make(organisation="x")
    assert "'organization'" in caught.value.hint
    with pytest.raises(ConfigError, match="openai has no option 'organisation'") as caught:
        Client(ProviderConfig(type="openai", api_key=KEY, options={"organisation": "x"}))
    assert "'organization'" in caught.value.hint
    with pytest.raises(ConfigError) as caught:
        Client(ProviderConfig(type="mistral", api_key=KEY, options={"x": 1}))
    assert "It has none" in caught.value.hint


def test_many_paths_do_not_fill_the_memory():
    """Addresses are remembered up to a bound."""
    client = make()
    for number in range(600):
        client._engine.parts.endpoint._remember(f"/models/{number}")
    assert len(client._engine.parts.endpoint._urls) == 500
    assert client._engine.parts.endpoint._remember("/models/599").endswith("/models/599")


@pytest.mark.parametrize(
    ("key", "words"),
    [("sk-ant-api03-0123456789abcdef", "looks like one of Anthropic"), ("sk-0123456789abcdef", "Check the API key")],
)
def test_a_refused_key_of_another_provider_is_told(world, key, words):
    """A 401 whose key does not even look like one of this provider's says so."""
    transport = ScriptedTransport([{"status": 401, "json": {"error": {"message": "Incorrect API key provided"}}}])
    client = Client("openai/gpt-4o", api_key=key, transport=transport, max_retries=0)
    with pytest.raises(AuthenticationError) as caught:
        world(client, "chat", "Hi")
    assert words in caught.value.hint
    assert key not in str(caught.value.__notes__)


@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_an_error_keeps_no_cookie(call, scripted, status):
    """A session of the server's is a credential; the other headers help."""
    headers = {"Set-Cookie": "session=abc", "X-Request-Id": "req_1", "Server": "s"}
    client, _ = scripted({"status": status, "headers": headers, "json": {"error": {"message": "no"}}}, max_retries=0)
    with pytest.raises(APIError) as caught:
        call.chat(client, "Hello")
    assert {name.lower() for name in caught.value.headers} >= {"x-request-id", "server"}
    assert "set-cookie" not in {name.lower() for name in caught.value.headers}
    assert caught.value.request_id == "req_1"
