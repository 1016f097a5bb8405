"""State outside the process: shared through Redis, kept in files. What waits here has a deadline."""
