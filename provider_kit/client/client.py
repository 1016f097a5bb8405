"""The client: one class, each verb twice (``x`` blocks, ``ax`` is awaited), every provider.

A client is made of data and can be shared by threads and event loops, pickled, and used after ``fork``.
It reads the environment when it is made, opens its first connection with its first call, and loads
requests or aiohttp only then.
"""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, Unpack

from provider_kit.auth.authenticator import Authenticator
from provider_kit.auth.keys.pool import KeyPool, KeyStrategy
from provider_kit.client.options import scoped_config, scoped_parts, share_gate
from provider_kit.client.pickling import cache_without_secrets, defaults_without_secrets, without_secrets
from provider_kit.client.streams import AsyncChatStream, ChatStream
from provider_kit.dialects.base import ParameterReport
from provider_kit.engine import listing
from provider_kit.engine.arguments import (
    check_defaults,
    check_embedding,
    check_flag,
    check_options,
    check_parts,
    check_times,
    refuse_beside_config,
    resolve,
)
from provider_kit.engine.assembly import Parts, check_policies, dumping, find_login, make_gate
from provider_kit.engine.attempts import Run, make_limits
from provider_kit.engine.chat import chat
from provider_kit.engine.endpoint import Endpoint
from provider_kit.engine.events import Listener
from provider_kit.engine.stream import begin_stream
from provider_kit.errors import ConfigError, InvalidRequestError, ProviderKitError
from provider_kit.model.arguments import explained
from provider_kit.model.chat import ChatRequest, ChatResponse
from provider_kit.model.config import (
    DEFAULT_MAX_RETRIES,
    DEFAULT_TOTAL_TIMEOUT,
    APIKey,
    CircuitBreakerConfig,
    HTTPConfig,
    OnStoreFailure,
    OnUnsupported,
    ProviderConfig,
    RateLimitConfig,
    Timeout,
    no_keys,
)
from provider_kit.model.inputs import ChatOptions, Messages, build_request
from provider_kit.model.models import Embeddings, HealthStatus, Model
from provider_kit.policies.circuit_breaker import CircuitBreaker, CircuitStatus
from provider_kit.policies.rate_limit import Limiter
from provider_kit.policies.response_cache import ResponseCache
from provider_kit.policies.retry import Backoff, RetryPolicy, make_policy
from provider_kit.providers.default_choice import default_target
from provider_kit.providers.registry import find_provider
from provider_kit.stores.base import SharedStore
from provider_kit.transports.base import Transport
from provider_kit.transports.drive import run_to_completion
from provider_kit.transports.pair import SyncAsyncMixin, Transports
from provider_kit.wire.rate_limit_headers import RateLimitInfo
from provider_kit.wire.redaction import MaskedDict, redact

if TYPE_CHECKING:
    import aiohttp
    import requests

    from provider_kit.auth.oauth.key_manager import OAuthKeyManager
    from provider_kit.doctor.findings import Diagnosis

__all__ = ["Client"]


