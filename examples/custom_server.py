"""A server of your own that speaks OpenAI's chat API, under a name of its own.

Run it with ``python custom_server.py [base URL] [model]``, where the base URL is one like ``http://localhost:8000/v1``.
Without arguments, a fake server is started for the occasion.
"""

import sys

from provider_kit import Client, Provider, register_provider
from provider_kit.testing import FakeServer


def ask(base_url: str, model: str) -> None:
    """Register the server and ask it."""
    register_provider(Provider(name="my-server", base_url=base_url, default_model=model, key_required=False))
    answer = Client("my-server").chat("What is 2 + 3?")
    print(f"{answer.provider}/{answer.model}: {answer.text}")


if len(sys.argv) > 2:
    ask(sys.argv[1], sys.argv[2])
else:
    with FakeServer() as server:
        ask(server.base_url(), "demo")
