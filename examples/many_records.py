"""Many texts, each as a record.

Run it with ``python many_records.py [provider/model]``. Without an argument, the demo provider answers.
"""

import sys
from dataclasses import dataclass

from provider_kit import Client, RateLimitConfig


@dataclass
class Person:
    """A person that a text mentions."""

    name: str
    age: int


TEXTS = ["Yesterday I met Ada, who is 36 years old.", "Then came Bob, aged 7.", "And at last Cleo, who is 81."]

client = Client(sys.argv[1] if len(sys.argv) > 1 else "demo", rate_limit=RateLimitConfig(requests_per_minute=500))
for reply in client.map(TEXTS, output_type=Person, concurrency=8, progress=sys.stderr.isatty()):
    print(reply.parsed)
