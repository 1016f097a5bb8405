"""A conversation that remembers.

One object serves blocking and asyncio code, threads and event loops: turns wait for each other. Its history is a list
of messages; what a turn adds is taken over when it ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from attrs import evolve

from provider_kit.conversations.checks import has_images
from provider_kit.conversations.deciding import Deciding, id_of
from provider_kit.conversations.document import ConversationState
from provider_kit.conversations.stream import AsyncConversationStream, ConversationStream
from provider_kit.conversations.truncate import truncate_messages
from provider_kit.conversations.turns import Core, Turn
from provider_kit.errors import InvalidRequestError
from provider_kit.model.display import inert_markdown
from provider_kit.model.inputs import Messages
from provider_kit.model.messages import Message, ToolCall, ToolResult
from provider_kit.model.models import Model
from provider_kit.model.other_libraries import missing_attribute
from provider_kit.model.usage import Usage
from provider_kit.structured.verbs import runtime_for
from provider_kit.tools.decisions import edit
from provider_kit.transports.drive import run_to_completion

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from provider_kit.tools.options import RunOptions, run_keywords
    from provider_kit.tools.result import RunResult

__all__ = ["Conversation"]

T = TypeVar("T")


class Conversation(Deciding):
    """A conversation; made by ``client.conversation(…)``.

    Args:
        client: A client, or whatever has its verbs.
        core: Its state and options.

    Example:
        >>> from provider_kit import Client
        >>> talk = Client("demo").conversation()
        >>> talk.say("My name is Ada.").text
        'Nice to meet you, Ada!'
        >>> talk.say("What is my name?").text
        'Your name is Ada.'
    """

    def __init__(self, client: Any, core: Core) -> None:
        #: The client of the next turn; another one may be put in its place, also of another provider.
        self.client = client
        self._core = core

    if not TYPE_CHECKING:  # a type checker would take every name for one that exists

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self, name, "conversation", dir(type(self)))

    def __repr__(self) -> str:
        state = self._core.state
        named = f" {state.id!r}" if state.id is not None else ""
        return f"<Conversation{named}: {len(state.messages)} messages>"

    def __str__(self) -> str:
        return "\n\n".join(f"{message.role}: {message.text}" for message in self.messages if message.text)

    def _repr_markdown_(self) -> str:
        """How notebooks show the conversation."""
        shown = [f"**{message.role}**: {inert_markdown(message.text)}" for message in self.messages if message.text]
        return "\n\n".join(shown) or "*Nothing was said yet.*"

    # -------------------------------------------------------------------------------------------- state

    @property
    def id(self) -> str | None:
        """Its id, if it is stored under one."""
        return self._core.state.id

    @property
    def messages(self) -> list[Message]:
        """A copy of the history, without the system prompt."""
        return list(self._loaded().messages)

    @property
    def system(self) -> str | None:
        """The system prompt."""
        return self._loaded().system

    @system.setter
    def system(self, text: str | None) -> None:
        if text is not None and not isinstance(text, str):
            raise InvalidRequestError(f"system must be a string, not {type(text).__name__}.")
        self._current().system = text
        self._store()

    @property
    def usage(self) -> Usage:
        """Tokens of all turns so far, also of those that were undone."""
        return self._loaded().usage or Usage()

    @property
    def cost(self) -> Decimal | None:
        """Price of all turns so far in US dollars; ``None`` if that of one of them is unknown."""
        return self.usage.cost

    @property
    def cost_is_minimum(self) -> bool:
        """Whether more may have been billed than is known, since an answer was cut off or lost."""
        return self.usage.cost_is_minimum

    @property
    def has_images(self) -> bool:
        """Whether there is an image in the history."""
        return has_images(self._loaded().messages)

    @property
    def branches(self) -> list[list[Message]]:
        """What ``retry``, ``edit`` and ``undo`` replaced, oldest first."""
        return [list(branch) for branch in self._loaded().branches]

    # -------------------------------------------------------------------------------------------- turns

    def _turn(
        self, awaited: bool, question: Any, output_type: Any, options: Mapping[str, Any], live: bool = False
    ) -> Turn:
        client = self.client

        def make_run(messages: Any, wanted: Any, given: dict[str, Any], streamed: bool) -> Any:
            return client._run(awaited, messages, wanted, given, streamed)

        async def list_models(seconds: float) -> list[Model]:
            found: list[Model] = await client.amodels(timeout=seconds) if awaited else client.models(timeout=seconds)
            return found

        turn = Turn(
            self._core,
            make_run,
            runtime_for(awaited),
            question,
            output_type,
            dict(options),
            live=live,
        )
        turn.list_models = list_models
        if turn.plan is not None and turn.plan.again:
            turn.rewind = partial(self._rewind, keep_question=True)
        return turn

    @overload
    def say(self, message: Messages | None = None, **options: Unpack[RunOptions]) -> RunResult[None]:
        run_keywords(**options)

    @overload
    def say(
        self, message: Messages | None = None, *, output_type: type[T], **options: Unpack[RunOptions]
    ) -> RunResult[T]:
        run_keywords(**options)

    @overload
    def say(
        self, message: Messages | None = None, *, output_type: TypeForm[T], **options: Unpack[RunOptions]
    ) -> RunResult[T]:
        run_keywords(**options)

    def say(self, message: Messages | None = None, *, output_type: Any = None, **options: Any) -> RunResult[Any]:
        """Say something, and wait for the answer. Tools of the conversation are called.

        A turn that fails leaves the history as it was, unless tools have run: then it holds their results, and
        :meth:`resume` goes on.

        Args:
            message: A string, a message, or parts.
            output_type: The type of the answer, as for ``client.chat``.
            options: Options of this turn, see :class:`RunOptions`.

        Raises:
            PendingToolCallsError: Tool calls of the last turn wait for a decision.
            ProviderKitError: As ``client.run``.
        """
        return run_to_completion(self._turn(False, message, output_type, options).to_end())

    @overload
    async def asay(self, message: Messages | None = None, **options: Unpack[RunOptions]) -> RunResult[None]:
        run_keywords(**options)

    @overload
    async def asay(
        self, message: Messages | None = None, *, output_type: type[T], **options: Unpack[RunOptions]
    ) -> RunResult[T]:
        run_keywords(**options)

    @overload
    async def asay(
        self, message: Messages | None = None, *, output_type: TypeForm[T], **options: Unpack[RunOptions]
    ) -> RunResult[T]:
        run_keywords(**options)

    async def asay(self, message: Messages | None = None, *, output_type: Any = None, **options: Any) -> RunResult[Any]:
        """As :meth:`say`."""
        if TYPE_CHECKING:
            lambda: run_keywords(**options)
        return await self._turn(True, message, output_type, options).to_end()

    @overload
    def stream(self, message: Messages | None = None, **options: Unpack[RunOptions]) -> ConversationStream[None]:
        run_keywords(**options)

    @overload
    def stream(
        self, message: Messages | None = None, *, output_type: type[T], **options: Unpack[RunOptions]
    ) -> ConversationStream[T]:
        run_keywords(**options)

    @overload
    def stream(
        self, message: Messages | None = None, *, output_type: TypeForm[T], **options: Unpack[RunOptions]
    ) -> ConversationStream[T]:
        run_keywords(**options)

    def stream(
        self, message: Messages | None = None, *, output_type: Any = None, **options: Any
    ) -> ConversationStream[Any]:
        """Say something, and stream the answer: ``for chunk in talk.stream("…")``.

        What was received of an answer that broke off, or was left, stays in the history, marked as incomplete.

        Arguments and errors as :meth:`say`.
        """
        return ConversationStream(self._turn(False, message, output_type, options, True))

    @overload
    def astream(self, message: Messages | None = None, **options: Unpack[RunOptions]) -> AsyncConversationStream[None]:
        run_keywords(**options)

    @overload
    def astream(
        self, message: Messages | None = None, *, output_type: type[T], **options: Unpack[RunOptions]
    ) -> AsyncConversationStream[T]:
        run_keywords(**options)

    @overload
    def astream(
        self, message: Messages | None = None, *, output_type: TypeForm[T], **options: Unpack[RunOptions]
    ) -> AsyncConversationStream[T]:
        run_keywords(**options)

    def astream(
        self, message: Messages | None = None, *, output_type: Any = None, **options: Any
    ) -> AsyncConversationStream[Any]:
        """As :meth:`stream`: ``async for chunk in talk.astream("…")``."""
        return AsyncConversationStream(self._turn(True, message, output_type, options, True))

    @overload
    def resume(self, **options: Unpack[RunOptions]) -> RunResult[None]:
        run_keywords(**options)

    @overload
    def resume(self, *, output_type: type[T], **options: Unpack[RunOptions]) -> RunResult[T]:
        run_keywords(**options)

    @overload
    def resume(self, *, output_type: TypeForm[T], **options: Unpack[RunOptions]) -> RunResult[T]:
        run_keywords(**options)

    def resume(self, *, output_type: Any = None, **options: Any) -> RunResult[Any]:
        """Go on after decisions about tool calls, or with a turn that was interrupted.

        Raises:
            ProviderKitError: As :meth:`say`.
        """
        return run_to_completion(self._turn(False, None, output_type, options).to_end())

    @overload
    async def aresume(self, **options: Unpack[RunOptions]) -> RunResult[None]:
        run_keywords(**options)

    @overload
    async def aresume(self, *, output_type: type[T], **options: Unpack[RunOptions]) -> RunResult[T]:
        run_keywords(**options)

    @overload
    async def aresume(self, *, output_type: TypeForm[T], **options: Unpack[RunOptions]) -> RunResult[T]:
        run_keywords(**options)

    async def aresume(self, *, output_type: Any = None, **options: Any) -> RunResult[Any]:
        """As :meth:`resume`."""
        if TYPE_CHECKING:
            lambda: run_keywords(**options)
        return await self._turn(True, None, output_type, options).to_end()

    @overload
    def retry(self, **options: Unpack[RunOptions]) -> RunResult[None]:
        run_keywords(**options)

    @overload
    def retry(self, *, output_type: type[T], **options: Unpack[RunOptions]) -> RunResult[T]:
        run_keywords(**options)

    @overload
    def retry(self, *, output_type: TypeForm[T], **options: Unpack[RunOptions]) -> RunResult[T]:
        run_keywords(**options)

    def retry(self, *, output_type: Any = None, **options: Any) -> RunResult[Any]:
        """Ask for another answer to the last question; the present one becomes a branch.

        Raises:
            InvalidRequestError: Nothing was asked yet.
        """
        return run_to_completion(self._again(False, True, None, output_type, options).to_end())

    @overload
    async def aretry(self, **options: Unpack[RunOptions]) -> RunResult[None]:
        run_keywords(**options)

    @overload
    async def aretry(self, *, output_type: type[T], **options: Unpack[RunOptions]) -> RunResult[T]:
        run_keywords(**options)

    @overload
    async def aretry(self, *, output_type: TypeForm[T], **options: Unpack[RunOptions]) -> RunResult[T]:
        run_keywords(**options)

    async def aretry(self, *, output_type: Any = None, **options: Any) -> RunResult[Any]:
        """As :meth:`retry`."""
        if TYPE_CHECKING:
            lambda: run_keywords(**options)
        return await self._again(True, True, None, output_type, options).to_end()

    # -------------------------------------------------------------------------------------------- history

    def _again(
        self, awaited: bool, keep_question: bool, question: Any, output_type: Any, options: Mapping[str, Any]
    ) -> Turn:
        """Another turn in place of the last one; if it fails, all is as it was."""
        turn = self._turn(awaited, question, output_type, options)
        turn.rewind = partial(self._rewind, keep_question=keep_question)
        return turn

    def _rewind(self, state: ConversationState, *, keep_question: bool) -> list[Message]:
        """Take back the last turn; what was there becomes a branch. Returns what was taken back."""
        start = next((n for n in range(len(state.messages) - 1, -1, -1) if _is_question(state.messages[n])), None)
        if start is None:
            raise InvalidRequestError("Nothing was said yet.", hint="talk.say('Hello').")
        cut = start + 1 if keep_question else start
        state.branches.append(list(state.messages))
        taken = state.messages[cut:]
        state.messages = state.messages[:cut]
        self._forget(state)
        return taken

    def _forget(self, state: ConversationState) -> None:
        """What belonged to the history that was replaced."""
        state.decisions.clear()
        state.summary, state.summarised = None, 0

    def undo(self) -> list[Message]:
        """Take back the last question and what followed; the history with it becomes a branch.

        Returns:
            The messages that were taken back.

        Raises:
            InvalidRequestError: Nothing was said yet.
        """
        taken = self._rewind(self._current(), keep_question=False)
        self._store()
        return taken

    @overload
    def edit(self, call: str | ToolCall, arguments: Mapping[str, Any], /) -> None: ...
    @overload
    def edit(self, text: str, /, **options: Unpack[RunOptions]) -> RunResult[None]:
        run_keywords(**options)

    @overload
    def edit(self, text: str, /, *, output_type: type[T], **options: Unpack[RunOptions]) -> RunResult[T]:
        run_keywords(**options)

    @overload
    def edit(self, text: str, /, *, output_type: TypeForm[T], **options: Unpack[RunOptions]) -> RunResult[T]:
        run_keywords(**options)

    def edit(self, first: Any, arguments: Any = None, /, **options: Any) -> Any:
        """Change the last question and ask again: ``talk.edit("…")``; or change the arguments of a waiting tool call
        and let it run with them: ``talk.edit(call, {…})``, followed by :meth:`resume`.

        Raises:
            InvalidRequestError: Nothing was said yet; or there is no such call.
        """
        if arguments is not None or isinstance(first, ToolCall):
            return self._decide({id_of(first): edit(arguments)})
        return run_to_completion(self._again(False, False, first, options.pop("output_type", None), options).to_end())

    @overload
    async def aedit(self, text: str, /, **options: Unpack[RunOptions]) -> RunResult[None]:
        run_keywords(**options)

    @overload
    async def aedit(self, text: str, /, *, output_type: type[T], **options: Unpack[RunOptions]) -> RunResult[T]:
        run_keywords(**options)

    @overload
    async def aedit(self, text: str, /, *, output_type: TypeForm[T], **options: Unpack[RunOptions]) -> RunResult[T]:
        run_keywords(**options)

    async def aedit(self, text: str, /, *, output_type: Any = None, **options: Any) -> RunResult[Any]:
        """Change the last question, and ask again."""
        if TYPE_CHECKING:
            lambda: run_keywords(**options)
        return await self._again(True, False, text, output_type, options).to_end()

    def switch(self, branch: int) -> None:
        """Go back to a branch; the present history takes its place.

        Args:
            branch: Its number in :attr:`branches`.

        Raises:
            InvalidRequestError: There is no such branch.
        """
        state = self._current()
        if not isinstance(branch, int) or not -len(state.branches) <= branch < len(state.branches):
            raise InvalidRequestError(
                f"There is no branch {branch!r}.", hint=f"There are {len(state.branches)} in talk.branches."
            )
        state.messages, state.branches[branch] = state.branches[branch], state.messages
        self._forget(state)
        self._store()

    def branch(self) -> Conversation:
        """A copy that goes its own way; it is not stored."""
        state = self._loaded()
        copied = evolve(
            state,
            id=None,
            messages=list(state.messages),
            branches=[list(one) for one in state.branches],
            decisions=dict(state.decisions),
            extra=dict(state.extra),
        )
        core = Core(copied, dict(self._core.options), None, self._core.max_input_tokens, self._core.summarise)
        return type(self)(self.client, core)

    def truncate(self, max_tokens: int) -> None:
        """Shorten the history to the newest turns that fit; the whole of it becomes a branch.

        Args:
            max_tokens: Tokens the history may have, as estimated.
        """
        state = self._current()
        kept = truncate_messages(state.messages, max_tokens) if state.messages else []
        if len(kept) < len(state.messages):
            state.branches.append(state.messages)
            state.messages, state.summary, state.summarised = kept, None, 0
            self._store()


def _is_question(message: Message) -> bool:
    return message.role == "user" and not any(type(part) is ToolResult for part in message.parts)
