"""A provider of fixed answers, and the fixtures that come with the package."""

import subprocess
import sys

import pytest

from provider_kit import Message, RateLimitError, ToolCall
from provider_kit.testing import MockProvider, Reply


def test_it_says_what_it_was_told(call):
    """Whole and streamed, as often as it is asked, and remembers the questions."""
    mock = MockProvider("test-provider")
    mock.set_response("Hello there")
    assert call.chat(mock.client, "Hi").text == "Hello there"
    chunks, answer = call.stream(mock.client, "Hi again")
    assert [chunk.text for chunk in chunks if chunk.text] == ["Hello ", "there"]
    assert answer.provider == "test-provider"
    assert mock.prompts == ["Hi", "Hi again"]
    assert [asked.stream for asked in mock.asked] == [False, True]


def test_it_gives_several_answers_in_turn(call):
    """The last one is repeated."""
    mock = MockProvider()
    mock.set_responses(["one", Reply("two"), Message("assistant", "three")])
    assert [call.chat(mock.client, "Hi").text for _ in range(4)] == ["one", "two", "three", "three"]


def test_it_raises_the_error_it_was_given(call):
    """Before any content, also in a stream; then it may recover."""
    mock = MockProvider()
    mock.set_responses([RateLimitError("slow down", retry_after=0), RateLimitError("again"), "fine"])
    with pytest.raises(RateLimitError, match="slow down"):
        call.chat(mock.client, "Hi")
    with pytest.raises(RateLimitError, match="again"):
        call.stream(mock.client, "Hi")
    assert call.chat(mock.client, "Hi").text == "fine"


def test_it_calls_tools_thinks_and_declines(call):
    """By the fields of a reply, or by a message."""
    mock = MockProvider()
    mock.set_response("", tool_calls=[("add", {"a": 1})], thinking="hmm")
    answer = call.chat(mock.client, "Hi")
    assert (answer.tool_calls[0].name, answer.tool_calls[0].arguments) == ("add", {"a": 1})
    assert (answer.thinking, answer.finish_reason) == ("hmm", "tool_calls")
    mock.set_response(Message("assistant", [ToolCall("c1", "add", {"a": 2})]))
    assert call.stream(mock.client, "Hi")[1].tool_calls[0].arguments == {"a": 2}
    mock.set_response("", refusal="No.")
    assert call.chat(mock.client, "Hi").refusal == "No."


def test_without_an_answer_the_test_fails(call):
    """That is a mistake of the test, not an error of a provider."""
    with pytest.raises(AssertionError, match="set_response"):
        call.chat(MockProvider().client, "Hi")


def test_the_fixtures_come_with_the_package(fake_server, mock_provider, call):
    """``fake_server`` runs, ``mock_provider`` is fresh."""
    assert call.chat(fake_server.client(), "What is 2 + 3?").text == "2 + 3 = 5"
    mock_provider.set_response("Hi")
    assert call.chat(mock_provider.client, "Hello").text == "Hi"


def test_the_plugin_costs_nothing_until_it_is_used(tmp_path):
    """pytest loads it in every project where the package is installed; it must not load the package's insides."""
    tmp_path.joinpath("test_it.py").write_text(
        "import sys\n"
        "def test_not_loaded():\n"
        "    assert 'provider_kit.client.client' not in sys.modules\n"
        "    assert 'requests' not in sys.modules or 'pytest_cov' in sys.modules\n"
        "def test_used(fake_server, mock_provider):\n"
        "    assert fake_server.url.startswith('http://127.0.0.1:')\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:cov", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
