"""Decisions without waiting: a policy takes facts and the current time, and returns a number or a decision.

``failure_rules.py`` is the table of what follows from each failure; ``retry.py`` reads it, the engine carries it out.
State that several threads share has its own lock and is reset in a forked child (``after_fork.py``).
"""
