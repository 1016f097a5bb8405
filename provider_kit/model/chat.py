"""A request, its answer, and the pieces of a streamed answer.

One chunk is created per event of a stream, so chunks are kept as small as possible. Everything that can be computed
later (the whole text, tool arguments as a dict) is a property.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias

from attrs import define, evolve, field, fields, frozen

from provider_kit.errors import ProviderKitError
from provider_kit.model.attempts import Attempt, Timings
from provider_kit.model.display import inert_markdown
from provider_kit.model.media import Audio, Image
from provider_kit.model.messages import Message, Part, ToolCall
from provider_kit.model.other_libraries import ATTRIBUTES, Elsewhere, missing_attribute
from provider_kit.model.routing import Routing
from provider_kit.model.tools import Reasoning, ResponseFormat, Tool, ToolChoice
from provider_kit.model.usage import NOTHING_SENT, Prices, Quote, Usage

__all__ = [
    "ChatRequest",
    "ChatResponse",
    "Chunk",
    "FinishReason",
    "Outcome",
    "OutputAttempt",
    "ParameterWarning",
    "ToolCallDelta",
    "lost_usage",
]

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    T_co = TypeVar("T_co", covariant=True, default=Any)
else:  # a default of a type variable came with Python 3.13
    from typing import TypeVar

    T_co = TypeVar("T_co", covariant=True)

#: Why the model stopped: it was done, ran into a limit, wants tools called, was filtered, wants the
#: conversation sent back to go on (``pause``), failed, or gave a reason this library does not know.
FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "pause", "error", "other"]


@define(kw_only=True)
class ChatRequest:
    """A request in provider-neutral terms. ``None`` means: do not send it."""

    model: str
    messages: list[Message]
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    stop: list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning: Reasoning | None = None
    #: Length of the answer: ``low``, ``medium`` or ``high``.
    verbosity: str | None = None
    #: Ask for prompt caching: ``True``, or a time to live such as ``"1h"``; ``False``: none, where that can be said.
    cache: bool | str | None = None
    #: Requests with the same key are routed to the same cache, where the provider has such keys.
    cache_key: str | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    extra_body: Mapping[str, Any] | None = None
    extra_headers: Mapping[str, str] | None = None
    extra_query: Mapping[str, str] | None = None

    def replace(self, **changes: Any) -> ChatRequest:
        """The same request with other fields."""
        return evolve(self, **changes)

    def for_model(self, model: str) -> ChatRequest:
        """The same request for another model; as :meth:`replace`, at a fraction of the cost."""
        return ChatRequest(
            model=model,
            messages=self.messages,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            max_tokens=self.max_tokens,
            stop=self.stop,
            seed=self.seed,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            tools=self.tools,
            tool_choice=self.tool_choice,
            parallel_tool_calls=self.parallel_tool_calls,
            response_format=self.response_format,
            reasoning=self.reasoning,
            verbosity=self.verbosity,
            cache=self.cache,
            cache_key=self.cache_key,
            user=self.user,
            metadata=self.metadata,
            extra_body=self.extra_body,
            extra_headers=self.extra_headers,
            extra_query=self.extra_query,
        )


#: Optional fields, each of which a dialect must write or report; fields that are merged in as they are do not count.
OPTIONAL_FIELDS = tuple(
    one.name
    for one in fields(ChatRequest)
    if one.name not in ("model", "messages", "extra_body", "extra_headers", "extra_query")
)


@frozen
class ParameterWarning:
    """A parameter that was not sent as given, because the model does not accept it."""

    #: The parameter or part of the conversation concerned.
    parameter: str
    #: What was done instead, and why.
    message: str

    def __str__(self) -> str:
        return f"{self.parameter}: {self.message}"


@define
class ToolCallDelta:
    """A piece of a tool call in a stream: the name comes with the first piece, arguments in fragments."""

    #: Position of the call in the answer.
    index: int
    id: str | None = None
    name: str | None = None
    #: Fragment of the JSON text of the arguments.
    arguments: str = ""


@define
class Chunk:
    """One piece of a streamed answer. Most have only :attr:`text`; the last one is :attr:`done`."""

    text: str = ""
    #: The event as the provider sent it.
    raw: Any = field(default=None, repr=False, eq=False)
    #: Reasoning text.
    thinking: str = ""
    #: Pieces of tool calls.
    tool_calls: list[ToolCallDelta] | None = None
    #: The model's explanation when it declines.
    refusal: str = ""
    #: Complete parts that are neither text nor tool calls: images, audio, blocks of tools that the provider ran.
    parts: list[Part] | None = field(default=None, kw_only=True)
    #: Sources and other annotations of the text, as the provider sent them.
    citations: list[dict[str, Any]] | None = field(default=None, kw_only=True)
    #: Set on the last chunk.
    finish_reason: FinishReason | None = None
    #: Set on the last chunk, where the provider reports it.
    usage: Usage | None = None

    @property
    def content(self) -> str:
        """Alias of :attr:`text`."""
        return self.text

    if not TYPE_CHECKING:
        choices = Elsewhere(ATTRIBUTES["chunk"]["choices"])
        delta = Elsewhere(ATTRIBUTES["chunk"]["delta"])

    @property
    def done(self) -> bool:
        """Whether this is the last chunk."""
        return self.finish_reason is not None

    @property
    def has_content(self) -> bool:
        """Whether it carries anything of the answer itself."""
        return bool(self.text or self.thinking or self.tool_calls or self.refusal or self.parts or self.citations)


class _Once:
    """Reads a usage on the first access only."""

    __slots__ = ("_found", "_read")

    def __init__(self, read: Callable[[], Usage]) -> None:
        self._read = read
        self._found: Usage | None = None

    def __call__(self) -> Usage:
        if self._found is None:
            self._found = self._read()
        return self._found


def _known(usage: Usage | Callable[[], Usage]) -> Usage:
    return usage if isinstance(usage, Usage) else usage()


def lost_usage(error: ProviderKitError) -> Usage | None:
    """What a call has used that failed: that of the answer as far as it came, or an unknown one; ``None`` for none."""
    partial = getattr(error, "partial", None)
    if isinstance(partial, ChatResponse):
        return partial.usage.at_least()
    return Usage(cost_is_minimum=True) if any(one.may_be_billed for one in error.attempts) else None


@frozen
class OutputAttempt:
    """One answer that was to have the form of a type."""

    #: The answer as the model wrote it.
    text: str = field(repr=False)
    #: What was wrong with it; empty if nothing was.
    problems: tuple[str, ...]
    usage: Usage


@define
class Outcome:
    """What became of an answer that was to have the form of a type: a value, or why there is none."""

    value: Any = None
    error: ProviderKitError | None = None
    #: Every answer, oldest first.
    outputs: tuple[OutputAttempt, ...] = ()


@define
class ChatResponse(Generic[T_co]):
    """A model's answer. ``T_co`` is the type that was asked for by ``output_type``; without it ``None``."""

    #: The assistant's message, ready to be appended to the conversation.
    message: Message
    finish_reason: FinishReason
    #: The finish reason as the provider sent it.
    raw_finish_reason: str | None = None
    _usage: Usage | Callable[[], Usage] = field(factory=Usage, repr=lambda u: repr(_known(u)), eq=_known)
    #: Id the provider gave the answer.
    id: str | None = None
    #: The model that answered, as the provider names it.
    model: str | None = None
    #: When the answer was created, in seconds since 1970, if known.
    created: float | None = None
    #: The answer as the provider sent it (of a stream: its last event with an answer in it).
    raw: Any = field(default=None, repr=False, eq=False)
    provider: str | None = field(default=None, kw_only=True)
    #: The provider's id of the request, to quote in a support ticket.
    request_id: str | None = field(default=None, kw_only=True)
    #: The id of the call, which was sent as ``X-Request-ID``.
    correlation_id: str | None = field(default=None, kw_only=True, repr=False, eq=False)
    headers: Mapping[str, str] = field(factory=dict, kw_only=True, repr=False, eq=False)
    #: Parameters that were not sent as given.
    warnings: list[ParameterWarning] = field(factory=list, kw_only=True)
    #: Every attempt at this call, oldest first.
    attempts: tuple[Attempt, ...] = field(default=(), kw_only=True, repr=False, eq=False)
    timings: Timings = field(factory=Timings, kw_only=True, repr=False, eq=False)
    #: ``hit`` or ``miss`` of the response cache; ``None`` where it was not used.
    cache: Literal["hit", "miss"] | None = field(default=None, kw_only=True, repr=False, eq=False)
    #: How a router came to this answer; ``None`` without a router.
    routing: Routing | None = field(default=None, kw_only=True, repr=False, eq=False)
    _outcome: Outcome | None = field(default=None, kw_only=True, repr=False, eq=False)
    _prices: tuple[Prices, str] | None = field(default=None, kw_only=True, repr=False, eq=False)

    if not TYPE_CHECKING:  # a type checker would take every name for one that exists

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self, name, "reply", dir(type(self)))

    def __str__(self) -> str:
        return self.text or self.refusal or ", ".join(f"{one.name}({one.arguments_json})" for one in self.tool_calls)

    def _repr_markdown_(self) -> str:
        """How notebooks show the answer: its text; nothing in it runs or is loaded."""
        return inert_markdown(str(self))

    @property
    def parsed(self) -> T_co:
        """The answer as a value of the type given as ``output_type``; ``None`` if none was given.

        Raises:
            StructuredOutputError: The answer does not have that form, was refused or truncated.
            PendingToolCallsError: It asks for tools instead.
        """
        outcome = self._outcome
        if outcome is None:
            return None  # type: ignore[return-value]  # T_co is None without output_type
        if outcome.error is not None:
            raise outcome.error.with_traceback(None)
        return outcome.value  # type: ignore[no-any-return]  # of the type T_co

    @property
    def usage(self) -> Usage:
        """Tokens used, and their cost; computed on first access."""
        usage, prices = self.reported_usage, self._prices
        if prices is not None:
            usage = self._usage = self._priced(usage, *prices)
            self._prices = None
        return usage

    @property
    def reported_usage(self) -> Usage:
        """Tokens used, without what the provider did not report."""
        usage = self._usage = _known(self._usage)
        return usage

    def unread_usage(self) -> tuple[Usage | Callable[[], Usage], Callable[[], Quote] | None]:
        """Tokens used, and where their price is found, not read yet."""
        prices = self._prices
        if prices is None or self.cache == "hit":
            return (self._usage if prices is None else self.usage), None
        return self._usage, partial(_quote_of, prices, self.model, self.attempts, self.created)

    @property
    def metadata(self) -> dict[str, Any]:
        """The decisions of a router as plain values; empty without a router.

        They are ``racing_winner`` and ``racing_latency_ms``, or ``fallback_provider`` and ``fallback_index``.
        """
        return {} if self.routing is None else self.routing.metadata()

    def unread_tokens(
        self,
    ) -> tuple[Usage | Callable[[], Usage], Prices, tuple[str | None, ...], float | None] | None:
        """Tokens used, and where their price is found (as in a ``Quote``), to be read later.

        ``None`` if they are no more than a minimum. What is returned is small, and does not hold the answer.
        """
        prices, message = self._prices, self.message
        if prices is None or message.incomplete or type(message.content) is not str:
            return None
        for attempt in self.attempts:
            if attempt.may_be_billed:
                return None
        if type(self._usage) is partial:
            self._usage = _Once(self._usage)
        time = self.attempts[-1].started if self.attempts else self.created
        return self._usage, prices[0], (self.model, prices[1]), time

    def price_by(self, prices: Prices, model: str) -> None:
        """Look the cost up there when it is first asked for, unless the provider told it.

        Args:
            prices: Where prices are known.
            model: The model that was requested, which the provider may name differently.
        """
        self._prices = (prices, model)

    def _priced(self, usage: Usage, prices: Prices, model: str) -> Usage:
        if self.cache == "hit":
            usage = evolve(usage, cost=None)
            usage.price_by(NOTHING_SENT)
            return usage
        usage.price_by(_quote_of((prices, model), self.model, self.attempts, self.created))
        if self.message.incomplete or any(attempt.may_be_billed for attempt in self.attempts):
            usage.cost_is_minimum = True
        return usage

    @property
    def text(self) -> str:
        """The answer's text."""
        return self.message.text

    @property
    def thinking(self) -> str:
        """The reasoning shown, if any."""
        return self.message.thinking

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The tools the model wants called."""
        return self.message.tool_calls

    @property
    def refusal(self) -> str | None:
        """The model's explanation when it declined, else ``None``."""
        return self.message.refusal

    @property
    def images(self) -> list[Image]:
        """The images the model generated."""
        return [part for part in self.message.parts if type(part) is Image]

    @property
    def audio(self) -> Audio | None:
        """The audio the model generated, if any."""
        return next((part for part in self.message.parts if type(part) is Audio), None)

    @property
    def citations(self) -> list[dict[str, Any]]:
        """Sources and other annotations of the text, as the provider sent them."""
        return self.message.citations

    @property
    def cost(self) -> Decimal | None:
        """Price in US dollars; the provider's own figure, else by the prices that are known, ``None`` if unknown."""
        return self.usage.cost

    @property
    def cost_is_minimum(self) -> bool:
        """Whether more may have been billed, since the answer was cut off, or an attempt before it was lost."""
        return self.usage.cost_is_minimum

    def __getstate__(self) -> dict[str, Any]:
        state = {name: getattr(self, name) for name in _RESPONSE_FIELDS}
        return state | {"_usage": self.usage, "headers": dict(self.headers), "_prices": None}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


def _quote_of(
    prices: tuple[Prices, str], model: str | None, attempts: tuple[Attempt, ...], created: float | None
) -> Quote:
    """Where the price of an answer is found, at the time it was requested."""
    time = attempts[-1].started if attempts else created
    return Quote(prices[0], (model, prices[1]), time)


_RESPONSE_FIELDS = tuple(one.name for one in fields(ChatResponse))
