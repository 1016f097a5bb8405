# ruff: noqa: E501  # one line a fault
"""A provider with something wrong: the doctor names it, in both worlds, and says what to do."""

import os
import threading
import time
from email.utils import formatdate

import pytest

from provider_kit import Client, HTTPConfig, OAuthToken, Timeout, open_token_storage
from provider_kit.providers.registry import find_provider
from provider_kit.testing import FakeServer, Fault

KEY = "sk-fake-0123456789abcdef"


@pytest.fixture
def examine(world):
    """A function: examine a client and return the diagnosis; nothing it says shows the key."""

    def run(client, **options):
        options.setdefault("calls", 1)
        options.setdefault("timeout", 20)
        found = world(client, "diagnose", **options)
        client.close()
        told = found.as_text() + str(found.as_dict()) + repr(found)
        assert KEY not in told
        assert "0123456789abcdef" not in told
        return found

    return run


def named(found, check, *words, status="failed"):
    """The finding of a check, whose text and hint have these words."""
    findings = [one for one in found.findings if one.check == check and one.status == status]
    assert findings, found.as_text()
    one = findings[0]
    told = f"{one.message} {one.hint}".lower()
    for word in words:
        assert word.lower() in told, found.as_text()
    assert one.hint, "a finding says what to do"
    assert found.ok == (not found.failed)
    return one


def test_nothing_is_wrong(examine):
    """Every check is made, in order, and the calls are counted."""
    with FakeServer(key=KEY) as server:
        server.always(headers={"date": formatdate(time.time(), usegmt=True)})
        found = examine(server.client("openai/demo"), calls=2)
        assert found.ok, found.as_text()
        assert not found.warnings, found.as_text()
        assert [one.check for one in found.findings] == [
            "versions", "environment", "key", "token_storage", "proxy", "dns", "tcp", "tls", "base_url", "credentials",
            "model", "quota", "clock", "latency", "streaming",
        ]  # fmt: skip
        assert sum(request.asked is not None for request in server.requests) == 2
        assert found.find("latency").data["calls"] == 2
        assert found.as_dict()["ok"] is True


@pytest.mark.parametrize(
    "target", ["anthropic/demo", "gemini/demo", "ollama/demo", "openai/gpt-5-mini", "mistral/demo"]
)
def test_every_dialect_can_be_examined(examine, target):
    with FakeServer() as server:
        found = examine(server.client(target))
        assert found.ok, found.as_text()
        assert found.find("streaming").status == "ok"


# ------------------------------------------------------------------------------------------------ 1-4: keys


def test_a_missing_key(examine):
    with FakeServer() as server:
        found = examine(Client("openai/demo", base_url=server.base_url()))
        named(found, "key", "OPENAI_API_KEY", "keys set")
        assert not server.requests


def test_a_refused_key(examine):
    with FakeServer(key="sk-another-key-of-theirs") as server:
        found = examine(server.client("openai/demo", api_key=KEY))
        named(found, "credentials", "401", "Check the API key")
        assert len(server.requests) == 1


def test_a_key_of_another_provider(examine):
    """Told before anything is sent, as a warning, for gateways take other keys."""
    found = examine(
        Client("openai/demo", api_key="sk-ant-api03-0123456789abcdef", http=HTTPConfig(proxy="http://127.0.0.1:9"))
    )
    named(found, "key", "looks like one of Anthropic", status="warning")


def test_quotes_around_the_key_in_the_environment(examine, monkeypatch):
    with FakeServer() as server:
        monkeypatch.setenv("OPENAI_API_KEY", f'"{KEY}"')
        found = examine(Client("openai/demo", base_url=server.base_url()))
        named(found, "environment", "OPENAI_API_KEY", "quotes", status="warning")


