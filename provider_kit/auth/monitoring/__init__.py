"""How credentials fare: their counters, and who is told when one is about to end or keeps failing."""
