"""Creation of a client's engine, and copying, pickling and closing of the client.

The engine, and the policies, dialects and keys behind it, are loaded with the first client, not with its class.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from provider_kit.client.verbs import Verbs
from provider_kit.engine.middleware import LayeredHandler, MiddlewareChain
from provider_kit.model.config import Timeout
from provider_kit.plugins.manager import manager_of

if TYPE_CHECKING:
    from provider_kit.engine.admission import Admission
    from provider_kit.engine.assembly import Given
    from provider_kit.engine.endpoint import Endpoint
    from provider_kit.engine.engine import Engine
    from provider_kit.model.chat import ChatRequest
    from provider_kit.model.config import ProviderConfig
    from provider_kit.model.estimates import CostEstimate
    from provider_kit.transports.base import Transport

__all__ = ["AssembledClient"]


def _estimated(endpoint: Endpoint, request: ChatRequest) -> CostEstimate:
    """What a request will cost at an endpoint."""
    from provider_kit.engine.cost_estimate import estimate_cost

    return estimate_cost(request, endpoint.directory, endpoint.dialect_for(request.model).name)


class AssembledClient(Verbs):
    """The verbs over an own engine, or over one that is shared with the client it was derived from."""

    _config: ProviderConfig
    #: Its arguments besides the configuration: policies, sinks, middleware, a login.
    _parts: Given
    #: The user's requests session, aiohttp session and transport, if given.
    _own: tuple[Any, Any, Transport | None]
    _engine: Engine
    _defaults: dict[str, Any]
    _owns_transports = True
    _allow_secret_pickle = False

    # -------------------------------------------------------------------------------------------- making

    def _setup(self, config: ProviderConfig, tenant: str = "", plugins: Any = ()) -> None:
        """Create the engine."""
        from provider_kit.engine.assembly import make_engine, make_transports
        from provider_kit.providers.registry import find_provider
        from provider_kit.wire.redaction import MaskedDict

        environ = MaskedDict(os.environ)
        transport = self._own[2]
        self._config = config
        self._model = config.default_model or find_provider(config.type).default_model
        self._validation = config.validation
        self._middleware = MiddlewareChain(self._parts.middleware)
        self._timeout, self._total = Timeout.parse(config.timeout), config.total_timeout
        self._transports = make_transports(config, environ, *self._own)
        clock = transport.now if transport is not None else None
        engine = make_engine(config, self._parts, self._transports, environ=environ, clock=clock, tenant=tenant)
        self._plugins, self._metrics = manager_of(plugins), self._parts.metrics
        endpoint = engine.parts.endpoint
        self._plugins.attach(endpoint.name, engine.parts.events, partial(_estimated, endpoint))
        self._use(engine)

    def _use(self, engine: Engine) -> None:
        self._engine = engine
        self._bus = engine.parts.events
        self._handler = LayeredHandler(engine, self._middleware, self._plugins.chain, events=self._bus)

    @property
    def _admission(self) -> Admission:
        return self._engine.parts.admission

    def _take_times(self, timeout: Any, total: Any) -> None:
        from provider_kit.engine.arguments import check_times
        from provider_kit.engine.assembly import engine_over

        clocks, seconds = check_times(timeout, total)
        if clocks is not None:
            self._timeout = clocks
            self._use(engine_over(self._engine, timeout=clocks))
        if seconds is not None:
            self._total = seconds

    def _resume(self, model: str | None, timeout: Timeout | None, total: float | None) -> None:
        """Set what :meth:`with_options` may have changed."""
        self._model, self._total = model, total
        if timeout != self._timeout:
            from provider_kit.engine.assembly import engine_over

            self._timeout = timeout
            self._use(engine_over(self._engine, timeout=timeout))

    # -------------------------------------------------------------------------------------------- closing

    def close(self) -> None:
        """Close the blocking connections. The client can be used again afterwards."""
        if self._owns_transports:
            self._plugins.close()
            self._transports.close()
            if self._parts.login is not None:
                self._parts.login.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and the blocking ones."""
        if self._owns_transports:
            await self._plugins.aclose()
            await self._transports.aclose()
            if self._parts.login is not None:
                await self._parts.login.aclose()

    # -------------------------------------------------------------------------------------------- copying

    def __copy__(self) -> Self:
        """A client of the same configuration, key included, with its own connections."""
        from provider_kit.engine.assembly import with_own_metrics

        made = type(self).__new__(type(self))
        vars(made).update({name: vars(self)[name] for name in ("_own", "_allow_secret_pickle", "_parts")})
        made._defaults = dict(self._defaults)
        made._parts = with_own_metrics(self._parts)
        made._setup(self._config, self._engine.parts.endpoint.tenant, self._plugins.given)
        made._middleware.replace_all(self._middleware)
        made._resume(self._model, self._timeout, self._total)
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.__copy__()

    def __getstate__(self) -> dict[str, Any]:
        from provider_kit.client import pickling

        if self._engine.parts.endpoint.tenant:
            raise TypeError(
                "a client with the credentials of another user cannot be pickled; pickle the client itself, and call "
                "with_options() on the copy"
            )
        if self._own != (None, None, None):
            raise TypeError("a client with a session or transport of your own cannot be pickled")
        config, auth, parts = self._config, self._parts.auth, self._parts
        if auth not in (None, "oauth") or (config.oauth_credentials and not self._allow_secret_pickle):
            # Its copy would use whatever key it finds, perhaps that of another user.
            raise TypeError(
                "a client with a login cannot be pickled; create one in each process, with the same storage"
            )
        open_ = self._allow_secret_pickle
        if not open_:
            config = pickling.without_secrets(config)
        if parts.breaker is not None:
            config = config.replace(circuit_breaker=parts.breaker.config)
        cache = parts.cache
        return {
            "config": config,
            "auth": auth,
            "allow_secret_pickle": open_,
            "defaults": self._defaults if open_ else pickling.defaults_without_secrets(self._defaults),
            "retry": parts.retry,
            "response_cache": cache if open_ or cache is None else pickling.cache_without_secrets(cache),
            "middleware": tuple(self._middleware),
            "plugins": self._plugins.given,
            "metrics": parts.metrics is not None,
            "options": (self._model, self._timeout, self._total),
        }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        from provider_kit.engine.assembly import Given, find_login, metrics_of

        config, auth = state["config"], state["auth"]
        self._allow_secret_pickle = state["allow_secret_pickle"]
        self._defaults = state["defaults"]
        self._own = (None, None, None)
        pool, login = None, None
        if auth is not None or config.oauth_credentials or config.oauth is not None:
            pool, login = find_login(config, auth)
        self._parts = Given(
            retry=state["retry"],
            cache=state["response_cache"],
            middleware=state["middleware"],
            metrics=metrics_of(state["metrics"]),
            pool=pool,
            login=login,
            auth=auth,
        )
        self._setup(config, plugins=state["plugins"])
        self._resume(*state["options"])
