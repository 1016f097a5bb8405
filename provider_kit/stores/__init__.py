"""State outside the process: shared through Redis, kept in files. Every wait here has a deadline.

No store is loaded before it is used, and calls continue without one that cannot be reached.
"""