@explained("Client('openai/gpt-5-mini'); all else is given by name: Client('openai/gpt-5-mini', api_key=…)")
class Client(SyncAsyncMixin):
    """Talks to one provider.

    Args:
        target: ``"provider/model"`` (``"openai/gpt-5-mini"``), a provider alone (its default model), a
            bare model name that tells its provider (``"claude-sonnet-4-5"``), the ``http(s)://`` base URL
            of any OpenAI-compatible server, or a :class:`ProviderConfig`.
        model: Default model, where ``target`` does not name one.
        api_key: The key, or a sync or async callable that returns it. Default: the provider's
            environment variables.
        api_keys: Several keys, used in turn; a dict gives each its weight; a :class:`KeyManager` its own
            rules; a sync or async callable returns them.
        auth: Instead of keys: ``"oauth"`` for the login of ``provider-kit auth login``, an
            :class:`OAuthAuthenticator`, an :class:`OAuthKeyManager`, or an :class:`Authenticator` of yours.
        key_strategy: ``round_robin``, ``random``, ``weighted``, or ``simple`` (no health).
        wait_for_key: Whether a call waits while every key rests: ``True``, ``False`` or seconds. Default:
            up to two minutes, unless ``max_retries`` is 0.
        base_url: Another address of the same API; without ``target``, any OpenAI-compatible server.
        timeout: Seconds to connect, to the first content and between contents; or a :class:`Timeout`.
            Set by you, it bounds a whole answer too.
        total_timeout: Seconds for a whole call, attempts and waits included. Default: 600 for a whole
            answer, none for a stream.
        max_retries: Tries after the first one, for failures that may pass.
        retry: ``none``, ``default``, ``aggressive``, ``conservative``, a :class:`Backoff`, or a function
            ``(error, attempt) -> seconds or None`` of your own.
        retry_on_read_timeout: Send a request again whose answer was lost or late; it may then be carried
            out, and billed, twice.
        rate_limit: What each key may send in which time.
        rate_limiter: A limiter of your own, see :class:`Limiter`.
        max_concurrency: Most calls in flight at once; further ones wait for a place.
        circuit_breaker: Leave the provider alone for a while when it keeps failing: ``True``, a
            :class:`CircuitBreakerConfig`, or a :class:`CircuitBreaker` shared with other clients.
        response_cache: Answer from what was answered before: ``True`` for memory, the path of an SQLite
            file, a ``redis://`` URL, or a :class:`ResponseCache`.
        store: ``redis://…`` or a :class:`RedisStore`: share limits, key health and circuit state with
            other processes and machines.
        on_store_failure: ``local`` goes on with this process's own state while the store is away,
            ``raise`` fails.
        on_event: Called with an :class:`Event` for each decision; sync, or async for asyncio calls only.
        headers: Sent with every request, over what the library would send.
        http: Pools, proxies, certificates, sizes.
        on_unsupported: ``warn`` (into ``response.warnings``), ``raise`` or ``drop`` what a model refuses.
        allow_insecure_http: Let a key travel over plain ``http://`` to another machine.
        debug_http: Show every request and answer in the log (``provider_kit.http.dump``), secrets masked and
            bodies cut. The variable ``PROVIDER_KIT_DEBUG_HTTP`` does the same for all clients.
        name: Your name for this provider, in errors and answers.
        session: Your own ``requests.Session``; used as it is, never closed.
        async_session: Your own ``aiohttp.ClientSession``; used as it is, only in its loop, never closed.
        transport: A transport for both worlds, e.g. :class:`ScriptedTransport`.
        allow_secret_pickle: Whether a pickle of this client holds the key it was given. If not, the copy
            looks for one in its own environment.
        defaults: Keyword arguments for every call, e.g. ``{"temperature": 0}``.
        options: What only this provider knows, e.g. ``use_responses_api=True``, ``project_id="…"``.

    Raises:
        UnknownProviderError: ``target`` names no known provider.
        ConfigError: Something does not fit; the hint says what to do.

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
        on_event: Listener | None = None,
        headers: Mapping[str, str] | None = None,
        http: HTTPConfig | None = None,
        on_unsupported: OnUnsupported = "warn",
        allow_insecure_http: bool = False,
        debug_http: bool = False,
        name: str | None = None,
        session: requests.Session | None = None,
        async_session: aiohttp.ClientSession | None = None,
        transport: Transport | None = None,
        allow_secret_pickle: bool = False,
        defaults: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        if isinstance(target, ProviderConfig):
            config = target if model is None else target.replace(default_model=model)
            refuse_beside_config(api_key, base_url, timeout, total_timeout, headers, http, name, options)
            refuse_beside_config(rate_limit, max_concurrency, wait_for_key is not None, retry_on_read_timeout)
            refuse_beside_config(
                max_retries != DEFAULT_MAX_RETRIES,
                on_unsupported != "warn",
                allow_insecure_http is not False,
                debug_http is not False,
            )
            refuse_beside_config(
                not isinstance(api_keys, KeyPool) and api_keys,
                key_strategy != "round_robin",
                circuit_breaker is not False and not isinstance(circuit_breaker, CircuitBreaker),
                isinstance(store, str),
                on_store_failure != "local",
            )
        else:
            provider_name, named = resolve(target, model, base_url)
            config = ProviderConfig(
                type=provider_name,
                name=name,
                api_key=api_key,
                api_keys=() if isinstance(api_keys, (KeyPool, Mapping)) or callable(api_keys) else api_keys or (),
                key_strategy=key_strategy,
                wait_for_key=wait_for_key,
                base_url=target if base_url is None and target is not None and "://" in target else base_url,
                default_model=named,
                timeout=timeout,
                total_timeout=total_timeout,
                max_retries=max_retries,
                retry_on_read_timeout=retry_on_read_timeout,
                rate_limit=rate_limit,
                max_concurrency=max_concurrency,
                circuit_breaker=False if isinstance(circuit_breaker, CircuitBreaker) else circuit_breaker,
                store=store if isinstance(store, str) else None,
                on_store_failure=on_store_failure,
                headers={} if headers is None else headers,
                http=http or HTTPConfig(),
                on_unsupported=on_unsupported,
                allow_insecure_http=allow_insecure_http,
                debug_http=debug_http,
                options=check_options(provider_name, options, Client.__init__.__annotations__),
            )
        if api_keys is None:
            api_keys = ()
        elif not isinstance(api_keys, (KeyPool, Mapping)) and not callable(api_keys) and not api_keys:
            raise no_keys()
        check_flag("allow_secret_pickle", allow_secret_pickle)
        check_parts(session, async_session, transport)
        self._config = config
        self._given = (session, async_session, transport)
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
        )
        self._allow_secret_pickle = allow_secret_pickle
        self._defaults = check_defaults(defaults)
        self._setup(MaskedDict(os.environ))

    def _setup(self, environ: Mapping[str, str]) -> None:
        config, parts, given = self._config, self._parts, self._given[2]
        provider = find_provider(config.type)
        self._endpoint = Endpoint(provider, config, environ, parts.pool, given.now if given is not None else None)
        self._gate = make_gate(self._endpoint, config, parts)
        self._model = config.default_model or provider.default_model
        self._timeout = Timeout.parse(config.timeout)
        self._policy = make_policy(parts.retry, config.max_retries)
        self._pair = Transports(
            config.http,
            session=self._given[0],
            async_session=self._given[1],
            transport=given,
            wrap=dumping(config, environ),
        )
        self._owns_pair = True

    @classmethod
    def from_config(cls, name: str | None = None, path: str | os.PathLike[str] | None = None, **changes: Any) -> Self:
        """A client as a configuration file has it.

        Args:
            name: A provider of the file, with a model behind a slash if you like; default: its default.
            path: The file. Default: ``PROVIDER_KIT_CONFIG`` or ``CONFIG_FILE``, else ``provider_kit.yaml`` or
                ``config.yaml`` in the working directory, else the user's own. Without any file the
                environment decides.
            changes: Arguments of :class:`Client` that go before what the file says.

        Raises:
            ConfigError: The file has no such provider, or something in it is wrong: ``error.problems`` has
                all of it, each with its line and its remedy.
        """
        from provider_kit.auth.storage.factory import stored_names
        from provider_kit.config.loader import choose_entry, open_configuration
        from provider_kit.config.overrides import override

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
        """What this client was configured with."""
        return self._config

    @property
    def provider(self) -> str:
        """Name of the provider, or your name for it."""
        return self._endpoint.name

    @property
    def model(self) -> str | None:
        """Model used where a call names none."""
        return self._model

    @property
    def base_url(self) -> str:
        """Address the paths are appended to."""
        return self._endpoint.base_url

    @property
    def keys(self) -> KeyPool:
        """The API keys, with ``add_key``, ``remove_key`` and ``status`` while calls go on.

        Raises:
            MissingAPIKeyError: There is none and the provider needs one.
        """
        return self._endpoint.keys

    @property
    def rate_limits(self) -> list[RateLimitInfo]:
        """What the provider last told about its limits, for each key and model that was used."""
        return self._gate.learned.snapshot()

    @property
    def circuit(self) -> CircuitStatus | None:
        """What the circuit breaker is doing; ``None`` without one."""
        breaker = self._gate.breaker
        return None if breaker is None else breaker.status(self._endpoint.clock())

    def __repr__(self) -> str:
        if "_endpoint" not in vars(self):  # it is being made, and an error shows local variables
            return "<Client>"
        return f"<Client {self.provider}/{self._model or '?'} at {redact(self.base_url)}>"

    # -------------------------------------------------------------------------------------------- chat

    def chat(self, messages: Messages | None = None, **options: Unpack[ChatOptions]) -> ChatResponse:
        """Ask, and wait for the whole answer.

        Args:
            messages: A string, a dict in OpenAI's form, a :class:`Message`, or a list of these.
            options: See :class:`ChatOptions`.

        Returns:
            The answer; ``.text`` is what the model said.

        Raises:
            InvalidRequestError: The arguments are wrong; nothing was sent.
            MissingAPIKeyError: There is no key; nothing was sent.
            APIError: The provider refused (see its subclasses).
            APIConnectionError: The network failed or a wait ran out.
        """
        run, request, report = self._begin("chat", self._block(), messages, options)
        return run_to_completion(chat(run, request, report))

    async def achat(self, messages: Messages | None = None, **options: Unpack[ChatOptions]) -> ChatResponse:
        """Ask, and await the whole answer. Arguments, result and errors as :meth:`chat`."""
        run, request, report = self._begin("chat", self._await(), messages, options)
        return await chat(run, request, report)

    def stream(self, messages: Messages | None = None, **options: Unpack[ChatOptions]) -> ChatStream:
        """Ask, and read the answer while it is written: ``for chunk in client.stream("…")``.

        Arguments as :meth:`chat`. The request is sent when the first chunk is asked for.

        Raises:
            InvalidRequestError: The arguments are wrong; raised at once.
            StreamError: While iterating: the stream failed after content was received, which is in
                ``error.partial``. Before the first content the errors are those of :meth:`chat`.
        """
        run, request, report = self._begin("stream", self._block(), messages, options)
        return ChatStream(begin_stream(run, request, report))

    def astream(self, messages: Messages | None = None, **options: Unpack[ChatOptions]) -> AsyncChatStream:
        """Ask, and read the answer while it is written: ``async for chunk in client.astream("…")``.

        Arguments and errors as :meth:`stream`.
        """
        run, request, report = self._begin("stream", self._await(), messages, options)
        return AsyncChatStream(begin_stream(run, request, report))

    # -------------------------------------------------------------------------------------------- the rest

    def models(self, *, timeout: float | Timeout | None = None) -> list[Model]:
        """The models this key may use.

        Args:
            timeout: Seconds for each answer.

        Raises:
            NotSupportedError: The provider has no such list.
            APIError, APIConnectionError: As :meth:`chat`.
        """
        return run_to_completion(listing.list_models(self._run("models", self._block(), None, timeout)))

    async def amodels(self, *, timeout: float | Timeout | None = None) -> list[Model]:
        """As :meth:`models`."""
        return await listing.list_models(self._run("models", self._await(), None, timeout))

    def embed(
        self,
        texts: str | Sequence[str],
        *,
        model: str | None = None,
        dimensions: int | None = None,
        timeout: float | Timeout | None = None,
        extra_body: Mapping[str, Any] | None = None,
    ) -> Embeddings:
        """Turn texts into vectors, in as many requests as the provider's batch size asks for.

        Args:
            texts: One text or several.
            model: An embedding model; default: the client's model.
            dimensions: Length of the vectors, where the model can shorten them.
            timeout: Seconds for each answer.
            extra_body: Fields merged into the request as they are.

        Raises:
            InvalidRequestError: There is no text, or something else than text.
            NotSupportedError: The provider has no embeddings.
        """
        run, batch, name = self._begin_embed(self._block(), texts, model, dimensions, extra_body, timeout)
        return run_to_completion(listing.embed(run, batch, name, dimensions, {"extra_body": extra_body}))

    async def aembed(
        self,
        texts: str | Sequence[str],
        *,
        model: str | None = None,
        dimensions: int | None = None,
        timeout: float | Timeout | None = None,
        extra_body: Mapping[str, Any] | None = None,
    ) -> Embeddings:
        """As :meth:`embed`."""
        run, batch, name = self._begin_embed(self._await(), texts, model, dimensions, extra_body, timeout)
        return await listing.embed(run, batch, name, dimensions, {"extra_body": extra_body})

    def count_tokens(self, messages: Messages | None = None, **options: Unpack[ChatOptions]) -> int:
        """Input tokens of a call, as the provider counts them; never a guess.

        Arguments as :meth:`chat`.

        Raises:
            NotSupportedError: The provider does not count.
        """
        run, request, report = self._begin("count_tokens", self._block(), messages, options)
        return run_to_completion(listing.count_tokens(run, request, report))

    async def acount_tokens(self, messages: Messages | None = None, **options: Unpack[ChatOptions]) -> int:
        """As :meth:`count_tokens`."""
        run, request, report = self._begin("count_tokens", self._await(), messages, options)
        return await listing.count_tokens(run, request, report)

    def health_check(self, *, timeout: float = 10.0) -> HealthStatus:
        """Whether the provider answers and accepts the key; asks for its models, which costs nothing.

        Args:
            timeout: Seconds the check may take.

        Returns:
            The finding; never raises for a failure of the provider.
        """
        return run_to_completion(self._check(self._block(), timeout))

    async def ahealth_check(self, *, timeout: float = 10.0) -> HealthStatus:
        """As :meth:`health_check`."""
        return await self._check(self._await(), timeout)

    async def _check(self, transport: Transport, timeout: float) -> HealthStatus:
        started = transport.now()
        error: ProviderKitError | None = None
        message = ""
        run = self._run("health_check", transport, None, timeout, total=timeout, policy=Backoff(0))
        run.probing = True
        try:
            message = f"answers; {len(await listing.list_models(run))} models"
        except ProviderKitError as found:
            error, message = found, str(found)
        return HealthStatus(error is None, message, transport.now() - started, transport.time(), error)

    def diagnose(self, *, timeout: float = 60.0, calls: int = 2) -> Diagnosis:
        """Try everything between this program and the provider, and say what to do about what is found.

        Versions, environment, key, stored tokens, proxy, DNS, TCP, TLS, base URL, credentials, model, quota,
        credit, clock, latency, and whether streams really stream. The calls cost a few hundred tokens.

        Args:
            timeout: Seconds all of it may take.
            calls: Streamed calls to measure; 0 for none.

        Returns:
            The findings, each with what to do. Never raises for what it finds.
        """
        return run_to_completion(self._diagnose(self._block(), timeout, calls))

    async def adiagnose(self, *, timeout: float = 60.0, calls: int = 2) -> Diagnosis:
        """As :meth:`diagnose`."""
        return await self._diagnose(self._await(), timeout, calls)

    async def _diagnose(self, transport: Transport, timeout: float, calls: int) -> Diagnosis:
        from provider_kit.doctor.examination import Examination
        from provider_kit.doctor.examine import examine
        from provider_kit.doctor.recording import RecordingTransport

        def make_run(operation: str, over: Any, model: str | None, seconds: float) -> Run:
            run = self._run(operation, over, model, seconds, total=seconds, policy=Backoff(0))
            run.probing = True
            return run

        examination = Examination(
            endpoint=self._endpoint,
            config=self._config,
            model=self._model,
            make_run=make_run,
            transport=RecordingTransport(transport),
            environ=MaskedDict(os.environ),
            deadline=transport.now() + timeout,
            calls=calls,
            network=self._given == (None, None, None),
            defaults=self._defaults,
            rate_limits=self._gate.learned.snapshot,
        )
        return await examine(examination, transport)

    # -------------------------------------------------------------------------------------------- closing

    def close(self) -> None:
        """Close the blocking connections. The client can be used again afterwards."""
        if self._owns_pair:
            self._pair.close()
            if self._parts.login is not None:
                self._parts.login.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and the blocking ones."""
        if self._owns_pair:
            await self._pair.aclose()
            if self._parts.login is not None:
                await self._parts.login.aclose()

    def __getstate__(self) -> dict[str, Any]:
        if self._endpoint.tenant:
            raise TypeError("a client made by scope() cannot be pickled; pickle the client itself, and scope the copy")
        if self._given != (None, None, None):
            raise TypeError("a client with a session or transport of your own cannot be pickled")
        config, auth = self._config, self._parts.auth
        if auth not in (None, "oauth") or (config.oauth_credentials and not self._allow_secret_pickle):
            # Its copy would call with whatever key it finds, in somebody else's name.
            raise TypeError("a client with a login cannot be pickled; make one in each process, over the same storage")
        if not self._allow_secret_pickle:
            config = without_secrets(config)
        if self._parts.breaker is not None:
            config = config.replace(circuit_breaker=self._parts.breaker.config)
        return {
            "config": config,
            "auth": auth,
            "allow_secret_pickle": self._allow_secret_pickle,
            "defaults": self._defaults if self._allow_secret_pickle else defaults_without_secrets(self._defaults),
            "retry": self._parts.retry,
            "response_cache": self._parts.cache
            if self._allow_secret_pickle or self._parts.cache is None
            else cache_without_secrets(self._parts.cache),
        }

    def __copy__(self) -> Self:
        """A client of the same configuration, key included, with connections of its own."""
        made = type(self).__new__(type(self))
        made._config = self._config
        made._given = self._given
        made._allow_secret_pickle = self._allow_secret_pickle
        made._defaults = dict(self._defaults)
        made._parts = self._parts
        made._setup(MaskedDict(os.environ))
        made._endpoint.tenant = self._endpoint.tenant
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.__copy__()

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self._config = state["config"]
        self._allow_secret_pickle = state["allow_secret_pickle"]
        self._defaults = state["defaults"]
        self._given = (None, None, None)
        pool, login, auth = None, None, state["auth"]
        if auth is not None or self._config.oauth_credentials or self._config.oauth is not None:
            pool, login = find_login(self._config, auth)
        parts = {"retry": state["retry"], "cache": state["response_cache"]}
        self._parts = Parts(pool=pool, login=login, auth=auth, **parts)
        self._setup(MaskedDict(os.environ))

    def scope(
        self,
        *,
        api_key: APIKey | None = None,
        api_keys: Sequence[str] | KeyPool = (),
        token: str | None = None,
        auth: str | Authenticator | OAuthKeyManager | None = None,
    ) -> Self:
        """The same client with other credentials: for one request, or one user of a service.

        Connections, circuit breaker, places (``max_concurrency``) and the store are shared; keys, their
        health, rate limits and cached answers are not. Making one costs next to nothing, and it needs no
        closing.

        Args:
            api_key: A key, or a sync or async callable that returns it.
            api_keys: Several keys, or a :class:`KeyManager`.
            token: A bearer token.
            auth: As :class:`Client` has it.

        Raises:
            ConfigError: None of them is given, or several are.
            AuthError: A key or token is empty or malformed.

        Example:
            >>> from provider_kit import Client
            >>> client = Client("demo/echo")
            >>> client.scope(api_key="the-key-of-one-user").chat("Hello").text
            'Hello'
        """
        if sum(bool(given) for given in (api_key, api_keys, token, auth)) != 1:
            raise ConfigError(
                "scope() takes one kind of credential.", hint="Pass one of api_key=, api_keys=, token= and auth=."
            )
        made = type(self).__new__(type(self))
        made._config = config = scoped_config(self._config, api_key, api_keys)
        made._given, made._allow_secret_pickle, made._defaults = self._given, self._allow_secret_pickle, self._defaults
        made._parts = scoped_parts(self._parts, config, api_keys, token, auth)
        made._model, made._timeout, made._policy = self._model, self._timeout, self._policy
        made._pair, made._owns_pair = self._pair, False
        made._endpoint = self._endpoint.for_other_keys(config, made._parts.pool)
        made._gate = share_gate(self._gate, made._endpoint, config, made._parts)
        return made

    # -------------------------------------------------------------------------------------------- inside

    def _begin(
        self, operation: str, transport: Transport, messages: Any, options: Mapping[str, Any]
    ) -> tuple[Run, ChatRequest, ParameterReport]:
        request = build_request(messages, options, default_model=self._model, defaults=self._defaults)
        config = self._config
        on_unsupported = options.get("on_unsupported") or self._defaults.get("on_unsupported") or config.on_unsupported
        if on_unsupported not in ("warn", "raise", "drop"):
            raise InvalidRequestError(
                f"on_unsupported {on_unsupported!r} is not understood.", hint="Use 'warn', 'raise' or 'drop'."
            )
        run = self._run(
            operation,
            transport,
            request.model,
            options.get("timeout", self._defaults.get("timeout")),
            total=options.get("total_timeout", self._defaults.get("total_timeout")),
        )
        if operation != "count_tokens":
            run.request, run.limited = request, True
            run.cached = options.get("response_cache", self._defaults.get("response_cache")) is not False
        return run, request, ParameterReport(on_unsupported, self._endpoint.name, request.model)

    def _begin_embed(
        self, transport: Transport, texts: Any, model: str | None, dimensions: Any, extra_body: Any, timeout: Any
    ) -> tuple[Run, list[str], str]:
        batch, name = check_embedding(texts, model or self._model, dimensions, extra_body)
        run = self._run("embed", transport, name, timeout)
        run.limited = True
        return run, batch, name

    def _run(
        self,
        operation: str,
        transport: Transport,
        model: str | None,
        timeout: Any,
        *,
        total: float | None = None,
        policy: RetryPolicy | None = None,
    ) -> Run:
        config = self._config
        now = transport.now()
        clocks = self._timeout
        if timeout is not None or total is not None:
            clocks, total = check_times(clocks, timeout, total)
        limits = make_limits(
            clocks,
            config.total_timeout if total is None else total,
            now=now,
            stream=operation == "stream",
            max_bytes=config.http.max_response_bytes,
        )
        gate = self._gate
        events = gate.events
        run = Run(gate, transport, limits, policy or self._policy, operation, model, now)
        if limits.deadline is None and math.inf not in (total, config.total_timeout, clocks and clocks.total):
            run.patience = now + DEFAULT_TOTAL_TIMEOUT  # a stream may last, but not wait for ever to begin
        if events.minute():
            if events.asynchronous and transport.kind == "blocking":
                raise InvalidRequestError(
                    "on_event is asynchronous, the call is not.", hint="Use achat(), astream(), …, or a plain function."
                )
            run.minute = True
        return run
