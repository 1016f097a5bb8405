"""API keys: where they come from, whose turn it is, how each of them fares.

.. code-block:: text

   sources.py   arguments, environment, functions ─> pool.py       whose turn it is; state.py one key
                                                        ^  ^
   rotation.py  what one call found out about keys  ────┘  └───── manager.py, failover.py  for calls of one's own

A pool waits for nobody and sends nothing; every method takes the clock's reading.
"""