def test_numbered_variables_are_looked_at_as_well(examine, monkeypatch):
    """Their quotes, and whether they are the ones that are used."""
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY_1", "sk-ant-good-0123456789abcdef")
    monkeypatch.setenv("ANTHROPIC_API_KEY_2", "'sk-ant-also-0123456789abcdef'")
    with FakeServer() as server:
        found = examine(Client("anthropic/demo", base_url=server.base_url("anthropic")))
        named(found, "environment", "ANTHROPIC_API_KEY_1 to _2", "quotes", status="warning")
        monkeypatch.setenv("ANTHROPIC_API_KEY_2", "sk-ant-also-0123456789abcdef")
        monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "another-0123456789abcdef")
        found = examine(Client("anthropic/demo", base_url=server.base_url("anthropic")))
        named(found, "environment", "ANTHROPIC_API_KEY_1 to _2 and ANTHROPIC_AUTH_TOKEN", status="warning")


def test_two_variables_that_differ(examine, monkeypatch):
    with FakeServer() as server:
        monkeypatch.setenv("GEMINI_API_KEY", "AIzaSyA-one-0123456789abcdefghijk")
        monkeypatch.setenv("GOOGLE_API_KEY", "AIzaSyA-two-0123456789abcdefghijk")
        found = examine(Client("gemini/demo", base_url=server.base_url("gemini")))
        named(found, "environment", "GEMINI_API_KEY", "GOOGLE_API_KEY", "different", status="warning")


# ------------------------------------------------------------------------------------------------ 5-11: network


def test_a_host_that_does_not_exist(examine):
    found = examine(Client("openai/demo", api_key=KEY, base_url="https://api.opnai.invalid/v1"))
    named(found, "dns", "api.opnai.invalid", "typing errors")
    assert found.find("latency").status == "skipped"
    assert found.seconds < 20


def test_nobody_listens(examine):
    found = examine(Client("openai/demo", api_key=KEY, base_url="http://127.0.0.1:9/v1"))
    named(found, "tcp", "127.0.0.1:9", "Is the server running")


def test_a_certificate_nobody_knows(examine, tls_front):
    with FakeServer() as server:
        url, _ = tls_front(server, issuer="Nobody Knows Ltd")
        found = examine(Client("openai/demo", api_key=KEY, base_url=url))
        named(found, "tls", "Nobody Knows Ltd", "does not trust", "SSL_CERT_FILE", "Never switch verification off")
        assert not server.requests


def test_a_proxy_that_looks_into_tls(examine, tls_front):
    """Named by its certificate: refused, and also where the machine trusts it."""
    with FakeServer() as server:
        url, root = tls_front(server, issuer="Zscaler Inc.")
        found = examine(Client("openai/demo", api_key=KEY, base_url=url))
        named(found, "tls", "company proxy (Zscaler Inc.)", "SSL_CERT_FILE")
        trusted = examine(Client("openai/demo", api_key=KEY, base_url=url, http=HTTPConfig(verify=root)))
        named(trusted, "tls", "inspects the connection", "Zscaler", status="warning")
        assert trusted.ok


def test_a_certificate_that_has_expired(examine, tls_front):
    with FakeServer() as server:
        url, root = tls_front(server, days=-2, since=-30)
        found = examine(Client("openai/demo", api_key=KEY, base_url=url, http=HTTPConfig(verify=root)))
        named(found, "tls", "has expired", "renew")


def test_a_certificate_that_ends_soon(examine, tls_front):
    with FakeServer() as server:
        url, root = tls_front(server, days=5)
        found = examine(Client("openai/demo", api_key=KEY, base_url=url, http=HTTPConfig(verify=root)))
        named(found, "tls", "expires in 4 days", status="warning")


def test_a_certificate_of_another_host(examine, tls_front):
    with FakeServer() as server:
        url, root = tls_front(server, host="login.example")
        found = examine(Client("openai/demo", api_key=KEY, base_url=url, http=HTTPConfig(verify=root)))
        named(found, "tls", "another host", "login page")


def test_https_to_a_server_without_tls(examine, monkeypatch):
    from provider_kit.transports import network_probe

    monkeypatch.setattr(network_probe, "_HANDSHAKE", 0.3)
    with FakeServer() as server:
        found = examine(Client("openai/demo", api_key=KEY, base_url=server.base_url().replace("http:", "https:")))
        named(found, "tls", "does not speak TLS", "http://")


