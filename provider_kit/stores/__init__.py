"""State outside the process: shared through Redis, kept in files. What waits here has a deadline.

No store is loaded before it is used, and calls go on without one that is away.
"""
