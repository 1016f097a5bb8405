"""Every error teaches: an entry for each class and code, true to the code, reachable by every name."""

import re

import pytest

from provider_kit import AuthErrorCode, ProviderKitError, error_guide, errors
from provider_kit.errors import AuthError, RateLimitError

CLASSES = sorted(
    (c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, ProviderKitError)),
    key=lambda c: c.__name__,
)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_has_an_entry(kind):
    """Which says of trying again what the class says, and names the class."""
    error = kind("It broke.")
    entry = error_guide.entry_for(error.topic)
    assert kind.__name__ in entry.errors
    assert entry.retryable == error.retryable
    assert entry.as_text() in error.explain()
    assert error_guide.find_entry(kind.__name__) is not None


@pytest.mark.parametrize("code", list(AuthErrorCode))
def test_every_code_of_a_login_has_an_entry(code):
    error = AuthError("It broke.", code=code)
    entry = error_guide.entry_for(code.value)
    assert error.topic == code.value
    assert entry.retryable == code.retryable == error.retryable
    assert error_guide.find_entry(code.value) is entry


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_kinds_and_statuses_are_understood(kind):
    """Whatever stands in a log leads to an entry."""
    error = kind("It broke.")
    if error.kind != "unknown":
        assert error_guide.find_entry(error.kind) is not None, error.kind


def test_every_entry_is_whole_and_belongs_to_an_error():
    known = {kind.__name__ for kind in CLASSES}
    topics = {kind("x").topic for kind in CLASSES} | {code.value for code in AuthErrorCode}
    assert set(error_guide.codes()) == topics
    for entry in error_guide.guide().values():
        assert set(entry.errors) <= known, entry.code
        assert entry.meaning.endswith(".")
        for lines in (entry.causes, entry.steps, entry.prevention):
            assert lines, entry.code
            assert all(re.match(r"\S.*[.…:)?\w]$", line) for line in lines), entry.code


@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("429", "rate_limit"),
        ("HTTP 401", "authentication"),
        ("RateLimitError", "rate_limit"),
        ("ratelimiterror", "rate_limit"),
        ("token-expired", "token_expired"),
        ("ConfigError", "invalid_config"),
        ("529", "overloaded"),
        ("nonsense", None),
    ],
)
def test_an_entry_is_found_by_any_of_its_names(word, code):
    found = error_guide.find_entry(word)
    assert (found and found.code) == code


def test_an_error_tells_its_causes_and_attempts():
    """The chain below it, once each, even where it is a ring."""
    error = RateLimitError("Too fast.", status_code=429, provider="acme")
    first, second = ValueError("inner\ntext"), OSError("socket")
    first.__cause__, second.__cause__ = second, first
    error.__cause__ = first
    told = error.explain()
    assert told.startswith("RateLimitError: [acme] Too fast. (status=429)\n")
    assert told.count("because of ValueError: inner text") == told.count("because of OSError: socket") == 1
    assert f"Hint: {error.hint}" in told
    assert "What to do:" in told


def test_an_error_of_a_plugin_falls_back_on_its_base():
    class MineError(RateLimitError):
        pass

    assert MineError("x").topic == "rate_limit"


def test_commands_that_the_entries_name_exist():
    """Nobody is sent to a command that is not there."""
    from provider_kit.cli import cli

    for entry in error_guide.guide().values():
        for line in (*entry.causes, *entry.steps, *entry.prevention):
            for command in re.findall(r"provider-kit ((?:[a-z]+)(?: [a-z]+)?)", line):
                words = command.split()
                group = cli.commands.get(words[0])
                assert group is not None, line
                if hasattr(group, "commands"):
                    assert words[1] in group.commands, line
