"""An answer as an object.

Run it with ``python structured_answer.py [provider/model]``. Without an argument, the demo provider answers.
"""

import sys
from dataclasses import dataclass

from provider_kit import Client, StructuredOutputError


@dataclass
class Person:
    """A person that a text mentions."""

    name: str
    age: int


client = Client(sys.argv[1] if len(sys.argv) > 1 else "demo")
try:
    person = client.chat("Yesterday I met Ada, who is 36 years old.", output_type=Person).parsed
    print(f"{person.name} is {person.age}.")
except StructuredOutputError as error:
    print(f"No answer ({error.reason}): {error}")
