"""``run``, ``stream_run`` and ``step``, each twice: they call functions, which ``chat`` and ``stream`` never do."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from provider_kit.errors import ConfigError, InvalidRequestError
from provider_kit.model.inputs import Messages
from provider_kit.transports.drive import run_to_completion

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from provider_kit.structured.verbs import Asking
    from provider_kit.tools.loop import Run
    from provider_kit.tools.options import RunOptions, run_keywords
    from provider_kit.tools.result import RunResult
    from provider_kit.tools.run_stream import AsyncRunStream, RunStream

__all__ = ["RunVerbs"]

T = TypeVar("T")


def with_function_tools(defaults: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Default arguments of calls, with their functions as tools.

    Raises:
        ConfigError: One of them is no tool.
    """
    if not isinstance(defaults, Mapping) or defaults.get("tools") is None:
        return defaults
    from provider_kit.tools.function import tools_of

    try:
        return {**defaults, "tools": tools_of(defaults["tools"])}
    except InvalidRequestError as error:
        raise ConfigError(f"A default cannot be used: {error.message}", hint=error.hint) from None


class RunVerbs:
    """The verbs that call functions, over ``chat`` and ``stream``."""

    _defaults: Mapping[str, Any]
    _validation: bool
    #: Default arguments of runs.
    _run_defaults: Mapping[str, Any] = MappingProxyType({})

    if TYPE_CHECKING:

        def _asking(self, awaited: bool) -> Asking: ...

    def _run(self, awaited: bool, messages: Any, output_type: Any, options: dict[str, Any], live: bool = False) -> Run:
        from provider_kit.tools.loop import Run

        options = {**self._run_defaults, **options}
        for name in ("tools", "tool_choice"):
            if options.get(name) is None and self._defaults.get(name) is not None:
                options[name] = self._defaults[name]
        return Run(self._asking(awaited), messages, output_type, options, live=live, check=self._validation)

    @overload
    def run(self, messages: Messages | None = None, **options: Unpack[RunOptions]) -> RunResult[None]:
        run_keywords(**options)

    @overload
    def run(
        self, messages: Messages | None = None, *, output_type: type[T], **options: Unpack[RunOptions]
    ) -> RunResult[T]:
        run_keywords(**options)

    @overload
    def run(
        self, messages: Messages | None = None, *, output_type: TypeForm[T], **options: Unpack[RunOptions]
    ) -> RunResult[T]:
        run_keywords(**options)

    def run(self, messages: Messages | None = None, *, output_type: Any = None, **options: Any) -> RunResult[Any]:
        """Ask the model, call the functions it wants, and ask again, until it answers.

        Args:
            messages: As for :meth:`chat`; or the ``messages`` of an earlier result, to continue it.
            output_type: The type of the last answer, as for :meth:`chat`.
            options: See :class:`RunOptions`; ``tools`` may hold functions.

        Returns:
            The last answer, with the whole run: ``.messages``, ``.steps``, ``.pending``, and usage and cost of all its
            requests.

        Raises:
            InvalidRequestError: The arguments are wrong; nothing was sent.
            MaxStepsExceededError: The model kept asking for tools; ``error.result`` is what was reached.
            BudgetExceededError: The budget is used up; ``error.result`` is what was reached.
            APIError, APIConnectionError: As :meth:`chat`.

        Example:
            >>> from provider_kit import Client
            >>> def weather(city: str) -> str:
            ...     \"\"\"Tell the weather.\"\"\"
            ...     return f"{city}: sunny"
            >>> Client("demo").run("What is the weather in Paris?", tools=[weather]).text
            'weather says: Paris: sunny'
        """
        return run_to_completion(self._run(False, messages, output_type, options).to_end())

    @overload
    async def arun(self, messages: Messages | None = None, **options: Unpack[RunOptions]) -> RunResult[None]:
        run_keywords(**options)

    @overload
    async def arun(
        self, messages: Messages | None = None, *, output_type: type[T], **options: Unpack[RunOptions]
    ) -> RunResult[T]:
        run_keywords(**options)

    @overload
    async def arun(
        self, messages: Messages | None = None, *, output_type: TypeForm[T], **options: Unpack[RunOptions]
    ) -> RunResult[T]:
        run_keywords(**options)

    async def arun(
        self, messages: Messages | None = None, *, output_type: Any = None, **options: Any
    ) -> RunResult[Any]:
        """As :meth:`run`; asynchronous functions run in this event loop, others in threads."""
        if TYPE_CHECKING:
            lambda: run_keywords(**options)
        return await self._run(True, messages, output_type, options).to_end()

    @overload
    def stream_run(self, messages: Messages | None = None, **options: Unpack[RunOptions]) -> RunStream[None]:
        run_keywords(**options)

    @overload
    def stream_run(
        self, messages: Messages | None = None, *, output_type: type[T], **options: Unpack[RunOptions]
    ) -> RunStream[T]:
        run_keywords(**options)

    @overload
    def stream_run(
        self, messages: Messages | None = None, *, output_type: TypeForm[T], **options: Unpack[RunOptions]
    ) -> RunStream[T]:
        run_keywords(**options)

    def stream_run(
        self, messages: Messages | None = None, *, output_type: Any = None, **options: Any
    ) -> RunStream[Any]:
        """As :meth:`run`, yielding what happens: text, reasoning, calls as they are written, progress, results.

        Arguments and errors as :meth:`run`. ``stream.result`` is the result, once the loop has ended. After a
        :class:`RunReset` the events of its step are void: the answer is asked for again.
        """
        from provider_kit.tools.run_stream import RunStream

        return RunStream(self._run(False, messages, output_type, options, True))

    @overload
    def astream_run(self, messages: Messages | None = None, **options: Unpack[RunOptions]) -> AsyncRunStream[None]:
        run_keywords(**options)

    @overload
    def astream_run(
        self, messages: Messages | None = None, *, output_type: type[T], **options: Unpack[RunOptions]
    ) -> AsyncRunStream[T]:
        run_keywords(**options)

    @overload
    def astream_run(
        self, messages: Messages | None = None, *, output_type: TypeForm[T], **options: Unpack[RunOptions]
    ) -> AsyncRunStream[T]:
        run_keywords(**options)

    def astream_run(
        self, messages: Messages | None = None, *, output_type: Any = None, **options: Any
    ) -> AsyncRunStream[Any]:
        """As :meth:`stream_run`: ``async for event in client.astream_run("…", tools=[…])``."""
        from provider_kit.tools.run_stream import AsyncRunStream

        return AsyncRunStream(self._run(True, messages, output_type, options, True))

    @overload
    def step(self, messages: Messages | None = None, **options: Unpack[RunOptions]) -> RunResult[None]:
        run_keywords(**options)

    @overload
    def step(
        self, messages: Messages | None = None, *, output_type: type[T], **options: Unpack[RunOptions]
    ) -> RunResult[T]:
        run_keywords(**options)

    @overload
    def step(
        self, messages: Messages | None = None, *, output_type: TypeForm[T], **options: Unpack[RunOptions]
    ) -> RunResult[T]:
        run_keywords(**options)

    def step(self, messages: Messages | None = None, *, output_type: Any = None, **options: Any) -> RunResult[Any]:
        """Do only the next thing of a run: ask the model, or run the calls that can run. For queues: one step a job.

        Arguments and errors as :meth:`run`. Call it again with ``result.messages`` until ``result.done``.

        Returns:
            The result so far; ``stopped_by`` is ``step`` while there is more to do.
        """
        return run_to_completion(self._run(False, messages, output_type, options).one_step())

    @overload
    async def astep(self, messages: Messages | None = None, **options: Unpack[RunOptions]) -> RunResult[None]:
        run_keywords(**options)

    @overload
    async def astep(
        self, messages: Messages | None = None, *, output_type: type[T], **options: Unpack[RunOptions]
    ) -> RunResult[T]:
        run_keywords(**options)

    @overload
    async def astep(
        self, messages: Messages | None = None, *, output_type: TypeForm[T], **options: Unpack[RunOptions]
    ) -> RunResult[T]:
        run_keywords(**options)

    async def astep(
        self, messages: Messages | None = None, *, output_type: Any = None, **options: Any
    ) -> RunResult[Any]:
        """As :meth:`step`."""
        if TYPE_CHECKING:
            lambda: run_keywords(**options)
        return await self._run(True, messages, output_type, options).one_step()
