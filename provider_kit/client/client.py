"""The client: one class for every provider, each method twice (``x`` blocks, ``ax`` is awaited).

A client can be shared by threads and event loops, pickled, and used after ``fork``. It reads the environment when it is
created, opens its first connection with its first call, and loads requests or aiohttp only then.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Never, Self, Unpack

from provider_kit.client.assembled import AssembledClient
from provider_kit.client.rate_limits import RateLimits
from provider_kit.client.run_verbs import with_function_tools
from provider_kit.errors import ConfigError
from provider_kit.model.arguments import explained
from provider_kit.model.config import DEFAULT_MAX_RETRIES
from provider_kit.model.inputs import RUN_OPTIONS
from provider_kit.transports.drive import run_to_completion

if TYPE_CHECKING:
    import aiohttp
    import requests

    from provider_kit.auth.authenticator import Authenticator
    from provider_kit.auth.keys.options import KeyStrategy
    from provider_kit.auth.keys.pool import KeyPool
    from provider_kit.auth.oauth.key_manager import OAuthKeyManager
    from provider_kit.catalog.directory import ModelDirectory
    from provider_kit.client.files import Files
    from provider_kit.client.ollama import OllamaModels
    from provider_kit.doctor.findings import Diagnosis
    from provider_kit.engine.call import Call
    from provider_kit.engine.events import Sink
    from provider_kit.engine.handler import Middleware
    from provider_kit.model.config import (
        APIKey,
        CircuitBreakerConfig,
        HTTPConfig,
        OnStoreFailure,
        OnUnsupported,
        ProviderConfig,
        RateLimitConfig,
        Timeout,
    )
    from provider_kit.observability.metrics import Metrics
    from provider_kit.plugins.manager import PluginManager
    from provider_kit.policies.circuit_breaker import CircuitBreaker, CircuitStatus
    from provider_kit.policies.rate_limit import Limiter
    from provider_kit.policies.response_cache import ResponseCache
    from provider_kit.policies.retry import RetryPolicy
    from provider_kit.stores.base import SharedStore
    from provider_kit.tools.options import RunOptions, run_keywords
    from provider_kit.transports.base import Transport

__all__ = ["Client"]


@explained("Client('openai/gpt-5-mini'); all else is given by name: Client('openai/gpt-5-mini', api_key=…)")
class Client(AssembledClient):
    """A client of one provider.

    Args:
        target: ``"provider/model"`` (``"openai/gpt-5-mini"``), a provider alone (its default model), a
            bare model name that identifies its provider (``"claude-sonnet-4-5"``), the ``http(s)://`` base URL
            of any OpenAI-compatible server, or a :class:`ProviderConfig`.
        model: Default model, where ``target`` does not name one.
        api_key: The key, or a sync or async callable that returns it. Default: the provider's
            environment variables.
        api_keys: Several keys: a list, a dict with the weight of each, a :class:`KeyManager`, or a sync or async
            callable that returns them. ``key_strategy`` sets their order.
        auth: Instead of keys: ``"oauth"`` for the login of ``provider-kit auth login``, an
            :class:`OAuthAuthenticator`, an :class:`OAuthKeyManager`, or an :class:`Authenticator` of yours.
        key_strategy: ``round_robin``, ``random``, ``weighted``, or ``simple`` (no health).
        wait_for_key: Whether a call waits while every key is cooling down: ``True``, ``False`` or seconds. Default:
            up to two minutes, unless ``max_retries`` is 0.
        base_url: Another address of the same API; without ``target``, any OpenAI-compatible server.
        timeout: Seconds to connect, to the first content and between two pieces of content; or a :class:`Timeout`. If
            set, it limits a whole answer too.
        total_timeout: Seconds for a whole call, attempts and waits included. Default: 600 for a whole
            answer, none for a stream.
        max_retries: Attempts after the first one, for failures that may be temporary.
        retry: ``none``, ``default``, ``aggressive``, ``conservative``, a :class:`Backoff`, or a function
            ``(error, attempt) -> seconds or None`` of your own.
        retry_on_read_timeout: Retry a request whose answer was lost or late; it may then be carried out, and billed,
            twice.
        rate_limit: Limits of requests and tokens for each key.
        rate_limiter: Your own limiter, see :class:`Limiter`.
        max_concurrency: Most calls in flight at once; further ones wait in a queue.
        circuit_breaker: Pause calls to the provider when it keeps failing: ``True``, a
            :class:`CircuitBreakerConfig`, or a :class:`CircuitBreaker` shared with other clients.
        response_cache: Cache answers: ``True`` for memory, the path of an SQLite
            file, a ``redis://`` URL, or a :class:`ResponseCache`.
        store: ``redis://…`` or a :class:`RedisStore`: share limits, key health and circuit state with
            other processes and machines.
        on_store_failure: What to do while the store cannot be reached: ``local`` continues with the state of this
            process, ``raise`` fails.
        on_event: Called with an :class:`Event` for each decision; sync, or async for asyncio calls only. A list of
            functions gives each of them all events.
        middleware: Functions ``async def mw(call, call_next)`` around each call, the outermost first; see
            :class:`Middleware`.
        plugins: Plugins, inside the middleware: objects, classes, or names of those of installed packages; a dict gives
            each its settings. Also sinks such as :class:`UsageLedger`.
        metrics: Whether calls are counted, for :attr:`metrics`; or a :class:`Metrics` that several clients share.
        headers: Sent with every request; they override those of the library.
        http: Pools, proxies, certificates, sizes.
        on_unsupported: What to do with parameters a model does not accept: ``warn`` (in ``response.warnings``),
            ``raise`` or ``drop``.
        allow_insecure_http: Allow keys to be sent over plain ``http://`` to another machine.
        debug_http: Log every request and answer (``provider_kit.http.dump``), with secrets masked and bodies shortened.
            The variable ``PROVIDER_KIT_DEBUG_HTTP`` does the same for all clients.
        error_snapshots: Attach to errors what was sent and received (``error.snapshot``), with credentials masked;
            prompts are in it.
        validation: Whether typed answers (``output_type``) are checked on this side, and asked for again if they do not
            have the form of the type. ``False`` trusts the provider.
        model_overrides: What you know of models, by name or glob: ``{"my-model*": {"context_window": 8192, "supports":
            ["tools"], "pricing": {"input": "1.50", "output": "6"}}}``, in US dollars per million tokens.
        name: Your name for this provider, in errors and answers.
        session: Your own ``requests.Session``; used as it is, never closed.
        async_session: Your own ``aiohttp.ClientSession``; used as it is, only in its loop, never closed.
        transport: A transport for blocking and asyncio calls, e.g. :class:`ScriptedTransport`.
        allow_secret_pickle: Whether a pickle of this client holds the key it was given. If not, the copy
            looks for one in its own environment.
        defaults: Keyword arguments for every call, e.g. ``{"temperature": 0}``.
        options: Options of this provider alone: ``{"use_responses_api": True}``, ``{"project_id": "…"}``.
        unknown: Options of this provider may stand here, too, though type checkers do not know them; anything else is
            refused, with the argument that may be meant.

    Raises:
        UnknownProviderError: ``target`` names no known provider.
        ConfigError: An argument is invalid; the hint names the remedy.

    Example:
        >>> from provider_kit import Client
        >>> Client("demo/echo").chat("Hello").text
        'Hello'
    """

    def __init__(
        self,
        target: str | ProviderConfig | None = None,
        *,
        model: str | None = None,
        api_key: APIKey | None = None,
        api_keys: Sequence[str] | Mapping[str, float] | KeyPool | Callable[[], Any] | None = None,
        auth: str | Authenticator | OAuthKeyManager | None = None,
        key_strategy: KeyStrategy = "round_robin",
        wait_for_key: bool | float | None = None,
        base_url: str | None = None,
        timeout: float | Timeout | None = None,
        total_timeout: float | None = None,
        max_retries: int = DEFAULT_MAX_RETRIES,
        retry: RetryPolicy | str | None = None,
        retry_on_read_timeout: bool = False,
        rate_limit: RateLimitConfig | None = None,
        rate_limiter: Limiter | None = None,
        max_concurrency: int | None = None,
        circuit_breaker: bool | CircuitBreakerConfig | CircuitBreaker = False,
        response_cache: bool | str | os.PathLike[str] | ResponseCache | None = None,
        store: str | SharedStore | None = None,
        on_store_failure: OnStoreFailure = "local",
        on_event: Sink | Sequence[Sink] | None = None,
        middleware: Sequence[Middleware] = (),
        plugins: Sequence[Any] | Mapping[Any, Any] | PluginManager = (),
        metrics: bool | Metrics = True,
        headers: Mapping[str, str] | None = None,
        http: HTTPConfig | None = None,
        on_unsupported: OnUnsupported = "warn",
        allow_insecure_http: bool = False,
        debug_http: bool = False,
        error_snapshots: bool = False,
        validation: bool = True,
        model_overrides: Mapping[str, Any] | None = None,
        name: str | None = None,
        session: requests.Session | None = None,
        async_session: aiohttp.ClientSession | None = None,
        transport: Transport | None = None,
        allow_secret_pickle: bool = False,
        defaults: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        **unknown: Never,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "target", "unknown")}
        from provider_kit.engine.assembly import check_policies
        from provider_kit.engine.client_arguments import check_defaults, check_flag, check_parts, configure

        usual = Client.__init__.__wrapped__.__kwdefaults__  # type: ignore[attr-defined]  # explained() wraps it
        config, api_keys = configure(target, given, unknown, usual)
        check_flag("allow_secret_pickle", allow_secret_pickle)
        check_flag("error_snapshots", error_snapshots)
        check_parts(session, async_session, transport)
        self._parts = check_policies(
            config,
            retry=retry,
            api_keys=api_keys,
            auth=auth,
            rate_limiter=rate_limiter,
            circuit_breaker=circuit_breaker,
            response_cache=response_cache,
            store=store,
            on_event=on_event,
            middleware=middleware,
            metrics=metrics,
            error_snapshots=error_snapshots,
        )
        self._own = (session, async_session, transport)
        self._allow_secret_pickle = allow_secret_pickle
        self._defaults = check_defaults(with_function_tools(defaults))
        self._setup(config, plugins=plugins)

    @classmethod
    def from_config(cls, name: str | None = None, path: str | os.PathLike[str] | None = None, **changes: Any) -> Self:
        """Create a client from a configuration file.

        Args:
            name: A provider of the file, optionally followed by a slash and a model; default: that of the file.
            path: The file. Default: ``PROVIDER_KIT_CONFIG`` or ``CONFIG_FILE``, else ``provider_kit.yaml`` or
                ``config.yaml`` in the working directory, else the user's own. Without any file the
                environment decides.
            changes: Arguments of :class:`Client` that override the file.

        Raises:
            ConfigError: The file has no such provider, or something in it is wrong: ``error.problems`` has
                all of it, each with its line and its remedy.
        """
        from provider_kit.auth.storage.factory import stored_names
        from provider_kit.config.loader import choose_entry, open_configuration
        from provider_kit.config.overrides import override
        from provider_kit.providers.default_choice import default_target

        found = open_configuration(path)
        if found is None:
            return cls(name or default_target(os.environ, stored_names()), **changes)
        entry, model = choose_entry(found, name)
        if model:
            changes["model"] = changes.get("model") or model
        entry, beside = override(entry, changes, inspect.signature(cls).parameters)
        config, more = entry.make_config()
        return cls(config, **{**more, **beside})

    # -------------------------------------------------------------------------------------------- about

    @property
    def config(self) -> ProviderConfig:
        """The configuration of this client."""
        return self._config

    @property
    def provider(self) -> str:
        """Name of the provider, or your name for it."""
        return self._engine.parts.endpoint.name

    @property
    def model(self) -> str | None:
        """Model used where a call names none."""
        return self._model

    @property
    def base_url(self) -> str:
        """Address the paths are appended to."""
        return self._engine.parts.endpoint.base_url

    @property
    def _directory(self) -> ModelDirectory:
        return self._engine.parts.endpoint.directory

    def _dialect_name(self, model: str) -> str:
        return self._engine.parts.endpoint.dialect_for(model).name

    @property
    def keys(self) -> KeyPool:
        """The API keys; ``add_key``, ``remove_key`` and ``status`` may be used during calls.

        Raises:
            MissingAPIKeyError: There is none and the provider needs one.
        """
        return self._engine.parts.endpoint.keys

    @property
    def rate_limits(self) -> RateLimits:
        """The limits the provider last reported, for each key and model that was used, and what they allow now."""
        return RateLimits(self._admission.header_limits, self._engine.parts.endpoint.clock())

    @property
    def circuit(self) -> CircuitStatus | None:
        """The state of the circuit breaker; ``None`` without one."""
        breaker = self._admission.breaker
        return None if breaker is None else breaker.status(self._engine.parts.endpoint.clock())

    @property
    def files(self) -> Files:
        """The files at the provider, to ``upload``, ``list`` and ``delete`` them; each verb has its twin."""
        from provider_kit.client.files import Files

        return Files(self, self._engine.parts.endpoint)

    @property
    def ollama(self) -> OllamaModels:
        """The models of an Ollama server, to ``pull``, ``ps``, ``show`` and ``delete`` them; each verb has its twin.

        With another provider each verb raises :class:`NotSupportedError`.
        """
        from provider_kit.client.ollama import OllamaModels

        return OllamaModels(self, self._engine.parts.endpoint)

    def __repr__(self) -> str:
        if "_engine" not in vars(self):  # it is still being created; tracebacks with local variables call this
            return "<Client>"
        from provider_kit.wire.redaction import redact

        return f"<Client {self.provider}/{self._model or '?'} at {redact(self.base_url)}>"

    # -------------------------------------------------------------------------------------------- diagnosis

    def diagnose(self, *, timeout: float = 60.0, calls: int = 2) -> Diagnosis:
        """Check everything between this program and the provider, with a remedy for each problem.

        Versions, environment, key, stored tokens, proxy, DNS, TCP, TLS, base URL, credentials, model, quota,
        credit, clock, latency, and whether streams really stream. The calls cost a few hundred tokens.

        Args:
            timeout: Seconds for all checks.
            calls: Streamed calls to measure; 0 for none.

        Returns:
            The findings with their remedies. Never raises for what it finds.
        """
        return run_to_completion(self._diagnose(self._blocking(), timeout, calls))

    async def adiagnose(self, *, timeout: float = 60.0, calls: int = 2) -> Diagnosis:
        """As :meth:`diagnose`."""
        return await self._diagnose(self._asyncio(), timeout, calls)

    async def _diagnose(self, transport: Transport, timeout: float, calls: int) -> Diagnosis:
        from provider_kit.doctor.examination import Examination
        from provider_kit.doctor.examine import examine
        from provider_kit.doctor.recording import RecordingTransport
        from provider_kit.engine.assembly import engine_over
        from provider_kit.policies.retry import Backoff
        from provider_kit.wire.redaction import MaskedDict

        recorder = RecordingTransport(transport)

        def make_call(operation: str, request: Any, seconds: float) -> Call:
            return self._call(operation, recorder, request, seconds, seconds, "drop", probing=True, retry=Backoff(0))

        examination = Examination(
            endpoint=self._engine.parts.endpoint,
            config=self._config,
            model=self._model,
            handler=engine_over(self._engine, transport=recorder),
            make_call=make_call,
            transport=recorder,
            environ=MaskedDict(os.environ),
            deadline=transport.now() + timeout,
            calls=calls,
            network=self._own == (None, None, None),
            defaults=self._defaults,
            rate_limits=self._admission.header_limits.snapshot,
        )
        return await examine(examination, transport)

    # -------------------------------------------------------------------------------------------- other options

    def with_options(
        self,
        *,
        api_key: APIKey | None = None,
        api_keys: Sequence[str] | KeyPool | None = None,
        token: str | None = None,
        auth: str | Authenticator | OAuthKeyManager | None = None,
        **options: Unpack[RunOptions],
    ) -> Self:
        """The same client with other options: for one request, one user of a service, or one task.

        The rest is shared. With the same credentials that is everything: keys, their health, limits, cache, circuit
        breaker, slots and connections. With other credentials, connections, circuit breaker, slots
        (``max_concurrency``) and the store are shared; keys, their health, rate limits and cached answers are not.
        Creating one is cheap, and it need not be closed.

        Args:
            api_key: A key, or a sync or async callable that returns it.
            api_keys: Several keys, or a :class:`KeyManager`.
            token: A bearer token.
            auth: As in :class:`Client`.
            options: Arguments of every call, which override those of this client: ``model``, ``timeout``, ``system``,
                ``temperature`` and so on, see :class:`ChatOptions`; and of every run: ``tools``, ``max_steps`` and so
                on, see :class:`RunOptions`.

        Raises:
            ConfigError: Several kinds of credentials are given, or an option is not an argument of calls.
            AuthError: A key or token is empty or malformed.

        Example:
            >>> from provider_kit import Client
            >>> client = Client("demo/echo")
            >>> client.with_options(api_key="the-key-of-one-user").chat("Hello").text
            'Hello'
            >>> client.with_options(system="Be brief.", timeout=5).chat("Hello").text
            'Hello'
        """
        if TYPE_CHECKING:
            lambda: run_keywords(**options)
        from provider_kit.engine.assembly import engine_for_other_keys, with_other_keys
        from provider_kit.engine.client_arguments import check_defaults

        given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
        credentials = sum(one is not None for one in (api_key, api_keys, token, auth))
        if credentials > 1 or not (credentials or given):
            raise ConfigError(
                "with_options() takes one kind of credentials, or options of calls, or both.",
                hint="Pass one of api_key=, api_keys=, token= and auth=; or timeout=, model=, system= and so on.",
            )
        made = type(self).__new__(type(self))
        vars(made).update(vars(self))
        made._owns_transports = False
        made._tested = None
        made._model = given.pop("model", self._model)
        timeout, total = given.pop("timeout", None), given.pop("total_timeout", None)
        if timeout is not None or total is not None:
            made._take_times(timeout, total)
        of_runs = {name: given.pop(name) for name in RUN_OPTIONS & given.keys()}
        made._run_defaults = {**self._run_defaults, **of_runs}
        made._defaults = {**self._defaults, **check_defaults(with_function_tools(given))}
        if credentials:
            made._config, made._parts = with_other_keys(
                self._config, self._parts, api_key=api_key, api_keys=api_keys, token=token, auth=auth
            )
            made._use(engine_for_other_keys(made._engine, made._config, made._parts))
        return made
