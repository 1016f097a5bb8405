"""Flask: the extension, the client of a request, streams, asynchronous views, the command."""

import threading

import pytest

from provider_kit import Client, ConfigError, RateLimitError

flask = pytest.importorskip("flask")

from provider_kit.integrations.flask import ProviderKit, current_client, stream_response  # noqa: E402

SETTINGS = {"default": {"type": "demo"}, "echo": {"type": "demo", "model": "echo"}}


@pytest.fixture
def app():
    made = flask.Flask(__name__)
    made.config["PROVIDER_KIT"] = SETTINGS
    kit = ProviderKit()
    kit.init_app(made)
    made.extensions["kit"] = kit
    yield made
    with made.app_context():
        kit.clients.close()


def test_the_client_of_the_application(app):
    """From its settings, by name, and shared by all requests."""

    @app.get("/")
    def hello():
        return {"text": current_client.chat("What is 2 + 3?").text, "id": id(current_client._get_current_object())}

    browser = app.test_client()
    first, second = browser.get("/").json, browser.get("/").json
    assert first["text"] == "2 + 3 = 5"
    assert first["id"] == second["id"]
    app.config["PROVIDER_KIT_CLIENT"] = "echo"
    assert browser.get("/").json["text"] == "What is 2 + 3?"


def test_a_request_may_have_a_client_of_its_own(app):
    """For the rest of it, and no longer."""
    kit = app.extensions["kit"]

    @app.get("/<name>")
    def hello(name):
        if name == "echo":
            kit.use("echo", user="ada")
        return current_client.chat("What is 2 + 3?").text

    browser = app.test_client()
    assert browser.get("/echo").text == "What is 2 + 3?"
    assert browser.get("/other").text == "2 + 3 = 5"


def test_many_threads_share_the_clients(app):
    """Also those that ask for them first."""
    barrier, found = threading.Barrier(8), []

    def first():
        with app.app_context():
            barrier.wait()
            found.append(app.extensions["kit"].clients)

    threads = [threading.Thread(target=first) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1


def test_headers_are_replaced_and_not_doubled(app):
    """Whatever their case."""

    @app.get("/")
    def view():
        return stream_response(current_client.stream("Hello"), headers={"Cache-Control": "private"})

    assert app.test_client().get("/").headers.getlist("cache-control") == ["private"]


@pytest.mark.parametrize(
    "config",
    [lambda: Client("demo/echo"), lambda: {"a": Client("demo/echo")}, lambda: {"a": {"type": "demo", "model": "echo"}}],
    ids=["one", "several", "settings"],
)
def test_clients_may_be_given(config):
    """One, several, or their settings."""
    app = flask.Flask(__name__)
    kit = ProviderKit(app, config())
    with app.app_context():
        assert current_client.chat("Hello").text == "Hello"
        kit.clients.close()


def test_a_file_may_be_named(tmp_path):
    """PROVIDER_KIT_CONFIG."""
    file = tmp_path / "config.yaml"
    file.write_text("providers:\n  demo:\n    model: echo\n")
    app = flask.Flask(__name__)
    app.config["PROVIDER_KIT_CONFIG"] = str(file)
    kit = ProviderKit(app)
    with app.app_context():
        assert current_client.chat("Hello").text == "Hello"
        kit.clients.close()
    result = app.test_cli_runner().invoke(args=["provider-kit", "chat", "Hello there"])
    assert result.output == "Hello there\n"


def test_an_application_without_the_extension_says_so():
    """What to write."""
    app = flask.Flask(__name__)
    with app.app_context(), pytest.raises(ConfigError) as caught:
        current_client.chat("Hello")
    assert "ProviderKit(app)" in caught.value.hint


@pytest.mark.parametrize("kind", ["plain", "asynchronous"])
def test_a_stream_keeps_the_request(app, kind):
    """Tools may use it until the end, as with Flask's own stream_with_context. In an async view, too."""

    def whose() -> str:
        """Tell the weather."""
        return flask.request.args["user"]

    @app.get("/plain")
    def plain():
        return stream_response(current_client.stream_run("whose request?", tools=[whose]), protocol="text")

    @app.get("/asynchronous")
    async def asynchronous():
        return stream_response(current_client.astream_run("whose request?", tools=[whose]), protocol="text")

    response = app.test_client().get(f"/{kind}?user=ada")
    assert "whose says: ada" in response.text
    response.close()


def test_errors_become_answers(app):
    """Also of views that do not stream; nothing of the error's text is told."""

    @app.get("/")
    def failing():
        raise RateLimitError("secret", status_code=429, retry_after=3)

    response = app.test_client().get("/")
    assert (response.status_code, response.headers["retry-after"]) == (429, "3")
    assert response.json["error"]["code"] == "rate_limited"
    assert "secret" not in response.text


def test_the_command_has_the_settings(app):
    """flask provider-kit."""
    result = app.test_cli_runner().invoke(args=["provider-kit", "chat", "-m", "echo/echo", "Hello"])
    assert (result.exit_code, result.output) == (0, "Hello\n")
