"""A conversation of two questions, in blocking code.

Run it with ``python demo_client.py``, or ``python demo_client.py openai/gpt-5-mini`` with a key in the environment.
"""

import sys

from provider_kit import Client, Message

with Client(sys.argv[1] if len(sys.argv) > 1 else "demo") as client:
    conversation = [Message.user("Hello! My name is Ada.")]
    answer = client.chat(conversation)
    print(answer.text)

    conversation += [answer.message, Message.user("What is my name?")]
    print(client.chat(conversation).text)
