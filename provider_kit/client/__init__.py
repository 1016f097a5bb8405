"""The public classes: the client, its streams, the clients of a configuration file. Contains no call logic.

.. code-block:: text

   verbs.py        chat, stream, models, embed, … twice each, over any Handler
     ^             arguments to a Call, a Reply to what users get; streams.py reads a live one
   assembled.py    over its own engine: created, copied, pickled, closed
     ^
   client.py       Client: what it is given          collection.py   several of them, by name
"""
