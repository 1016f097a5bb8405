"""A model that calls a function of this program.

Run it with ``python tool_calling_demo.py [provider/model]``. Without an argument, the demo provider answers.
"""

import sys

from provider_kit import Client, Message, Tool

MOST_ROUNDS = 5
WEATHER = Tool(
    "get_weather",
    "Tells the weather in a city.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


def get_weather(city: str) -> str:
    """What a real program would look up."""
    return f"18 degrees and sunny in {city}"


client = Client(sys.argv[1] if len(sys.argv) > 1 else "demo")
conversation = [Message.user("What is the weather in Paris?")]
for _ in range(MOST_ROUNDS):
    answer = client.chat(conversation, tools=[WEATHER])
    if not answer.tool_calls:
        print(answer.text)
        break
    conversation.append(answer.message)
    for call in answer.tool_calls:
        print(f"[the model calls {call.name} with {call.arguments}]")
        conversation.append(Message.tool(call.id, get_weather(**call.arguments)))
