"""The models of an Ollama server, and the options that each request carries."""

import asyncio
import json

import pytest

from provider_kit import (
    APIError,
    Client,
    ConfigError,
    InvalidRequestError,
    ModelNotFoundError,
    NotSupportedError,
    ScriptedTransport,
    StreamIncompleteError,
    load_config,
)

ANSWER = {"json": {"message": {"role": "assistant", "content": "Hi"}, "done": True, "done_reason": "stop"}}
STEPS = [
    {"status": "pulling manifest"},
    {"status": "pulling abc", "digest": "sha256:abc", "total": 100, "completed": 40},
    {"status": "pulling abc", "digest": "sha256:abc", "total": 100, "completed": 100},
    {"status": "success"},
]


def lines(*events):
    return "".join(json.dumps(event) + "\n" for event in events).encode()


def make(*answers, **options):
    transport = ScriptedTransport(list(answers))
    return Client("ollama/llama3.2", transport=transport, max_retries=0, **options), transport


def pulled(world, client, *args):
    if world.name == "blocking":
        return list(client.ollama.pull(*args))

    async def read():
        return [step async for step in client.ollama.apull(*args)]

    return asyncio.run(read())


def test_a_pull_tells_its_progress(world):
    """However the bytes are cut."""
    data = lines(*STEPS)
    client, transport = make({"stream": [data[:30], data[30:90], data[90:]]})
    steps = pulled(world, client)
    assert [step.status for step in steps] == ["pulling manifest", "pulling abc", "pulling abc", "success"]
    assert [step.fraction for step in steps] == [None, 0.4, 1.0, None]
    assert steps[1].digest == "sha256:abc"
    (request,) = transport.requests
    assert (request.method, request.url) == ("POST", "http://127.0.0.1:11434/api/pull")
    assert json.loads(request.body) == {"model": "llama3.2", "stream": True}
    assert transport.open_streams == 0


def test_a_pull_that_breaks_off_is_told(world):
    """It is not taken for complete."""
    client, transport = make({"stream": [lines(*STEPS[:2])]})
    with pytest.raises(StreamIncompleteError, match="ended before it was complete"):
        pulled(world, client, "other:1b")
    assert transport.open_streams == 0


def test_an_error_within_a_pull_is_told(world):
    """The status was 200."""
    client, _ = make({"stream": [lines(STEPS[0], {"error": "pull model manifest: file does not exist"})]})
    with pytest.raises(APIError, match="file does not exist"):
        pulled(world, client, "nonsense")


def test_a_refused_pull_is_told(world):
    """Before the first step."""
    client, _ = make({"status": 500, "json": {"error": "disk full"}})
    with pytest.raises(APIError, match="disk full"):
        pulled(world, client)


def test_a_pull_may_be_left():
    """The connection is closed."""
    client, transport = make({"stream": [lines(STEPS[0]), lines(*STEPS[1:])]})
    steps = client.ollama.pull()
    assert next(steps).status == "pulling manifest"
    steps.close()
    assert transport.open_streams == 0


def test_a_pull_that_was_not_begun_sends_nothing():
    """Its first step does."""
    client, transport = make()
    client.ollama.pull()
    assert not transport.requests


def test_what_is_in_memory_is_listed(world):
    """With its size, and until when."""
    loaded = {
        "name": "llama3.2:latest",
        "size": 100,
        "size_vram": 60,
        "context_length": 4096,
        "expires_at": "2026-11-28T10:00:00Z",
    }
    client, transport = make({"json": {"models": [loaded]}})
    (found,) = world(client.ollama, "ps")
    assert (found.name, found.size, found.size_vram, found.context_length) == ("llama3.2:latest", 100, 60, 4096)
    assert found.expires == 1_795_860_000.0
    assert (transport.requests[0].method, transport.requests[0].url[-7:]) == ("GET", "/api/ps")


def test_a_model_is_shown(world):
    """Its window and capabilities, and all the rest."""
    told = {
        "details": {"family": "llama"},
        "model_info": {"general.architecture": "llama", "llama.context_length": 131_072},
        "capabilities": ["completion", "tools", "vision"],
        "template": "x",
    }
    client, _ = make({"json": told})
    found = world(client.ollama, "show", "llama3.2")
    assert (found.id, found.context_window) == ("llama3.2", 131_072)
    assert [found.supports(name) for name in ("tools", "vision", "reasoning")] == [True, True, False]
    assert found.raw["template"] == "x"


