"""The plugins of a client or router: registered, put in order, called, closed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import entry_points
from inspect import isawaitable
from typing import Any

from provider_kit.engine.events import Sink
from provider_kit.engine.middleware import MiddlewareChain
from provider_kit.engine.plugin import Plugin, PluginContext
from provider_kit.errors import ConfigError, PluginError, ProviderKitError
from provider_kit.model.chat import ChatRequest
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.estimates import CostEstimate
from provider_kit.model.events import RouteChosen
from provider_kit.plugins.layer import PluginLayer, has_hook
from provider_kit.transports.base import Runtime, foreign_error
from provider_kit.transports.drive import run_to_completion

__all__ = ["PluginManager", "manager_of"]

_LOG = logging.getLogger("provider_kit.plugins")
_GROUP = "provider_kit.plugins"
#: Seconds after which a call looks again whether the plugins are ready.
_LOOK_AGAIN = 0.01


class PluginManager:
    """The plugins of one client or router, in the order in which they see a request.

    Args:
        plugins: Plugins, classes of plugins, names of those of installed packages (their entry points in the group
            ``provider_kit.plugins``), or sinks of events such as :class:`UsageLedger`. A dict, or pairs, give each its
            settings.

    Raises:
        ConfigError: One cannot be found or started, its name is taken, or it depends on one that is not there.
    """

    def __init__(self, plugins: Iterable[Any] | Mapping[Any, Any] = ()) -> None:
        self.chain = MiddlewareChain()
        self._provider = ""
        #: Whether it serves a router.
        self.is_router = False
        self._bus: Any = None
        #: Estimates what a request will cost; known once it serves a client or router.
        self.estimate: Callable[[ChatRequest], CostEstimate] | None = None
        self._plugins: list[tuple[Plugin, Mapping[str, Any]]] = []
        self._sinks: list[Sink] = []
        #: Plugins whose ``init`` is still to be awaited.
        self.unready: list[tuple[Plugin, Any]] = []
        self._beginning = False
        self._contexts: dict[str, list[tuple[PluginLayer, PluginContext]]] = {}
        #: Plugins that were closed; held, so that no other one has their identity.
        self._closed: list[Plugin] = []
        #: What the bus has of this manager.
        self._connected: list[Any] = []
        pairs = plugins.items() if isinstance(plugins, Mapping) else map(_with_settings, plugins)
        for given, config in pairs:
            self._add(given, config or {})
        self._arrange()

    # -------------------------------------------------------------------------------------------- registering

    def register(self, plugin: Any, config: Mapping[str, Any] | None = None) -> None:
        """Add a plugin, for calls that begin from now on.

        Args:
            plugin: As in :class:`PluginManager`.
            config: Its settings.

        Raises:
            ConfigError: It cannot be found or started, or its name is taken.
        """
        before = self._plugins, self._sinks, self.unready
        self._plugins, self._sinks, self.unready = [*before[0]], [*before[1]], [*before[2]]
        try:
            self._add(plugin, config or {})
            self._arrange()
        except BaseException:
            self._plugins, self._sinks, self.unready = before
            raise

    def remove(self, name: str) -> None:
        """Remove a plugin, and close it if that needs no waiting.

        Raises:
            ConfigError: There is none of this name, or another one depends on it.
        """
        plugin = self[name]
        needing = [one.name for one in self if name in one.dependencies]
        if needing:
            raise ConfigError(f"The plugin {name} is needed by {', '.join(needing)}.", hint="Remove these first.")
        self._plugins = [pair for pair in self._plugins if pair[0] is not plugin]
        self._arrange()
        made = self._close_one(plugin)
        self._closed.remove(plugin)  # it may be registered again
        if isawaitable(made):
            made.close()  # type: ignore[attr-defined]  # a coroutine, which cannot be awaited here

    def _add(self, given: Any, config: Mapping[str, Any]) -> None:
        if not isinstance(config, Mapping):
            raise ConfigError(f"The settings of the plugin {given!r} must be a dict, not {config!r}.")
        plugin = _load(given) if isinstance(given, str) else given
        plugin = _made(plugin) if isinstance(plugin, type) else plugin
        if not isinstance(plugin, Plugin):
            if callable(plugin) and hasattr(plugin, "wanted_events"):
                self._sinks.append(plugin)
                return
            raise ConfigError(
                f"{plugin!r} is not a plugin.", hint="Derive it from provider_kit.Plugin; a function is middleware=…"
            )
        if not isinstance(plugin.priority, (int, float)):
            raise ConfigError(
                f"The priority of the plugin {plugin.name} is {plugin.priority!r}.", hint="priority = 500"
            )
        if not plugin.name or not isinstance(plugin.name, str):
            raise ConfigError(f"The plugin {type(plugin).__name__} has no name.", hint='name = "my-plugin"')
        _check_hooks(plugin)
        if any(one.name == plugin.name for one in self):
            raise ConfigError(f"There are two plugins named {plugin.name!r}.", hint="Give one of them another name.")
        try:
            made = plugin.init(config)
        except ProviderKitError:
            raise
        except Exception as error:
            said = foreign_error(error)
            raise ConfigError(f"The plugin {plugin.name} could not be started: {said}.") from error
        if isawaitable(made):
            self.unready.append((plugin, made))
        self._plugins.append((plugin, dict(config)))

    async def make_ready(self, runtime: Runtime) -> None:
        """Await what the ``init`` of plugins has begun; one call does, and others wait for it.

        Raises:
            PluginError: One of them failed; each call says so, since it must not go on without it.
        """
        while self.unready:
            if self._beginning:
                await runtime.sleep(_LOOK_AGAIN)
                continue
            plugin, made = self.unready[0]
            if isinstance(made, Exception):
                raise made
            self._beginning = True
            try:
                await made
            except Exception as error:
                said = foreign_error(error)
                failure = PluginError(f"The plugin {plugin.name} could not be started: {said}.")
                self.unready[0] = (plugin, error if isinstance(error, ProviderKitError) else failure)
                raise self.unready[0][1] from error
            except BaseException:  # this call was cancelled, and with it what it awaited
                self.unready[0] = (plugin, plugin.init(self._config_of(plugin)))
                raise
            else:
                self.unready.pop(0)
            finally:
                self._beginning = False

    def _config_of(self, plugin: Plugin) -> Mapping[str, Any]:
        return next(config for one, config in self._plugins if one is plugin)

    @property
    def given(self) -> list[Any]:
        """What it was made of, for a copy."""
        return [*((plugin, config) for plugin, config in self._plugins), *((sink, {}) for sink in self._sinks)]

    def attach(self, provider: str, bus: Any, estimate: Callable[[ChatRequest], CostEstimate]) -> None:
        """Serve a client or router.

        Args:
            provider: Its name.
            bus: Its event bus.
            estimate: Estimates what a request will cost there.
        """
        self._provider, self._bus, self.estimate, self.is_router = provider, bus, estimate, bus.is_router
        self._arrange()

    # -------------------------------------------------------------------------------------------- order

    def _arrange(self) -> None:
        self._plugins = _ordered(self._plugins)
        layers = [PluginLayer(plugin, config, self._provider, self) for plugin, config in self._plugins]
        self.chain.replace_all(layer for layer in layers if not layer.is_empty)
        if self._bus is not None:
            self._connect(self._bus)

    def _connect(self, bus: Any) -> None:
        """Have the bus pass events to the plugins that want some, and to the sinks they brought."""
        made: list[Any] = [_EventHook(plugin) for plugin, _ in self._plugins if has_hook(plugin, "on_event")]
        made += self._sinks
        made += [sink for plugin, _ in self._plugins for sink in plugin.sinks]
        if any(has_hook(plugin, "on_provider_selected") for plugin, _ in self._plugins):
            made.append(_EventHook(_Selection(self)))
        old, self._connected = self._connected, made

        def connected(sinks: tuple[Any, ...]) -> tuple[Any, ...]:
            kept = [one for one in sinks if not any(one is other for other in old)]
            for one in made:
                if one not in kept:
                    kept.append(one)
            return tuple(kept)

        bus.change(connected)

    async def selecting(self, layer: PluginLayer, context: PluginContext, provider: str) -> None:
        """A call is about to choose whom it asks."""
        if self.is_router:
            self._contexts.setdefault(context.correlation_id, []).append((layer, context))
        else:
            await layer.call_hook("on_provider_selected", context, provider, context.model)

    def selected(self, context: PluginContext) -> None:
        """A call has its answer, or error."""
        found = self._contexts.get(context.correlation_id)
        if found is not None:
            found[:] = [pair for pair in found if pair[1] is not context]
            if not found:
                self._contexts.pop(context.correlation_id, None)

    async def tell_selected(self, event: RouteChosen) -> None:
        """A router has chosen whom it asks."""
        for layer, context in list(self._contexts.get(event.correlation_id or "", ())):
            await layer.call_hook("on_provider_selected", context, event.target_provider, event.target_model)

    # -------------------------------------------------------------------------------------------- looking

    def __iter__(self) -> Iterator[Plugin]:
        return iter([plugin for plugin, _ in self._plugins])

    def __len__(self) -> int:
        return len(self._plugins)

    def __contains__(self, name: object) -> bool:
        return any(name in (plugin, plugin.name) for plugin in self)

    def __getitem__(self, name: str) -> Plugin:
        """A plugin by its name.

        Raises:
            ConfigError: There is none of this name.
        """
        found = next((plugin for plugin in self if plugin.name == name), None)
        if found is None:
            known = [plugin.name for plugin in self]
            raise ConfigError(
                f"There is no plugin {name!r} here.",
                hint=f"{did_you_mean(name, known)}There are: {', '.join(known) or 'none'}.",
            )
        return found

    def __repr__(self) -> str:
        return f"<PluginManager {', '.join(plugin.name for plugin in self) or 'empty'}>"

    # -------------------------------------------------------------------------------------------- closing

    def close(self) -> None:
        """Close every plugin, the innermost first. One that fails is logged. Safe to call twice."""
        run_to_completion(self.aclose())

    async def aclose(self) -> None:
        """As :meth:`close`, for plugins that are closed asynchronously, too."""
        for _, made in self.unready:
            if not isinstance(made, Exception):
                made.close()
        self.unready.clear()
        for sink in self._sinks:
            if hasattr(sink, "close"):
                sink.close()
        for plugin, _ in reversed(self._plugins):
            made = self._close_one(plugin)
            if isawaitable(made):
                try:
                    await made
                except Exception:  # the other plugins are to be closed, too
                    _LOG.exception("The plugin %s could not be closed.", plugin.name)

    def _close_one(self, plugin: Plugin) -> Any:
        if any(plugin is one for one in self._closed):
            return None
        self._closed.append(plugin)
        try:
            return plugin.close()
        except Exception:  # the other plugins are to be closed, too
            _LOG.exception("The plugin %s could not be closed.", plugin.name)
            return None


def manager_of(given: Any) -> PluginManager:
    """The manager of the plugins that were given.

    Raises:
        ConfigError: They cannot be used.
    """
    if isinstance(given, PluginManager):
        return given
    if isinstance(given, (str, type)) or not isinstance(given, (list, tuple, Mapping)):
        given = (given,)
    return PluginManager(given)


class _EventHook:
    """The ``on_event`` of a plugin, as a sink."""

    follows_targets = True

    def __init__(self, plugin: Any) -> None:
        self._plugin = plugin
        self.wanted_events = plugin.wanted_events
        self.on_event = plugin.on_event

    def __call__(self, event: Any) -> Any:
        return self.on_event(event)

    def __eq__(self, other: object) -> bool:
        """A client and a router with the same plugin tell it once."""
        return isinstance(other, _EventHook) and other._plugin is self._plugin

    def __hash__(self) -> int:
        return id(self._plugin)


class _Selection:
    """Tells plugins whom a router asks."""

    wanted_events = frozenset({RouteChosen})

    def __init__(self, manager: PluginManager) -> None:
        self.on_event = manager.tell_selected


def _check_hooks(plugin: Plugin) -> None:
    """Refuse a method whose name is nearly that of a hook, and which would never be called.

    Raises:
        ConfigError: There is one.
    """
    hooks = {name for name in dir(Plugin) if name.startswith(("pre_", "post_", "on_"))}
    for name in dir(type(plugin)):
        if name.startswith(("pre_", "post_", "on_")) and name not in hooks:
            meant = did_you_mean(name, hooks).strip()
            if meant:
                raise ConfigError(f"The plugin {plugin.name} has {name}(), which is no hook.", hint=meant)


def _with_settings(given: Any) -> tuple[Any, Mapping[str, Any]]:
    return given if isinstance(given, tuple) and len(given) == 2 else (given, {})


def _load(name: str) -> Any:
    """A plugin of an installed package.

    Raises:
        ConfigError: There is none of this name, or it cannot be imported.
    """
    found = {one.name: one for one in entry_points(group=_GROUP)}
    if name not in found:
        raise ConfigError(
            f"There is no plugin {name!r}.", hint=f"{did_you_mean(name, found)}There are: {', '.join(found) or 'none'}."
        )
    try:
        return found[name].load()
    except Exception as error:
        said = foreign_error(error)
        raise ConfigError(
            f"The plugin {name} ({found[name].value}) cannot be loaded: {said}.",
            hint="Mend or uninstall its package, or leave the plugin out.",
        ) from error


def _made(kind: type) -> Any:
    try:
        return kind()
    except TypeError as error:
        raise ConfigError(
            f"The plugin {kind.__name__} needs arguments: {error}.",
            hint=f"Pass an object: plugins=[{kind.__name__}(…)].",
        ) from error


def _ordered(plugins: list[tuple[Plugin, Mapping[str, Any]]]) -> list[tuple[Plugin, Mapping[str, Any]]]:
    """Plugins by priority, each after those it depends on.

    Raises:
        ConfigError: One that is needed is not there, or two need each other.
    """
    waiting = sorted(plugins, key=lambda pair: pair[0].priority)
    names = {plugin.name for plugin, _ in waiting}
    for plugin, _ in waiting:
        missing = [name for name in plugin.dependencies if name not in names]
        if missing:
            raise ConfigError(
                f"The plugin {plugin.name} needs {', '.join(missing)}.", hint=f"Register {missing[0]} as well."
            )
    made: list[tuple[Plugin, Mapping[str, Any]]] = []
    placed: set[str] = set()
    while waiting:
        ready = next((pair for pair in waiting if placed.issuperset(pair[0].dependencies)), None)
        if ready is None:
            circle = ", ".join(plugin.name for plugin, _ in waiting)
            raise ConfigError(f"These plugins depend on each other: {circle}.", hint="Remove one dependency.")
        waiting.remove(ready)
        made.append(ready)
        placed.add(ready[0].name)
    return made
