from provider_kit import Client


def weather(city: str, days: int = 1) -> str:
    return f"{city}: sunny for {days} days"


def convert(amount: float, to: str) -> float:
    return amount * 0.9


def book(hotel: str, nights: int) -> str:
    return f"booked {hotel} for {nights} nights"


print(Client("openai/gpt-4o").run("Plan a trip to Rome.", tools=[weather, convert, book]).text)
