"""Deciding, never waiting: a policy takes the facts and the clock's reading, and returns a number or a decision.

``failure_rules.py`` is the table that says what each failure leads to; ``retry.py`` asks it, the engine obeys. State
that several threads share has a lock of its own and begins anew in a forked child (``after_fork.py``).
"""
