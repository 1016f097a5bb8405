"""The public methods, written once over any handler: arguments become a call, a reply becomes the result."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from provider_kit.client.conversation_verbs import ConversationVerbs
from provider_kit.client.health_verbs import HealthVerbs
from provider_kit.client.model_verbs import ModelVerbs
from provider_kit.client.observed import Observed
from provider_kit.client.run_verbs import RunVerbs
from provider_kit.client.streams import AsyncChatStream, ChatStream
from provider_kit.engine.arguments import check_cancel, check_embedding, check_times
from provider_kit.engine.call import Call, deadline_of
from provider_kit.engine.correlation import new_correlation_id
from provider_kit.engine.handler import Handler
from provider_kit.engine.middleware import check_middleware
from provider_kit.errors import InvalidRequestError
from provider_kit.model.call_options import ChatOptions, OutputOptions
from provider_kit.model.cancellation import CancelToken
from provider_kit.model.chat import ChatRequest, ChatResponse
from provider_kit.model.config import DEFAULT_TOTAL_TIMEOUT, Timeout
from provider_kit.model.files import FileUpload
from provider_kit.model.inputs import CALL_OPTIONS, Messages, build_request
from provider_kit.model.models import EmbeddingRequest, Embeddings
from provider_kit.model.other_libraries import below, missing_attribute
from provider_kit.policies.retry import RetryPolicy
from provider_kit.transports.base import Transport
from provider_kit.transports.drive import run_to_completion
from provider_kit.transports.pair import SyncAsyncMixin

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from provider_kit.dialects.ollama_chat.management import OllamaCall
    from provider_kit.model.call_options import chat_keywords, output_keywords
    from provider_kit.structured.output import OutputSpec
    from provider_kit.structured.verbs import Asking

__all__ = ["Verbs"]

T = TypeVar("T")
_NO_CONFIG: Mapping[str, Any] = MappingProxyType({})


class Verbs(Observed, RunVerbs, ConversationVerbs, ModelVerbs, HealthVerbs, SyncAsyncMixin):
    """``chat``, ``stream``, ``models``, ``embed``, ``count_tokens`` and ``health_check``, each twice."""

    #: Default model and default arguments of calls.
    _model: str | None
    _defaults: Mapping[str, Any]
    #: Default timeouts of a call, and its total timeout.
    _timeout: Timeout | None
    _total: float | None
    #: Whether typed answers are checked here.
    _validation: bool = True

    if not TYPE_CHECKING:  # a type checker would take every name for one that exists

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self, name, "client", dir(type(self)))

    # -------------------------------------------------------------------------------------------- chat

    @overload
    def chat(self, messages: Messages | None = None, **options: Unpack[ChatOptions]) -> ChatResponse[None]:
        chat_keywords(**options)

    @overload
    def chat(
        self, messages: Messages | None = None, *, output_type: type[T], **options: Unpack[OutputOptions]
    ) -> ChatResponse[T]:
        output_keywords(**options)

    @overload
    def chat(
        self, messages: Messages | None = None, *, output_type: TypeForm[T], **options: Unpack[OutputOptions]
    ) -> ChatResponse[T]:
        output_keywords(**options)

    def chat(self, messages: Messages | None = None, *, output_type: Any = None, **options: Any) -> ChatResponse[Any]:
        """Send a conversation, and wait for the whole answer.

        Args:
            messages: A string, a dict in OpenAI's form, a :class:`Message`, or a list of these.
            output_type: The type the answer is to have, which is then in ``.parsed``: a class of attrs, dataclasses or
                pydantic, ``TypedDict``, ``list[…]``, ``Literal[…]``, ``A | B`` and so on.
            options: See :class:`ChatOptions`; with an ``output_type``, also ``validation_retries`` and ``validator``,
                see :class:`OutputOptions`.

        Returns:
            The answer; ``.text`` is its text, ``.parsed`` the value of the ``output_type``.

        Raises:
            InvalidRequestError: The arguments are wrong; nothing was sent.
            MissingAPIKeyError: There is no key; nothing was sent.
            APIError: The provider refused (see its subclasses).
            APIConnectionError: The network failed or a timeout passed.
            CallCancelledError: It was cancelled through its ``cancel=``.
        """
        if output_type is not None:
            return run_to_completion(self._ask_typed(self._asking(False), messages, output_type, options))
        runtime = self._transports.blocking or self._transports.make_blocking()
        call = self._chat_call("chat", runtime, messages, options)
        reply = run_to_completion(self._handler_for(options).handle(call))
        answer: ChatResponse = reply.answer if reply.state is None else run_to_completion(reply.gather())
        return answer

    @overload
    async def achat(self, messages: Messages | None = None, **options: Unpack[ChatOptions]) -> ChatResponse[None]:
        chat_keywords(**options)

    @overload
    async def achat(
        self, messages: Messages | None = None, *, output_type: type[T], **options: Unpack[OutputOptions]
    ) -> ChatResponse[T]:
        output_keywords(**options)

    @overload
    async def achat(
        self, messages: Messages | None = None, *, output_type: TypeForm[T], **options: Unpack[OutputOptions]
    ) -> ChatResponse[T]:
        output_keywords(**options)

    async def achat(
        self, messages: Messages | None = None, *, output_type: Any = None, **options: Any
    ) -> ChatResponse[Any]:
        """Send a conversation, and await the whole answer. Arguments, result and errors as :meth:`chat`."""
        if TYPE_CHECKING:
            lambda: output_keywords(**options)
        if output_type is not None:
            return await self._ask_typed(self._asking(True), messages, output_type, options)
        runtime = self._transports.asyncio or self._transports.make_asyncio()
        reply = await self._handler_for(options).handle(self._chat_call("chat", runtime, messages, options))
        answer: ChatResponse = reply.answer if reply.state is None else await reply.gather()
        return answer

    @overload
    def stream(self, messages: Messages | None = None, **options: Unpack[ChatOptions]) -> ChatStream[None]:
        chat_keywords(**options)

    @overload
    def stream(
        self, messages: Messages | None = None, *, output_type: type[T], **options: Unpack[OutputOptions]
    ) -> ChatStream[T]:
        output_keywords(**options)

    @overload
    def stream(
        self, messages: Messages | None = None, *, output_type: TypeForm[T], **options: Unpack[OutputOptions]
    ) -> ChatStream[T]:
        output_keywords(**options)

    def stream(self, messages: Messages | None = None, *, output_type: Any = None, **options: Any) -> ChatStream[Any]:
        """Send a conversation, and stream the answer: ``for chunk in client.stream("…")``.

        Arguments as :meth:`chat`. The request is sent when the first chunk is requested, and never again for the form
        of its answer; with an ``output_type``, ``partials()`` and ``items()`` read it as a value that grows.

        Raises:
            InvalidRequestError: The arguments are wrong; raised at once. Errors that depend on the provider's API are
                raised with the first chunk.
            StreamError: While iterating: the stream failed after content was received, which is in
                ``error.partial``. Before the first content the errors are those of :meth:`chat`.
        """
        spec = None if output_type is None else self._take_output(output_type, options)
        call = self._chat_call("stream", self._blocking(), messages, options)
        return ChatStream(self._handler_for(options), call, spec)

    @overload
    def astream(self, messages: Messages | None = None, **options: Unpack[ChatOptions]) -> AsyncChatStream[None]:
        chat_keywords(**options)

    @overload
    def astream(
        self, messages: Messages | None = None, *, output_type: type[T], **options: Unpack[OutputOptions]
    ) -> AsyncChatStream[T]:
        output_keywords(**options)

    @overload
    def astream(
        self, messages: Messages | None = None, *, output_type: TypeForm[T], **options: Unpack[OutputOptions]
    ) -> AsyncChatStream[T]:
        output_keywords(**options)

    def astream(
        self, messages: Messages | None = None, *, output_type: Any = None, **options: Any
    ) -> AsyncChatStream[Any]:
        """Send a conversation, and stream the answer: ``async for chunk in client.astream("…")``.

        Arguments and errors as :meth:`stream`.
        """
        spec = None if output_type is None else self._take_output(output_type, options)
        call = self._chat_call("stream", self._asyncio(), messages, options)
        return AsyncChatStream(self._handler_for(options), call, spec)

    # -------------------------------------------------------------------------------------------- typed answers

    def _asking(self, awaited: bool) -> Asking:
        """These verbs in one world."""
        from provider_kit.structured.verbs import AsyncioAsking, BlockingAsking

        return AsyncioAsking(self) if awaited else BlockingAsking(self)

    def _take_output(self, output_type: Any, options: dict[str, Any]) -> OutputSpec | None:
        from provider_kit.structured.output import take_output

        return take_output(output_type, options, check=self._validation)

    async def _ask_typed(
        self, asking: Asking, messages: Any, output_type: Any, options: dict[str, Any]
    ) -> ChatResponse[Any]:
        from provider_kit.structured.output import ask_for

        spec = self._take_output(output_type, options)
        assert spec is not None
        return await ask_for(spec, asking, messages, options)

    # -------------------------------------------------------------------------------------------- the rest

    def embed(
        self,
        texts: str | Sequence[str],
        *,
        model: str | None = None,
        dimensions: int | None = None,
        timeout: float | Timeout | None = None,
        extra_body: Mapping[str, Any] | None = None,
        cancel: CancelToken | None = None,
    ) -> Embeddings:
        """Turn texts into vectors, in as many requests as the provider's batch size requires.

        Args:
            texts: One text or several.
            model: An embedding model; default: the client's model.
            dimensions: Length of the vectors, where the model can shorten them.
            timeout: Seconds for each answer.
            extra_body: Fields merged into the request as they are.
            cancel: Cancels the call.

        Raises:
            InvalidRequestError: There is no text, or something other than text.
            NotSupportedError: The provider has no embeddings.
        """
        request = self._embedding(texts, model, dimensions, extra_body)
        call = self._call("embed", self._blocking(), request, timeout, cancel=check_cancel(cancel))
        return run_to_completion(self._ask(call))  # type: ignore[no-any-return]  # an embedding's

    async def aembed(
        self,
        texts: str | Sequence[str],
        *,
        model: str | None = None,
        dimensions: int | None = None,
        timeout: float | Timeout | None = None,
        extra_body: Mapping[str, Any] | None = None,
        cancel: CancelToken | None = None,
    ) -> Embeddings:
        """As :meth:`embed`."""
        request = self._embedding(texts, model, dimensions, extra_body)
        call = self._call("embed", self._asyncio(), request, timeout, cancel=check_cancel(cancel))
        return await self._ask(call)  # type: ignore[no-any-return]  # an embedding's

    # -------------------------------------------------------------------------------------------- calls

    def _handler_for(self, options: Mapping[str, Any]) -> Handler:
        """The handler of a call, in its own middleware.

        Raises:
            ConfigError: Its middleware is no function.
        """
        if "middleware" not in options:
            return self._handler
        given = options["middleware"] or ()
        return self._handler.layered(map(check_middleware, given if isinstance(given, (list, tuple)) else (given,)))

    async def _ask(self, call: Call) -> Any:
        """Return the whole answer to a call."""
        reply = await self._handler.handle(call)
        return reply.answer if reply.state is None else await reply.gather()

    def _chat_call(self, operation: str, runtime: Transport, messages: Any, options: Mapping[str, Any]) -> Call:
        """The call of a conversation.

        Raises:
            InvalidRequestError: The arguments are wrong.
        """
        defaults = self._defaults
        if "tools" in options and options["tools"] is not None:
            from provider_kit.tools.function import tools_of

            options = {**options, "tools": tools_of(options["tools"])}
        request: ChatRequest = build_request(messages, options, default_model=self._model, defaults=defaults)
        streamed = operation == "stream"
        if CALL_OPTIONS.isdisjoint(options) and CALL_OPTIONS.isdisjoint(defaults):  # the common case
            return self._call(operation, runtime, request, None, cancel=CancelToken() if streamed else None)
        on_unsupported = options.get("on_unsupported") or defaults.get("on_unsupported")
        if on_unsupported not in (None, "warn", "raise", "drop"):
            raise InvalidRequestError(
                f"on_unsupported {on_unsupported!r} is not understood.", hint="Use 'warn', 'raise' or 'drop'."
            )
        cancel = options.get("cancel")
        if cancel is not None:
            cancel = check_cancel(cancel)
        return self._call(
            operation,
            runtime,
            request,
            options.get("timeout", defaults.get("timeout")),
            options.get("total_timeout", defaults.get("total_timeout")),
            on_unsupported,
            options.get("response_cache", defaults.get("response_cache")) is not False,
            # A stream may be closed from another thread or task, which ends its waits.
            CancelToken(cancel) if streamed else cancel,
            fallback=options.get("fallback", defaults.get("fallback")) is not False,
            correlation_id=options.get("correlation_id"),
            tags=tuple(options.get("tags") or defaults.get("tags") or ()),
            extension_config=options.get("extension_config") or defaults.get("extension_config"),
        )

    def _embedding(self, texts: Any, model: str | None, dimensions: Any, extra_body: Any) -> EmbeddingRequest:
        batch, name = check_embedding(texts, model or self._model, dimensions, extra_body)
        return EmbeddingRequest(batch, name, dimensions, extra_body)

    def _call(
        self,
        operation: str,
        runtime: Transport,
        request: ChatRequest | EmbeddingRequest | FileUpload | OllamaCall | None,
        timeout: Any,
        total: float | None = None,
        on_unsupported: Any = None,
        cached: bool = True,
        cancel: CancelToken | None = None,
        probing: bool = False,
        retry: RetryPolicy | None = None,
        fallback: bool = True,
        correlation_id: str | None = None,
        tags: tuple[str, ...] = (),
        extension_config: Mapping[str, Any] | None = None,
    ) -> Call:
        if self._bus.asynchronous:
            self._bus.check_world(runtime)
        now = runtime.now()
        clocks: Timeout | None = None
        if timeout is not None or total is not None:
            clocks, total = check_times(timeout, total)
        of_call, of_client = clocks or self._timeout, self._total
        deadline = deadline_of(of_call, of_client if total is None else total, now=now, stream=operation == "stream")
        start_by = math.inf
        if deadline is None and math.inf not in (total, of_client, of_call and of_call.total):
            start_by = now + DEFAULT_TOTAL_TIMEOUT  # a stream may last long, but must start in time
        return Call(
            operation,
            request,
            runtime,
            now,
            deadline,
            start_by,
            clocks,
            on_unsupported,
            cached,
            probing,
            retry,
            cancel,
            fallback,
            None,
            correlation_id or new_correlation_id(),
            tags,
            extension_config or _NO_CONFIG,
        )


for _function in (Verbs.chat, Verbs.achat):
    below(_function, completions="Write client.chat('…').text, or await client.achat('…').")
below(
    ModelVerbs.models,
    list="Write client.models().",
    retrieve="Write client.model_info('…').",
    generate_content="Write client.chat('…').text.",
)
if "IPython" in sys.modules:
    from provider_kit.client.repl_keywords import show_keywords

    show_keywords(Verbs)
