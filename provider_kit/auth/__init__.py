"""Proving who we are: keys, tokens and logins, where they are kept, and how they fare.

Nothing here sends a chat. What waits does so on a transport or a storage that it was given.

.. code-block:: text

   credentials.py       what a client is given as auth=       ─┐
   authenticator.py     the protocol; manager.py several of     ├─> credential_pool.py   a KeyPool whose keys are tokens
                        them by name                            │        │
   oauth/               logging in, refreshing                 ─┘        v
   keys/                sources, pool, rotation, manager  <───────  what the engine takes a key from
   storage/             tokens between runs, locked         <─────  oauth/
   monitoring/          how credentials fare, and alerts    <─────  oauth/
   sessions/            our tokens in requests' and aiohttp's own sessions
"""