def test_a_dead_proxy(examine, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://user:proxy-password@127.0.0.1:9")
    found = examine(Client("openai/demo", api_key=KEY))
    named(found, "proxy", "127.0.0.1:9", "the environment", "HTTPS_PROXY")
    assert "proxy-password" not in found.as_text() + str(found.as_dict())


@pytest.mark.parametrize(("status", "words"), [(407, "user name and password"), (403, "NO_PROXY")])
def test_a_proxy_that_refuses(examine, connect_proxy, status, words):
    http = HTTPConfig(proxy=connect_proxy(status))
    found = examine(Client("openai/demo", api_key=KEY, http=http))
    named(found, "proxy", str(status), words)


def test_a_proxy_that_lets_through(examine, connect_proxy, tls_front):
    with FakeServer() as server:
        url, root = tls_front(server)
        http = HTTPConfig(proxy=connect_proxy(), verify=root)
        found = examine(Client("openai/demo", api_key=KEY, base_url=url, http=http))
        assert found.find("proxy").status == "warning"  # to a server on this machine
        assert found.find("tls").status == "ok", found.as_text()
        assert found.find("streaming").status == "ok"


# ------------------------------------------------------------------------------------------------ 12-15: address


class OnlyBelow(FakeServer):
    """Answers below one path, as real servers do."""

    def __init__(self, prefix):
        super().__init__()
        self._prefix = prefix

    async def _answer(self, incoming):
        if not incoming.path.startswith(self._prefix):
            self._faults.appendleft(Fault(status=404, message="no such path"))
        return await super()._answer(incoming)


def test_a_base_url_without_v1(examine):
    with OnlyBelow("/v1/") as server:
        found = examine(Client("openai_compatible/demo", api_key=KEY, base_url=server.url))
        named(found, "base_url", "lacks /v1", f"{server.url}/v1")


def test_a_base_url_with_v1_twice(examine):
    with OnlyBelow("/v1/models") as server:
        found = examine(Client("openai_compatible/demo", api_key=KEY, base_url=f"{server.url}/v1/v1"))
        named(found, "base_url", "twice", f"base_url='{server.url}/v1'")


def test_a_web_page_in_place_of_the_api(examine):
    """Of a proxy, of a login page: with its title."""
    with FakeServer() as server:
        server.always(html=True, status=200)
        found = examine(server.client("openai/demo"))
        named(found, "base_url", "web page", "502 Bad Gateway")


def test_something_that_is_no_http(examine):
    with FakeServer() as server:
        server.always(garbage=True)
        found = examine(server.client("openai/demo"))
        named(found, "tcp", "no HTTP server")


def test_connections_that_are_reset(examine):
    with FakeServer() as server:
        server.always(reset=True)
        named(examine(server.client("openai/demo")), "tcp", "broken", "firewall")


# ------------------------------------------------------------------------------------------------ 16-23: provider


def test_a_model_that_does_not_exist(examine):
    """With the nearest names."""
    with FakeServer() as server:
        server.fault(times=1)  # the list is answered
        server.fault(404, code="model_not_found", message="The model `dmo` does not exist")
        found = examine(server.client("openai/dmo"))
        named(found, "model", "dmo", "Nearest: demo")


def test_no_permission(examine):
    with FakeServer() as server:
        server.fault(times=1)
        server.always(403, message="Project does not have access to model")
        named(examine(server.client("openai/demo")), "credentials", "403", "tier")


def test_a_key_that_may_not_list_models_but_may_call(examine):
    with FakeServer() as server:
        server.fault(403, message="Missing scopes: api.model.read")
        found = examine(server.client("openai/demo"))
        assert found.ok, found.as_text()
        assert found.find("credentials").status == "ok"


def test_a_rate_limit(examine):
    with FakeServer() as server:
        server.fault(times=1)
        server.always(429, retry_after=17)
        named(examine(server.client("openai/demo")), "quota", "429", "Wait 17 s")


def test_a_limit_that_is_nearly_reached(examine):
    with FakeServer() as server:
        server.always(headers={"x-ratelimit-limit-requests": "1000", "x-ratelimit-remaining-requests": "12"})
        found = examine(server.client("openai/demo"))
        named(found, "quota", "12 of 1,000 requests left", "Slow down", status="warning")


def test_a_quota_that_is_used_up(examine):
    with FakeServer() as server:
        server.fault(times=1)
        server.always(429, code="insufficient_quota", message="You exceeded your current quota")
        named(examine(server.client("openai/demo")), "quota", "exceeded", "console")


def test_no_credit(examine):
    with FakeServer() as server:
        server.fault(times=1)
        server.always(402, message="Insufficient credits")
        named(examine(server.client("openrouter/demo")), "quota", "402", "Add credit")


class WithBalance(FakeServer):
    """OpenRouter's answers about credit."""

    def __init__(self, credits, key):
        super().__init__()
        self._told = {"/credits": credits, "/key": key}

    async def _answer(self, incoming):
        for path, payload in self._told.items():
            if incoming.path.endswith(path):
                fault = Fault(status=403) if payload is None else Fault(body=payload)
                self._faults.appendleft(fault)
        return await super()._answer(incoming)


@pytest.mark.parametrize(
    ("credits", "key", "status", "words"),
    [
        (b'{"data": {"total_credits": 100.5, "total_usage": 20}}', None, "ok", "80.50 left"),
        (b'{"data": {"total_credits": 25, "total_usage": 20}}', None, "warning", "5.00 left"),
        (b'{"data": {"total_credits": 25, "total_usage": 26}}', None, "failed", "-1.00 left"),
        (None, b'{"data": {"limit_remaining": 9.99}}', "warning", "9.99 left"),
        (None, b'{"data": {"limit_remaining": null}}', None, ""),
        (b"[]", b'{"data": 3}', None, ""),
    ],
)
def test_credit_below_ten(examine, credits, key, status, words):
    """OpenRouter's balance, or what the key may still spend."""
    with WithBalance(credits, key) as server:
        found = examine(server.client("openrouter/demo"))
        one = found.find("credits")
        assert (one and one.status) == status, found.as_text()
        if one is not None:
            assert words in one.message
            assert status == "ok" or "openrouter.ai" in one.hint


def test_the_balance_of_deepseek(examine):
    payload = {"is_available": True, "balance_infos": [{"currency": "USD", "total_balance": "3.20"}]}
    assert str(find_provider("deepseek").read_balance("/user/balance", payload)) == "3.20"
    assert find_provider("deepseek").read_balance("/user/balance", {"balance_infos": []}) is None


@pytest.mark.parametrize(("status", "words"), [(500, "status page"), (503, "status page"), (529, "status page")])
def test_an_outage(examine, status, words):
    with FakeServer() as server:
        server.always(status)
        named(examine(server.client("openai/demo")), "service", str(status), words)


def test_a_clock_that_is_wrong(examine):
    with FakeServer() as server:
        for shift, status, words in ((-7200, "failed", "2 hours ahead"), (150, "warning", "2 minutes behind")):
            server.always(headers={"date": formatdate(time.time() + shift, usegmt=True)})
            named(examine(server.client("openai/demo")), "clock", words, "timedatectl", status=status)


# ------------------------------------------------------------------------------------------------ 24-29: calls


def test_a_provider_that_is_slow(examine):
    """So slow that the time is over."""
    with FakeServer() as server:
        server.fault(times=1)
        server.always(latency=30)
        started = time.monotonic()
        found = examine(server.client("openai/demo"), timeout=1.5)
        named(found, "latency", "slow or silent")
        assert time.monotonic() - started < 10


def test_a_first_token_that_is_slow(examine, monkeypatch):
    from provider_kit.doctor import calls

    monkeypatch.setattr(calls, "_SLOW", 0.1)
    with FakeServer() as server:
        server.fault(times=1)
        server.always(latency=0.15)
        named(examine(server.client("openai/demo")), "latency", "smaller model", status="warning")


def test_a_proxy_that_holds_streams_back(examine):
    with FakeServer() as server:
        server.fault(times=1)
        server.always(token_delay=0.03, buffered=True)
        named(examine(server.client("openai/demo")), "streaming", "at once", "proxy_buffering")


def test_a_stream_that_is_only_slow_streams(examine):
    with FakeServer() as server:
        server.fault(times=1)
        server.always(token_delay=0.03)
        found = examine(server.client("openai/demo"))
        assert found.find("streaming").status == "ok", found.as_text()
        assert found.find("latency").data["per_piece"] > 0.02


def test_a_stream_that_comes_as_one_answer(examine):
    """A server, or a proxy, that ignores that a stream was asked for."""
    body = b'{"id":"x","object":"chat.completion","model":"demo","choices":[{"index":0,"message":{"role":"assistant","content":"1 2 3"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":3,"total_tokens":4}}'
    with FakeServer() as server:
        server.fault(times=1)
        server.always(body=body)
        named(examine(server.client("openai/demo")), "streaming", "one complete answer", "proxy")


def test_a_stream_that_is_cut(examine):
    with FakeServer() as server:
        server.fault(times=1)
        server.always(cut_after=4)
        named(examine(server.client("openai/demo")), "streaming", "connection")


def test_a_stream_that_stalls(examine):
    with FakeServer() as server:
        server.fault(times=1)
        server.always(stall_after=4, ping=True)
        found = examine(server.client("openai/demo"), timeout=1.5)
        named(found, "streaming", "idle")


# ------------------------------------------------------------------------------------------------ 30: storage


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_a_token_storage_open_to_others(examine, monkeypatch, tmp_path):
    folder = tmp_path / "tokens"
    monkeypatch.setenv("PROVIDER_KIT_TOKEN_STORAGE", f"{folder}/")
    open_token_storage().store_token("openai", OAuthToken(access_token=KEY))
    with FakeServer() as server:
        assert examine(server.client("openai/demo")).find("token_storage").message.startswith("1 entry in")
        folder.chmod(0o755)
        named(examine(server.client("openai/demo")), "token_storage", "chmod 700", str(folder))
        folder.chmod(0o700)
        file = next(folder.glob("*.json"))
        file.write_text("{")
        named(examine(server.client("openai/demo")), "token_storage", "damaged")


# ------------------------------------------------------------------------------------------------ the rest


def test_the_time_is_bounded(world):
    """Whatever hangs, and wherever."""
    with FakeServer() as server:
        server.always(latency=60)
        started = time.monotonic()
        client = server.client("openai/demo", timeout=Timeout(connect=60))
        world(client, "diagnose", timeout=1.0)
        client.close()
        assert time.monotonic() - started < 6


def test_the_circuit_and_limits_of_the_client_do_not_hide_anything(examine):
    """An open circuit does not keep the doctor out."""
    with FakeServer() as server:
        client = server.client("openai/demo", circuit_breaker=True, max_retries=0)
        server.always(500)
        for _ in range(3):
            with pytest.raises(Exception, match="500"):
                client.chat("Hi")
        server.always()
        assert client.circuit.state == "open"
        assert examine(client).ok


def test_a_client_with_a_transport_of_its_own(examine):
    """Its network is not looked at."""
    from provider_kit import ScriptedTransport

    transport = ScriptedTransport([{"json": {"data": [{"id": "demo"}]}}])
    found = examine(Client("openai/demo", api_key=KEY, transport=transport), calls=0)
    assert found.ok
    assert found.find("dns").status == "skipped"
    assert found.find("latency").message == "Not tried: no calls were requested."


def test_versions_that_are_too_old_are_told(monkeypatch, examine):
    from importlib import metadata

    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "2.1" if name == "requests" else real(name))
    with FakeServer() as server:
        named(examine(server.client("openai/demo")), "versions", "requests 2.1 is older", "pip install")


