"""Secrets kept elsewhere: files, the keychain, Vault, AWS; fetched when needed, remembered, missed with a hint."""

import asyncio
import json
import pickle
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from provider_kit import AuthenticationError, AuthError, Client, MissingDependencyError, load_config
from provider_kit.config import secret_reference
from provider_kit.config.secret_reference import SecretList, SecretReference
from provider_kit.config.secrets import fetch_secret
from provider_kit.testing import FakeServer
from provider_kit.testing.http_server import LoopbackService, Outgoing

KEY = "sk-secret-0123456789abcdef"


def answer(status, payload):
    body = json.dumps(payload).encode()
    return Outgoing(status, {"content-type": "application/json"}, body)


class Vault(LoopbackService):
    """What of Vault's API is needed to read a secret of the KV engine, version 1 and 2."""

    def __init__(self):
        super().__init__(self.respond)
        self.asked = []

    async def respond(self, incoming):
        self.asked.append(incoming.path)
        if incoming.headers.get("x-vault-token") != "vault-token":
            return answer(403, {"errors": ["permission denied"]})
        secrets = {
            "/v1/secret/data/openai": {"data": {"data": {"value": KEY, "other": "x"}, "metadata": {"version": 1}}},
            "/v1/kv/openai": {"data": {"key": KEY}},
            "/v1/kv/two": {"data": {"a": "1", "b": "2"}},
        }
        found = secrets.get(incoming.path)
        return answer(404, {"errors": []}) if found is None else answer(200, found)


@pytest.fixture
def vault(monkeypatch):
    pytest.importorskip("hvac")
    with Vault() as server:
        monkeypatch.setenv("VAULT_ADDR", server.url)
        monkeypatch.setenv("VAULT_TOKEN", "vault-token")
        yield server


def told(error):
    return f"{error} {error.hint} {error.__notes__}"


# ------------------------------------------------------------------------------------------------ where they are


def test_a_file(tmp_path, monkeypatch):
    """Without the line break at its end; ``~`` is the home directory."""
    (tmp_path / "key").write_text(f"{KEY}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert fetch_secret("file", "~/key") == KEY


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file"), (b"", "is empty"), (b"\xff", "not text"), (b"x" * 70000, "too large")],
)
def test_a_file_that_holds_no_secret(tmp_path, content, words):
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AuthError) as caught:
        fetch_secret("file", str(path))
    assert words in str(caught.value)


@pytest.fixture
def keychain(monkeypatch):
    """A real backend of keyring, in memory."""
    keyring = pytest.importorskip("keyring")
    from keyring.backend import KeyringBackend

    class Memory(KeyringBackend):
        priority = 1

        def __init__(self):
            super().__init__()
            self.kept = {}

        def get_password(self, service, username):
            return self.kept.get((service, username))

        def set_password(self, service, username, password):
            self.kept[service, username] = password

    before = keyring.get_keyring()
    keyring.set_keyring(Memory())
    yield keyring
    keyring.set_keyring(before)


def test_the_keychain(keychain):
    """``service/name``; the service alone means its api_key."""
    keychain.set_password("openai", "work", KEY)
    keychain.set_password("groq", "api_key", "gsk-x")
    assert fetch_secret("keyring", "openai/work") == KEY
    assert fetch_secret("keyring", "groq") == "gsk-x"
    with pytest.raises(AuthError, match="has no secret") as caught:
        fetch_secret("keyring", "openai/home")
    assert "keyring set openai home" in caught.value.hint


def test_vault(vault):
    """Both versions of the engine, a named field, the only one, or ``value``."""
    assert fetch_secret("vault", "secret/data/openai#value") == KEY
    assert fetch_secret("vault", "secret/data/openai") == KEY
    assert fetch_secret("vault", "secret/data/openai#other") == "x"
    assert fetch_secret("vault", "/kv/openai") == KEY


@pytest.mark.parametrize(
    ("where", "code", "words"),
    [
        ("secret/data/nothing", "invalid_config", "/data/"),
        ("kv/two", "invalid_config", "It has: a, b"),
        ("kv/two#c", "invalid_config", "#field"),
    ],
)
def test_what_vault_does_not_have(vault, where, code, words):
    with pytest.raises(AuthError) as caught:
        fetch_secret("vault", where)
    assert caught.value.code == code
    assert words in caught.value.hint


