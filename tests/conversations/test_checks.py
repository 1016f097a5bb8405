"""What is wrong with a conversation, what it lacks, and what of it fits."""

import pytest

from provider_kit import (
    Image,
    InvalidRequestError,
    Message,
    Thinking,
    ToolCall,
    ToolResult,
    fix_missing_tool_responses,
    has_images,
    pending_tool_calls,
    truncate_messages,
    validate_tool_calls,
)

PNG = b"\x89PNG\r\n\x1a\n" + bytes(32) + b"IEND"
CALLS = Message("assistant", [ToolCall("1", "f", "{}"), ToolCall("2", "g", "{}")])
WHOLE = [Message.user("Go."), CALLS, Message.tool("1", "x"), Message.tool("2", "y"), Message.assistant("Done.")]


def test_pending_calls_and_their_repair():
    """Those without a result, wherever they are."""
    broken = [Message.user("Go."), CALLS, Message.tool("2", "y"), Message.user("Well?")]
    assert [call.id for call in pending_tool_calls(broken)] == ["1"]
    assert pending_tool_calls(WHOLE) == []
    fixed = fix_missing_tool_responses(broken)
    assert pending_tool_calls(fixed) == []
    assert validate_tool_calls(fixed) == []
    assert [message.role for message in fixed] == ["user", "assistant", "tool", "tool", "user"]
    assert fixed[3].parts[0].is_error
    assert len(broken) == 4
    assert fix_missing_tool_responses(WHOLE) == WHOLE
    assert fix_missing_tool_responses(WHOLE[:2], "Nobody came.")[-1].parts[0].content == "Nobody came."


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        (WHOLE, None),
        (WHOLE[:3], "The call '2' (g) has no result."),
        ([*WHOLE[:2], Message.user("x")], "comes before the results of '1' (f), '2' (g)"),
        ([Message.tool("9", "x")], "answers the call '9', which was not made"),
        ([*WHOLE[:3], Message.tool("1", "x")], "answers the call '1', which was not made"),
        ([Message("assistant", [ToolCall("1", "f"), ToolCall("1", "g")])], "uses the id '1' for two calls"),
        ([Message("assistant", [ToolCall("1", "")])], "without a name"),
        (
            [
                {"role": "user", "content": "Go."},
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                },
            ],
            "The call '1' (f) has no result.",
        ),
    ],
)
def test_the_order_of_calls_and_results_is_checked(messages, said):
    """In words, all at once."""
    problems = validate_tool_calls(messages)
    if said is None:
        assert problems == []
    else:
        assert any(said in problem for problem in problems), problems


def test_images_are_found_in_messages_and_results():
    """So that a model that sees can be chosen."""
    image = Image(data=PNG, media_type="image/png")
    assert has_images([Message.user("Look:", image)])
    assert has_images([CALLS, Message("tool", [ToolResult("1", [image])])])
    assert not has_images(WHOLE)
    assert has_images(Message.user(image))


def test_truncating_keeps_turns_whole():
    """System first, the newest that fit, calls with results, signatures with their text."""
    system = Message.system("Be brief.")
    old = [Message.user("x" * 400), Message.assistant("y" * 400)]
    thinking = Message("assistant", [Thinking("hm", signature="sig"), ToolCall("1", "f", "{}")])
    turn = [Message.user("Go."), thinking, Message.tool("1", "x"), Message.assistant("Done.")]
    new = [Message.user("And now?")]
    everything = [system, *old, *turn, *new]
    assert truncate_messages(everything, 10_000) == everything
    assert truncate_messages(everything, 60) == [system, *turn, *new]
    assert truncate_messages(everything, 12) == [system, *new]
    assert truncate_messages(everything, 0) == [system, *new]
    assert truncate_messages(everything, 8, count=len) == everything
    assert truncate_messages(everything, 7, count=len) == [system, *turn, *new]
    assert truncate_messages(everything, 3, count=len) == [system, *new]
    assert truncate_messages("Hello", 0) == [Message.user("Hello")]
    with pytest.raises(InvalidRequestError, match="max_tokens"):
        truncate_messages(everything, -1)
