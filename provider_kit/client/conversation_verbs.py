"""``conversation`` and ``map``: conversations that remember, and many prompts at once."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, overload

from provider_kit.engine.arguments import check_cancel
from provider_kit.errors import InvalidRequestError
from provider_kit.model.call_options import ChatOptions, OutputOptions
from provider_kit.model.cancellation import CancelToken
from provider_kit.model.chat import ChatResponse
from provider_kit.model.inputs import Messages, check_options

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from provider_kit.bulk.iterators import AsyncReplies, Replies
    from provider_kit.conversations.conversation import Conversation
    from provider_kit.conversations.stores import ConversationStore
    from provider_kit.conversations.turns import Summarise
    from provider_kit.errors import ProviderKitError
    from provider_kit.model.call_options import chat_keywords, output_keywords
    from provider_kit.structured.verbs import Asking
    from provider_kit.tools.options import RunOptions, run_keywords

__all__ = ["ConversationVerbs"]

T = TypeVar("T")

#: Calls of ``map`` at once.
DEFAULT_CONCURRENCY = 8


class ConversationVerbs:
    """Conversations and bulk runs, over the other verbs."""

    if TYPE_CHECKING:

        def _asking(self, awaited: bool) -> Asking: ...

    def conversation(
        self,
        id: str | None = None,
        *,
        messages: Messages | None = None,
        store: str | os.PathLike[str] | ConversationStore | None = None,
        max_input_tokens: int | None = None,
        summarise: Summarise | None = None,
        **options: Unpack[RunOptions],
    ) -> Conversation:
        """Begin a conversation, or continue one.

        Args:
            id: Continue the conversation of this name, or begin it; it is stored after each turn.
            messages: What was said before.
            store: Where it is stored: a file, or an object with the methods of :class:`ConversationStore`; default with
                an ``id``: a file in the user's data folder, or that of ``PROVIDER_KIT_HISTORY``.
            max_input_tokens: Leave older turns out of a request that would be longer, by an estimate. The history keeps
                them.
            summarise: Called with the messages that are left out and the summary before; returns their summary, which
                is sent in their place.
            options: Options of each turn, see :class:`RunOptions`: ``system``, ``tools``, which are called, and so on.

        Raises:
            InvalidRequestError: An argument is wrong.

        Example:
            >>> from provider_kit import Client
            >>> talk = Client("demo").conversation(system="Be brief.")
            >>> talk.say("What is 2 + 3?").text
            '2 + 3 = 5'
        """
        if TYPE_CHECKING:
            lambda: run_keywords(**options)
        from provider_kit.conversations.conversation import Conversation
        from provider_kit.conversations.document import ConversationState
        from provider_kit.conversations.turns import Core
        from provider_kit.model.conversation import to_messages

        defaults: dict[str, Any] = dict(options)
        system = defaults.pop("system", None)
        if "output_type" in defaults:
            raise InvalidRequestError(
                "A conversation has no output_type of its own.",
                hint="Give it to each turn, so that its answer has the type: talk.say('…', output_type=Person).",
            )
        check_options(defaults, runs=True, typed=True)
        if id is not None and (not isinstance(id, str) or not id.strip()):
            raise InvalidRequestError(f"The id of a conversation must be a text, not {id!r}.")
        if system is not None and not isinstance(system, str):
            raise InvalidRequestError(f"system must be a string, not {type(system).__name__}.")
        if store is not None and id is None:
            raise InvalidRequestError("A store needs the id of the conversation.", hint="client.conversation('ada').")
        if isinstance(store, str) and "://" in store:
            raise InvalidRequestError(
                f"A conversation cannot be stored at {store.partition('://')[0]}://…",
                hint="store= takes the path of an SQLite file, or an object with load, save and delete.",
            )
        if store is not None and not isinstance(store, (str, os.PathLike)):
            missing = [name for name in ("load", "save", "delete") if not callable(getattr(store, name, None))]
            if missing:
                raise InvalidRequestError(
                    f"A {type(store).__name__} cannot store conversations: it has no {', '.join(missing)}.",
                    hint="store= takes the path of an SQLite file, or an object with load, save and delete.",
                )
        if max_input_tokens is not None and type(max_input_tokens) is not int:
            raise InvalidRequestError(f"max_input_tokens must be a whole number, not {max_input_tokens!r}.")
        given = to_messages(messages, waiting=True) if messages is not None else []
        kept: Any = store
        if id is not None and (store is None or isinstance(store, (str, os.PathLike))):
            from provider_kit.stores.sqlite_history import SQLiteHistory

            kept = SQLiteHistory(store)
        state = ConversationState(id, system, given)
        return Conversation(self, Core(state, defaults, kept, max_input_tokens, summarise))

    @overload
    def map(
        self,
        prompts: Iterable[Messages],
        *,
        concurrency: int = 8,
        progress: bool | Callable[[int, int | None], object] = False,
        on_error: Literal["raise"] = "raise",
        **options: Unpack[ChatOptions],
    ) -> Replies[ChatResponse[None]]:
        chat_keywords(**options)

    @overload
    def map(
        self,
        prompts: Iterable[Messages],
        *,
        output_type: type[T],
        concurrency: int = 8,
        progress: bool | Callable[[int, int | None], object] = False,
        on_error: Literal["raise"] = "raise",
        **options: Unpack[OutputOptions],
    ) -> Replies[ChatResponse[T]]:
        output_keywords(**options)

    @overload
    def map(
        self,
        prompts: Iterable[Messages],
        *,
        output_type: TypeForm[T],
        concurrency: int = 8,
        progress: bool | Callable[[int, int | None], object] = False,
        on_error: Literal["raise"] = "raise",
        **options: Unpack[OutputOptions],
    ) -> Replies[ChatResponse[T]]:
        output_keywords(**options)

    @overload
    def map(
        self,
        prompts: Iterable[Messages],
        *,
        output_type: type[T],
        concurrency: int = 8,
        progress: bool | Callable[[int, int | None], object] = False,
        on_error: Literal["return"],
        **options: Unpack[OutputOptions],
    ) -> Replies[ChatResponse[T] | ProviderKitError]:
        output_keywords(**options)

    @overload
    def map(
        self,
        prompts: Iterable[Messages],
        *,
        concurrency: int = 8,
        progress: bool | Callable[[int, int | None], object] = False,
        on_error: Literal["return"],
        **options: Unpack[ChatOptions],
    ) -> Replies[ChatResponse[None] | ProviderKitError]:
        chat_keywords(**options)

    def map(
        self,
        prompts: Any,
        *,
        output_type: Any = None,
        concurrency: int = DEFAULT_CONCURRENCY,
        progress: Any = False,
        on_error: Any = "raise",
        **options: Any,
    ) -> Replies[Any]:
        """Answer many prompts: ``for reply in client.map(prompts)``, in the order of the prompts.

        Args:
            prompts: Any iterable of what :meth:`chat` takes; it is read only as fast as the calls are made.
            output_type: The type of each answer, as for :meth:`chat`.
            concurrency: Most calls at once, within the limits of the client.
            progress: Show a progress bar; or a function ``(done, total or None)``.
            on_error: ``raise`` ends with the first error; ``return`` yields errors in place of answers. An answer that
                does not have the ``output_type`` is an error, too.
            options: Options of each call, see :class:`ChatOptions`.

        Raises:
            InvalidRequestError: An argument is wrong.
            ProviderKitError: A call failed, and ``on_error`` is ``raise``.

        Example:
            >>> from provider_kit import Client
            >>> [reply.text for reply in Client("demo").map(["What is 1 + 1?", "What is 2 + 2?"])]
            ['1 + 1 = 2', '2 + 2 = 4']
        """
        from provider_kit.bulk.iterators import Replies

        return Replies(self._map(False, prompts, output_type, concurrency, progress, on_error, options))

    @overload
    def amap(
        self,
        prompts: Iterable[Messages] | AsyncIterable[Messages],
        *,
        concurrency: int = 8,
        progress: bool | Callable[[int, int | None], object] = False,
        on_error: Literal["raise"] = "raise",
        **options: Unpack[ChatOptions],
    ) -> AsyncReplies[ChatResponse[None]]:
        chat_keywords(**options)

    @overload
    def amap(
        self,
        prompts: Iterable[Messages] | AsyncIterable[Messages],
        *,
        output_type: type[T],
        concurrency: int = 8,
        progress: bool | Callable[[int, int | None], object] = False,
        on_error: Literal["raise"] = "raise",
        **options: Unpack[OutputOptions],
    ) -> AsyncReplies[ChatResponse[T]]:
        output_keywords(**options)

    @overload
    def amap(
        self,
        prompts: Iterable[Messages] | AsyncIterable[Messages],
        *,
        output_type: TypeForm[T],
        concurrency: int = 8,
        progress: bool | Callable[[int, int | None], object] = False,
        on_error: Literal["raise"] = "raise",
        **options: Unpack[OutputOptions],
    ) -> AsyncReplies[ChatResponse[T]]:
        output_keywords(**options)

    @overload
    def amap(
        self,
        prompts: Iterable[Messages] | AsyncIterable[Messages],
        *,
        output_type: type[T],
        concurrency: int = 8,
        progress: bool | Callable[[int, int | None], object] = False,
        on_error: Literal["return"],
        **options: Unpack[OutputOptions],
    ) -> AsyncReplies[ChatResponse[T] | ProviderKitError]:
        output_keywords(**options)

    @overload
    def amap(
        self,
        prompts: Iterable[Messages] | AsyncIterable[Messages],
        *,
        concurrency: int = 8,
        progress: bool | Callable[[int, int | None], object] = False,
        on_error: Literal["return"],
        **options: Unpack[ChatOptions],
    ) -> AsyncReplies[ChatResponse[None] | ProviderKitError]:
        chat_keywords(**options)

    def amap(
        self,
        prompts: Any,
        *,
        output_type: Any = None,
        concurrency: int = DEFAULT_CONCURRENCY,
        progress: Any = False,
        on_error: Any = "raise",
        **options: Any,
    ) -> AsyncReplies[Any]:
        """As :meth:`map`: ``async for reply in client.amap(prompts)``; the prompts may come asynchronously, too."""
        from provider_kit.bulk.iterators import AsyncReplies

        return AsyncReplies(self._map(True, prompts, output_type, concurrency, progress, on_error, options))

    def _map(
        self,
        awaited: bool,
        prompts: Any,
        output_type: Any,
        concurrency: int,
        progress: Any,
        on_error: Any,
        options: dict[str, Any],
    ) -> AsyncGenerator[Any, None]:
        from provider_kit.bulk.map import check_map, map_prompts

        check_map(prompts, concurrency, on_error, awaited=awaited)
        check_options(options, typed=output_type is not None)
        asking = self._asking(awaited)
        if output_type is not None:
            from provider_kit.schema.typed import type_schema

            type_schema(output_type)  # once, and before anything is sent
            options = {**options, "output_type": output_type}

        # A blocking call cannot be ended from outside, except by its token.
        token = CancelToken(check_cancel(options.pop("cancel", None)))

        async def ask(prompt: Any) -> ChatResponse[Any]:
            reply = await asking.chat(prompt, {**options, "cancel": token})
            if output_type is not None:
                reply.parsed  # noqa: B018  # an answer without a value is an error of its prompt
            return reply

        return map_prompts(
            ask, prompts, asking.runtime, token, concurrency=concurrency, progress=progress, on_error=on_error
        )
