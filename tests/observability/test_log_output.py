"""Log lines: for people, for machines, to files; level from the environment; no secret in any."""

import io
import json
import logging
import re

import pytest

from provider_kit import ConfigError, configure_logging
from provider_kit.testing import FakeServer

KEY = "sk-secret-0123456789abcdef"


@pytest.fixture(autouse=True)
def _as_before():
    """The logger is left as it was."""
    logger = logging.getLogger("provider_kit")
    before = (logger.level, logger.propagate, list(logger.handlers))
    yield
    for handler in logger.handlers:
        if handler not in before[2]:
            handler.close()
    logger.level, logger.propagate, logger.handlers = before
    logging.getLogger("provider_kit").manager._clear_cache()


def test_lines_for_machines(world):
    """Timestamp, level, message, and what is known of the call, on one line each."""
    out = io.StringIO()
    configure_logging("debug", json=True, stream=out)
    with FakeServer() as server:
        server.fault(500)
        client = server.client("openai/gpt-4o", api_key=KEY, max_retries=1)
        world(client, "chat", "Hello")
        client.close()
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    assert {"timestamp", "level", "message", "logger"} <= rows[0].keys()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", rows[0]["timestamp"])
    retry = next(row for row in rows if row.get("event") == "retry")
    assert (retry["level"], retry["provider"], retry["model"]) == ("info", "openai", "gpt-4o")
    success = next(row for row in rows if row.get("event") == "success")
    assert success["request_id"] == "req_fake_2"
    assert KEY not in out.getvalue()


def test_lines_for_people(capsys):
    """On standard error, as it is at that moment."""
    configure_logging("info")
    logging.getLogger("provider_kit.http").info("openai: %s", "hello", extra={"model": "gpt-4o"})
    logging.getLogger("provider_kit.http").debug("not this")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("INFO provider_kit.http: openai: hello model=gpt-4o")


@pytest.mark.parametrize("json_lines", [False, True])
def test_errors_and_secrets(json_lines):
    """A traceback stands with its line; what looks like a secret does not."""
    out = io.StringIO()
    logger = configure_logging("warning", json=json_lines, stream=out)
    try:
        raise ValueError(f"Bearer {KEY}")
    except ValueError:
        logger.exception("it broke with %s", KEY)
    assert "ValueError" in out.getvalue()
    assert "secret-0123" not in out.getvalue()
    assert not json_lines or json.loads(out.getvalue())["level"] == "error"


def test_a_file_as_well(tmp_path):
    out, path = io.StringIO(), tmp_path / "provider.log"
    configure_logging("info", stream=out, file=path)
    logging.getLogger("provider_kit").info("one")
    configure_logging("info", stream=out, file=path)  # once more: nothing is doubled
    logging.getLogger("provider_kit").info("two")
    assert [line.rpartition(" ")[2] for line in path.read_text().splitlines()] == ["one", "two"]
    assert len(out.getvalue().splitlines()) == 2
    with pytest.raises(ConfigError, match="cannot be opened"):
        configure_logging(file=tmp_path / "no" / "folder.log")


@pytest.mark.parametrize(
    ("variables", "level"),
    [
        ({}, 20),
        ({"LOG_LEVEL": "debug"}, 10),
        ({"PROVIDER_KIT_LOG_LEVEL": "error", "LOG_LEVEL": "debug"}, 40),
        ({"LOG_LEVEL": "WARN"}, 30),
    ],
)
def test_the_level_comes_from_the_environment(monkeypatch, variables, level):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert configure_logging(stream=io.StringIO()).level == level


def test_a_level_that_is_none():
    with pytest.raises(ConfigError, match="'inof'") as caught:
        configure_logging("inof")
    assert "'info'" in caught.value.hint
    assert configure_logging(15, stream=io.StringIO()).level == 15
