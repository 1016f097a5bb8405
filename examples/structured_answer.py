"""An answer as JSON that fits a schema.

Run it with ``python structured_answer.py [provider/model]``. Without an argument, the demo provider answers.
"""

import json
import sys

from provider_kit import Client

PERSON = {
    "title": "person",
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}

client = Client(sys.argv[1] if len(sys.argv) > 1 else "demo")
answer = client.chat("Yesterday I met Ada, who is 36 years old.", response_format=PERSON)
if answer.finish_reason == "stop" and not answer.refusal:
    person = json.loads(answer.text)
    print(f"{person['name']} is {person['age']}.")
else:
    print(f"No answer: {answer.refusal or answer.finish_reason}")
