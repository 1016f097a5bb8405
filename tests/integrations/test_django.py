"""Django, with its own handlers: clients, checks, the command, streams, records, the admin."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from provider_kit import ConfigError, ConversationChangedError, StoreError
from provider_kit.integrations.settings import clients_of, clients_of_settings

django = pytest.importorskip("django")
VIEWS = ["plain", "non_atomic", "asynchronous", "lazy"]


@pytest.fixture(scope="module", autouse=True)
def project(tmp_path_factory):
    """The project, with its tables, in this process."""
    os.environ["DJANGO_TEST_DB"] = str(tmp_path_factory.mktemp("django") / "db.sqlite3")
    os.environ["DJANGO_SETTINGS_MODULE"] = "django_settings"
    sys.path.insert(0, str(Path(__file__).parent))
    django.setup()
    from django.core.management import call_command
    from django.db import connections

    call_command("migrate", verbosity=0)
    yield
    from provider_kit.integrations.django import clients

    clients.close()
    connections.close_all()


@pytest.fixture
def clients():
    from provider_kit.integrations.django import clients as found

    yield found
    found.close()


@pytest.fixture
def settings():
    from django.test import override_settings

    return override_settings


def test_clients_are_made_on_first_use_and_shared(clients, settings):
    """And made anew where a test changes the settings."""
    first = clients["echo"]
    assert first.chat("Hello").text == "Hello"
    assert clients["echo"] is first
    assert list(clients) == ["default", "echo"]
    assert clients.default is clients["default"]
    with settings(PROVIDER_KIT={"other": {"type": "demo", "model": "echo"}}):
        assert list(clients) == ["other"]
        assert clients.default.chat("Hi").text == "Hi"
    with settings(PROVIDER_KIT=None), pytest.raises(ConfigError, match="PROVIDER_KIT is not set"):
        clients["default"]


def test_settings_have_the_keys_of_the_file():
    """The providers alone, or the whole of it, routes included."""
    whole = {
        "providers": {"a": {"type": "demo"}, "b": {"type": "demo"}},
        "routing": {"both": {"providers": ["a", "b"]}},
    }
    assert clients_of_settings(whole)["both"].chat("What is 2 + 3?").text == "2 + 3 = 5"
    assert clients_of(clients_of_settings(whole)) is not None
    with pytest.raises(ConfigError, match="cannot hold"):
        clients_of_settings({"a": {"type": object()}})
    with pytest.raises(ConfigError, match="must be a dict"):
        clients_of_settings(["a"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"default": {"type": "opnai"}}, ['PROVIDER_KIT["default"]["type"]', "Did you mean 'openai'"]),
        ({"default": {"type": "demo", "modl": "x"}}, ['PROVIDER_KIT["default"]["modl"]', "Did you mean 'model'"]),
        ({"providers": {"a": {"type": "demo", "modl": "x"}}}, ['PROVIDER_KIT["providers"]["a"]["modl"]']),
        ({"default": {"type": "openai"}}, ['PROVIDER_KIT["default"]', "OPENAI_API_KEY is not set"]),
        (["default"], ["PROVIDER_KIT", "must be a dict"]),
        (None, ["PROVIDER_KIT is not set"]),
    ],
)
def test_checks_name_the_setting(settings, monkeypatch, given, said):
    """manage.py check; no key is shown."""
    from django.core.checks import run_checks

    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with settings(PROVIDER_KIT=given):
        found = "\n".join(f"{one.msg} {one.hint}" for one in run_checks(tags=["provider_kit"]))
    for words in said:
        assert words in found


def test_right_settings_have_no_problems():
    """Nothing is said."""
    from django.core.checks import run_checks

    assert run_checks(tags=["provider_kit"]) == []


def manage(*arguments):
    """manage.py, in a process of its own."""
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", "django", "provider_kit", *arguments],
        env=os.environ | {"PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_has_the_settings():
    """manage.py provider_kit chat, with an option of the command's own."""
    done = manage("chat", "-m", "echo/echo", "Hello")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hello\n", "")
    assert "provider_kit doctor" in manage("doctor", "--help").stdout
    assert manage("chat", "--nonsense").returncode == 2
    assert "PROVIDER_KIT is right" in manage("config", "check").stdout
    assert "# PROVIDER_KIT" in manage("config", "show").stdout


