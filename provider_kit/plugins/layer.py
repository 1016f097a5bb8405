"""The hooks of one plugin, as middleware. A plugin that fails is named; the call fails only where it is required."""

from __future__ import annotations

import logging
import traceback
from collections.abc import AsyncGenerator, Mapping
from inspect import isawaitable
from typing import Any

from provider_kit.engine.call import Call
from provider_kit.engine.handler import CallNext, Reply
from provider_kit.engine.plugin import SECURITY, Plugin, PluginContext
from provider_kit.errors import ConfigError, PluginError, ProviderKitError
from provider_kit.model.chat import ChatResponse, Chunk
from provider_kit.model.messages import Message
from provider_kit.transports.base import foreign_error
from provider_kit.wire.redaction import redact

__all__ = ["PluginLayer", "as_reply", "has_hook"]

_LOG = logging.getLogger("provider_kit.plugins")
#: What a hook returned that failed.
_FAILED: Any = object()


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
            self._failed(name, error)
            return _FAILED

    def _failed(self, name: str, error: Exception) -> None:
        """Report that the plugin failed.

        Raises:
            PluginError: It is required.
        """
        said = foreign_error(error)
        if self._required:
            raise PluginError(f"The plugin {self.name} failed in {name}: {said}.") from error
        trace = redact("".join(traceback.format_exception(error)))
        _LOG.error("The plugin %s failed in %s (%s); the call goes on without it.\n%s", self.name, name, said, trace)

    async def _call_on(self, context: PluginContext, call: Call, call_next: CallNext) -> Reply:
        """Answer a call with the plugin's own middleware, if it has one."""
        plugin = self._plugin
        if plugin.around is None and plugin.middleware is None:
            return await call_next(call)
        onward = _Onward(call_next)
        try:
            reply = await (plugin.around(context, onward) if plugin.around else plugin.middleware(call, onward))  # type: ignore[misc]  # one of them is there
            if not isinstance(reply, Reply):
                raise TypeError(f"it returned a {type(reply).__name__}, not a Reply")
            return reply
        except ProviderKitError:
            raise
        except Exception as error:
            if error is onward.error:
                raise
            self._failed("around" if plugin.around else "middleware", error)
            return await call_next(call) if onward.reply is None else onward.reply

    async def __call__(self, call: Call, call_next: CallNext) -> Reply:
        """Answer a call."""
        if self._manager.unready:
            await self._manager.make_ready(call.runtime)
        own = call.extension_config.get(self.name)
        context = PluginContext(
            call,
            {**self._config, **own} if own else self._config,
            self._provider,
            self._manager.estimate,
            self._manager.is_router,
        )
        hooks = self._hooks
        if "pre_request" in hooks:
            made = await self._answer("pre_request", context)
            if made is not None:
                return made
        call = context.call
        selected = "on_provider_selected" in hooks
        if selected:
            await self._manager.selecting(self, context, self._provider)
        try:
            reply = await self._call_on(context, call, call_next)
        except ProviderKitError as error:
            if "on_error" not in hooks:
                raise
            made = await self.call_hook("on_error", context, error)
            if made is None or made is _FAILED:
                raise
            if isinstance(made, BaseException):
                raise made from error
            return as_reply(made, self.name)
        finally:
            if selected:
                self._manager.selected(context)
        if reply.state is not None:
            if not hooks.isdisjoint(("on_stream_event", "post_response", "on_error")):
                _StreamHooks(self, context, hooks).attach(reply)
        elif "post_response" in hooks:
            made = await self._answer("post_response", context, reply.answer)
            if made is not None:
                return made
        return reply

    async def _answer(self, name: str, *arguments: Any) -> Reply | None:
        """What a hook answers in place of the provider.

        Raises:
            PluginError: It is no answer, and the plugin is required.
        """
        made = await self.call_hook(name, *arguments)
        if made is None or made is _FAILED:
            return None
        try:
            return as_reply(made, self.name)
        except ConfigError as error:
            self._failed(name, error)
            return None


class _Onward:
    """The ``call_next`` of a plugin's own middleware; notes what came of it."""

    def __init__(self, call_next: CallNext) -> None:
        self._call_next = call_next
        self.reply: Reply | None = None
        self.error: BaseException | None = None

    async def __call__(self, call: Call) -> Reply:
        try:
            self.reply = await self._call_next(call)
        except BaseException as error:
            self.error = error
            raise
        return self.reply


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
                each = each and made is not _FAILED  # once is enough for one stream
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
