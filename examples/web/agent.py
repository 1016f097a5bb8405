"""What the chat pages talk to: a model, and two tools, of which one asks first."""

import os
from pathlib import Path

from provider_kit import Client, tool

PAGE = Path(__file__).with_name("page.html")
#: The demo model needs no key; CHAT_MODEL=openai/gpt-5-mini and OPENAI_API_KEY choose another one.
client = Client(os.environ.get("CHAT_MODEL", "demo"))


def weather(city: str) -> str:
    """Tell the weather.

    Args:
        city: Name of the city.
    """
    return f"{city}: sunny"


@tool(requires_approval=True)
def pay(amount: float = 3, to: str = "Bob") -> str:
    """Pay money."""
    return f"paid {amount:g} to {to}"


TOOLS = [weather, pay]
