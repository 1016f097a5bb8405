"""Types to JSON Schema, to the subset each provider accepts, and back to values.

Nothing here waits, and nothing here knows a wire format or asks a model::

   typed.py          TypeSchema: a type with its schema, checker and builder; what the rest of the package uses
   types.py          a type -> the canonical schema; fields.py, constraints.py and docstrings.py read the type
   check.py          the schema -> a function that corrects and checks a value, and names every problem;
                     check_scalars.py, problems.py
   build.py          a checked value -> an object, with cattrs
   profiles.py       what each provider accepts, as frozen tables
   subset.py         the canonical schema + a profile -> the schema that is sent, and what it lost;
                     measures.py, words.py
   refusals.py       the same tables, seen from the server's side
   json_repair.py    broken JSON -> a value;  partial_json.py  the beginning of a JSON text -> the value so far
"""
