"""Many prompts at once, over the public verbs.

map.py        the answers in the order of the prompts, a bounded number of calls at once
progress.py   a progress bar, by rich where it is installed
"""
