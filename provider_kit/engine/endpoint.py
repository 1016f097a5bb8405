"""Everything about one provider that does not change from call to call, computed once.

An :class:`Endpoint` joins a provider's data with a configuration and the environment: the address, the
headers, the keys, the dialects. It writes HTTP requests and turns error answers into typed errors; it
sends nothing.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import sys
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from attrs import define, field

from provider_kit._version import __version__
from provider_kit.auth.keys.pool import KeyPool
from provider_kit.auth.keys.shape import shape_warning
from provider_kit.auth.keys.sources import KeySource, check_key, find_keys
from provider_kit.auth.keys.state import Key
from provider_kit.catalog.directory import ModelDirectory
from provider_kit.catalog.overrides import ModelOverrides, read_overrides
from provider_kit.dialects.base import WireRequest
from provider_kit.dialects.failures import error_from_response, looks_like_html
from provider_kit.dialects.parse_errors import read_answer
from provider_kit.engine.endpoint_checks import check_base_url, check_options
from provider_kit.errors import (
    APIError,
    AuthenticationError,
    ConfigError,
    InvalidRequestError,
    InvalidResponseError,
    MissingAPIKeyError,
    PermissionDeniedError,
    ProviderKitError,
    ResponseLostError,
)
from provider_kit.model.config import ProviderConfig
from provider_kit.model.json_text import dumps, dumps_text, loads
from provider_kit.policies.failure_rules import rule_for
from provider_kit.policies.response_cache import vary_headers
from provider_kit.providers.base import Provider
from provider_kit.transports.runtime_blocking import BlockingRuntime
from provider_kit.wire.http import CORRELATION_HEADER, HttpRequest, HttpResponse, is_loopback, join_url
from provider_kit.wire.merging import checked_headers, deep_merge, merge_headers, over
from provider_kit.wire.redaction import MaskedStr, is_secret_header, looks_secret, redact, redact_value, texts_of

__all__ = ["Endpoint", "PreparedRequest"]

#: Number of keys with cached headers; a callable may return ever new keys.
_REMEMBERED_KEYS = 100
_USER_AGENT = f"provider-kit/{__version__} (python/{sys.version_info[0]}.{sys.version_info[1]})"


@define
class PreparedRequest:
    """A request without the headers that carry a key."""

    method: str
    url: str
    body: bytes | None = field(repr=False)
    headers: Mapping[str, str] | None = field(repr=False)
    extra_headers: Mapping[str, str | None] | None = field(repr=False)


class Endpoint:
    """One provider, ready to be called.

    Args:
        provider: The provider's data.
        config: What the user configured.
        environ: The environment variables.
        pool: A user's key pool; default: the keys of the configuration or the environment.
        clock: A monotonic clock.

    Raises:
        ConfigError: The base URL is missing or malformed, or an option is unknown.
    """

    def __init__(
        self,
        provider: Provider,
        config: ProviderConfig,
        environ: Mapping[str, str],
        pool: KeyPool | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        config = provider.complete(config, environ)
        self.provider = provider
        self.config = config
        self.name = config.label
        self._environ = environ
        check_options(config, provider)
        self._check_headers()
        self.base_url = check_base_url(provider.find_base_url(config, environ), self.name, provider.base_url_variables)
        self.dialect_for = provider.make_dialects(config)
        #: A user's key pool, or tokens.
        self.given_pool = pool
        #: A monotonic clock.
        self.clock = clock or BlockingRuntime().now
        #: Name of the scope it belongs to; empty for none.
        self.tenant = ""
        #: The source of the keys; known after first use.
        self.key_source = KeySource(())
        #: What is known of its models.
        self.directory = self._make_directory(read_overrides(config.model_overrides))
        self._headers: dict[str, dict[bool, dict[str, str]]] = {}
        self._base_headers = {
            "User-Agent": config.http.user_agent or _USER_AGENT,
            "Content-Type": "application/json",
            **provider.headers,
            **provider.extra_headers(config, environ),
        }
        self._urls: dict[str, str] = {}
        #: Whether the id of a call is sent; a header of the user's own takes precedence.
        self._sends_correlation_id = all(name.lower() != CORRELATION_HEADER.lower() for name in config.headers)

    def _make_directory(self, overrides: ModelOverrides) -> ModelDirectory:
        provider = self.provider
        return ModelDirectory(provider.name, self.name, self.base_url, overrides, provider.models_lifetime)

    # -------------------------------------------------------------------------------------------- checks

    def _check_headers(self) -> None:
        try:
            merge_headers({}, self.config.headers)
        except InvalidRequestError as error:
            raise ConfigError(error.message, provider=self.name, hint=error.hint) from None

    def check_transport_security(self) -> None:
        """Refuse to send a key unencrypted to another machine."""
        parts = urlsplit(self.base_url)
        host = parts.hostname or ""
        if parts.scheme == "https" or is_loopback(host, unspecified=True):
            return
        if not self.config.allow_insecure_http:
            raise ConfigError(
                f"The API key would be sent unencrypted to {host}.",
                provider=self.name,
                hint="Use https://, or pass allow_insecure_http=True if the network is trusted.",
            )

    # -------------------------------------------------------------------------------------------- keys

    @cached_property
    def keys(self) -> KeyPool:
        """The keys, found on first use.

        Raises:
            MissingAPIKeyError: There is none and the provider needs one.
            ConfigError: The key would be sent unencrypted to another machine.
        """
        pool = self.given_pool
        if pool is None:
            source = self._find_keys()
            pool = KeyPool(self.name, source.keys, strategy=self.config.key_strategy)
        else:
            source = KeySource((), function=pool.source, provider=self.name)
        self.key_source = source
        if len(pool) or not source.empty:
            self.check_transport_security()
        pool.clock = pool.clock or self.clock
        return pool

    def _find_keys(self) -> KeySource:
        """The keys of the configuration, the environment, or, last, those that were stored once."""
        try:
            return find_keys(self.config, self.provider, self._environ)
        except MissingAPIKeyError:
            from provider_kit.auth.storage.factory import stored_credential

            found = stored_credential(self.name, self.provider.name)
            if found is None or found.token_type != "api_key":
                raise
            return KeySource((check_key(found.access_token, self.name),), provider=self.name)

    def for_other_keys(self, config: ProviderConfig, pool: KeyPool | None) -> Endpoint:
        """The same provider for other keys, without repeating the checks."""
        made = copy(self)
        made.config = config
        made.given_pool = pool
        made.tenant = secrets.token_hex(8)  # unique, in this process and elsewhere
        made._headers, made.key_source = {}, KeySource(())
        made.directory = made._make_directory(self.directory.overrides)
        for name in ("keys", "scope"):
            vars(made).pop(name, None)
        return made

    def shared_name(self, key: Key | None) -> str:
        """The name of a key where processes share its state: never that of another user's, and a hash."""
        if key is None:
            return ""
        pool = self.given_pool
        if pool is None or not pool.renewable:
            return key.id
        # A token that never changes identifies itself; any other belongs to whom it was given to.
        return hashlib.sha256(f"{self.name}\0{key.id}\0{pool.identity(key) or self.tenant}".encode()).hexdigest()[:12]

    def headers_for(self, key: str, stream: bool) -> dict[str, str]:
        """All headers of a request with this key; empty for none."""
        made = self._headers.get(key)
        if made is None:
            if len(self._headers) > _REMEMBERED_KEYS:
                self._headers.clear()
            made = self._headers[key] = self._all_headers(key)
        return made[stream]

    @cached_property
    def scope(self) -> str:
        """What all its requests share and an answer may depend on; holds no key."""
        told = vary_headers(self.headers_for("", False))
        # Answers to one user are not given to another.
        tenant = [self.tenant] if self.tenant else []
        return dumps_text([self.provider.name, self.base_url, told, *tenant])

    def _all_headers(self, key: str) -> dict[bool, dict[str, str]]:
        """The headers of requests with a key: of those that ask for a stream, and of others."""
        made: dict[str, str] = {}
        if key and self.provider.signer is None:
            if self.given_pool is not None and self.given_pool.is_bearer(key):
                made = {"Authorization": f"Bearer {key}"}
            else:
                made = self.provider.key_headers(str(key), self.key_source.variable)
        masked = {name: MaskedStr(value) for name, value in made.items()}
        whole = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate"}
        stream = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
        both = {True: {**self._base_headers, **stream, **masked}, False: {**self._base_headers, **whole, **masked}}
        if self.config.headers:
            return {flag: merge_headers(headers, self.config.headers) for flag, headers in both.items()}
        return both

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values to redact from texts."""
        pool, config = vars(self).get("keys", self.given_pool), self.config
        if pool is not None:
            known: Iterable[str] = pool.secrets
        else:  # not used yet
            known = (key for key in (config.api_key, *config.api_keys) if isinstance(key, str))
        if not config.headers:
            return tuple(known)
        given = map(str, config.headers.values())
        return (*known, *(value for value in given if len(value) >= 12))

    @property
    def credentials(self) -> tuple[str, ...]:
        """The values to redact from a model's text: those of :attr:`secrets` that are certainly credentials, not
        words."""
        harmless = {str(value) for name, value in self.config.headers.items() if not is_secret_header(name)}
        return tuple(
            secret
            for secret in self.secrets
            if (len(secret) >= 12 or looks_secret(secret)) and (secret not in harmless or looks_secret(secret))
        )

    # -------------------------------------------------------------------------------------------- requests

    def prepare(
        self,
        call: WireRequest,
        *,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, str] | None = None,
    ) -> PreparedRequest:
        """Prepare a call as it will be sent, except for the headers that change with each attempt.

        Raises:
            InvalidRequestError: Something in it cannot be written as JSON, or a header cannot be sent.
        """
        body = call.content
        if call.body is not None:
            content = deep_merge(call.body, extra_body) if extra_body else call.body
            try:
                body = dumps(content)
            except UnicodeEncodeError as error:
                before = error.object[max(0, error.start - 20) : error.start].rpartition('"')[2]
                raise InvalidRequestError(
                    f"The request cannot be written as JSON: a text holds a lone surrogate "
                    f"({error.object[error.start]!a}{f', after {before!r}' if before else ''}).",
                    provider=self.name,
                    hint="It comes from a text that was cut or decoded with errors='surrogateescape'. Replace it: "
                    "text.encode('utf-8', 'replace').decode().",
                ) from None
            except (TypeError, ValueError, RecursionError) as error:
                raise InvalidRequestError(
                    f"The request cannot be written as JSON: {error}.",
                    provider=self.name,
                    hint="Use only dicts, lists, strings, numbers, booleans and None; NaN and bytes are not JSON.",
                ) from error
        query = {**(call.query or {}), **extra_query} if extra_query else call.query
        if call.before or call.from_root:
            url = self._elsewhere(call)
        elif query:
            url = join_url(self.base_url, call.path, query)
        else:
            url = self._urls.get(call.path) or self._remember(call.path)
        added = checked_headers(extra_headers) if extra_headers else None
        return PreparedRequest(call.method, url, body, call.headers, added)

    def _elsewhere(self, call: WireRequest) -> str:
        """An address on the same host, beside the base URL."""
        parts = urlsplit(self.base_url)
        root = f"{parts.scheme}://{parts.netloc}"
        if call.from_root:
            return root + call.path
        return join_url(f"{root}{call.before}{parts.path}", call.path, call.query or {})

    def sign(
        self, prepared: PreparedRequest, key: str, stream: bool, now: float, correlation_id: str = ""
    ) -> HttpRequest:
        """The HTTP request of one attempt, made at ``now`` seconds since 1970."""
        sent = dict(self.headers_for(key, stream))
        if correlation_id and self._sends_correlation_id:
            sent[CORRELATION_HEADER] = correlation_id
        if prepared.body is None:
            sent.pop("Content-Type", None)  # the user's own header takes precedence
        if prepared.headers:
            for name, value in prepared.headers.items():
                # The one header that is a list, of which the client may have sent a part.
                sent[name] = f"{sent[name]},{value}" if name == "anthropic-beta" and name in sent else value
        if prepared.extra_headers:
            sent = over(sent, prepared.extra_headers)
        request = HttpRequest(prepared.method, prepared.url, sent, prepared.body, key)
        signer = self.provider.signer
        return request if signer is None else self._signed(signer.sign(request, key, now), key)

    def _signed(self, request: Any, key: str) -> HttpRequest:
        """What a signer returned, checked."""
        if not isinstance(request, HttpRequest):
            raise ConfigError(
                f"The signer returned {type(request).__name__}, not an HttpRequest.",
                provider=self.name,
                hint="sign() is a plain method; let it return the request, or another HttpRequest.",
            )
        request.secret = key
        return request

    def _remember(self, path: str) -> str:
        url = join_url(self.base_url, path)
        if len(self._urls) < 500:
            self._urls[path] = url
        return url

    # -------------------------------------------------------------------------------------------- answers

    def read_json(self, response: HttpResponse) -> Any:
        """The JSON of an answer.

        Raises:
            APIError: The status says it failed.
            InvalidResponseError: It is not JSON.
        """
        if response.status >= 300:
            raise self.error(response.status, response.headers, response.body)
        try:
            body = response.body
            return read_answer(body) if b"\\u" in body else loads(body)
        except ValueError:
            pass  # as the context of the new error it would show the whole answer
        raise self.not_json(response.status, response.headers, response.body)

    def not_json(self, status: int, headers: Mapping[str, str], body: bytes) -> InvalidResponseError:
        """The error for a successful status without JSON."""
        text = redact(body[:2000].decode("utf-8", "replace"), self.secrets)
        if looks_like_html(body):
            message = "The answer is a web page, not JSON: a proxy, a login page or a wrong address answered."
        elif not body.strip():
            message = "The answer is empty."
        else:
            message = "The answer is not JSON, or was truncated."
        return InvalidResponseError(
            message,
            status_code=status,
            headers={name: redact(value, self.secrets) for name, value in headers.items()},
            body=text,
            provider=self.name,
            hint=f"Check base_url ({redact(self.base_url, self.secrets)}; does it need /v1?) and any proxy in between.",
        )

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> APIError:
        """The typed error for an error answer, without secrets."""
        error = error_from_response(status, headers, body, provider=self.name, overrides=self.provider.error_codes)
        return self.finish_error(error)

    def finish_error(self, error: APIError) -> APIError:
        """Redact an error and let the provider explain it."""
        secrets = self.secrets
        headers = dict(error.headers)
        for name in error.headers:
            if name.lower() == "set-cookie":
                del headers[name]
        said = filter(None, (error.code, error.type, error.param, error.request_id))
        texts = texts_of(error.body)
        # Most answers hold no secret, which one search over their joined texts shows.
        whole = "\n".join((error.message, *said, *headers.values(), *(texts or ())))
        if texts is None or redact(whole, secrets) != whole:
            error.message = redact(error.message, secrets)
            error.body = redact_value(error.body, secrets)
            for name in ("code", "type", "param", "request_id"):
                if getattr(error, name) is not None:
                    setattr(error, name, redact(getattr(error, name), secrets))
            headers = {name: redact(value, secrets) for name, value in headers.items()}
        error.args = (error.message,)
        error.headers = headers
        if error.status_code == 407:
            error.with_hint("A proxy in between requires a password: HTTPS_PROXY=http://user:password@proxy:port.")
        self.provider.explain(error, base_url=self.base_url)
        if self.given_pool is not None and self.given_pool.renewable:
            _explain_login(error, self.name)
        elif type(error) is AuthenticationError and "hint" not in vars(error):
            self._explain_key(error)
        return error

    def _explain_key(self, error: APIError) -> None:
        """If a refused key does not look like one of this provider, say so."""
        known = vars(self).get("keys")
        if known is None or len(known) != 1 or self.base_url != (self.provider.base_url or "").rstrip("/"):
            return
        found = shape_warning(self.provider, next(iter(known.secrets)))
        if found is not None:
            error.with_hint(" ".join(found))

    def allow_repeat(self, error: ProviderKitError) -> None:
        """Allow a retry after a lost or late reply where nothing is billed, or where the user allows it."""
        allowed = self.config.retry_on_read_timeout or (self.provider.local and isinstance(error, ResponseLostError))
        if allowed and rule_for(error).same_key == "if allowed":
            error.retryable = True


def _explain_login(error: APIError, name: str) -> None:
    """The hint for a refused token, as opposed to a key (RFC 6750 section 3.1)."""
    if isinstance(error, PermissionDeniedError):
        challenge = next((value for key, value in error.headers.items() if key.lower() == "www-authenticate"), "")
        if "insufficient_scope" in challenge:
            missing = re.search(r'scope="([^"]*)"', challenge)
            wanted = f" ({missing[1]})" if missing else ""
            error.with_hint(f"The token lacks a scope{wanted}. Log in again with it: login(scopes=[…]).")
    elif isinstance(error, AuthenticationError):
        error.with_hint(
            f"{name} refuses even a fresh token: check that it accepts tokens of this login (scopes, project, "
            "audience), or log in again."
        )
