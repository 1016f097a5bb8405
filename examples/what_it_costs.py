"""What a conversation will cost, and what it has cost.

Run it with ``python what_it_costs.py [provider/model]``. Without an argument the demo provider answers, which has no
prices, so the example states some.
"""

import sys
from decimal import Decimal

from provider_kit import Budget, BudgetExceededError, Client

target = sys.argv[1] if len(sys.argv) > 1 else "demo"
prices = {"demo": {"context_window": 8192, "pricing": {"input": "1.50", "output": "6"}}}
client = Client(target, model_overrides=prices)


def money(amount: Decimal | None) -> str:
    """An amount, or that it is not known."""
    return "unknown" if amount is None else f"${amount:.6f}"


known = client.model_info()
print(f"{known.id} holds {known.context_window or '?'} tokens.")

question = "What is 2 + 3?"
estimate = client.estimate_cost(question, max_tokens=100)
print(f"It will cost {money(estimate.low)} to {money(estimate.high)}.")

talk = client.conversation(cache=True)
for turn in (question, "Thank you!"):
    answer = talk.say(turn)
    print(f"{turn} {answer.text} ({money(answer.cost)})")
print(f"The conversation has cost {'at least ' if talk.usage.cost_is_minimum else ''}{money(talk.cost)}.")

try:
    client.run(question, budget=Budget(cost=0.01))
except BudgetExceededError as error:
    print(error.message)
