"""Authentication: API keys, tokens and logins, their storage, and their health.

Nothing here sends a chat request. Code that waits uses the transport or storage it was given.

.. code-block:: text

   credentials.py       what is passed to a client as auth=   ─┐
   authenticator.py     the protocol; manager.py several of     ├─> credential_pool.py   a KeyPool whose keys are tokens
                        them by name                            │        │
   oauth/               logging in, refreshing                 ─┘        v
   keys/                sources, pool, rotation, manager  <───────  what the engine takes a key from
   storage/             stored tokens, with locks           <─────  oauth/
   monitoring/          metrics and alerts                  <─────  oauth/
   sessions/            tokens for sessions of requests and aiohttp
"""
