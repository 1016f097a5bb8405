"""The doctor: checks everything between a program and a provider, and gives a remedy for each problem.

``examine.py`` runs the checks in order; ``environment.py``, ``network.py``, ``provider.py`` and ``calls.py`` contain
them; ``findings.py`` has the results. It calls a Handler, and never raises for what it finds.
"""
