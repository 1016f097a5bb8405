"""Tool calls in pieces, labelled in every way servers label them."""

import pytest

from provider_kit.dialects.assembly import ToolCallAssembly, new_call_id, tool_finish


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        # (index, id, name, arguments) of each piece, then (id, name, arguments) of each call; id None: made here
        ([(0, "a", "f", ""), (0, None, None, '{"x":'), (0, None, None, "1}")], [("a", "f", '{"x":1}')]),
        ([(0, "a", "f", "{}"), (1, "b", "g", "{}")], [("a", "f", "{}"), ("b", "g", "{}")]),
        (
            [(1, "b", "g", "{"), (0, "a", "f", "{"), (1, "", "", "}"), (0, "", "", "}")],
            [("b", "g", "{}"), ("a", "f", "{}")],
        ),
        ([(0, "a", "f", "{"), (0, "", "", "}"), (0, "", "", "")], [("a", "f", "{}")]),
        ([(0, "a", "f", "{}"), (0, "b", "g", "{}")], [("a", "f", "{}"), ("b", "g", "{}")]),
        ([(0, "a", "f", "{"), (0, "a", "f", "}")], [("a", "f", "{}")]),
        ([(None, "a", "f", "{"), (None, "b", "g", "{}"), (None, "a", None, "}")], [("a", "f", "{}"), ("b", "g", "{}")]),
        ([(None, "a", "f", "{"), (None, None, None, "}")], [("a", "f", "{}")]),
        ([(None, None, "f", "{}"), (None, None, "g", "{}")], [(None, "f", "{}"), (None, "g", "{}")]),
        ([(0, None, "f", "{}"), (0, None, "f", "{}")], [(None, "f", "{}"), (None, "f", "{}")]),
        ([(None, None, "f", ""), (None, None, "g", "")], [(None, "f", ""), (None, "g", "")]),
        ([(None, None, "f", "{"), (None, None, "f", "}")], [(None, "f", "{}")]),
        ([(0, None, "f", ""), (0, "a", None, "{}")], [("a", "f", "{}")]),
        ([(0, "a", None, ""), (0, None, "f", "{}")], [("a", "f", "{}")]),
        ([(None, None, None, "{}")], [(None, "", "{}")]),
        ([(7, "a", "f", "{}")], [("a", "f", "{}")]),
    ],
)
def test_pieces_find_their_call(pieces, calls):
    """By index, by id, by a name after a finished call, or as the last one."""
    assembly = ToolCallAssembly()
    deltas = [*(assembly.add(*piece) for piece in pieces), *assembly.release()]
    closed = assembly.close()
    assert [(None if call.local_id else call.id, call.name, call.arguments_json) for call in closed] == calls
    assert len({call.id for call in closed}) == len(calls)
    for position, call in enumerate(closed):
        own = [delta for delta in deltas if delta.index == position]
        assert "".join(delta.arguments for delta in own) == call.arguments_json
        assert [delta.name for delta in own if delta.name] == ([call.name] if call.name else [])
        assert {delta.id for delta in own if delta.id} <= {call.id}


def test_an_id_made_here_stays_the_same():
    """However often the answer is looked at."""
    assembly = ToolCallAssembly()
    assembly.add(0, None, "f", "{}")
    assert assembly.close()[0].id == assembly.close()[0].id


def test_made_ids_differ():
    """Two calls never share one."""
    assert new_call_id() != new_call_id()


@pytest.mark.parametrize(
    ("finish", "calls", "reason"),
    [
        ("stop", True, "tool_calls"),
        ("other", True, "tool_calls"),
        ("tool_calls", True, "tool_calls"),
        ("tool_calls", False, "tool_calls"),
        ("length", True, "length"),
        ("stop", False, "stop"),
    ],
)
def test_the_calls_decide_why_the_model_stopped(finish, calls, reason):
    """Except where it ran into a limit or was filtered."""
    assert tool_finish(finish, calls) == reason
