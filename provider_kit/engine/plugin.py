"""The base of plugins: named hooks around each call. What arranges and calls them is in ``plugins/``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import define, field

from provider_kit.engine.call import Call
from provider_kit.model.chat import ChatRequest
from provider_kit.model.estimates import CostEstimate
from provider_kit.model.events import Event

__all__ = ["CACHE", "LOGGING", "SECURITY", "TRANSFORM", "Plugin", "PluginContext"]

#: Priorities: the lowest is the outermost, and sees a request first and an answer last.
SECURITY, CACHE, TRANSFORM, LOGGING = 100, 200, 500, 900


@define(eq=False)
class PluginContext:
    """One call, as a plugin sees it."""

    #: The call; ``context.call = context.call.replace(…)`` changes it.
    call: Call = field(repr=False)
    #: The plugin's settings: those it was given, overridden by ``extension_config`` of the call.
    config: Mapping[str, Any]
    #: Name of the provider, or of the router.
    provider: str = ""
    _estimate: Callable[[ChatRequest], CostEstimate] | None = field(default=None, repr=False)
    #: Whether it is a call of a router, around those of its targets.
    is_router: bool = False
    #: What the plugin keeps for the time of the call.
    state: dict[str, Any] = field(factory=dict)

    @property
    def request(self) -> Any:
        """What is asked, a :class:`ChatRequest` in chats and streams; may be set to another one."""
        return self.call.request

    @request.setter
    def request(self, request: Any) -> None:
        self.call = self.call.replace(request=request)

    @property
    def chat(self) -> ChatRequest | None:
        """The request, if it is a conversation; ``None`` in embeddings, lists of models and so on."""
        request = self.call.request
        return request if isinstance(request, ChatRequest) else None

    def estimate_cost(self, max_tokens: int | None = None, *, of: ChatRequest | None = None) -> CostEstimate | None:
        """What the request will cost, as :meth:`Client.estimate_cost`; ``None`` if it is no conversation.

        Args:
            max_tokens: The longest answer, in place of the request's own.
            of: Another request.
        """
        chat = self.chat if of is None else of
        if chat is None or self._estimate is None:
            return None
        return self._estimate(chat if max_tokens is None else chat.replace(max_tokens=max_tokens))

    @property
    def operation(self) -> str:
        """``chat``, ``stream``, ``embed`` and so on."""
        return self.call.operation

    @property
    def model(self) -> str | None:
        """The model that is asked."""
        return self.call.model

    @property
    def correlation_id(self) -> str:
        """The id of the call."""
        return self.call.correlation_id


class Plugin:
    """Base of plugins. A plugin defines the hooks it needs, each as a plain method or ``async``.

    In blocking calls an asynchronous hook must not wait for anything; in asyncio a plain one must not block.
    """

    #: Its name, for ``extension_config``, dependencies and messages.
    name: str = ""
    version: str = ""
    description: str = ""
    #: Names of plugins that must be there too, and see a request before it.
    dependencies: tuple[str, ...] = ()
    #: From the outermost to the innermost: security 100, cache 200, transform 500, logging 900.
    priority: int = TRANSFORM
    #: Whether a call fails if a hook raises something unexpected; ``None``: only where the priority is that of
    #: security. What a hook raises on purpose, a :class:`ProviderKitError`, always stops the call.
    required: bool | None = None
    #: Further sinks of events that it brings along, each of which is added once.
    sinks: tuple[Callable[[Any], object], ...] = ()
    #: The events that :meth:`on_event` wants; ``None`` for those that any function of ``on_event=`` receives.
    wanted_events: frozenset[type[Event]] | None = None

    def init(self, config: Mapping[str, Any]) -> Any:
        """Called once, before the first call.

        Args:
            config: The settings it was registered with.
        """

    def pre_request(self, context: PluginContext) -> Any:
        """Called before a request. It may change ``context.request``, raise to stop the call, or answer itself.

        Returns:
            ``None`` to go on; or a :class:`ChatResponse`, a text, or a :class:`Reply` that is the answer.
        """

    def post_response(self, context: PluginContext, response: Any) -> Any:
        """Called with each whole answer, and with the answer of a stream at its end.

        Returns:
            ``None``, or another answer in its place; of a stream the chunks have been delivered already.
        """

    def on_error(self, context: PluginContext, error: Exception) -> Any:
        """Called when a call fails.

        Returns:
            ``None`` to let the error be raised; or another error, or an answer in its place.
        """

    def on_stream_event(self, context: PluginContext, chunk: Any) -> Any:
        """Called with each chunk of a stream.

        Returns:
            ``None``, or another chunk in its place.
        """

    def on_provider_selected(self, context: PluginContext, provider: str, model: str | None) -> Any:
        """Called when it is decided who is asked; with a router for each target that is asked."""

    def on_event(self, event: Any) -> Any:
        """Called with each event that it wants."""

    #: ``async def middleware(self, call, call_next)``, where the hooks do not suffice.
    middleware: Callable[..., Awaitable[Any]] | None = None
    #: ``async def around(self, context, call_next)``: the same with a :class:`PluginContext`; ``context.call`` goes on.
    around: Callable[..., Awaitable[Any]] | None = None

    def close(self) -> Any:
        """Called once, when the client is closed."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"
