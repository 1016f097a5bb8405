"""API keys: where they come from, whose turn it is, how each of them fares."""
