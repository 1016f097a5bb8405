"""How credentials fare: their counters, and alarms about them."""