# ------------------------------------------------------------------------------------------------ what reviews found


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 400},
        {"status": 405},
        {"status": 500},
        {"status": 429},
        {"html": True, "status": 404},
        {"html": True, "status": 200},
    ],
)
def test_a_server_without_a_list_of_models_is_judged_by_its_calls(examine, fault):
    with FakeServer() as server:
        server.fault(**fault)
        found = examine(server.client("openai/demo"))
        assert found.ok, found.as_text()
        assert not found.warnings, found.as_text()


def test_one_check_has_one_finding(examine):
    """A list that anybody may see, and a key that is refused; a quota that is used up everywhere."""
    with FakeServer() as server:
        server.fault(times=1)
        server.always(401)
        found = examine(server.client("openai/demo"))
        assert [one.status for one in found.findings if one.check == "credentials"] == ["failed"]
        server.always(429, code="insufficient_quota")
        found = examine(server.client("openai/demo"))
        assert [one.check for one in found.failed] == ["quota"]


def test_a_request_that_is_refused_is_no_matter_of_the_key(examine):
    with FakeServer() as server:
        server.fault(times=1)
        server.always(400, message="Unsupported parameter: 'max_tokens'")
        found = examine(server.client("openai/demo"))
        assert [one.check for one in found.failed] == ["model"]
        assert found.find("credentials").status == "ok"


