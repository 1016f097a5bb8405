from pydantic_ai import Agent


def weather(city: str, days: int = 1) -> str:
    return f"{city}: sunny for {days} days"


def convert(amount: float, to: str) -> float:
    return amount * 0.9


def book(hotel: str, nights: int) -> str:
    return f"booked {hotel} for {nights} nights"


agent = Agent("openai-chat:gpt-4o", tools=[weather, convert, book])
print(agent.run_sync("Plan a trip to Rome.").output)
