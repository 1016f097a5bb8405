from dataclasses import dataclass

from rows import ROWS

from provider_kit import Client, RateLimitConfig


@dataclass
class Person:
    name: str
    age: int


client = Client("openai/gpt-4o", rate_limit=RateLimitConfig(requests_per_minute=100_000))
people = [reply.parsed for reply in client.map(ROWS, output_type=Person, concurrency=8, progress=True)]
print(len(people))
