"""Calls that wait for somebody: approved, denied, answered or edited, in another process, too."""

import json
import subprocess
import sys

import pytest

from provider_kit import (
    InvalidRequestError,
    PendingToolCallsError,
    SQLiteLedger,
    Tool,
    answer,
    approve,
    deny,
    dump_conversation,
    edit,
    load_conversation,
    tool,
)

PAID = []


@tool(requires_approval=True)
def pay(amount: float, to: str = "Bob") -> str:
    """Pay money."""
    PAID.append((amount, to))
    return f"paid {amount:g} to {to}"


def weather(city: str) -> str:
    """Tell the weather."""
    return f"{city}: sunny"


@pytest.fixture(autouse=True)
def _unpaid():
    PAID.clear()


@pytest.fixture
def parked(run, client, server):
    server.reply("", tool_calls=[("pay", {"amount": 3}), ("weather", {"city": "Rome"})])
    result = run(client, "Go.", tools=[pay, weather])
    server.reply("done")
    return result


def test_a_call_waits_after_the_safe_ones_have_run(parked, server):
    """Nothing further is sent."""
    assert parked.stopped_by == "pending"
    assert not parked.done
    assert [call.name for call in parked.pending] == ["pay"]
    assert [message.role for message in parked.messages] == ["user", "assistant", "tool"]
    assert PAID == []
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("decision", "told", "paid"),
    [
        (approve(), "paid 3 to Bob", [(3, "Bob")]),
        (deny("Too much."), "This call was not allowed: Too much.", []),
        (deny(), "This call was not allowed.", []),
        (answer({"receipt": 7}), '{"receipt":7}', []),
        (
            edit({"amount": 2, "to": "Ann"}),
            "paid 2 to Ann\n[It ran with arguments edited by the user.]",
            [(2, "Ann")],
        ),
        ({"kind": "approve"}, "paid 3 to Bob", [(3, "Bob")]),
    ],
    ids=["approve", "deny", "deny without reason", "answer", "edit", "json"],
)
def test_a_decision_goes_on(run, client, server, parked, decision, told, paid):
    """From the transcript as JSON, as another process would have it."""
    messages = load_conversation(dump_conversation(parked.messages))
    result = run(client, messages, tools=[pay, weather], decisions={parked.pending[0].id: decision})
    assert result.text == "done"
    assert paid == PAID
    assert result.new_messages[0].parts[0].content == told
    assert result.steps[0].number == 0
    assert result.steps[0].outcomes[0].call.name == "pay"


def test_without_a_decision_it_waits_again(run, client, server, parked):
    """And nothing is sent."""
    result = run(client, parked.messages, tools=[pay, weather])
    assert result.stopped_by == "pending"
    assert len(server.requests) == 1


def test_a_second_decision_is_an_error(run, client, server, parked):
    """What is done is done."""
    call_id = parked.pending[0].id
    result = run(client, parked.messages, tools=[pay, weather], decisions={call_id: approve()})
    with pytest.raises(InvalidRequestError, match="has its result already"):
        run(client, result.messages, tools=[pay, weather], decisions={call_id: approve()})
    with pytest.raises(InvalidRequestError, match="No call 'other' waits here"):
        run(client, parked.messages, tools=[pay, weather], decisions={"other": approve()})


def test_an_edit_is_checked_at_once(run, client, server, parked):
    """Before anything runs."""
    with pytest.raises(InvalidRequestError, match="amount"):
        run(client, parked.messages, tools=[pay], decisions={parked.pending[0].id: edit({"amount": "much"})})
    with pytest.raises(InvalidRequestError, match="must be a dict"):
        edit([1])
    with pytest.raises(InvalidRequestError, match="must be a text"):
        deny(3)
    assert PAID == []


def test_a_rule_decides_which_calls_wait(run, client, server):
    """A function of the arguments; a call with wrong arguments does not wait for anybody."""

    @tool(requires_approval=lambda arguments: arguments["amount"] > 10)
    def spend(amount: float) -> str:
        """Spend."""
        return f"spent {amount:g}"

    server.reply("", tool_calls=[("spend", {"amount": 5}), ("spend", {"amount": 50}), ("spend", {"amount": "x"})])
    result = run(client, "Go.", tools=[spend])
    assert [call.arguments for call in result.pending] == [{"amount": 50}]
    assert "amount: must be a number" in result.messages[-1].parts[0].content


