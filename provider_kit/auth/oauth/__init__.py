"""OAuth: logging in, keeping a token fresh, handing it to whoever calls.

.. code-block:: text

   authenticator.py, key_manager.py      what users hold: one login, or several
        │
        v
   login.py ──> loopback.py              the browser comes back to a listener of ours
        │       pending_logins.py        state and verifier of each login that is under way
        v
   refresher.py                          one refresh at a time, for all who wait
     stored_token.py ──> storage         what the storage has goes before what is in memory
     token_state.py                      fresh, good, rejected, resting: plain decisions
        │
        v
   client.py ──> transport               the only place that asks an authorization server
     token_requests.py, failures.py      a frozen configuration to bytes, bytes to a token or an error

Token requests are pure functions of a frozen configuration, so that a login and a refresh at once share nothing.
"""
