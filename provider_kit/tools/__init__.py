"""Functions as tools, and the loop that calls them.

The transcript is the state: what happens next follows from the messages alone, so that a run can be stopped, stored as
JSON, and continued in another process. It stands on the public verbs, and knows no provider::

   function.py    FunctionTool: a function with its schema;  tool(), tools_of()
   context.py     ToolContext: what a function may ask for
   arguments.py   the arguments a model wrote -> those of the function, repaired, corrected and checked
   results.py     what a function returned or raised -> the result the model reads
   decisions.py   approve(), deny(), answer(), edit()
   actions.py     next_action(): the messages -> ask, call, park, or done; pure
   budget.py      Budget, and what a run has spent of it
   ledger.py      calls recorded before they run, so that none is repeated unseen
   execution.py   calls of one step, in parallel, with limits of time
   loop.py        the run: ask, call, again
   result.py      RunResult and Step;  run_events.py: what stream_run yields
"""
