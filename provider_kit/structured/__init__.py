"""Answers as values of a type: asked for, read, checked, and asked for again where they are wrong.

It stands on the public verbs, so that it works over whatever has them. Nothing here knows a provider: the request
carries the canonical schema, and the dialect writes it in its provider's subset.

   verbs.py      what is needed of a client: chat and stream, in either world
   output.py     OutputSpec: a type, its validator and what a reply says of it;  ask_for(): ask, check, ask again
   partials.py   the beginning of a streamed answer as a value
"""
