"""Deciding, never waiting: a policy takes the facts and returns a number or a decision."""
