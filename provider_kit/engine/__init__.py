"""The story of a call, told once, for both worlds; read it from the top.

.. code-block:: text

   handler.py      Handler: Call to Reply; middleware wraps one        events.py    typed events, many sinks
   engine.py       one provider's handler ──> cache.py                 endpoint.py  whom it asks, with which headers
        │
        v
   attempts.py     the one loop: admit (or wait as told), sign, exchange, settle, again or raise
     admission.py      the way in: slot, circuit, key; rate_limits.py its turn; plain code that waits for nothing
     exchange.py       one whole answer, read          stream.py   one that arrives in pieces, from its first content on
     settlement.py     the way out: what its end means for key, limits, circuit and the other processes
   call.py         what is asked, and how long it may take; attempt_state.py what one handling of it knows
   assembly.py     the one place where all of it is put together

It awaits a transport, a store, a key, or the handler behind it, and nothing else.
"""
