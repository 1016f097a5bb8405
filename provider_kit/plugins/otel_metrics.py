"""The metrics and events of calls for OpenTelemetry, and the labels they have."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from time import time_ns
from typing import Any

from provider_kit._version import __version__
from provider_kit.model.call_events import CallEnded, ToolCallEnded
from provider_kit.model.usage import Usage
from provider_kit.observability.labels import BoundedNames
from provider_kit.plugins.otel_attributes import (
    DURATIONS,
    OPERATIONS,
    TOKENS,
    Profile,
    modalities,
)
from provider_kit.plugins.otel_facts import bounded, server_attributes

__all__ = ["INFERENCES", "Events", "Meters"]

_LOG = logging.getLogger("provider_kit.plugins")

#: The operations that are inferences; embeddings are not.
INFERENCES = ("chat", "stream")
_NOTHING_KNOWN = Usage()
_NONE_USED = (("unknown", 0),)
#: Models, and sets of names, that are told apart.
_MOST_MODELS = 200


class _Labels:
    """The attributes of metrics of one kind of calls, each dict made once."""

    __slots__ = ("all", "by_modality", "by_type")

    def __init__(self, attributes: dict[str, Any]) -> None:
        self.all = attributes
        self.by_modality = {
            kind: {**attributes, "gen_ai.token.modality": kind} for kind in ("text", "image", "audio", "unknown")
        }
        self.by_type = {side: {**attributes, "gen_ai.token.type": side} for side in ("input", "output")}


class Meters:
    """The metrics."""

    def __init__(self, meter: Any, profile: Profile, instruments: Any) -> None:
        self._profile = profile
        made: dict[str, Any] = {}
        by_measure: dict[str, list[Any]] = {}
        for one in instruments:
            if one.name not in made:
                made[one.name] = _instrument(meter, one)
            use = made[one.name].add if one.kind == "counter" else made[one.name].record
            by_measure.setdefault(one.measures, []).append((use, one.divided_by))

        def plain(measure: str) -> list[Any]:
            return [use for use, divided_by in by_measure.get(measure, ()) if not divided_by]

        def divided(measure: str, by: str) -> list[Any]:
            return [use for use, divided_by in by_measure.get(measure, ()) if divided_by == by]

        self._duration, self._other, self._tool = plain("duration"), plain("other_duration"), plain("tool")
        self._first_chunk, self._chunk = plain("first_chunk"), plain("chunk")
        #: Of each side: what counts by modality, what records all tokens, and what records them by their type.
        self._input, self._output = (
            (divided(side, "modality"), plain(side), [(use, side) for use in divided(side, "type")])
            for side in ("input", "output")
        )
        parts = (
            ("cache_read_tokens", "input"),
            ("cache_write_tokens", "input"),
            ("reasoning_tokens", "output"),
        )
        self._parts = [(name, side, divided(name, "modality")) for name, side in parts if name in by_measure]
        self._models, self._answering = BoundedNames(_MOST_MODELS), BoundedNames(_MOST_MODELS)
        self._providers, self._tools = BoundedNames(_MOST_MODELS), BoundedNames(_MOST_MODELS)
        self._labels: dict[Any, _Labels] = {}

    def call(self, event: CallEnded, context: Any) -> None:
        """Count a call; an answer from the cache is none."""
        if event.cached:
            return
        labels = self._labels_of(event)
        inference = event.operation in INFERENCES
        for use in self._duration if inference else self._other:
            use(event.duration, labels.all, context)
        if not inference:
            return
        if event.operation == "stream":
            if event.first_token is not None:
                for use in self._first_chunk:
                    use(event.first_token, labels.all, context)
            timings = getattr(event.response, "timings", None)
            if timings is not None and timings.between_chunks is not None:
                for use in self._chunk:
                    use(timings.between_chunks, labels.all, context)
        usage = event.usage or _NOTHING_KNOWN
        message = getattr(event.response, "message", None)
        sent = _split(usage, "input", usage.prompt_tokens, event.request.messages)
        made = _split(usage, "output", usage.completion_tokens, () if message is None else (message,))
        for (count, by_kind), (counters, histograms, typed) in ((sent, self._input), (made, self._output)):
            for add in counters:
                for kind, number in by_kind:
                    add(number, labels.by_modality[kind], context)
            if count is not None:
                for record in histograms:
                    record(count, labels.all, context)
                for record, side in typed:
                    record(count, labels.by_type[side], context)
        for name, side, counters in self._parts:
            part = getattr(usage, name)
            if part:
                by_kind = (sent if side == "input" else made)[1]
                kind = by_kind[0][0] if len(by_kind) == 1 else "unknown"
                for add in counters:
                    add(part, labels.by_modality[kind], context)

    def _labels_of(self, event: CallEnded) -> _Labels:
        answering = getattr(event.response, "model", None)
        failed = None if event.outcome == "success" else event.error_type
        key = event.operation, event.provider, event.base_url, event.model, answering, failed
        found = self._labels.get(key)
        if found is None:
            profile, operation = self._profile, event.operation or ""
            attributes: dict[str, Any] = {profile.operation: OPERATIONS.get(operation, operation)}
            attributes.update(server_attributes(profile, self._providers(event.provider), event.base_url))
            for name, value in (
                (profile.model, self._models(event.model)),
                ("gen_ai.response.model", self._answering(answering)),
                ("error.type", failed),
            ):
                if value:
                    attributes[name] = value
            found = _Labels(attributes)
            bounded(self._labels)[key] = found
        return found

    def tool(self, event: ToolCallEnded, failed: str | None, context: Any) -> None:
        """Count the call of a tool."""
        attributes = {self._profile.operation: "execute_tool", "gen_ai.tool.name": self._tools(event.tool)}
        if failed is not None:
            attributes["error.type"] = failed
        for use in self._tool:
            use(event.duration, attributes, context)


class Events:
    """Events, through the API of logs, which is still under development: without it there are none."""

    def __init__(self, provider: Any) -> None:
        self._logger: Any = None
        try:
            from opentelemetry import _logs

            provider = provider or _logs.get_logger_provider()
            self._logger = provider.get_logger("provider_kit", __version__)
            self._record: Any = _logs.LogRecord
            self._severities = {"DEBUG": _logs.SeverityNumber.DEBUG, "WARN": _logs.SeverityNumber.WARN}
        except (ImportError, AttributeError):
            self._logger = None

    def emit(self, name: str, severity: str, attributes: dict[str, Any], context: Any) -> None:
        """Emit an event."""
        if self._logger is None:
            return
        now = time_ns()
        fields: dict[str, Any] = {
            "timestamp": now,
            "observed_timestamp": now,
            "context": context,
            "severity_text": severity,
            "severity_number": self._severities[severity],
            "attributes": attributes,
            "event_name": name,
        }
        try:
            record = self._record(**fields)
        except TypeError:  # before 1.36
            _LOG.debug("This version of opentelemetry-api has no events.")
            self._logger = None
            return
        self._logger.emit(record)


def _split(
    usage: Usage, side: str, count: int | None, messages: Iterable[Any]
) -> tuple[int | None, tuple[tuple[str, int], ...]]:
    """The tokens of one side of a call, and by modality; a failure that used nothing has none of an unknown one."""
    return count, _NONE_USED if count is None else modalities(messages, usage, side, count)


def _instrument(meter: Any, one: Any) -> Any:
    if one.kind == "counter":
        return meter.create_counter(one.name, unit=one.unit, description=one.description)
    bounds = DURATIONS if one.unit == "s" else TOKENS
    try:
        return meter.create_histogram(
            one.name, unit=one.unit, description=one.description, explicit_bucket_boundaries_advisory=bounds
        )
    except TypeError:  # before 1.30
        return meter.create_histogram(one.name, unit=one.unit, description=one.description)
