"""What is known about models: windows, limits, capabilities, dates, prices. Nothing here waits or sends.

``models.json`` is bundled; ``scripts/build_catalog.py`` of the repository builds it. ``bundled`` reads it when it is
first asked for something, ``directory`` joins it with a provider's own list and the user's overrides.
"""
