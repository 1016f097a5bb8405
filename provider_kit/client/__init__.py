"""What users hold: the client, its streams, the clients of a configuration file. Decides nothing about a call.

.. code-block:: text

   verbs.py        chat, stream, models, embed, … twice each, over any Handler
     ^             arguments to a Call, a Reply to what users get; streams.py reads a live one
   assembled.py    over an engine of one's own: made, copied, pickled, closed
     ^
   client.py       Client: what it is given          collection.py   several of them, by name
"""
