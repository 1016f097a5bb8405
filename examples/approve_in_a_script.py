"""An agent that asks at the terminal before it pays.

Run it with ``python approve_in_a_script.py [provider/model]``. Without an argument, the demo provider answers, and
without a terminal nothing is paid.
"""

import sys

from provider_kit import Client, ToolCall, approve, deny, tool


@tool(requires_approval=True)
def pay(amount: float = 3, to: str = "Bob") -> str:
    """Pay money."""
    return f"paid {amount:g} to {to}"


def ask(call: ToolCall) -> bool:
    """Whether the person at the terminal agrees."""
    print(f"The model wants {call.name} with {call.arguments}.")
    return sys.stdin.isatty() and input("Allow it? [y/N] ").strip().lower() == "y"


client = Client(sys.argv[1] if len(sys.argv) > 1 else "demo")
result = client.run("Please pay Bob.", tools=[pay])
while result.pending:
    decisions = {call.id: approve() if ask(call) else deny("The user said no.") for call in result.pending}
    result = client.run(result.messages, tools=[pay], decisions=decisions)
print(result.text)