def test_a_wrong_default_is_not_replaced_by_another_client():
    """Nothing is asked that somebody pays for."""
    from provider_kit.cli.target import open_model
    from provider_kit.config.loader import given_configuration
    from provider_kit.integrations.settings import document_of

    given = {"default": {"type": "demo", "modle": "x"}, "other": {"type": "demo"}}
    with given_configuration(document_of(given, "PROVIDER_KIT"), "PROVIDER_KIT"):
        with pytest.raises(ConfigError, match="modle"):
            open_model(None, {})
        open_model("other", {}).close()


@pytest.mark.parametrize("view", VIEWS)
def test_a_stream_under_wsgi(view):
    """Of plain and asynchronous views, inside a transaction and out of it; not compressed."""
    from django.test import Client

    response = Client().get(f"/{view}", headers={"accept-encoding": "gzip"})
    assert response.status_code == 200
    assert response["Content-Encoding"] == "identity"
    assert b"".join(response) == b"2 + 3 = 5"
    response.close()


@pytest.mark.parametrize("view", VIEWS[1:])
def test_a_stream_under_asgi(view):
    """The handler asks for an asynchronous iterator, and gets one that is not read before."""
    from django.test import AsyncClient

    async def main():
        response = await AsyncClient().get(f"/{view}")
        assert response.status_code == 200
        return b"".join([piece async for piece in aiter(response)])

    assert asyncio.run(main()) == b"2 + 3 = 5"


def test_middleware_may_wrap_the_pieces():
    """As Django documents it: streaming_content is read, and set."""
    from provider_kit.integrations.django import clients, stream_response

    def upper(pieces):
        for piece in pieces:
            yield piece.upper()

    response = stream_response(clients["echo"].stream("Hello"), protocol="text")
    assert not response.is_async
    response.streaming_content = upper(response.streaming_content)
    assert response.getvalue() == b"HELLO"
    response.close()

    async def main():
        from provider_kit.integrations.django import astream_response

        async def shout(pieces):
            async for piece in pieces:
                yield piece.upper()

        response = await astream_response(clients["echo"].astream("Hello"), protocol="text")
        assert response.is_async
        response.streaming_content = shout(response.streaming_content)
        return b"".join([piece async for piece in aiter(response)])

    assert asyncio.run(main()) == b"HELLO"


def test_quiet_streams_of_plain_views_hold_no_thread_of_the_loop():
    """Under ASGI: as many as there are, and one that is quick."""
    import threading
    import time

    from provider_kit.integrations.django import stream_response

    go_on = threading.Event()

    def quiet():
        yield "x"
        go_on.wait(10)

    async def main():
        made = [await asyncio.to_thread(stream_response, quiet(), "text") for _ in range(12)]
        waiting = [asyncio.create_task(collect(one)) for one in made]
        await asyncio.sleep(0.2)
        begun = time.monotonic()
        quick = await asyncio.to_thread(stream_response, iter(["a", "b"]), "text")
        assert await collect(quick) == b"ab"
        assert time.monotonic() - begun < 1
        go_on.set()
        assert await asyncio.gather(*waiting) == [b"x"] * 12

    async def collect(response):
        return b"".join([piece async for piece in aiter(response)])

    asyncio.run(main())


def test_no_transaction_waits_for_a_model():
    """With ATOMIC_REQUESTS the answer begins after the view, not in it."""
    from django.db import connection, transaction

    from provider_kit.integrations.django import stream_response

    seen = []

    def items():
        seen.append(connection.in_atomic_block)
        yield "x"

    with transaction.atomic():
        response = stream_response(items(), protocol="text")
        assert seen == []
    assert b"".join(response) == b"x"
    assert seen == [False]
    response.close()