def test_one_failure_among_good_calls_is_a_warning(examine):
    with FakeServer() as server:
        server.fault(times=2)
        server.fault(503)
        found = examine(server.client("openai/demo"), calls=2)
        assert found.ok
        named(found, "service", "One of 2 calls failed", status="warning")


def test_a_model_that_thinks_long_and_writes_fast_streams(examine):
    """Many reads after a long silence: nobody held anything back."""
    with FakeServer() as server:
        server.fault(times=1)
        server.always(latency=0.6, token_delay=0.002)
        assert examine(server.client("openai/demo")).find("streaming").status == "ok"


def test_the_clients_own_defaults_are_used(examine):
    with FakeServer() as server:
        examine(server.client("openai/demo", defaults={"seed": 7}))
        assert server.requests[-1].json["seed"] == 7


@pytest.mark.parametrize(
    "proxy", ["http://proxy:abc", "http://127.0.0.1:99999", "http://[::1", "http://user:pass/wordxyz@proxy:8080"]
)
def test_a_malformed_proxy_is_told_without_its_password(examine, monkeypatch, proxy):
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    found = examine(Client("openai/demo", api_key=KEY))
    named(found, "proxy", "malformed", "HTTPS_PROXY")
    assert "wordxyz" not in found.as_text()


def test_a_function_that_never_returns_the_key(examine):
    """The doctor does not wait for it beyond its time."""
    started = time.monotonic()
    client = Client("openai/demo", api_key=lambda: time.sleep(2) or KEY, base_url="http://127.0.0.1:9/v1")
    named(examine(client, timeout=0.4), "key", "did not return in time")
    assert time.monotonic() - started < 4


