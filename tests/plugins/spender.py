"""A process that spends from a budget until it is killed."""

import sys

from provider_kit.plugins import BudgetPlugin
from provider_kit.testing import FakeServer

PRICES = {"*": {"pricing": {"input": "1", "output": "2"}}}

with FakeServer() as server:
    client = server.client(plugins=[BudgetPlugin(cost=100, ledger=sys.argv[1])], model_overrides=PRICES)
    client.chat("Hello", max_tokens=20)
    print("ready", flush=True)
    while True:
        client.chat("Hello", max_tokens=20)
