"""Every user has a budget, and all that is used is written down.

Run it with ``python keep_a_budget.py [provider/model]``. Without an argument the demo provider answers, which has no
prices, so the example states some.
"""

import sys
import tempfile
from pathlib import Path

from provider_kit import BudgetExceededError, Client, UsageLedger
from provider_kit.plugins import BudgetPlugin, LoggingPlugin

target = sys.argv[1] if len(sys.argv) > 1 else "demo"
prices = {"demo": {"pricing": {"input": "1.50", "output": "6"}}}

with tempfile.TemporaryDirectory() as folder:
    ledger = UsageLedger(Path(folder) / "usage.db")
    budget = BudgetPlugin(cost=0.001, per="user", limits={"anna": {"cost": 1}}, ledger=ledger)
    with Client(target, plugins=[budget, LoggingPlugin()], model_overrides=prices) as client:
        for user in ("anna", "bert", "anna", "bert"):
            try:
                reply = client.chat("What is 2 + 3?", user=user, max_tokens=500, tags=["sums"])
                print(f"{user}: {reply.text} (${reply.cost or 0:.6f}, {budget.status(user).cost_left:.6f} left)")
            except BudgetExceededError as error:
                print(f"{user}: {error.message}")

        for one in ledger.sums("user"):
            print(f"{one.name} used {one.tokens} tokens in {one.attempts} calls for ${one.cost:.6f}.")
        metrics = client.metrics
        print(f"{metrics.request_count} calls, {metrics.tokens_used} tokens, half within {metrics.latency.p50:.3f} s")
