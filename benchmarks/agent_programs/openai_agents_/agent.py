from agents import Agent, Runner, function_tool


def weather(city: str, days: int = 1) -> str:
    return f"{city}: sunny for {days} days"


def convert(amount: float, to: str) -> float:
    return amount * 0.9


def book(hotel: str, nights: int) -> str:
    return f"booked {hotel} for {nights} nights"


agent = Agent("planner", model="gpt-4o", tools=[function_tool(one) for one in (weather, convert, book)])
print(Runner.run_sync(agent, "Plan a trip to Rome.").final_output)
