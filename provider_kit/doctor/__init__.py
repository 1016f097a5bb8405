"""The doctor: tries everything between a program and a provider, and says what to do about what it finds.

``examine.py`` has the checks in their order; ``environment.py``, ``network.py``, ``provider.py`` and ``calls.py`` are
the checks; ``findings.py`` is what comes of them. It gets a Handler like everybody, and never raises for what it finds.
"""