def test_a_proxy_that_drips_is_given_up(examine, relay):
    def drip(sock):
        for _ in range(200):
            sock.sendall(b"x")
            time.sleep(0.05)

    started = time.monotonic()
    found = examine(
        Client("openai/demo", api_key=KEY, http=HTTPConfig(proxy=f"http://127.0.0.1:{relay(drip).port}")), timeout=1
    )
    named(found, "proxy", "in time")
    assert time.monotonic() - started < 5


def test_several_keys_of_which_one_is_wrong(examine):
    with FakeServer(key="sk-good-0123456789abcdef") as server:
        client = server.client("openai/demo", api_keys=["sk-wrong-0123456789abcd", "sk-good-0123456789abcdef"])
        found = examine(client, calls=2)
        named(found, "key", "dead", "Replace", status="warning")


def test_a_session_of_ones_own_is_not_looked_past(examine, monkeypatch):
    """A dead proxy of the environment does not count where the session ignores it."""
    import requests

    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    with FakeServer() as server, requests.Session() as session:
        session.trust_env = False
        found = server.client("openai/demo", session=session).diagnose(calls=1)
        assert found.ok, found.as_text()
        assert found.find("dns").status == "skipped"


def test_a_storage_that_can_never_be_written(examine, monkeypatch):
    monkeypatch.setenv("PROVIDER_KIT_TOKEN_STORAGE", "/proc/nothing/tokens/")
    with FakeServer() as server:
        named(examine(server.client("openai/demo")), "token_storage", "cannot be created", "PROVIDER_KIT_TOKEN_STORAGE")


def test_whoever_is_cancelled_waits_for_nobody(relay):
    """A silent server does not keep the end of the program."""
    import asyncio

    over = threading.Event()
    port = relay(lambda sock: over.wait(3) and None).port
    started = time.monotonic()

    async def main():
        client = Client("openai/demo", api_key=KEY, base_url=f"https://127.0.0.1:{port}/v1")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.adiagnose(), 0.3)
        await client.aclose()

    asyncio.run(main())
    assert time.monotonic() - started < 2
    over.set()
