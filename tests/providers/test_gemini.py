"""Gemini: where requests go, how they are signed, and what each model takes."""

import pytest

from provider_kit import Client, ScriptedTransport
from provider_kit.errors import APIError, MissingAPIKeyError
from provider_kit.providers.gemini import PROVIDER, gemini_profile

BASE = "https://generativelanguage.googleapis.com/v1beta"
ANSWER = {"candidates": [{"content": {"parts": [{"text": "Hi."}]}, "finishReason": "STOP"}]}
STREAM = b'data: {"candidates":[{"content":{"parts":[{"text":"Hi."}]},"finishReason":"STOP"}]}\n\n'


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch):
    for name in (*PROVIDER.key_variables, *PROVIDER.base_url_variables, "GEMINI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def request_of(call):
    """The request a client sends for a chat."""

    def ask(target="gemini/gemini-3.5-flash", **options):
        transport = ScriptedTransport([{"json": ANSWER}])
        call.chat(Client(target, transport=transport, **options), "Hello")
        return transport.requests[0]

    return ask


def test_requests_go_to_the_model_with_the_key_in_a_header(call, request_of):
    """The key is never in the URL; a stream asks for server-sent events."""
    request = request_of(api_key="AIzaK")
    assert (request.method, request.url) == ("POST", f"{BASE}/models/gemini-3.5-flash:generateContent")
    assert request.headers["x-goog-api-key"] == "AIzaK"
    assert not {"Authorization", "x-goog-user-project"} & request.headers.keys()
    transport = ScriptedTransport([{"stream": [STREAM]}])
    call.stream(Client("gemini/gemini-3.5-flash", api_key="AIzaK", transport=transport), "Hello")
    assert transport.requests[0].url == f"{BASE}/models/gemini-3.5-flash:streamGenerateContent?alt=sse"


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("models/gemini-3.5-flash", "models/gemini-3.5-flash"),
        ("tunedModels/mine", "tunedModels/mine"),
        ("gemini-flash-latest", "models/gemini-flash-latest"),
    ],
)
def test_the_path_never_doubles_its_prefix(request_of, model, path):
    """Names with and without models/ mean the same."""
    assert request_of(f"gemini/{model}", api_key="k").url == f"{BASE}/{path}:generateContent"


def test_googles_variable_goes_first(request_of, monkeypatch):
    """GOOGLE_API_KEY before GEMINI_API_KEY, as Google's own library has it."""
    monkeypatch.setenv("GEMINI_API_KEY", "second")
    assert request_of().headers["x-goog-api-key"] == "second"
    monkeypatch.setenv("GOOGLE_API_KEY", "first")
    assert request_of().headers["x-goog-api-key"] == "first"
    assert request_of(api_key="own").headers["x-goog-api-key"] == "own"


def test_a_missing_key_says_where_it_was_looked_for(call):
    """Nothing is sent; the hint names the variable and the console."""
    with pytest.raises(MissingAPIKeyError, match="GEMINI_API_KEY") as caught:
        call.chat(Client("gemini", transport=ScriptedTransport([])), "Hello")
    assert "aistudio.google.com" in caught.value.hint


@pytest.mark.parametrize(
    ("address", "base"),
    [
        ("https://gate.test", "https://gate.test/v1beta"),
        ("https://gate.test/", "https://gate.test/v1beta"),
        ("https://gate.test/v1", "https://gate.test/v1"),
        ("https://gate.test/gemini/v1beta/", "https://gate.test/gemini/v1beta"),
    ],
)
def test_another_address_gets_a_version_where_it_has_none(request_of, monkeypatch, address, base):
    """As an argument or from the environment."""
    assert request_of(api_key="k", base_url=address).url.startswith(f"{base}/models/")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", address)
    assert request_of(api_key="k").url.startswith(f"{base}/models/")


