"""Plugins around each call: their order, their hooks, and those that are ready-made.

::

    manager.py    registration, order, dependencies         layer.py      one plugin's hooks as middleware
    ready-made:   logs  default_settings  extract_reasoning  extract_json  simulate_streaming  redaction
                  budget  record_replay  opentelemetry

A plugin sees calls through the seams that everybody has: middleware and events. Nothing below knows plugins.
"""

from __future__ import annotations

from provider_kit.model.lazy_names import lazy_names, names_by_module

_HOMES = names_by_module(
    """
    provider_kit.engine.plugin: CACHE LOGGING Plugin PluginContext SECURITY TRANSFORM
    provider_kit.plugins.budget: BudgetPlugin BudgetStatus
    provider_kit.plugins.default_settings: DefaultSettings
    provider_kit.plugins.extract_json: ExtractJSON
    provider_kit.plugins.extract_reasoning: ExtractReasoning
    provider_kit.plugins.logs: LoggingPlugin
    provider_kit.plugins.manager: PluginManager
    provider_kit.plugins.opentelemetry: OpenTelemetry
    provider_kit.plugins.record_replay: RecordReplay
    provider_kit.plugins.redaction: RedactContent
    provider_kit.plugins.simulate_streaming: SimulateStreaming
    """
)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)

__all__ = sorted(name for names in _HOMES.values() for name in names)  # noqa: PLE0605  # a sorted list, held by a test