def test_a_model_is_deleted(world):
    """And one that is not there is told."""
    missing = {"status": 404, "json": {"error": "model 'x' not found"}}
    client, transport = make({"body": b""}, missing)
    assert world(client.ollama, "delete", "llama3.2") is None
    assert (transport.requests[0].method, transport.requests[0].url[-11:]) == ("DELETE", "/api/delete")
    with pytest.raises(ModelNotFoundError):
        world(client.ollama, "delete", "x")


@pytest.mark.parametrize("name", ["../x", "a?b", 5])
def test_what_is_no_name_is_refused(world, name):
    """Before anything is sent."""
    client, transport = make()
    with pytest.raises(InvalidRequestError):
        world(client.ollama, "show", name)
    assert not transport.requests


def test_another_provider_has_no_such_models():
    """And says how it is done."""
    with pytest.raises(NotSupportedError, match="no Ollama server"):
        Client("openai/gpt-4o", api_key="sk-test-0123456789").ollama.ps()


def test_options_go_with_each_request(call):
    """What the call says overrides them."""
    client, transport = make(
        ANSWER, ANSWER, keep_alive="10m", num_ctx=8192, model_options={"mirostat": 1, "temperature": 0.1}
    )
    call.chat(client, "Hi")
    call.chat(client, "Hi", temperature=0.9, cache="1h")
    first, second = (json.loads(request.body) for request in transport.requests)
    assert first["options"] == {"mirostat": 1, "temperature": 0.1, "num_ctx": 8192}
    assert first["keep_alive"] == "10m"
    assert second["options"]["temperature"] == 0.9
    assert second["keep_alive"] == 3600


def test_options_come_from_a_file(tmp_path):
    """In YAML."""
    path = tmp_path / "config.yaml"
    path.write_text(
        "providers:\n  ollama:\n    keep_alive: 5m\n    num_ctx: 4096\n    model_options:\n      mirostat: 1\n"
    )
    client = Client.from_config("ollama/m", path)
    assert client.config.options == {"keep_alive": "5m", "num_ctx": 4096, "model_options": {"mirostat": 1}}


@pytest.mark.parametrize("kept", [-1, 0, 300, "10m", 1.5])
def test_a_model_is_kept_in_memory_for_seconds_or_a_duration(call, kept, tmp_path):
    """As numbers or as texts; ``-1`` is for ever. In a file, too."""
    client, transport = make(ANSWER, options={"keep_alive": kept})
    call.chat(client, "Hi")
    assert json.loads(transport.requests[-1].body)["keep_alive"] == kept
    path = tmp_path / "providers.yaml"
    path.write_text(f"providers:\n  ollama:\n    model: llama3.2\n    keep_alive: {json.dumps(kept)}\n")
    assert load_config(path).providers["ollama"].config.options["keep_alive"] == kept


@pytest.mark.parametrize("window", [0, -1, True, "8k"])
def test_a_window_that_is_none_is_refused(window):
    """Before the server sees it."""
    with pytest.raises(ConfigError, match="num_ctx"):
        make(options={"num_ctx": window})


@pytest.mark.parametrize("data", [b'{"sta', b"<html>"])
def test_a_pull_that_breaks_off_in_a_line_is_told(world, data):
    """As any other that breaks off."""
    client, _ = make({"stream": [lines(STEPS[0]) + data]})
    with pytest.raises(StreamIncompleteError, match="broke off"):
        pulled(world, client)


def test_odd_answers_about_models_are_read_as_far_as_they_go(world):
    """A list that is none is empty."""
    client, _ = make({"json": {"models": 5}}, {"json": {"model_info": [1], "details": {}}})
    assert world(client.ollama, "ps") == []
    assert world(client.ollama, "show", "llama3.2").context_window is None


@pytest.mark.parametrize("name", [None, "", [], 3])
def test_what_is_deleted_is_never_guessed(world, name):
    """An empty variable does not stand for the model of the client."""
    client, transport = make()
    with pytest.raises(InvalidRequestError, match="name of a model"):
        world(client.ollama, "delete", name)
    assert transport.requests == []


def test_a_model_that_no_registry_has_is_not_found(world):
    """Ollama says so in the stream."""
    client, _ = make({"stream": [lines({"error": "pull model manifest: file does not exist"})]})
    with pytest.raises(ModelNotFoundError):
        pulled(world, client, "unheard")
