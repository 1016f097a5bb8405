"""API keys: their sources, rotation and health.

.. code-block:: text

   sources.py   arguments, environment, functions ─> pool.py       which key is next; state.py one key
                                                        ^  ^
   rotation.py  what one call learned about keys   ────┘  └───── manager.py, failover.py  for calls of your own

A pool neither waits nor sends; every method takes the current time.
"""
