"""The names that OpenTelemetry's backends read, as tables: for each profile what an attribute is called, and where its
value is found. Nothing here imports OpenTelemetry.

Three profiles are known:

- ``genai``, https://github.com/open-telemetry/semantic-conventions-genai,
- ``genai_1_41``, the names before that, https://github.com/open-telemetry/semantic-conventions/tree/v1.41.0/docs/gen-ai,
- ``openinference``, https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md, for Phoenix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from attrs import field, frozen

from provider_kit.model.chat import ChatRequest
from provider_kit.model.json_text import dumps_text
from provider_kit.model.media import Media
from provider_kit.model.messages import ToolResult
from provider_kit.model.tools import Reasoning, ResponseFormat
from provider_kit.model.usage import Usage
from provider_kit.plugins.otel_content import genai_content, genai_content_1_41, openinference_content

__all__ = [
    "DURATIONS",
    "OPERATIONS",
    "PROFILES",
    "TOKENS",
    "Instrument",
    "Profile",
    "modalities",
    "provider_names",
    "server_of",
]

#: The name of an attribute, the field it is read from, and what converts that; ``None`` is not set.
Row: TypeAlias = tuple[str, str, Callable[[Any], Any] | None]

#: Bounds of buckets: seconds, and tokens.
DURATIONS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS = tuple(4**power for power in range(14))

#: ``gen_ai.operation.name`` of each operation; all others have their own name.
OPERATIONS = {"chat": "chat", "stream": "chat", "embed": "embeddings"}

#: ``gen_ai.provider.name`` of each provider; all others have their own name.
_PROVIDERS = {
    "gemini": "gcp.gemini",
    "google": "gcp.gemini",
    "vertex": "gcp.vertex_ai",
    "xai": "x_ai",
    "mistral": "mistral_ai",
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "moonshot": "moonshot_ai",
    "watsonx": "ibm.watsonx.ai",
}
#: ``gen_ai.system``, which came before it.
_SYSTEMS = _PROVIDERS | {"azure": "az.ai.openai", "xai": "xai"}


def provider_names(profile: Profile, provider: str) -> dict[str, str]:
    """What a provider is called in a profile, by the names of its attributes."""
    return {name: known.get(provider, provider) for name, known in profile.providers}


def server_of(base_url: str) -> tuple[str, int] | None:
    """Name and port of a server; ``None`` if the address has none."""
    try:
        parts = urlsplit(base_url)
        port = parts.port or (80 if parts.scheme == "http" else 443)
    except ValueError:
        return None
    return (parts.hostname, port) if parts.hostname else None


# ------------------------------------------------------------------------------------------------ values


def _stop(stop: list[str]) -> tuple[str, ...] | None:
    return tuple(stop) or None


def _effort(reasoning: Reasoning) -> str | None:
    return reasoning.effort


def _output_type(form: ResponseFormat) -> str:
    return "text" if form.kind == "text" else "json"


def _finish_reasons(reason: str) -> tuple[str, ...]:
    return (reason,)


_PARAMETERS = (
    *("temperature", "top_p", "top_k", "max_tokens", "seed", "presence_penalty", "frequency_penalty", "stop"),
    *("parallel_tool_calls", "verbosity"),
)


def _invocation(request: ChatRequest) -> dict[str, Any]:
    given = {name: value for name in _PARAMETERS if (value := getattr(request, name)) is not None}
    return {"llm.invocation_parameters": dumps_text(given)} if given else {}


class Reader:
    """A table of attributes, to be read from many objects of one class.

    Args:
        rows: The table.
    """

    __slots__ = ("_details", "_none", "_read", "_rows")

    def __init__(self, rows: tuple[Row, ...]) -> None:
        #: Most usages have no details.
        self._details = [(name, field.partition(".")[2]) for name, field, _ in rows if "." in field]
        rows = tuple(row for row in rows if "." not in row[1])
        fields = [field for _, field, _ in rows]
        if len(fields) == 1:
            fields *= 2  # so that a tuple is returned
        self._read = attrgetter(*fields) if fields else None
        self._none = (None,) * len(fields)
        self._rows = [(name, convert) for name, _, convert in rows]

    def read(self, source: Any, attributes: dict[str, Any]) -> None:
        """Add what an object has of these attributes."""
        if self._read is None:
            return
        values = self._read(source)
        if values != self._none:  # all at once: most requests set nothing
            for (name, convert), value in zip(self._rows, values):  # noqa: B905  # of a single row there are two values
                if value is not None:
                    made = value if convert is None else convert(value)
                    if made is not None:
                        attributes[name] = made
        if self._details and source.details:
            for name, part in self._details:
                number = source.details.get(part)
                if number is not None:
                    attributes[name] = number


def modalities(holders: Iterable[Any], usage: Usage, side: str, count: int) -> tuple[tuple[str, int], ...]:
    """The tokens of one side of a call by modality, as far as that is known.

    Args:
        holders: The messages of that side.
        usage: All tokens.
        side: ``input`` or ``output``.
        count: The tokens of that side.
    """
    if usage.details:
        found = [(kind, usage.details.get(f"{side}_{kind}") or 0) for kind in ("audio", "image")]
        apart = sum(number for _, number in found)
        if apart:
            return tuple((kind, number) for kind, number in (("text", max(count - apart, 0)), *found) if number)
    for message in holders:
        content = message.content
        if type(content) is not str and any(map(_holds_media, content)):
            return (("unknown", count),)
    return (("text", count),)


def _holds_media(part: Any) -> bool:
    return isinstance(part, Media) or (type(part) is ToolResult and type(part.content) is not str)


# ------------------------------------------------------------------------------------------------ metrics


@frozen
class Instrument:
    """One metric."""

    name: str
    kind: str
    unit: str
    description: str
    #: What it measures: ``duration``, ``other_duration`` (of what is no inference), ``first_chunk``, ``chunk``,
    #: ``tool``, ``input`` or ``output`` tokens, or a field of :class:`Usage`.
    measures: str
    #: Whether it is divided by modality, or by ``gen_ai.token.type``.
    divided_by: str = ""


def _histogram(name: str, unit: str, text: str, measures: str, divided_by: str = "") -> Instrument:
    return Instrument(name, "histogram", unit, text, measures, divided_by)


def _inference_counter(name: str, text: str, measures: str) -> Instrument:
    return Instrument(f"gen_ai.client.inference.usage.{name}", "counter", "{token}", text, measures, "modality")


_TOOL = _histogram("gen_ai.execute_tool.duration", "s", "Duration of the call of a tool.", "tool")
_METRICS = (
    _histogram("gen_ai.client.inference.duration", "s", "Duration of an inference.", "duration"),
    _histogram("gen_ai.client.operation.duration", "s", "Duration of any other operation.", "other_duration"),
    _histogram("gen_ai.client.inference.time_to_first_chunk", "s", "Time to the first chunk.", "first_chunk"),
    _histogram("gen_ai.client.inference.time_per_output_chunk", "s", "Time between chunks, on average.", "chunk"),
    _inference_counter("input_tokens", "Input tokens, cached ones included.", "input"),
    _inference_counter("output_tokens", "Output tokens, reasoning included.", "output"),
    _inference_counter("cache_read.input_tokens", "Input tokens read from a cache.", "cache_read_tokens"),
    _inference_counter("cache_write.input_tokens", "Input tokens written to a cache.", "cache_write_tokens"),
    _inference_counter("reasoning.output_tokens", "Output tokens spent on reasoning.", "reasoning_tokens"),
    _histogram("gen_ai.client.inference.operation.input_tokens", "{token}", "Input tokens of a call.", "input"),
    _histogram("gen_ai.client.inference.operation.output_tokens", "{token}", "Output tokens of a call.", "output"),
    _TOOL,
)
_METRICS_1_41 = (
    _histogram("gen_ai.client.operation.duration", "s", "Duration of an operation.", "duration"),
    _histogram("gen_ai.client.operation.duration", "s", "Duration of an operation.", "other_duration"),
    _histogram("gen_ai.client.operation.time_to_first_chunk", "s", "Time to the first chunk.", "first_chunk"),
    _histogram("gen_ai.client.operation.time_per_output_chunk", "s", "Time between chunks, on average.", "chunk"),
    _histogram("gen_ai.client.token.usage", "{token}", "Tokens of a call.", "input", "type"),
    _histogram("gen_ai.client.token.usage", "{token}", "Tokens of a call.", "output", "type"),
    _TOOL,
)


# ------------------------------------------------------------------------------------------------ profiles


@frozen(kw_only=True)
class Profile:
    """What everything is called."""

    #: The attributes of operation, model and provider.
    operation: str
    model: str
    #: Each with the values of the providers whose own name is not used.
    providers: tuple[tuple[str, Mapping[str, str]], ...]
    #: What a span is, by its kind; ``None`` where there is no such attribute.
    kind: str | None = None
    kinds: dict[str, str]
    request: Reader = field(converter=Reader)
    #: Further ones of a request, made by a function.
    parameters: Callable[[ChatRequest], dict[str, Any]] | None = None
    response: Reader = field(converter=Reader)
    usage: Reader = field(converter=Reader)
    stream: Reader = field(converter=Reader)
    #: Of a :class:`ToolCallEnded`, without and with content.
    tool: Reader = field(converter=Reader)
    tool_content: Reader = field(converter=Reader)
    content: Callable[[Any, Any], dict[str, Any]]
    metrics: tuple[Instrument, ...] = _METRICS


_GENAI: dict[str, Any] = {
    "operation": "gen_ai.operation.name",
    "model": "gen_ai.request.model",
    "providers": (("gen_ai.provider.name", _PROVIDERS),),
    "kinds": {},
    "request": (
        ("gen_ai.request.temperature", "temperature", None),
        ("gen_ai.request.top_p", "top_p", None),
        ("gen_ai.request.top_k", "top_k", None),
        ("gen_ai.request.max_tokens", "max_tokens", None),
        ("gen_ai.request.stop_sequences", "stop", _stop),
        ("gen_ai.request.seed", "seed", None),
        ("gen_ai.request.presence_penalty", "presence_penalty", None),
        ("gen_ai.request.frequency_penalty", "frequency_penalty", None),
        ("gen_ai.request.reasoning.level", "reasoning", _effort),
        ("gen_ai.output.type", "response_format", _output_type),
    ),
    "response": (
        ("gen_ai.response.id", "id", None),
        ("gen_ai.response.model", "model", None),
        ("gen_ai.response.finish_reasons", "finish_reason", _finish_reasons),
    ),
    "usage": (
        ("gen_ai.usage.input_tokens", "prompt_tokens", None),
        ("gen_ai.usage.output_tokens", "completion_tokens", None),
        ("gen_ai.usage.cache_read.input_tokens", "cache_read_tokens", None),
        ("gen_ai.usage.cache_write.input_tokens", "cache_write_tokens", None),
        ("gen_ai.usage.reasoning.output_tokens", "reasoning_tokens", None),
        ("gen_ai.usage.audio.input_tokens", "details.input_audio", None),
        ("gen_ai.usage.audio.output_tokens", "details.output_audio", None),
        ("gen_ai.usage.image.input_tokens", "details.input_image", None),
        ("gen_ai.usage.image.output_tokens", "details.output_image", None),
        # Of pydantic-ai and Logfire; the conventions have none.
        ("operation.cost", "cost", float),
    ),
    "stream": (
        ("gen_ai.request.stream", "streamed", None),
        ("gen_ai.response.time_to_first_chunk", "first_token", None),
    ),
    "tool": (
        ("gen_ai.tool.name", "tool", None),
        ("gen_ai.tool.call.id", "tool_call_id", None),
        ("gen_ai.tool.type", "tool", lambda name: "function"),
    ),
    "tool_content": (
        ("gen_ai.tool.call.arguments", "arguments", None),
        ("gen_ai.tool.call.result", "result", None),
    ),
    "content": genai_content,
}

_RENAMED_1_41 = {
    "gen_ai.usage.cache_write.input_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.request.reasoning.level": "",
    "gen_ai.usage.audio.input_tokens": "",
    "gen_ai.usage.audio.output_tokens": "",
    "gen_ai.usage.image.input_tokens": "",
    "gen_ai.usage.image.output_tokens": "",
}


def _renamed(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    return tuple((new, source, convert) for name, source, convert in rows if (new := _RENAMED_1_41.get(name, name)))


_OPENINFERENCE = Profile(
    operation="gen_ai.operation.name",
    model="llm.model_name",
    providers=(("llm.provider", {}), ("llm.system", {})),
    kind="openinference.span.kind",
    kinds={"chat": "LLM", "embeddings": "EMBEDDING", "execute_tool": "TOOL"},
    request=(
        ("llm.request.model_name", "model", None),
        ("user.id", "user", None),
    ),
    response=(
        ("llm.response.model_name", "model", None),
        ("llm.finish_reason", "finish_reason", None),
    ),
    usage=(
        ("llm.token_count.prompt", "prompt_tokens", None),
        ("llm.token_count.completion", "completion_tokens", None),
        ("llm.token_count.total", "total_tokens", None),
        ("llm.token_count.prompt_details.cache_read", "cache_read_tokens", None),
        ("llm.token_count.prompt_details.cache_write", "cache_write_tokens", None),
        ("llm.token_count.completion_details.reasoning", "reasoning_tokens", None),
        ("llm.cost.total", "cost", float),
    ),
    stream=(),
    tool=(("tool.name", "tool", None), ("tool_call.id", "tool_call_id", None)),
    tool_content=(("input.value", "arguments", None), ("output.value", "result", None)),
    content=openinference_content,
    parameters=_invocation,
)

#: The profiles by name.
PROFILES: dict[str, Profile] = {
    "genai": Profile(**_GENAI),
    "genai_1_41": Profile(
        **_GENAI
        | {
            "providers": (("gen_ai.provider.name", _PROVIDERS), ("gen_ai.system", _SYSTEMS)),
            "request": _renamed(_GENAI["request"]),
            "usage": _renamed(_GENAI["usage"]),
            "content": genai_content_1_41,
            "metrics": _METRICS_1_41,
        }
    ),
    "openinference": _OPENINFERENCE,
}
