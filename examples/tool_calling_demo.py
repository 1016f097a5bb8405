"""A model that calls functions of this program.

Run it with ``python tool_calling_demo.py [provider/model]``. Without an argument, the demo provider answers.
"""

import sys

from provider_kit import Client


def get_weather(city: str) -> str:
    """Tell the weather in a city.

    Args:
        city: Name of the city.
    """
    return f"18 degrees and sunny in {city}"  # what a real program would look up


client = Client(sys.argv[1] if len(sys.argv) > 1 else "demo")
result = client.run("What is the weather in Paris?", tools=[get_weather])
for outcome in (outcome for step in result.steps for outcome in step.outcomes):
    print(f"[the model called {outcome.call.name} with {outcome.call.arguments}]")
print(result.text)
