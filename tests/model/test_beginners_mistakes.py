"""What people do first, and what they misspell."""

import pytest

from provider_kit import Client, InvalidRequestError, Message, Text, ToolCall, UnknownProviderError
from provider_kit.model.conversation import to_messages


@pytest.mark.parametrize("target", ["openai/gpt-4o", "openai/gpt-5-mini", "anthropic/claude-sonnet-4-5", "ollama/m"])
@pytest.mark.parametrize(
    ("returned", "sent"),
    [
        ({"a": 1}, '{"a":1}'),
        (["x", "y"], '["x","y"]'),
        ([], "[]"),
        (42, "42"),
        (True, "true"),
        (None, "null"),
        (Text("sunny"), "sunny"),
        ([Text("sun"), Text("ny")], "sunny"),
    ],
    ids=repr,
)
def test_whatever_a_tool_returns_reaches_the_model(call, fake_server, target, returned, sent):
    """Text as it is, anything else as JSON; nothing is lost."""
    turns = [Message.user("Go"), Message("assistant", [ToolCall("c1", "f", {})]), Message.tool("c1", returned)]
    call.chat(fake_server.client(target), turns)
    assert fake_server.requests[-1].asked.last == ("tool", sent)


@pytest.mark.parametrize("returned", [b"bytes", object(), {1, 2}], ids=["bytes", "object", "set"])
def test_what_json_cannot_carry_is_refused(returned):
    """Where the result is made, not where it is sent."""
    with pytest.raises(InvalidRequestError, match="tool result"):
        Message.tool("c1", returned)


@pytest.mark.parametrize("messages", [[{"role": "user", "contents": "Hi"}], [{"role": "user"}], ["Hi", " "], [""]])
def test_a_message_without_content_is_refused(messages):
    """A misspelt key or an empty text is an error, not an empty question."""
    with pytest.raises(InvalidRequestError):
        to_messages(messages)


def test_a_key_in_the_wrong_place_is_not_shown():
    """The first argument is a model; a key there is named as such and kept out of the text."""
    key = "sk-proj-0123456789abcdefghij"
    with pytest.raises(UnknownProviderError, match="API key") as caught:
        Client(key)
    assert key not in f"{caught.value} {caught.value.hint} {caught.value.__notes__}"
