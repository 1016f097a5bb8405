"""The hooks of one plugin, as middleware. A plugin that fails is named; the call fails only where it is required."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping
from inspect import isawaitable
from typing import Any

from provider_kit.engine.call import Call
from provider_kit.engine.handler import CallNext, Reply
from provider_kit.engine.plugin import SECURITY, Plugin, PluginContext
from provider_kit.errors import ConfigError, PluginError, ProviderKitError
from provider_kit.model.chat import ChatResponse, Chunk
from provider_kit.model.messages import Message
from provider_kit.transports.base import one_line
from provider_kit.wire.redaction import redact

__all__ = ["PluginLayer", "as_reply", "has_hook"]

_LOG = logging.getLogger("provider_kit.plugins")


def has_hook(plugin: Plugin, name: str) -> bool:
    """Whether a plugin defines a hook."""
    return getattr(type(plugin), name, None) is not getattr(Plugin, name) or name in vars(plugin)


def as_reply(made: Any, plugin: str) -> Reply:
    """What a hook answered in place of the provider.

    Raises:
        ConfigError: It is no answer.
    """
    if isinstance(made, Reply):
        return made
    if isinstance(made, str):
        return Reply(ChatResponse(Message("assistant", made), "stop"))
    if isinstance(made, ChatResponse):
        return Reply(made)
    raise ConfigError(
        f"The plugin {plugin} answered with a {type(made).__name__}.", hint="Return a ChatResponse, a text or a Reply."
    )


class PluginLayer:
    """One plugin around calls.

    Args:
        plugin: The plugin.
        config: The settings it was registered with.
        provider: Name of the provider, or of the router.
        manager: What else is done before a call: plugins whose ``init`` is asynchronous, and the current contexts.
    """

    def __init__(self, plugin: Plugin, config: Mapping[str, Any], provider: str, manager: Any) -> None:
        self.name = plugin.name
        self._plugin = plugin
        self._config = config
        self._provider = provider
        self._manager = manager
        self._required = plugin.priority <= SECURITY if plugin.required is None else plugin.required
        self._hooks = frozenset(
            name
            for name in ("pre_request", "post_response", "on_error", "on_stream_event", "on_provider_selected")
            if has_hook(plugin, name)
        )

    @property
    def is_empty(self) -> bool:
        """Whether it has nothing to do around calls."""
        return not self._hooks and self._plugin.middleware is None and self._plugin.around is None

    async def call_hook(self, name: str, *arguments: Any) -> Any:
        """Call a hook.

        Raises:
            ProviderKitError: It wants the call to stop.
            PluginError: It failed, and is required.
        """
        try:
            made = getattr(self._plugin, name)(*arguments)
            return await made if isawaitable(made) else made
        except ProviderKitError:
            raise
        except Exception as error:
            said = one_line(redact(f"{type(error).__name__}: {error}"))
            if self._required:
                raise PluginError(f"The plugin {self.name} failed in {name}: {said}.") from error
            _LOG.exception("The plugin %s failed in %s (%s); the call goes on without it.", self.name, name, said)
            return None

    async def __call__(self, call: Call, call_next: CallNext) -> Reply:
        """Answer a call."""
        if self._manager.unready:
            await self._manager.make_ready()
        own = call.extension_config.get(self.name)
        context = PluginContext(
            call, {**self._config, **own} if own else self._config, self._provider, self._manager.estimate
        )
        hooks, plugin = self._hooks, self._plugin
        if "pre_request" in hooks:
            made = await self.call_hook("pre_request", context)
            if made is not None:
                return as_reply(made, self.name)
        call = context.call
        selected = "on_provider_selected" in hooks
        if selected:
            await self._manager.selecting(self, context, self._provider)
        try:
            if plugin.around is not None:
                reply = await plugin.around(context, call_next)
            else:
                reply = await (call_next(call) if plugin.middleware is None else plugin.middleware(call, call_next))
        except ProviderKitError as error:
            if "on_error" not in hooks:
                raise
            made = await self.call_hook("on_error", context, error)
            if made is None:
                raise
            if isinstance(made, BaseException):
                raise made from error
            return as_reply(made, self.name)
        finally:
            if selected:
                self._manager.selected(context)
        if not isinstance(reply, Reply):
            raise ConfigError(f"The middleware of the plugin {self.name} returned no Reply.")
        if reply.state is not None:
            if not hooks.isdisjoint(("on_stream_event", "post_response", "on_error")):
                _StreamHooks(self, context, hooks).attach(reply)
        elif "post_response" in hooks:
            made = await self.call_hook("post_response", context, reply.answer)
            if made is not None:
                return as_reply(made, self.name)
        return reply


class _StreamHooks:
    """The hooks of a plugin around one stream."""

    def __init__(self, layer: PluginLayer, context: PluginContext, hooks: frozenset[str]) -> None:
        self._layer = layer
        self._context = context
        self._hooks = hooks
        self._other: ChatResponse | None = None

    def attach(self, reply: Reply) -> None:
        state = reply.state
        assert state is not None  # it is live
        reply.pipe(lambda chunks: self._read(chunks, state), answer=self._answer)

    def _answer(self, answer: ChatResponse) -> ChatResponse:
        return self._other or answer

    async def _read(self, chunks: AsyncGenerator[Chunk, None], state: Any) -> AsyncGenerator[Chunk, None]:
        layer, context, hooks = self._layer, self._context, self._hooks
        each = "on_stream_event" in hooks
        try:
            async for chunk in chunks:
                made = await layer.call_hook("on_stream_event", context, chunk) if each else None
                yield made if isinstance(made, Chunk) else chunk
        except ProviderKitError as error:
            if "on_error" in hooks:
                made = await layer.call_hook("on_error", context, error)
                if isinstance(made, BaseException):
                    raise made from error
            raise
        finally:
            await chunks.aclose()
        if "post_response" in hooks:
            made = await layer.call_hook("post_response", context, state.response())
            if isinstance(made, ChatResponse):
                self._other = made
