"""OAuth 2: logging in, refreshing tokens, and providing them to calls.

.. code-block:: text

   authenticator.py, key_manager.py      the public classes: one login, or several
        │
        v
   login.py ──> loopback.py              the browser is redirected to a local listener
        │       pending_logins.py        state and verifier of each pending login
        v
   refresher.py                          one refresh at a time (single flight)
     stored_token.py ──> storage         the stored token takes precedence over memory
     token_state.py                      fresh, valid, rejected, backing off: plain decisions
        │
        v
   client.py ──> transport               the only module that calls an authorization server
     token_requests.py, failures.py      a frozen configuration to bytes, bytes to a token or an error

Token requests are pure functions of a frozen configuration, so a concurrent login and refresh share no state.
"""
