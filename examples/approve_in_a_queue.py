"""An agent as the worker of a queue: each job takes one step, and what waits for a person is put aside.

Run it with ``python approve_in_a_queue.py [provider/model]``. Without an argument, the demo provider answers. A list
stands for the queue; what is in it is JSON, as it would be in Redis, in a database, or on another machine.
"""

import sys
import tempfile
from pathlib import Path

from provider_kit import (
    Client,
    Decision,
    SQLiteLedger,
    approve,
    dump_conversation,
    load_conversation,
    pending_tool_calls,
    tool,
)


@tool(requires_approval=True)
def pay(amount: float = 3, to: str = "Bob") -> str:
    """Pay money."""
    return f"paid {amount:g} to {to}"


client = Client(sys.argv[1] if len(sys.argv) > 1 else "demo")
queue: list[str] = [dump_conversation("Please pay Bob.")]
waiting: list[str] = []

with tempfile.TemporaryDirectory() as folder:
    ledger = SQLiteLedger(Path(folder) / "calls.db", scope="job-1")

    def work(job: str, decisions: dict[str, Decision] | None = None) -> None:
        """Do one step of a job, and put back what is left of it."""
        messages = load_conversation(job)
        result = client.step(messages, tools=[pay], ledger=ledger, decisions=decisions or {})
        if result.done:
            print(f"[done] {result.text}")
        elif result.pending:
            waiting.append(dump_conversation(result.messages))
        else:
            queue.append(dump_conversation(result.messages))

    while queue:
        work(queue.pop(0))
    for job in waiting:  # a person looks at them, perhaps tomorrow
        calls = pending_tool_calls(load_conversation(job))
        print(f"[waiting] {[call.name for call in calls]}")
        work(job, {call.id: approve() for call in calls})
    while queue:
        work(queue.pop(0))
    ledger.close()
