"""``client.ollama``: the models of an Ollama server."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING, Any

from provider_kit.dialects.base import path_name
from provider_kit.dialects.ollama_chat import OllamaChat
from provider_kit.dialects.ollama_chat.management import LoadedModel, OllamaCall, PullProgress
from provider_kit.errors import InvalidRequestError, NotSupportedError
from provider_kit.model.config import Timeout
from provider_kit.model.models import Model
from provider_kit.transports.drive import iterate_blocking, run_to_completion

if TYPE_CHECKING:
    from provider_kit.client.model_verbs import ModelVerbs
    from provider_kit.engine.endpoint import Endpoint
    from provider_kit.transports.base import Transport

__all__ = ["OllamaModels"]

#: A server verifies a large model for minutes without a word.
_PATIENCE = Timeout(connect=10.0, first_token=300.0, idle=300.0, total=math.inf)


class OllamaModels:
    """The models of one Ollama server: pull, what is loaded, show, delete.

    Raises:
        NotSupportedError: By each method, if the provider is another one.
    """

    def __init__(self, client: ModelVerbs, endpoint: Endpoint) -> None:
        self._verbs, self._endpoint = client, endpoint

    @property
    def _client(self) -> ModelVerbs:
        if self._endpoint.provider.dialect is not OllamaChat:
            raise NotSupportedError(
                f"{self._endpoint.name} is no Ollama server.", hint="Client('ollama/llama3.2').ollama.pull('llama3.2')."
            )
        return self._verbs

    def pull(self, model: str | None = None) -> Generator[PullProgress, None, None]:
        """Download a model to the server, and yield its progress; the request is sent with the first step.

        Args:
            model: Its name, e.g. ``llama3.2:3b``; default: the client's model.

        Raises:
            APIError: The server knows no such model.
            StreamIncompleteError: The download broke off; pulling again goes on where it stopped.

        Example:
            >>> for step in client.ollama.pull("llama3.2"):  # doctest: +SKIP
            ...     print(step.status, step.fraction)
        """
        call = self._named("pull", model)
        return iterate_blocking(self._progress(self._client._blocking(), call))

    def apull(self, model: str | None = None) -> AsyncGenerator[PullProgress, None]:
        """As :meth:`pull`: ``async for step in client.ollama.apull("llama3.2")``."""
        return self._progress(self._client._asyncio(), self._named("pull", model))

    def ps(self) -> list[LoadedModel]:
        """The models in memory."""
        return run_to_completion(self._ask(self._client._blocking(), OllamaCall("ps")))

    async def aps(self) -> list[LoadedModel]:
        """As :meth:`ps`."""
        return await self._ask(self._client._asyncio(), OllamaCall("ps"))  # type: ignore[no-any-return]  # a list

    def show(self, model: str | None = None) -> Model:
        """What the server tells of a model: window, capabilities; all of it in ``raw``.

        Raises:
            ModelNotFoundError: It is not there.
        """
        return run_to_completion(self._ask(self._client._blocking(), self._named("show", model)))  # type: ignore[no-any-return]  # a model

    async def ashow(self, model: str | None = None) -> Model:
        """As :meth:`show`."""
        return await self._ask(self._client._asyncio(), self._named("show", model))  # type: ignore[no-any-return]  # a model

    def delete(self, model: str) -> None:
        """Delete a model from the server.

        Raises:
            ModelNotFoundError: It is not there.
        """
        run_to_completion(self._ask(self._client._blocking(), self._named("delete", model)))

    async def adelete(self, model: str) -> None:
        """As :meth:`delete`."""
        await self._ask(self._client._asyncio(), self._named("delete", model))

    # -------------------------------------------------------------------------------------------- requests

    def _named(self, action: str, model: str | None) -> OllamaCall:
        # What is deleted is never guessed.
        name = self._client._model if model is None and action != "delete" else model
        if not isinstance(name, str) or not name:
            raise InvalidRequestError(
                f"model must be the name of a model, not {name!r}.", hint=f"client.ollama.{action}('llama3.2')."
            )
        return OllamaCall(action, path_name(name))

    async def _ask(self, runtime: Transport, request: OllamaCall) -> Any:
        return await self._client._ask(self._client._call("ollama", runtime, request, None))

    async def _progress(self, runtime: Transport, request: OllamaCall) -> AsyncGenerator[PullProgress, None]:
        client = self._client
        steps = await client._ask(client._call("pull", runtime, request, _PATIENCE, math.inf))
        try:
            async for step in steps:
                yield step
        finally:
            await steps.aclose()
