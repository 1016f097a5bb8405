"""Event streams, cut anywhere, give the same events."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider_kit.wire.server_sent_events import ErrorEvent, EventDecoder


def read(*pieces):
    decoder = EventDecoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.finish()


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (b"data: one\n\ndata: two\n\n", [b"one", b"two"]),
        (b"data:one\n\n", [b"one"]),
        (b"data:  one\n\n", [b" one"]),
        (b"data: one\ndata: two\n\n", [b"one\ntwo"]),
        (b"data:\n\n", [b""]),
        (b": a comment\n\ndata: one\n\n", [b"one"]),
        (b": a comment\ndata: one\n: another\n\n", [b"one"]),
        (b"id: 7\nretry: 10\nevent: delta\ndata: one\n\n", [b"one"]),
        (b"event: ping\n\ndata: one\n\n", [b"one"]),
        (b"\n\n\n\ndata: one\n\n\n\n\ndata: two\n\n", [b"one", b"two"]),
        (b"\xef\xbb\xbfdata: one\n\n", [b"one"]),
        (b"\xef\xbb\xbf: comment\n\ndata: one\n\n", [b"one"]),
        ("data: a\u2028b\u0085c\x0bd\n\n".encode(), ["a\u2028b\u0085c\x0bd".encode()]),
        (b"data: last", [b"last"]),
        (b"data: last\n", [b"last"]),
        (b"", []),
        (b"\n  \n", []),
    ],
)
def test_events_are_read_as_the_standard_says(data, events):
    """Fields, comments, several data lines, a byte order mark, a last event without its blank line."""
    assert read(data) == events


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
def test_every_kind_of_line_end_is_taken(end):
    """Carriage returns end lines as line feeds do."""
    data = b"data: one\ndata: two\n\n: c\n\ndata: three\n\n".replace(b"\n", end)
    assert read(data) == [b"one\ntwo", b"three"]
    assert read(*[data[i : i + 1] for i in range(len(data))]) == [b"one\ntwo", b"three"]


def test_an_event_named_error_is_told_apart():
    """The server's name of an event counts where it says error, and only for that event."""
    events = read(b'event: error\ndata: {"a":1}\n\nevent: delta\ndata: x\n\nerror: {"b":2}\n\n')
    assert events == [b'{"a":1}', b"x", b' {"b":2}']
    assert [type(event) for event in events] == [ErrorEvent, bytes, ErrorEvent]


def test_text_that_is_no_event_is_kept():
    """A bare error object in the middle of a stream is not lost."""
    decoder = EventDecoder()
    assert decoder.feed(b'data: one\n\n{"error": {\n "message": "no"}}\n\n   \n\ndata: two\n\n') == [b"one", b"two"]
    assert decoder.stray == [b'{"error": {', b' "message": "no"}}']


def test_an_event_is_delivered_as_soon_as_it_is_whole():
    """Nothing waits for the next event."""
    decoder = EventDecoder()
    assert decoder.feed(b"data: on") == []
    assert decoder.feed(b"") == []
    assert decoder.feed(b"e\n") == []
    assert decoder.feed(b"\n") == [b"one"]
    assert decoder.finish() == []


TEXT = st.text(alphabet=st.sampled_from("ab\u2028\u0085é😀:{} "), max_size=8)
EVENT = st.lists(TEXT, min_size=1, max_size=3)


@given(
    events=st.lists(EVENT, max_size=5),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    comment=st.booleans(),
    cuts=st.lists(st.integers(0, 400), max_size=8),
)
def test_any_cutting_of_the_bytes_gives_the_same_events(events, end, comment, cuts):
    """However the network cuts the bytes, in characters and line ends too, the events are the same."""
    lines = []
    for event in events:
        if comment:
            lines += [": keep-alive", ""]
        lines += [*(f"data: {text}" for text in event), ""]
    data = "".join(line + end for line in lines).encode()
    expected = ["\n".join(event).encode() for event in events]
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    assert read(data) == expected
    assert read(*[data[a:b] for a, b in itertools.pairwise(edges)]) == expected


@given(data=st.binary(max_size=60), cut=st.integers(0, 60))
def test_arbitrary_bytes_never_break_the_decoder(data, cut):
    """Garbage gives some events or none, the same ones wherever it is cut."""
    assert read(data[:cut], data[cut:]) == read(data)
