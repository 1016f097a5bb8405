"""For people who use another library beside this one: its own idioms, our tokens."""