def test_a_tool_without_a_function_waits_for_its_answer(run, client, server):
    """As for what happens in a browser, or in another system."""
    server.reply("", tool_calls=[("elsewhere", {})])
    result = run(client, "Go.", tools=[Tool("elsewhere", "Somebody does it.")])
    assert result.stopped_by == "pending"
    server.reply("done")
    call_id = result.pending[0].id
    with pytest.raises(InvalidRequestError, match="no function"):
        run(client, result.messages, tools=[Tool("elsewhere")], decisions={call_id: approve()})
    result = run(client, result.messages, tools=[Tool("elsewhere")], decisions={call_id: answer("made")})
    assert result.text == "done"


def test_a_waiting_run_has_no_value(run, client, server):
    """.parsed says why."""
    server.reply("", tool_calls=[("pay", {"amount": 3})])
    result = run(client, "Go.", tools=[pay], output_type=int)
    with pytest.raises(PendingToolCallsError, match="pay waits for a decision"):
        result.parsed  # noqa: B018


PROGRAM = """
import json, sys
from provider_kit import *
@tool(requires_approval=True)
def pay(amount: float) -> str:
    "Pay money."
    return f"paid {amount:g}"
messages = load_conversation(sys.stdin.read())
calls = pending_tool_calls(messages)
client = Client("openai/gpt-4o", api_key="sk-fake-0123456789abcdef", base_url=sys.argv[1])
print(json.dumps(client.run(messages, tools=[pay], decisions={calls[0].id: approve()}).text))
"""


def test_another_process_decides(client, server):
    """It has nothing but the JSON."""
    server.reply("", tool_calls=[("pay", {"amount": 3})])
    result = client.run("Go.", tools=[pay])
    server.reply("done elsewhere")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, server.base_url()],
        input=dump_conversation(result.messages),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout) == "done elsewhere"
    assert "paid 3" in str(server.requests[-1].json)


def test_a_call_that_was_started_is_not_run_again_unseen(run, client, server, tmp_path):
    """With a ledger: shown as of unknown outcome, until somebody decides."""
    ledger = SQLiteLedger(tmp_path / "ledger.db", scope="job")
    runs = []

    def act(number: int) -> str:
        """Act."""
        runs.append(number)
        if len(runs) == 1:
            raise KeyboardInterrupt  # as good as kill -9: nothing is recorded after the start
        return f"acted {number}"

    server.reply("", tool_calls=[("act", {"number": 1})])
    step = client.step("Go.", tools=[act])
    with pytest.raises(KeyboardInterrupt):
        client.run(step.messages, tools=[act], ledger=ledger)
    result = run(client, step.messages, tools=[act], ledger=ledger)
    assert result.stopped_by == "pending"
    assert [call.name for call in result.unknown_outcome] == ["act"]
    assert runs == [1]
    server.reply("done")
    decided = run(client, result.messages, tools=[act], ledger=ledger, decisions={result.pending[0].id: approve()})
    assert decided.text == "done"
    assert runs == [1, 1]
    server.reply("done again")
    again = run(client, step.messages, tools=[act], ledger=ledger)
    assert again.text == "done again"
    assert runs == [1, 1]
    assert "acted 1" in str(server.requests[-1].json)
    ledger.close()


def test_a_decision_without_its_tool_is_refused(run, client, server, parked):
    """Else the approval would be used up, and the model told that there is no such tool."""
    with pytest.raises(InvalidRequestError, match="its tool 'pay' is not given"):
        run(client, parked.messages, decisions={parked.pending[0].id: approve()})


def test_a_ledger_needs_a_scope(tmp_path):
    """Ids of calls repeat."""
    with pytest.raises(TypeError, match="scope"):
        SQLiteLedger(tmp_path / "x.db")
