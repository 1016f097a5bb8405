"""What people write wrongly in their first hour is answered by what to write instead."""

import logging
import traceback

import pytest

from provider_kit import (
    Backoff,
    CircuitBreaker,
    CircuitBreakerConfig,
    Client,
    ConfigError,
    HTTPConfig,
    InvalidRequestError,
    KeyManager,
    ProviderConfig,
    RateLimitConfig,
    RateLimiter,
    ResponseCache,
    SQLiteTokenStorage,
    StoreError,
    Timeout,
    Tool,
    configure_logging,
    load_config,
)
from provider_kit.errors import AuthError, StorageError
from provider_kit.testing import FakeServer, MockProvider

KEY = "test-key-0123456789abcdef"


@pytest.fixture
def logger():
    """The library's logger, as it was before."""
    found = logging.getLogger("provider_kit")
    before = found.level, found.propagate, list(found.handlers)
    yield found
    found.level, found.propagate, found.handlers = before


CALLS = {
    "no type": (lambda: ProviderConfig(), r"ProviderConfig\(type='openai'"),
    "a misspelt field": (lambda: ProviderConfig(typ="openai"), "Did you mean 'type'"),
    "a field of another name": (lambda: ProviderConfig(type="openai", model="m"), "default_model="),
    "the model by place": (lambda: Client("openai", "gpt-4o"), r"Client\('openai/gpt-5-mini'\)"),
    "the schema of a tool": (lambda: Tool("x", input_schema={}), r"parameters=\{…\}"),
    "a tool without a name": (lambda: Tool(), r"Tool\('weather', 'Tell the weather.'"),
    "a tool of too many": (lambda: Tool("x", "d", {}, True), r"Tool\('weather', 'Tell the weather.'"),
    "no keys": (lambda: KeyManager("openai"), r"KeyManager\('openai', \["),
    "a timeout of connections": (lambda: HTTPConfig(timeout=5), r"Client\(timeout=…\)"),
    "requests by place": (lambda: RateLimitConfig(60), r"RateLimitConfig\(requests_per_minute=60\)"),
    "a short name": (lambda: RateLimitConfig(rpm=60), "requests_per_minute="),
    "a clock of requests": (lambda: Timeout(read=5), "first_token="),
    "a misspelt ratio": (lambda: CircuitBreakerConfig(failures_ratio=0.5), "'failure_ratio'"),
    "a breaker of numbers": (lambda: CircuitBreaker(min_requests=5), "It takes config"),
    "a size": (lambda: ResponseCache(size=5), "max_bytes"),
    "a backoff's tries": (lambda: Backoff(retries=5), "'max_retries'"),
    "a limiter's number by place": (lambda: RateLimiter(60, 5, 5), r"RateLimiter\(requests_per_minute=60\)"),
    "a port of the fake": (lambda: FakeServer(8080), r"FakeServer\(\)"),
    "a number for an answer": (lambda: MockProvider().set_response(5), "a Reply, a Message"),
}


@pytest.mark.parametrize("what", CALLS)
def test_a_wrong_call_is_a_type_error_with_a_hint(what):
    """Python's own words, and below them the line to write; the hint is in the traceback."""
    call, hint = CALLS[what]
    with pytest.raises(TypeError, match=hint) as caught:
        call()
    (note,) = caught.value.__notes__
    assert note.startswith("Hint: ")
    assert note in "".join(traceback.format_exception(caught.value))


def test_an_error_from_inside_a_constructor_is_left_alone():
    """It is about something else than the arguments' names."""

    def broken():
        raise TypeError("no keys today")
        yield

    with pytest.raises(TypeError, match="no keys today") as caught:
        KeyManager("openai", broken())
    assert not hasattr(caught.value, "__notes__")


@pytest.mark.parametrize("keys", [None, 5])
def test_what_is_no_keys_is_told(keys):
    """As where a loader found nothing."""
    with pytest.raises(ConfigError, match=f"takes keys, not {keys}") as caught:
        KeyManager("openai", keys)
    assert "list of keys" in caught.value.hint


@pytest.mark.parametrize("name", ["timeout", "total_timeout"])
@pytest.mark.parametrize("seconds", [-1, 0, float("nan")])
def test_a_time_that_cannot_be_is_named_as_it_was_given(name, seconds):
    """Not by the clock it would have set; and how to wait without a limit."""
    with pytest.raises(ConfigError, match=f"^(?:.* )?{name} must be") as caught:
        Client("demo", **{name: seconds})
    assert "None, or math.inf" in caught.value.hint
    with pytest.raises(InvalidRequestError, match=f"{name} must be"):
        Client("demo").chat("Hello", **{name: seconds})


@pytest.mark.parametrize(
    ("address", "said", "hint"),
    [
        ("https://h.test/v1#team", "has a fragment", "'https://h.test/v1'"),
        ("h.test/v1", "is not an http:// or https:// address", "'https://h.test/v1'"),
        ("localhost:8000/v1", "is not an http:// or https:// address", "'http://localhost:8000/v1'"),
        ("htp://h.test/v1", "is not an http:// or https:// address", "'https://h.test/v1'"),
        ("h.test/v1#team", "is not an http:// or https:// address", "'https://h.test/v1'"),
        ("   ", "is blank", "'https://…/v1'"),
    ],
)
def test_an_address_is_shown_as_it_should_be(address, said, hint):
    """The line to write, not only what is wrong."""
    with pytest.raises(ConfigError, match=said) as caught:
        Client("openai/gpt-4o", api_key=KEY, base_url=address)
    assert hint in caught.value.hint


