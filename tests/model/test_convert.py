"""Conversations to JSON and back."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider_kit.errors import InvalidRequestError
from provider_kit.model.convert import converter, dump_conversation, load_conversation
from provider_kit.model.media import Audio, Document, Image
from provider_kit.model.messages import Message, Native, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from provider_kit.model.usage import Usage

EVERYTHING = [
    Message("system", "Be kind"),
    Message(
        "user",
        [
            Text("Look", cache="1h"),
            Image(data=b"\x00\xff", media_type="image/png", detail="low"),
            Document(url="https://h.test/a.pdf"),
            Audio(file_id="f1"),
        ],
        name="Ann",
        extra={"x": 1},
    ),
    Message(
        "assistant",
        [
            Thinking("Hm", verbatim="Hmm", signature="sig", native={"type": "reasoning", "id": "r"}),
            Text("So", signature="s", extra={"item": {"id": "m"}}),
            Refusal("no"),
            Native("web_search_call", {"type": "web_search_call", "id": "w"}),
            ToolCall("c1", "f", '{"a": 1}', local_id=True, signature="s", native={"n": 1}, extra={"e": 1}),
        ],
        origin="openai_chat/openai",
        model="m",
    ),
    Message("tool", [ToolResult("c1", [Text("a"), Image(data=b"x", media_type="image/png")], is_error=True, name="f")]),
]


def test_a_conversation_survives_the_round_trip():
    """Every part, every field, bytes and signatures too."""
    assert load_conversation(dump_conversation(EVERYTHING)) == EVERYTHING
    assert load_conversation(dump_conversation("Hi").encode()) == [Message("user", "Hi")]


def test_what_this_version_does_not_know_survives_too():
    """Unknown fields go into ``extra``, unknown parts become native ones, and both are written back."""
    text = (
        '{"format":1,"messages":[{"role":"user","content":[{"type":"text","text":"a","mood":1},'
        '{"type":"hologram","data":"x"}],"phase":2}]}'
    )
    messages = load_conversation(text)
    assert messages == [
        Message(
            "user",
            [Text("a", extra={"mood": 1}), Native("hologram", {"type": "hologram", "data": "x"})],
            extra={"phase": 2},
        )
    ]
    assert load_conversation(dump_conversation(messages)) == messages


def test_a_native_block_survives_although_its_type_is_one_of_ours():
    """It is wrapped, so that it comes back as the block it was."""
    blocks = [
        Native("text", {"type": "text", "text": "a"}),
        Native("native", {"type": "native", "data": {}}),
        Native("x", {"google_search": {}}),
    ]
    conversation = [Message.user("Hi"), Message("assistant", blocks)]
    assert load_conversation(dump_conversation(conversation)) == conversation


def test_a_bare_list_is_read_as_openais_form():
    """So that logs of other libraries can be loaded."""
    assert load_conversation('[{"role":"user","content":"Hi"}]') == [Message("user", "Hi")]


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "7",
        "{}",
        '{"messages":7}',
        '{"messages":[7]}',
        '{"messages":["x"]}',
        '{"messages":[{"content":"x"}]}',
        '{"messages":[{"role":"user","content":["x"]}]}',
        '{"messages":[{"role":"user","content":[{"type":"image","data":"?"}]}]}',
        '{"messages":[{"role":"user","content":[{"type":"text"}]}]}',
    ],
)
def test_what_is_no_conversation_is_refused(text):
    """With an error of this library."""
    with pytest.raises(InvalidRequestError):
        load_conversation(text)


def test_what_json_cannot_carry_is_refused():
    """Before half of it is written."""
    with pytest.raises(InvalidRequestError, match="cannot be written"):
        dump_conversation([Message("user", "Hi", extra={"x": object()})])


def test_the_converter_knows_messages_parts_and_numbers():
    """For those who keep other things beside a conversation."""
    assert converter.structure(converter.unstructure(EVERYTHING[1]), Message) == EVERYTHING[1]
    assert converter.unstructure(Text("a")) == {"type": "text", "text": "a"}
    assert converter.structure({"type": "text", "text": "a"}, Text) == Text("a")
    assert converter.structure({"type": "refusal", "text": "a"}, Part) == Refusal("a")
    usage = Usage(1, cost=Decimal("0.10"))
    assert converter.unstructure(usage)["cost"] == "0.10"
    again = converter.structure(converter.unstructure(usage), Usage)
    assert (again, again.cost) == (usage, Decimal("0.10"))


TEXT = st.text(alphabet=st.characters(codec="utf-8"), max_size=10)
PARTS = st.one_of(
    st.builds(Text, TEXT, cache=st.sampled_from([None, True, "5m"])),
    st.builds(Thinking, TEXT, signature=st.none() | TEXT),
    st.builds(Image, data=st.binary(min_size=1, max_size=9), media_type=st.just("image/png")),
)


@given(st.lists(PARTS, max_size=4), st.none() | TEXT)
def test_any_conversation_survives_the_round_trip(parts, name):
    """Whatever the texts and bytes are."""
    conversation = [Message("user", parts, name=name)]
    assert load_conversation(dump_conversation(conversation)) == conversation
