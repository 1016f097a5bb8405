"""The functions of the agents; the same for every library."""


def weather(city: str, days: int = 1) -> str:
    """Tell the weather.

    Args:
        city: Name of the city.
        days: How many days ahead.
    """
    return f"{city}: sunny for {days} days"


def convert(amount: float, to: str) -> float:
    """Convert money from dollars.

    Args:
        amount: Dollars.
        to: Code of the other currency.
    """
    return amount * 0.9


def book(hotel: str, nights: int) -> str:
    """Book a hotel.

    Args:
        hotel: Name of the hotel.
        nights: How many nights.
    """
    return f"booked {hotel} for {nights} nights"
