"""Lines of JSON, cut anywhere, give the same lines."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from provider_kit.wire.json_lines import LineDecoder


def read(*pieces):
    decoder = LineDecoder()
    lines = [line for piece in pieces for line in decoder.feed(piece)]
    return lines + decoder.finish()


def test_blank_lines_are_left_out_and_the_last_line_needs_no_end():
    """Keep-alive blank lines say nothing; an unfinished last line is given out at the end."""
    assert read(b"\n\n{}\r\n  \n[1]") == [b"{}\r", b"[1]"]
    assert read(b"", b"{}") == [b"{}"]
    assert read(b"{}\n  ") == [b"{}"]
    assert read() == []


def test_only_line_feeds_end_lines():
    """A line separator inside a text does not cut it."""
    line = '{"a":"x\u2028y\u0085z"}'.encode()
    assert read(line + b"\n") == [line]


@given(
    texts=st.lists(st.text(alphabet="aé\u2028😀 ", min_size=1, max_size=6), max_size=6),
    cuts=st.lists(st.integers(0, 200), max_size=6),
    ended=st.booleans(),
)
def test_any_cutting_of_the_bytes_gives_the_same_lines(texts, cuts, ended):
    """However the network cuts the bytes, the lines are the same."""
    data = "\n".join(texts).encode() + (b"\n" if ended else b"")
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    expected = [text.encode() for text in texts if text.encode().strip()]
    assert read(*[data[a:b] for a, b in itertools.pairwise(edges)]) == expected