def test_errors_become_answers():
    """With the middleware; nothing of the error's text is told."""
    from django.test import Client

    response = Client().get("/failing")
    assert (response.status_code, response["retry-after"]) == (429, "3")
    assert json.loads(response.content)["error"]["code"] == "rate_limited"
    assert b"secret" not in response.content


def test_a_client_in_many_loops():
    """Each asynchronous view under WSGI has a loop of its own."""
    from django.test import Client

    for _ in range(3):
        assert Client().get("/asks").content == b"Hello"


# ------------------------------------------------------------------------------------------------ records


def test_conversations_are_kept_in_the_database(clients):
    """And refused where somebody else has gone on; in both worlds."""
    from provider_kit.integrations.django.records.history import DjangoHistory
    from provider_kit.integrations.django.records.models import Conversation

    store = DjangoHistory()
    talk = clients["default"].conversation("ada", store=store)
    talk.say("My name is Ada.")
    other = clients["default"].conversation("ada", store=DjangoHistory())

    async def ask():
        return (await other.asay("What is my name?")).text

    assert asyncio.run(ask()) == "Your name is Ada."
    row = Conversation.objects.get(key="ada")
    assert len(row.document["messages"]) == 4
    document = dict(store.load("ada"))
    with pytest.raises(ConversationChangedError):
        store.save("ada", {**document, "revision": 1})
    store.delete("ada")
    assert store.load("ada") is None


def test_a_database_without_tables_says_so(monkeypatch):
    """Run manage.py migrate."""
    from django.db import OperationalError

    from provider_kit.integrations.django.records import history

    def using(name):
        raise OperationalError("no such table")

    monkeypatch.setattr(history.Conversation.objects, "using", using)
    with pytest.raises(StoreError, match="cannot be read") as caught:
        history.DjangoHistory().load("x")
    assert "migrate" in caught.value.hint


def test_usage_is_written_by_itself(clients):
    """One row a call, in both worlds; no prompt in it."""
    from provider_kit.integrations.django.records.models import Usage

    Usage.objects.all().delete()
    clients["echo"].chat("Hello", user="ada", tags=["greeting"])

    async def ask():
        await clients["echo"].achat("Hello there", user="eve")
        await asyncio.get_running_loop().shutdown_default_executor()

    asyncio.run(ask())
    first, second = Usage.objects.order_by("time")
    assert (first.user, first.tags, first.outcome, first.output_tokens) == ("ada", ["greeting"], "success", 2)
    assert (second.user, second.provider) == ("eve", "echo")
    assert not any("Hello" in str(value) for row in Usage.objects.values() for value in row.values())


def test_the_admin_only_shows(clients):
    """Nothing can be added, changed or deleted."""
    from django.contrib.auth.models import User
    from django.test import Client

    clients["echo"].chat("Hello")
    User.objects.filter(username="root").delete()
    browser = Client()
    browser.force_login(User.objects.create_superuser("root", password="x"))
    for model in ("usage", "conversation"):
        base = f"/admin/provider_kit_records/{model}/"
        assert browser.get(base).status_code == 200
        assert browser.get(f"{base}add/").status_code == 403
    from provider_kit.integrations.django.records.models import Usage

    row = Usage.objects.first()
    assert browser.post(f"/admin/provider_kit_records/usage/{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert browser.get(f"/admin/provider_kit_records/usage/{row.pk}/change/").status_code == 200


def test_the_migrations_fit_the_models():
    """makemigrations would make nothing."""
    from django.core.management import call_command

    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def test_every_module_says_what_it_is():
    """Each has a docstring, and every name it lists is there."""
    import importlib
    import pkgutil

    from provider_kit.integrations.django import records

    for found in pkgutil.walk_packages(records.__path__, f"{records.__name__}."):
        module = importlib.import_module(found.name)
        assert module.__doc__, found.name
        assert all(hasattr(module, name) for name in getattr(module, "__all__", ()))