def test_a_blank_variable_is_no_address(monkeypatch):
    """As an unset one is none."""
    monkeypatch.setenv("OPENAI_BASE_URL", "  ")
    assert Client("openai/gpt-4o", api_key=KEY).base_url == "https://api.openai.com/v1"


def test_a_blank_key_says_where_it_stands(monkeypatch, call):
    """Set to nothing but blanks, as an unfilled template leaves it."""
    monkeypatch.setenv("OPENAI_API_KEY", "   ")
    with pytest.raises(AuthError, match="in OPENAI_API_KEY is blank") as caught:
        call.chat(Client("openai/gpt-4o"), "Hello")
    assert "Set OPENAI_API_KEY to the key, or unset it." in caught.value.hint


@pytest.mark.parametrize("target", ["openai/gpt-4o", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash"])
def test_half_a_character_is_told_with_what_stands_before_it(call, target):
    """Before anything is sent, and with a way to mend the text."""
    client = Client(target, api_key=KEY, base_url="http://127.0.0.1:9/v1", max_retries=0)
    with pytest.raises(InvalidRequestError, match=r"a lone surrogate \('\\ud83d', after 'Hello '\)") as caught:
        call.chat(client, "Hello \ud83d there")
    assert "encode('utf-8', 'replace')" in caught.value.hint
    client.close()


@pytest.mark.parametrize(
    ("variable", "other"), [("PROVIDER_KIT_LOG_LEVEL", False), ("LOG_LEVEL", True)], ids=["ours", "everybody's"]
)
def test_a_log_level_that_is_none_names_its_variable(monkeypatch, logger, variable, other):
    """LOG_LEVEL may be another program's; then there is one for this library alone."""
    monkeypatch.delenv("PROVIDER_KIT_LOG_LEVEL", raising=False)
    monkeypatch.setenv(variable, "loud")
    with pytest.raises(ConfigError, match=f"'loud' in {variable} is not known") as caught:
        configure_logging()
    assert ("set PROVIDER_KIT_LOG_LEVEL" in caught.value.hint) == other
    monkeypatch.setenv(variable, "  ")
    assert configure_logging().level == logging.INFO


def test_a_log_file_that_is_a_directory(tmp_path, logger):
    """Name a file in it."""
    with pytest.raises(ConfigError, match="cannot be opened") as caught:
        configure_logging(file=tmp_path)
    assert "name a file in it" in caught.value.hint


@pytest.mark.parametrize("where", ["a directory", "below a file", "nowhere"])
@pytest.mark.parametrize("what", ["cache", "count of the day"])
def test_a_file_that_cannot_be_is_told_with_its_folder(call, tmp_path, where, what):
    """Which of the two is wrong, and what to choose instead."""
    (tmp_path / "file").write_text("x")
    tmp_path.chmod(0o755)
    path, hint = {
        "a directory": (tmp_path, "is a directory: name a file in it"),
        "below a file": (tmp_path / "file" / "x.db", "is a file, not a directory"),
        "nowhere": ("/proc/nowhere/x.db", "does not exist, and cannot be created"),
    }[where]
    options = (
        {"response_cache": str(path)}
        if what == "cache"
        else {"rate_limit": RateLimitConfig(requests_per_day=5, persist=str(path))}
    )
    with FakeServer() as server:
        client = server.client(on_store_failure="raise", **options)
        with pytest.raises(StoreError) as caught:
            call.chat(client, "Hello")
        assert hint in caught.value.hint
        assert "Errno" not in str(caught.value)
        client.close()
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_directory_is_no_database_of_tokens(tmp_path):
    """It is told, and keeps its rights: advice to take them away from others would do harm."""
    tmp_path.chmod(0o755)
    with pytest.raises(StorageError, match="is not a file") as caught:
        SQLiteTokenStorage(tmp_path).list_tokens()
    assert "name a file in it" in caught.value.hint
    assert tmp_path.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("missing", "there", "suggested"),
    [
        ("OPENAI_API_KEY", "OPENBLAS_NUM_THREADS", False),
        ("OPENAI_API_KEY", "OPENROUTER_API_KEY", False),
        ("OPENAI_API_KEY", "OPENAI_BASE_URL", False),
        ("OPENAI_APIKEY", "OPENAI_API_KEY", True),
        ("OPNAI_API_KEY", "OPENAI_API_KEY", True),
        ("OPENAI_TOKEN", "OPENAI_API_KEY", True),
        ("GROQ_API_KEY", "GROK_API_KEY", False),
    ],
)
def test_only_related_variables_are_suggested(monkeypatch, tmp_path, missing, there, suggested):
    """A slip of the pen or another ending, not whatever begins alike."""
    monkeypatch.delenv(missing, raising=False)
    monkeypatch.setenv(there, "x" * 20)
    path = tmp_path / "provider_kit.yaml"
    path.write_text(f"providers:\n  openai:\n    api_key: ${{{missing}}}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert (f"Did you mean '{there}'" in str(caught.value)) == suggested
