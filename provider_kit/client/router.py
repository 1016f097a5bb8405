"""The router: several providers as one, with the verbs of a client."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Never, Self, Unpack

from attrs import evolve

from provider_kit.client.client import Client
from provider_kit.client.route_targets import TargetBuilder
from provider_kit.client.router_arguments import (
    check_strategy,
    checked_strategy,
    circuit_of,
    rate_of,
    sticky_of,
    wait_of,
)
from provider_kit.client.run_verbs import with_function_tools
from provider_kit.client.target import Target
from provider_kit.client.verbs import Verbs
from provider_kit.engine.middleware import LayeredHandler, MiddlewareChain
from provider_kit.errors import ConfigError, InvalidRequestError
from provider_kit.model.arguments import explained
from provider_kit.model.config import CircuitBreakerConfig, Timeout
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.display import html_table
from provider_kit.model.inputs import RUN_OPTIONS
from provider_kit.policies.routing.hedging import Hedge
from provider_kit.policies.routing.racing import Race
from provider_kit.policies.routing.strategies import STRATEGIES
from provider_kit.routing.fallback_rule import FallbackRule
from provider_kit.transports.pair import Transports

if TYPE_CHECKING:
    from provider_kit.auth.keys.pool import KeyPool
    from provider_kit.catalog.directory import ModelDirectory
    from provider_kit.engine.call import Call
    from provider_kit.engine.events import Sink
    from provider_kit.engine.handler import Middleware
    from provider_kit.model.call_options import ChatOptions, chat_keywords
    from provider_kit.model.config import APIKey
    from provider_kit.model.estimates import CostEstimate, TokenEstimate
    from provider_kit.model.inputs import Messages
    from provider_kit.model.models import Model
    from provider_kit.model.routing import RouteExplanation, TargetStatus
    from provider_kit.observability.metrics import Metrics
    from provider_kit.plugins.manager import PluginManager
    from provider_kit.policies.routing.strategies import Strategy
    from provider_kit.routing.fallback_rule import FallbackOn
    from provider_kit.routing.router_handler import RouterHandler
    from provider_kit.routing.targets import RouteTarget
    from provider_kit.stores.base import SharedStore
    from provider_kit.tools.options import RunOptions, run_keywords
    from provider_kit.transports.base import Transport

__all__ = ["Router"]


@explained("Router(['openai/gpt-5-mini', 'anthropic/claude-haiku-4-5'])")
class Router(Verbs):
    """Several providers as one: it asks one target, and another one if that fails.

    A stream changes its target only before its first content. Failures of the caller's own making, such as a request
    that every provider would refuse, are raised at once.

    Args:
        targets: What is asked: ``"provider/model"``, a :class:`Client`, another :class:`Router`, or a
            :class:`Target`, each once.
        strategy: The order: ``fallback`` (as given), ``round_robin``, ``weighted``, ``random``, ``least_busy``,
            ``latency`` (the fastest lately), ``headroom`` (the most quota left), ``cheapest``; a :class:`Hedge` or
            :class:`Race`, which ask several at once; or a function of yours, see :class:`Strategy`.
        aliases: Further names for ``model=``: each stands for some of the targets, by their names or models
            (``{"smart": ["anthropic/claude-opus-4-5"]}``), or for a :class:`Router`.
        fallback_on: What is left for another target, in place of the usual rules: classes of errors; functions that
            are called with the error or with the whole answer and return ``True``, ``False``, or ``None`` for the usual
            rule; ``"refusal"`` and ``"invalid_output"`` for answers. Functions and words are added to the rules. A
            stream is then delivered once it is complete.
        wait: Seconds to wait for the first target to return, if all are out; ``True`` for as long as the call may
            take. By default the one that returns first is asked at once.
        sticky: Whether calls with the same ``cache_key``, which each stored conversation has, stay with one target, so
            that its prompt cache helps: ``True``, ``False``, ``"user"`` for calls with the same ``user``, or a function
            from the request to a key. Default: where the strategy spreads calls.
        min_rate: The fewest characters per second of a stream; a slower one is left before its first content is
            delivered, which is held back for up to five seconds for that.
        circuit_breaker: When a target that keeps failing is not asked for a while: ``True``, ``False`` or a
            :class:`CircuitBreakerConfig`.
        store: ``redis://…`` or a :class:`RedisStore`: share with other processes which targets are out.
        timeout: As in :class:`Client`; default: that of each target.
        total_timeout: Seconds for a whole call, all targets and waits included. While another target could answer, one
            may use half of what is left.
        defaults: Keyword arguments for every call.
        on_event: As in :class:`Client`: called with each decision of the router.
        middleware: As in :class:`Client`, around each call of the router.
        plugins: As in :class:`Client`, around each call of the router.
        metrics: As in :class:`Client`.
        validation: As in :class:`Client`.
        name: Its name in reports, and the model that stands for all targets.
        seed: For strategies by chance, choices that can be repeated.

    Raises:
        ConfigError: There are no targets, one is given twice, or an argument is invalid.

    Example:
        >>> from provider_kit import Router
        >>> router = Router(["demo/echo", "demo/count"])
        >>> reply = router.chat("Hello")
        >>> reply.text, reply.routing.target
        ('Hello', 'demo/echo')
    """

    #: Whether closing it closes its plugins.
    _owns_plugins = True

    def __init__(
        self,
        targets: Sequence[str | Client | Router | Target],
        strategy: str | Hedge | Race | Strategy = "fallback",
        *,
        aliases: Mapping[str, str | Sequence[str] | Router] | None = None,
        fallback_on: FallbackOn | None = None,
        wait: float | bool = False,
        sticky: bool | str | Callable[[Any], str | None] | None = None,
        min_rate: float | None = None,
        circuit_breaker: bool | CircuitBreakerConfig = True,
        store: str | SharedStore | None = None,
        timeout: float | Timeout | None = None,
        total_timeout: float | None = None,
        defaults: Mapping[str, Any] | None = None,
        on_event: Sink | Sequence[Sink] | None = None,
        middleware: Sequence[Middleware] = (),
        plugins: Sequence[Any] | Mapping[Any, Any] | PluginManager = (),
        metrics: bool | Metrics = True,
        validation: bool = True,
        name: str = "router",
        seed: int | None = None,
        **unknown: Never,
    ) -> None:
        given = {
            key: value for key, value in locals().items() if key not in ("self", "targets", "unknown", "__class__")
        }
        from provider_kit.engine.arguments import check_times
        from provider_kit.engine.assembly import metrics_of, middleware_of, sinks_of, store_of
        from provider_kit.engine.client_arguments import check_defaults, check_flag, instead_of
        from provider_kit.engine.events import EventBus
        from provider_kit.plugins.manager import manager_of
        from provider_kit.policies.routing.state import RouterState
        from provider_kit.routing.router_handler import RouterHandler
        from provider_kit.routing.shared import SharedRouting

        for argument in unknown:
            raise ConfigError(f"Unknown argument {argument!r}.", hint=instead_of(argument, given, router=True))
        if not isinstance(name, str) or not name.strip():
            raise ConfigError(f"The name of a router must be a text, not {name!r}.")
        check_flag("validation", validation)
        self.name = name
        self._given, self._targets = given, targets
        self._validation = validation
        self._model = name
        self._defaults = check_defaults(with_function_tools(defaults))
        try:
            self._timeout, self._total = check_times(timeout, total_timeout)
        except InvalidRequestError as error:
            raise ConfigError(error.message, hint=error.hint) from None
        check_strategy(strategy)
        opened = store_of(store)
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise ConfigError(f"seed must be a whole number, not {seed!r}.")
        builder = TargetBuilder(strategy, opened)
        made = builder.build(targets)
        #: The clients that were created here.
        self._own_clients = self._made_clients = list(builder.made.values())
        state = RouterState([target.state for target in made], circuit_of(circuit_breaker), seed)
        counted = self._metrics = metrics_of(metrics, name)
        self._plugins = manager_of(plugins)
        bus = EventBus(name, (*sinks_of(on_event), *(() if counted is None else (counted,))))
        bus.is_router = True
        if counted is not None:
            counted.attach(bus)
        self._bus = bus
        self._router = RouterHandler(
            name,
            made,
            self._strategy_of(strategy),
            aliases={},
            rule=FallbackRule(fallback_on),
            events=bus,
            state=state,
            wait=wait_of(wait),
            sticky=sticky_of(sticky, strategy),
            min_rate=rate_of(min_rate),
            shared=None if opened is None else SharedRouting(opened, name, state),
        )
        self._router.aliases.update(self._aliases_of(aliases))
        self._plugins.attach(name, bus, self._router.estimate)
        self._middleware = MiddlewareChain(middleware_of(middleware))
        self._handler = LayeredHandler(self._router, self._middleware, self._plugins.chain, events=bus)
        self._transports = _transports_of(made[0])

    @staticmethod
    def _strategy_of(given: Any) -> Any:
        """The strategy; one of the user's gets clear errors."""
        if isinstance(given, Hedge):
            return evolve(given, strategy=checked_strategy(given.strategy))
        return (
            given
            if isinstance(given, Race)
            else STRATEGIES[given]
            if isinstance(given, str)
            else checked_strategy(given)
        )

    def _aliases_of(self, given: Any) -> dict[str, list[tuple[RouteTarget, str | None]]]:
        if given is None:
            return {}
        if not isinstance(given, Mapping):
            raise ConfigError(
                f"aliases must be a dict, not {type(given).__name__}.", hint="{'smart': ['openai/gpt-5']}."
            )
        found: dict[str, list[tuple[RouteTarget, str | None]]] = {}
        known = {one: target for target in self._router.targets for one in (target.model, target.name) if one}
        for alias, meant in given.items():
            if not isinstance(alias, str) or not alias or alias == self.name:
                raise ConfigError(f"{alias!r} cannot be an alias.", hint="Choose another name.")
            if isinstance(meant, Router):
                builder = TargetBuilder(None)
                found[alias] = [(builder.build([meant])[0], None)]
                continue
            names = [meant] if isinstance(meant, str) else meant
            if not isinstance(names, (list, tuple)) or not names:
                raise ConfigError(f"The alias {alias!r} stands for no target.", hint="{'smart': ['openai/gpt-5']}.")
            for one in names:
                if not isinstance(one, str) or one not in known:
                    raise ConfigError(
                        f"The alias {alias!r} stands for {one!r}, which is no target.",
                        hint=f"{did_you_mean(str(one), known)}There are: {', '.join(known)}.",
                    )
            found[alias] = [(known[one], None) for one in names]
        return found

    # -------------------------------------------------------------------------------------------- about

    @property
    def inner_handler(self) -> RouterHandler:
        """The handler that chooses, without middleware."""
        return self._router

    @property
    def target_states(self) -> list[Any]:
        """The state of each target, as strategies see it."""
        return self._router.state.targets

    @property
    def targets(self) -> list[str]:
        """Names of the targets, in order."""
        return [target.name for target in self._router.targets]

    @property
    def strategy(self) -> str:
        """Name of the strategy."""
        return self._router.strategy

    @property
    def model(self) -> str:
        """The model that stands for all targets, which is the name of the router."""
        return self.name

    def explain(self, messages: Messages | None = None, **options: Unpack[ChatOptions]) -> RouteExplanation:
        """Tell who would be asked now, and why, without asking anyone. Arguments as :meth:`chat`.

        Raises:
            InvalidRequestError: The arguments are wrong, or no target serves the model.
        """
        if TYPE_CHECKING:
            lambda: chat_keywords(**options)
        from provider_kit.routing.explain import explain

        return explain(self._router, self._chat_call("chat", self._blocking(), messages, options))

    def _call(self, operation: str, runtime: Transport, request: Any, timeout: Any, *more: Any, **named: Any) -> Call:
        """A call with the router's own timeouts, where it has none."""
        return super()._call(operation, runtime, request, self._timeout if timeout is None else timeout, *more, **named)

    def serves(self, model: str) -> bool:
        """Whether a target serves a model, or an alias stands for it."""
        return self._router.serves(model)

    def state(self) -> list[TargetStatus]:
        """What is known of each target now: whether it is asked, why not, until when, and how it did lately."""
        runtime = self._blocking()
        now, time = runtime.now(), runtime.time()
        return [target.status(now, time) for target in self._router.targets]

    def _repr_html_(self) -> str:
        """How notebooks show the router: its targets, and how they do."""
        heads = ("target", "state", "requests", "failures", "first token")
        rows = []
        for one in self.state():
            first = "" if one.first_token is None else f"{one.first_token:.2f} s"
            reason = f"{one.state}: {one.reason}" if one.reason else one.state
            rows.append((one.name, reason, f"{one.requests:,}", f"{one.failures:,}", first))
        return html_table(f"{self.name}: {self.strategy}", heads, rows)

    def __repr__(self) -> str:
        return f"<Router {self.name}: {self.strategy} of {', '.join(self.targets)}>"

    # -------------------------------------------------------------------------------------------- models

    def model_info(self, model: str | None = None) -> Model:
        """What is known of a model: the router's own name and aliases have the smallest window of their targets.

        Args:
            model: An alias, or a model of a target; default: the router itself.

        Raises:
            InvalidRequestError: No target serves it.
        """
        return self._router.info(model or self.name)

    @property
    def _directory(self) -> ModelDirectory:
        return self._router.targets[0].leaves[0].directory

    def _dialect_name(self, model: str) -> str:
        target = self._router.targets[0].leaves[0]
        return target.endpoint.dialect_for(self._asked_model(model)).name

    def _asked_model(self, model: str) -> str:
        target, other = self._router.serving(model)[0]
        leaf = target.leaves[0]
        return other or leaf.model or model

    def estimate_tokens(self, messages: Messages | None = None, **options: Unpack[ChatOptions]) -> TokenEstimate:
        """Estimate the input tokens of a call to the first target, as :meth:`Client.estimate_tokens`.

        Raises:
            InvalidRequestError: The arguments are wrong.
        """
        if TYPE_CHECKING:
            lambda: chat_keywords(**options)
        return super().estimate_tokens(messages, **self._of_first(options))

    def estimate_cost(self, messages: Messages | None = None, **options: Unpack[ChatOptions]) -> CostEstimate:
        """Estimate what a call to the first target will cost, as :meth:`Client.estimate_cost`.

        Raises:
            InvalidRequestError: The arguments are wrong.
        """
        if TYPE_CHECKING:
            lambda: chat_keywords(**options)
        return super().estimate_cost(messages, **self._of_first(options))

    def _of_first(self, options: Any) -> Any:
        model = options.get("model") or self._defaults.get("model") or self.name
        return {**options, "model": self._asked_model(model)}

    # -------------------------------------------------------------------------------------------- other options

    def with_options(
        self,
        *,
        api_key: APIKey | None = None,
        api_keys: Sequence[str] | KeyPool | None = None,
        token: str | None = None,
        **options: Unpack[RunOptions],
    ) -> Self:
        """The same router with other options, as :meth:`Client.with_options`; it shares what is known of the targets.

        Args:
            api_key: A key for all targets, which must be of one provider.
            api_keys: Several keys, likewise.
            token: A bearer token, likewise.
            options: Arguments of every call and of every run.

        Raises:
            ConfigError: Credentials are given for targets of several providers; or an option is not an argument of
                calls.
        """
        if TYPE_CHECKING:
            lambda: run_keywords(**options)
        from provider_kit.engine.arguments import check_times
        from provider_kit.engine.client_arguments import check_defaults

        changes: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
        credentials = {"api_key": api_key, "api_keys": api_keys, "token": token}
        credentials = {name: value for name, value in credentials.items() if value is not None}
        if not credentials and not changes:
            raise ConfigError(
                "with_options() takes options of calls.", hint="Pass timeout=, model=, system= and so on."
            )
        made = type(self).__new__(type(self))
        vars(made).update(vars(self))
        if credentials:
            made = self._with_credentials(credentials)
        made._own_clients, made._owns_plugins = [], False
        made._model = changes.pop("model", self._model)
        clocks, total = check_times(changes.pop("timeout", None), changes.pop("total_timeout", None))
        made._timeout = self._timeout if clocks is None else clocks
        made._total = self._total if total is None else total
        of_runs = {name: changes.pop(name) for name in RUN_OPTIONS & changes.keys()}
        made._run_defaults = {**self._run_defaults, **of_runs}
        made._defaults = {**self._defaults, **check_defaults(with_function_tools(changes))}
        return made

    def _with_credentials(self, credentials: dict[str, Any]) -> Self:
        leaves = [leaf for target in self._router.targets for leaf in target.leaves]
        providers = sorted({leaf.endpoint.provider.name for leaf in leaves})
        if len(providers) > 1 or any(target.engine is None for target in self._router.targets):
            raise ConfigError(
                f"One key cannot be that of several providers: {', '.join(providers)}.",
                hint="Make the clients of that user, and a router of them: "
                "Router([a.with_options(api_key=…), b.with_options(api_key=…)]).",
            )
        targets = []
        for target, given in zip(self._router.targets, self._targets_given(), strict=True):
            client = given.target if isinstance(given.target, Client) else self._client_of(given.target)
            targets.append(
                Target(
                    client.with_options(**credentials),
                    model=target.model,
                    weight=given.weight,
                    priority=given.priority,
                    defaults=given.defaults,
                    name=target.name,
                )
            )
        return type(self)(targets, **self._given)

    def _targets_given(self) -> list[Target]:
        return [one if isinstance(one, Target) else Target(one) for one in self._targets]

    def _client_of(self, name: Any) -> Client:
        return next(client for client in self._made_clients if str(name).startswith((client.provider, client.base_url)))

    # -------------------------------------------------------------------------------------------- closing

    def __reduce__(self) -> tuple[Any, ...]:
        """A router of the same targets with a state of its own; see the pickles of clients for what becomes of keys."""
        changed = {name: getattr(self, name) for name in ("_model", "_timeout", "_total", "_defaults")}
        changed["_run_defaults"] = dict(self._run_defaults)
        return _rebuilt, (type(self), self._targets, {**self._given, "middleware": tuple(self._middleware)}, changed)

    def close(self) -> None:
        """Close the blocking connections of the clients that the router created; clients of yours stay open."""
        if self._owns_plugins:
            self._plugins.close()
        self._router.close()
        for client in self._own_clients:
            client.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and the blocking ones; clients of yours stay open."""
        if self._owns_plugins:
            await self._plugins.aclose()
        await self._router.aclose()
        for client in self._own_clients:
            await client.aclose()


def _rebuilt(kind: type[Router], targets: Any, given: dict[str, Any], changed: dict[str, Any]) -> Router:
    """A router from its arguments, with what :meth:`Router.with_options` has changed."""
    made = kind(targets, **given)
    vars(made).update(changed)
    return made


def _transports_of(target: RouteTarget) -> Transports:
    """The transports of the first client, for their clocks and waits."""
    leaf = target.leaves[0]
    assert leaf.engine is not None  # a leaf has one
    return leaf.engine.parts.transports
