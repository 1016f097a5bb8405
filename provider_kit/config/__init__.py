"""The configuration file: found, read, checked as a whole, and explained line by line. No network is used.

.. code-block:: text

   discovery.py  ─> document.py  ─> reader.py        ─> configuration.py ─> entries.py
   which file       YAML, lines     into attrs classes   the whole of it     arguments of a Client
                    syntax.py       typeinfo.py          problems.py: all that is wrong, each with its line
                                    references.py, secrets/   ${…}: the environment, vaults
"""
