"""The rows of which records are made; the same for every library."""

ROWS = [f"There was Person{number}, who is {number % 90} years old." for number in range(200)]
