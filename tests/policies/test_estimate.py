"""A rough count of tokens before the provider has counted them."""

import pytest

from provider_kit import Audio, Document, Image, Message, Text, Thinking, ToolCall, ToolResult
from provider_kit.model.chat import ChatRequest
from provider_kit.model.config import DEFAULT_MAX_TOKENS
from provider_kit.model.messages import Native
from provider_kit.policies.estimate import estimate_text, estimate_tokens

FRAME, PICTURE = 4, 1000


def estimate(content, **options):
    options.setdefault("max_tokens", 1)
    return (
        estimate_tokens(ChatRequest(model="m", messages=[Message("user", content)], **options)) - options["max_tokens"]
    )


def test_a_text_counts_a_token_for_four_characters():
    """Whether it is a string or a part, with a few tokens for the frame of each message."""
    assert estimate("a" * 400) == 100 + FRAME
    assert estimate([Text("a" * 200), Text("b" * 200)]) == 100 + FRAME
    two = [Message("user", "a" * 40), Message("assistant", "b" * 40)]
    assert estimate_tokens(ChatRequest(model="m", messages=two, max_tokens=5)) == 2 * (10 + FRAME) + 5


def test_the_answer_counts_as_long_as_it_may_become():
    """``max_tokens``, or a usual length where the call names none."""
    hello = [Message("user", "")]
    assert estimate_tokens(ChatRequest(model="m", messages=hello, max_tokens=77)) == FRAME + 77
    assert estimate_tokens(ChatRequest(model="m", messages=hello)) == FRAME + DEFAULT_MAX_TOKENS


@pytest.mark.parametrize("kind", [Image, Document, Audio], ids=lambda kind: kind.__name__)
def test_media_count_the_same_whatever_their_size(kind):
    """Bytes tell nothing of tokens."""
    assert (
        estimate([kind(data=b"x" * 10, media_type="x/y")])
        == estimate([kind(data=b"x" * 100_000, media_type="x/y")])
        == PICTURE + FRAME
    )


@pytest.mark.parametrize(
    ("part", "tokens"),
    [
        pytest.param(ToolCall("c1", "look", '{"q": 1}'), 3, id="tool call"),
        pytest.param(ToolCall("c1", "time", ""), 1, id="tool call without arguments"),
        pytest.param(ToolResult("c1", "a" * 40), 10, id="tool result"),
        pytest.param(ToolResult("c1", ""), 0, id="empty tool result"),
        pytest.param(
            ToolResult("c1", [Text("a" * 40), Image(data=b"x", media_type="image/png")]),
            10 + PICTURE,
            id="tool result of parts",
        ),
        pytest.param(Thinking("a" * 40), 10, id="thinking"),
    ],
)
def test_a_part_that_is_written_counts_by_its_text(part, tokens):
    """Not as a picture, which a call without arguments or a thought is not."""
    assert estimate([part]) == tokens + FRAME


def test_a_block_of_one_provider_counts_by_what_it_holds():
    """The larger the block, the more tokens."""
    assert estimate([Native("search", {"text": "a" * 4000})]) == pytest.approx(1000, abs=50)


def test_tools_count_too():
    """Their descriptions are sent with every call."""

    def look(question: str) -> str:
        """Look something up in a large encyclopedia."""

    assert estimate("", tools=[look]) > estimate("")


def test_texts_alone_count_without_an_answer():
    """What is embedded is not answered with text."""
    assert estimate_text(["a" * 40, "b" * 40]) == 20
