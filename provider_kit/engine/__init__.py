"""The life of a call, written once for blocking and asyncio; read it from the top.

.. code-block:: text

   handler.py      Handler: Call to Reply; middleware wraps one        events.py    typed events, many sinks
   engine.py       one provider's handler ──> cache.py                 endpoint.py  address, headers and keys
        │
        v
   attempts.py     the one loop: admit (or wait), sign, exchange, settle, retry or raise
     admission.py      before an attempt: slot, circuit, key; rate_limits.py its limits; plain code that never waits
     exchange.py       one whole answer, read          stream.py   one that arrives in pieces
     settlement.py     after an attempt: updates key, limits, circuit and shared state
   call.py         the request and its deadline; attempt_state.py the state of one handling of it
   assembly.py     the only module that puts all of it together

It awaits only a transport, a store, a key, or the next handler.
"""
