"""Choosing among the targets of a router: pure functions over small state; nothing here waits, sends or reads a clock.

.. code-block:: text

   state.py        what is known of each target: in flight, first-token time, failures, cool-down, quota, price
   strategies.py   choose(now, request, state) -> order, one function for each strategy
   plan.py         which targets come into question, level by level, and the order of all of them
   cooldown.py     how long a failure keeps a target out
   hedging.py      when a second target is asked, and whether the budget allows it; histogram.py its first-token times
   racing.py       which of several answers is taken
"""