def test_the_project_that_pays_is_named(request_of, monkeypatch):
    """As an option or from the environment; the option wins."""
    monkeypatch.setenv("GEMINI_PROJECT_ID", "theirs")
    assert request_of(api_key="k").headers["x-goog-user-project"] == "theirs"
    assert request_of(api_key="k", options={"project_id": "mine"}).headers["x-goog-user-project"] == "mine"


def test_a_bare_gemini_names_its_provider():
    """No prefix is needed; google is another name."""
    assert Client("gemini-2.5-pro", api_key="k").provider == "gemini"
    assert Client("google/gemini-2.5-pro", api_key="k").provider == "gemini"
    assert Client("gemini", api_key="k").model == PROVIDER.default_model


@pytest.mark.parametrize(
    ("model", "thinking", "smallest", "lowest", "signatures", "sampling", "media"),
    [
        ("gemini-4-argon", "level", 0, "LOW", True, True, True),
        ("gemini-3.8-flash", "level", 0, "LOW", True, False, True),
        ("gemini-3.6-flash", "level", 0, "MINIMAL", True, True, True),
        ("gemini-3.1-pro-preview", "level", 0, "LOW", True, True, True),
        ("gemini-flash-latest", "level", 0, "MINIMAL", True, True, True),
        ("models/gemini-pro-latest", "level", 0, "LOW", True, True, True),
        ("gemini-2.5-flash", "budget", 0, "MINIMAL", False, True, False),
        ("gemini-2.5-pro", "budget", 128, "MINIMAL", False, True, False),
        ("gemini-2.0-flash", None, 0, "MINIMAL", False, True, False),
        ("gemini-1.5-pro", None, 0, "MINIMAL", False, True, False),
        ("gemma-3-27b-it", None, 0, "MINIMAL", False, True, False),
    ],
)
def test_each_model_has_its_profile(model, thinking, smallest, lowest, signatures, sampling, media):
    """What a model takes is told by its version; an alias means the newest."""
    profile = gemini_profile(model)
    assert (profile.thinking, profile.smallest_budget, profile.lowest_level) == (thinking, smallest, lowest)
    assert (profile.needs_signatures, profile.sampling, profile.media_in_results) == (signatures, sampling, media)


@pytest.mark.parametrize(
    ("status", "message", "reason"),
    [
        (404, "project not found", None),
        (403, "Project 'projects/123' was not found or has been deleted.", "CONSUMER_INVALID"),
        (403, "Caller does not have required permission to use project mine.", "USER_PROJECT_DENIED"),
        (403, "This API method requires a quota project, which is not set by default.", "SERVICE_DISABLED"),
        (403, "Gemini API has not been used in project 123 before or it is disabled.", "SERVICE_DISABLED"),
    ],
)
def test_a_project_that_is_missing_is_explained(call, status, message, reason):
    """By the name of the option, and of the variable."""
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}] if reason else []
    body = {"error": {"code": status, "message": message, "status": "PERMISSION_DENIED", "details": details}}
    transport = ScriptedTransport([{"status": status, "json": body}])
    client = Client("gemini/gemini-2.5-flash", api_key="k" * 39, transport=transport, max_retries=0)
    with pytest.raises(APIError) as caught:
        call.chat(client, "Hi")
    assert "project_id" in caught.value.hint
    assert "GEMINI_PROJECT_ID" in caught.value.hint


@pytest.mark.parametrize("message", ["models/x is not found for API version v1beta", "API key not valid."])
def test_other_errors_do_not_speak_of_projects(call, message):
    """The hint is for those whom it helps."""
    transport = ScriptedTransport([{"status": 404, "json": {"error": {"message": message, "status": "NOT_FOUND"}}}])
    client = Client("gemini/gemini-2.5-flash", api_key="k" * 39, transport=transport, max_retries=0)
    with pytest.raises(APIError) as caught:
        call.chat(client, "Hi")
    assert "project" not in (caught.value.hint or "")
