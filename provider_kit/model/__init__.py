"""The values: messages, requests, answers, configuration, events; and the checks of arguments (``inputs.py``).

Values know no provider and no wire format; the dialects convert them. Nothing is opened except attached files.
"""