def test_vault_that_refuses_or_is_away(vault, monkeypatch):
    monkeypatch.setenv("VAULT_TOKEN", "wrong-vault-token")
    with pytest.raises(AuthError, match="refuses") as caught:
        fetch_secret("vault", "kv/openai")
    assert "wrong-vault-token" not in told(caught.value)
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:9")
    with pytest.raises(AuthError, match="cannot be called") as caught:
        fetch_secret("vault", "kv/openai")
    assert caught.value.retryable
    monkeypatch.delenv("VAULT_ADDR")
    with pytest.raises(AuthError, match="VAULT_ADDR is not set"):
        fetch_secret("vault", "kv/openai")


@pytest.fixture(scope="module")
def aws_server():
    pytest.importorskip("boto3")
    moto_server = pytest.importorskip("moto.server")
    server = moto_server.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def aws(aws_server, monkeypatch):
    """A real moto server, asked by boto3."""
    import boto3

    for name, value in {
        "AWS_ENDPOINT_URL": aws_server,
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "AKIAFAKE",
        "AWS_SECRET_ACCESS_KEY": "fake",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("secretsmanager")
    secrets = {
        "prod/openai": {"SecretString": KEY},
        "prod/all": {"SecretString": json.dumps({"openai": KEY})},
        "raw": {"SecretBinary": b"x"},
    }
    for name, fields in secrets.items():
        try:
            client.create_secret(Name=name, **fields)
        except client.exceptions.ResourceExistsException:
            pass
    yield client
    client.close()


pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:botocore", "ignore::DeprecationWarning:moto")


def test_aws(aws):
    """A text, a field of a JSON object, and what is neither."""
    assert fetch_secret("aws", "prod/openai") == KEY
    assert fetch_secret("aws", "prod/all#openai") == KEY
    for where, words in (
        ("prod/all#groq", "It has: openai"),
        ("prod/openai#x", "not a JSON object"),
        ("raw", "as a text"),
    ):
        with pytest.raises(AuthError) as caught:
            fetch_secret("aws", where)
        assert words in told(caught.value)
        assert KEY not in told(caught.value)
    with pytest.raises(AuthError, match="has no secret nothing"):
        fetch_secret("aws", "nothing")


def test_aws_that_cannot_be_asked(aws, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(AuthError, match="cannot be reached") as caught:
        fetch_secret("aws", "prod/openai")
    assert caught.value.code == "network_error"
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(AuthError, match="NoRegionError"):
        fetch_secret("aws", "prod/openai")


@pytest.mark.parametrize(("scheme", "module"), [("vault", "hvac"), ("aws", "boto3"), ("keyring", "keyring")])
def test_a_package_that_is_missing_is_named(monkeypatch, scheme, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError) as caught:
        fetch_secret(scheme, "a#b")
    assert caught.value.hint == f"pip install provider-kit[{scheme}]"


def test_a_keeper_of_a_plugin(monkeypatch):
    """Named by its entry point; whatever it raises becomes a clear error."""

    class Point:
        name = "safe"

        def load(self):
            return {"a": KEY, "b": ""}.__getitem__

    from provider_kit.config import secrets

    monkeypatch.setattr(secrets, "_announced", lambda: {"safe": Point()})
    assert "safe" in secrets.secret_schemes()
    assert secrets.fetch_secret("safe", "a") == KEY
    with pytest.raises(AuthError, match="is empty"):
        secrets.fetch_secret("safe", "b")
    with pytest.raises(AuthError, match="KeyError"):
        secrets.fetch_secret("safe", "c")


# ------------------------------------------------------------------------------------------------ when they are fetched


def test_a_secret_is_fetched_once_in_five_minutes(tmp_path, monkeypatch):
    """Then again, so that a rotated one is noticed; one that is away keeps its old value."""
    now = [0.0]
    monkeypatch.setattr(secret_reference.BlockingRuntime, "now", staticmethod(lambda: now[0]))
    path = tmp_path / "key"
    path.write_text("first")
    reference = SecretReference([("file", str(path))])
    assert reference.remembered_value() is None
    assert reference() == "first"
    path.write_text("second")
    assert (reference(), reference.remembered_value()) == ("first", "first")
    now[0] = 301.0
    assert reference() == "second"
    path.unlink()
    now[0] = 700.0
    assert reference() == "second"
    assert SecretList(["a", reference])() == ["a", "second"]


def test_one_fetches_while_the_others_go_on(monkeypatch):
    """A slow keeper is asked once, not by every call that comes meanwhile."""
    now, asked, inside, answer = [0.0], [], threading.Event(), threading.Event()
    monkeypatch.setattr(secret_reference.BlockingRuntime, "now", staticmethod(lambda: now[0]))

    def slowly(scheme, where):
        asked.append(where)
        if len(asked) > 1:
            inside.set()
            assert answer.wait(10)
        return f"value {len(asked)}"

    monkeypatch.setattr("provider_kit.config.secrets.fetch_secret", slowly)
    reference = SecretReference([("slow", "key")])
    assert reference() == "value 1"
    now[0] = 301.0
    thread = threading.Thread(target=reference)
    thread.start()
    try:
        assert inside.wait(10)
        assert [reference() for _ in range(3)] == ["value 1"] * 3
    finally:
        answer.set()
        thread.join()
    assert reference() == "value 2"
    assert len(asked) == 2


def test_a_rotated_key_is_used_as_soon_as_the_old_one_is_refused(world, tmp_path, monkeypatch):
    """Within the same call; a key that did not change is refused as any other, and its keeper is left in peace."""
    monkeypatch.setattr(secret_reference, "_BELIEVED", 0.0)
    path, config, accepted = tmp_path / "key", tmp_path / "config.yaml", ["sk-first-0123456789"]
    path.write_text("sk-first-0123456789")
    with FakeServer(key=lambda key: key in accepted) as api:
        config.write_text(f"""
providers:
  openai: {{api_key: "${{file:{path}}}", base_url: "{api.base_url()}", model: gpt-4o}}
  groq: {{api_keys: ["${{file:{path}}}"], base_url: "{api.base_url()}", model: x}}
""")
        clients = load_config(config)
        for name in ("openai", "groq"):
            world(clients[name], "chat", "Hi")
        path.write_text("sk-second-0123456789")
        accepted[:] = ["sk-second-0123456789"]
        for name in ("openai", "groq"):
            before = len(api.requests)
            reply = world(clients[name], "chat", "What is 2 + 3?")
            assert (reply.text, len(api.requests) - before) == ("2 + 3 = 5", 2)
        accepted.clear()
        for name in ("openai", "groq"):
            before = len(api.requests)
            with pytest.raises(AuthenticationError):
                world(clients[name], "chat", "Hi")
            assert len(api.requests) - before == 1
        clients.close()


def test_all_calls_under_way_meet_a_rotation(tmp_path, monkeypatch):
    """Those too whose refusal comes while, or after, another one fetches the new key; the keeper is asked once."""
    monkeypatch.setattr(secret_reference, "_BELIEVED", 0.3)
    path, config, accepted, asked = tmp_path / "key", tmp_path / "config.yaml", ["sk-first-0123456789"], []
    path.write_text("sk-first-0123456789")

    def slowly(scheme, where):
        asked.append(where)
        if len(asked) > 1:
            time.sleep(0.2)
        return path.read_text()

    monkeypatch.setattr("provider_kit.config.secrets.fetch_secret", slowly)
    with FakeServer(key=lambda key: key in accepted) as api:
        config.write_text(
            f'providers: {{openai: {{api_key: "${{file:{path}}}", base_url: "{api.base_url()}", model: gpt-4o}}}}\n'
        )
        with load_config(config) as clients:
            client = clients["openai"]
            for world in ("threads", "tasks"):
                client.chat("Hi")
                time.sleep(0.35)
                path.write_text(f"sk-second-{world}-0123456789")
                accepted[:] = [path.read_text()]
                before = len(asked)
                if world == "threads":
                    with ThreadPoolExecutor(6) as pool:
                        replies = list(pool.map(lambda _: client.chat("What is 2 + 3?"), range(6)))
                else:

                    async def all_at_once():
                        found = await asyncio.gather(*(client.achat("What is 2 + 3?") for _ in range(6)))
                        await client.aclose()
                        return found

                    replies = asyncio.run(all_at_once())
                assert [reply.text for reply in replies] == ["2 + 3 = 5"] * 6
                assert len(asked) - before == 1


@pytest.mark.filterwarnings("ignore::provider_kit.BlockingCallWarning")
def test_a_call_does_not_wait_for_a_keeper_beyond_its_time(world, tmp_path, monkeypatch):
    """It ends with the refusal."""
    monkeypatch.setattr(secret_reference, "_BELIEVED", 0.0)
    asked, answer = [], threading.Event()

    def stuck(scheme, where):
        asked.append(where)
        if len(asked) > 1:
            answer.wait(10)
        return "sk-first-0123456789"

    monkeypatch.setattr("provider_kit.config.secrets.fetch_secret", stuck)
    (tmp_path / "config.yaml").write_text("providers: {openai: {api_key: '${file:/x}', model: gpt-4o}}\n")
    with FakeServer(key="sk-other-0123456789") as api:
        client = Client.from_config("openai", tmp_path / "config.yaml", base_url=api.base_url(), total_timeout=0.5)

        async def measured():
            started = time.monotonic()
            with pytest.raises(AuthenticationError):
                await (client.achat("Hi") if world.name == "asyncio" else called())
            answer.set()
            await client.aclose()
            return time.monotonic() - started

        async def called():
            client.chat("Hi")

        try:
            assert asyncio.run(measured()) < 5
        finally:
            answer.set()
        client.close()


def test_a_refused_secret_is_not_fetched_again_and_again(monkeypatch):
    now, asked = [0.0], []
    monkeypatch.setattr(secret_reference.BlockingRuntime, "now", staticmethod(lambda: now[0]))
    monkeypatch.setattr("provider_kit.config.secrets.fetch_secret", lambda scheme, where: asked.append(1) or "value")
    reference = SecretReference([("some", "key")])
    assert reference() == "value"
    reference.forget_refused()
    assert reference.remembered_value() == "value"  # it came a moment ago
    now[0] = 11.0
    SecretList(["a", reference]).forget_refused()
    assert reference.remembered_value() is None
    assert (reference(), len(asked)) == ("value", 2)
    copied = pickle.loads(pickle.dumps(reference))
    assert (copied.remembered_value(), copied(), len(asked)) == (None, "value", 3)


def test_callers_who_waited_are_told_the_same_failure(monkeypatch):
    """A keeper that is away is not asked by each of them in turn."""
    asked, inside, answer = [], threading.Event(), threading.Event()

    def away(scheme, where):
        asked.append(1)
        inside.set()
        answer.wait(10)
        raise AuthError("The keeper is away.")

    monkeypatch.setattr("provider_kit.config.secrets.fetch_secret", away)
    reference = SecretReference([("some", "key")])
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(reference) for _ in range(4)]
        assert inside.wait(10)
        time.sleep(0.05)  # the others have begun to wait
        answer.set()
        errors = [one.exception(10) for one in waiting]
    assert all(isinstance(error, AuthError) and "is away" in str(error) for error in errors)
    assert len(asked) < 4


def test_calls_use_the_secret(world, tmp_path):
    """From the file's reference to the header of the call; several keys too; nothing is fetched by loading."""
    path = tmp_path / "key"
    with FakeServer(key=KEY) as api:
        config = tmp_path / "config.yaml"
        config.write_text(
            f"""\
providers:
  openai:
    api_key: ${{file:{path}}}
    base_url: {api.base_url()}
    model: gpt-4o
  groq:
    api_keys: ["${{file:{path}}}"]
    base_url: {api.base_url()}
    model: x
    headers:
      X-Secret: token ${{file:{path}}}
"""
        )
        clients = load_config(config)
        with pytest.raises(AuthError, match="cannot be read"):
            world(clients["openai"], "chat", "Hi")
        path.write_text(KEY)
        for name in ("openai", "groq"):
            assert world(clients[name], "chat", "What is 2 + 3?").text == "2 + 3 = 5"
        assert api.requests[-1].headers["x-secret"] == f"token {KEY}"
        assert KEY not in repr(clients["groq"].config) + repr(clients["openai"].config)
        clients.close()


def test_an_argument_goes_before_the_secret(tmp_path):
    """And the secret is then never fetched."""
    config = tmp_path / "c.yaml"
    config.write_text("providers:\n  openai:\n    api_key: ${file:/nowhere}\n")
    client = Client.from_config("openai", config, api_key="sk-given-0123456789")
    assert client.keys.secrets == ("sk-given-0123456789",)


def test_a_file_is_found_from_another_folder(tmp_path, monkeypatch):
    """A daemon changes to / once it has started."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key").write_text("one")
    secret = SecretReference([("file", "key")])
    assert secret() == "one"
    (tmp_path / "key").write_text("two")
    monkeypatch.chdir("/")
    secret._fetched, secret._until = -1e9, 0.0
    secret.forget_refused()
    assert secret() == "two"
