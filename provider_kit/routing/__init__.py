"""Routing: a handler over several handlers, which passes each call on to one of them, and to another if that fails.

.. code-block:: text

   router_handler.py   RouterHandler: Call to Reply      router_parts.py   what all calls of a router share
        │
        v
   routed.py         one call: its candidates, one after the other ──> concurrent.py   several at once: hedges and races
     routed_call.py    the state of one call
     candidates.py     which targets can answer it         failures.py   what follows if one fails
     targets.py        a client or another router, as one target
     requests.py       what a request needs, carries and is pinned to
     fallback_rule.py  which failures and answers are left for another target
     slow_streams.py   a stream that is too slow is left before its reader has seen anything of it
     endings.py        how a live answer ends              shared.py     cool-downs that several processes share
   explain.py      who would be asked, and why
   simulate.py     the same policies on a clock of their own, over recorded calls

The policies that decide are in ``policies/routing``; what is here asks them, passes calls on and records what happened.
"""
