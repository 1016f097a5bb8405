"""What is known of models, and what a call will need: ``models``, ``model_info``, counts and estimates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Unpack

from provider_kit.engine.arguments import check_cancel
from provider_kit.engine.cost_estimate import estimate_cost, estimate_input
from provider_kit.errors import InvalidRequestError
from provider_kit.model.call_options import ChatOptions
from provider_kit.model.cancellation import CancelToken
from provider_kit.model.config import Timeout
from provider_kit.model.estimates import CostEstimate, TokenEstimate
from provider_kit.model.inputs import Messages, build_request
from provider_kit.model.models import Model
from provider_kit.transports.drive import run_to_completion

if TYPE_CHECKING:
    from provider_kit.catalog.directory import ModelDirectory
    from provider_kit.engine.call import Call
    from provider_kit.model.call_options import chat_keywords
    from provider_kit.model.chat import ChatRequest
    from provider_kit.transports.base import Transport

__all__ = ["ModelVerbs"]


class ModelVerbs:
    """The verbs about models, over ``models`` and ``count_tokens`` of a handler."""

    _model: str | None
    _defaults: Mapping[str, Any]

    if TYPE_CHECKING:

        def _blocking(self) -> Transport: ...
        def _asyncio(self) -> Transport: ...
        def _call(
            self,
            operation: str,
            runtime: Transport,
            request: Any,
            timeout: Any,
            total: float | None = None,
            on_unsupported: Any = None,
            cached: bool = True,
            cancel: CancelToken | None = None,
        ) -> Call: ...
        def _chat_call(self, operation: str, runtime: Transport, messages: Any, options: Mapping[str, Any]) -> Call: ...
        async def _ask(self, call: Call) -> Any: ...

        @property
        def _directory(self) -> ModelDirectory:
            """What is known of the models."""

        def _dialect_name(self, model: str) -> str: ...

    # -------------------------------------------------------------------------------------------- models

    def models(
        self,
        *,
        supports: str | Iterable[str] = (),
        min_context: int | None = None,
        refresh: bool = False,
        timeout: float | Timeout | None = None,
        cancel: CancelToken | None = None,
    ) -> list[Model]:
        """The models this key may use, with all that is known of them.

        The provider's own list is joined with the bundled catalog and your ``model_overrides``, the last of which win.
        It is kept for some hours (OpenAI 24, OpenRouter 12, Gemini 2, Ollama 5 minutes, others 6), and longer while
        the provider cannot be reached.

        Args:
            supports: Only models known to have these capabilities: ``vision``, ``audio``, ``video``, ``pdf``,
                ``tools``, ``schema``, ``reasoning``, ``caching``.
            min_context: Only models known to hold so many tokens.
            refresh: Ask the provider again, even if its list is fresh.
            timeout: Seconds for each answer.
            cancel: Cancels the call.

        Raises:
            InvalidRequestError: ``supports`` or ``min_context`` is no such thing.
            NotSupportedError: The provider has no such list.
            APIError, APIConnectionError: As :meth:`chat`.
        """
        wanted = _check_wanted(supports, min_context)
        call = self._list_call(self._blocking(), timeout, cancel, refresh)
        return _fitting(run_to_completion(self._ask(call)), wanted, min_context)

    async def amodels(
        self,
        *,
        supports: str | Iterable[str] = (),
        min_context: int | None = None,
        refresh: bool = False,
        timeout: float | Timeout | None = None,
        cancel: CancelToken | None = None,
    ) -> list[Model]:
        """As :meth:`models`."""
        wanted = _check_wanted(supports, min_context)
        call = self._list_call(self._asyncio(), timeout, cancel, refresh)
        return _fitting(await self._ask(call), wanted, min_context)

    def _list_call(self, runtime: Transport, timeout: Any, cancel: CancelToken | None, refresh: bool) -> Call:
        return self._call("models", runtime, None, timeout, cached=not refresh, cancel=check_cancel(cancel))

    def model_info(self, model: str | None = None) -> Model:
        """What is known of a model, without asking the provider: your ``model_overrides``, the list that was last
        fetched, the bundled catalog. Unknown facts are ``None``.

        Args:
            model: Its name; default: the client's model.

        Raises:
            InvalidRequestError: No model is given.
        """
        name = self._model if model is None else model
        if not isinstance(name, str) or not name:
            what = "No model is given." if name is None else f"model must be the name of a model, not {name!r}."
            raise InvalidRequestError(what, hint="client.model_info('gpt-5-mini').")
        return self._directory.info(name)

    # -------------------------------------------------------------------------------------------- before a call

    def count_tokens(self, messages: Messages | None = None, **options: Unpack[ChatOptions]) -> int:
        """Input tokens of a call, as counted by the provider; never an estimate.

        Arguments as :meth:`chat`.

        Raises:
            NotSupportedError: The provider does not count tokens; :meth:`estimate_tokens` estimates them.
        """
        if TYPE_CHECKING:
            lambda: chat_keywords(**options)
        return run_to_completion(self._ask(self._chat_call("count_tokens", self._blocking(), messages, options)))  # type: ignore[no-any-return]  # a count's

    async def acount_tokens(self, messages: Messages | None = None, **options: Unpack[ChatOptions]) -> int:
        """As :meth:`count_tokens`."""
        if TYPE_CHECKING:
            lambda: chat_keywords(**options)
        return await self._ask(self._chat_call("count_tokens", self._asyncio(), messages, options))  # type: ignore[no-any-return]  # a count's

    def estimate_tokens(self, messages: Messages | None = None, **options: Unpack[ChatOptions]) -> TokenEstimate:
        """Estimate the input tokens of a call, without asking anyone.

        Arguments as :meth:`chat`. How far it may be off, for each family of models, is in the documentation.

        Raises:
            InvalidRequestError: The arguments are wrong.
        """
        if TYPE_CHECKING:
            lambda: chat_keywords(**options)
        request = self._request_of(messages, options)
        return estimate_input(request, self._directory, self._dialect_name(request.model))

    def estimate_cost(self, messages: Messages | None = None, **options: Unpack[ChatOptions]) -> CostEstimate:
        """Estimate what a call will cost, without asking anyone: for the input alone, and with the longest answer.

        Arguments as :meth:`chat`; without ``max_tokens`` the longest answer is what the model can write.

        Raises:
            InvalidRequestError: The arguments are wrong.
        """
        if TYPE_CHECKING:
            lambda: chat_keywords(**options)
        request = self._request_of(messages, options)
        return estimate_cost(request, self._directory, self._dialect_name(request.model))

    def _request_of(self, messages: Any, options: Mapping[str, Any]) -> ChatRequest:
        if options.get("tools") is not None:
            from provider_kit.tools.function import tools_of

            options = {**options, "tools": tools_of(options["tools"])}
        return build_request(messages, options, default_model=self._model, defaults=self._defaults)


def _check_wanted(supports: Any, min_context: Any) -> tuple[str, ...]:
    """The wanted capabilities, checked.

    Raises:
        InvalidRequestError: They are none, or ``min_context`` is no number.
    """
    if not isinstance(supports, Iterable):
        raise InvalidRequestError(
            f"supports must be a capability or several, not {supports!r}.", hint="client.models(supports='vision')."
        )
    wanted = (supports,) if isinstance(supports, str) else tuple(supports)
    for feature in wanted:
        Model("").supports(feature)
    if min_context is not None and (type(min_context) is not int or min_context < 0):
        raise InvalidRequestError(f"min_context must be a whole number of tokens, not {min_context!r}.")
    return wanted


def _fitting(models: list[Model], wanted: tuple[str, ...], min_context: int | None) -> list[Model]:
    return [
        model
        for model in models
        if all(model.supports(feature) for feature in wanted)
        and (min_context is None or (model.context_window is not None and model.context_window >= min_context))
    ]
