"""A provider as data: base URL, header of its credentials, dialect and quirks.

Most providers are one :class:`Provider` value. One that needs more than data subclasses it and overrides the methods
below. A provider opens no connection and reads the environment only through the mapping it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from provider_kit.dialects.base import Dialect
from provider_kit.dialects.file_rules import FileRules
from provider_kit.dialects.files_api import FilesAPI
from provider_kit.dialects.openai_chat import ChatQuirks, OpenAIChat
from provider_kit.errors import APIError
from provider_kit.model.config import ProviderConfig
from provider_kit.wire.http import Signer

if TYPE_CHECKING:
    from provider_kit.model.oauth import OAuthConfig

__all__ = ["Provider"]


@frozen(kw_only=True)
class Provider:
    """One provider of models.

    A server that speaks OpenAI's chat API needs no more than ``name``, ``base_url`` and
    ``key_variables``; a server with its own API names its ``dialect``.
    """

    #: The name before the slash of a model string.
    name: str
    #: Display name.
    title: str = ""
    #: Base URL, to which the dialect's paths are appended; ``None``: the user must give one.
    base_url: str | None = None
    #: Environment variables that may hold the key, in order.
    key_variables: tuple[str, ...] = ()
    #: Environment variables that may hold the base URL, in order.
    base_url_variables: tuple[str, ...] = ()
    #: Whether a call without a key can work.
    key_required: bool = True
    #: Header that carries the key; ``authorization`` means ``Bearer <key>``.
    key_header: str = "authorization"
    #: How keys of this provider begin, for hints.
    key_prefix: str = ""
    #: Headers sent with every request.
    headers: Mapping[str, str] = field(factory=dict)
    #: Model used where none is named.
    default_model: str | None = None
    #: Makes the dialect; called once for each client.
    dialect: Callable[..., Dialect] = OpenAIChat
    #: How the provider (or one of its models) differs from OpenAI's chat API.
    quirks: ChatQuirks | Callable[[str], ChatQuirks] = ChatQuirks()
    #: Error codes that mean something else at this provider.
    error_codes: Mapping[str, type[APIError]] = field(factory=dict)
    #: Whether it usually runs on the user's own machine, where nothing is billed.
    local: bool = False
    #: What starts its server, and what gets it a model, for who meets a refused connection on the own machine.
    start: str | None = None
    #: Seconds over which it counts requests, where its headers do not say.
    requests_limit_per: float = 60.0
    #: Offset from UTC, in hours, of the time zone whose midnight renews its daily quotas.
    day_begins: float = 0.0
    #: Whether it has an endpoint for embeddings, where its dialect has one.
    has_embeddings: bool = True
    #: Seconds for which a list of its models is fresh.
    models_lifetime: float = 21600.0
    #: The files it takes.
    files: FileRules = FileRules()
    #: Its API for files, where it has one.
    files_api: FilesAPI | None = None
    #: Most texts in one embeddings request.
    embed_batch: int = 2048
    #: Most tokens in one embeddings request.
    embed_tokens: int | None = None
    #: Options of a client that only this provider knows.
    option_names: tuple[str, ...] = ()
    #: Types of these options where they are not strings: ``{"use_responses_api": bool}``; ``list``: of strings.
    option_kinds: Mapping[str, Any] = field(factory=dict)
    #: Where to get a key.
    console: str | None = None
    #: Paths that return the account's credit, the best one first; see :meth:`read_balance`.
    balance_paths: tuple[str, ...] = ()
    #: Settings of its OAuth login; the user adds the client id.
    oauth: OAuthConfig | None = None
    #: Signs each request, instead of a header with the key.
    signer: Signer | None = None

    def complete(self, config: ProviderConfig, environ: Mapping[str, str]) -> ProviderConfig:
        """The configuration with options from the environment; called first."""
        return config

    def make_dialects(self, config: ProviderConfig) -> Callable[[str], Dialect]:
        """A function from a model's name to its dialect; called once for each client."""
        if self.dialect is OpenAIChat:
            made: Dialect = OpenAIChat(provider=config.label, error_codes=self.error_codes, quirks=self.quirks)
        else:
            made = self.dialect(provider=config.label, error_codes=self.error_codes)
        return lambda model: made

    def find_base_url(self, config: ProviderConfig, environ: Mapping[str, str]) -> str | None:
        """The address to use: the configured one, the environment's, or the provider's own."""
        if config.base_url:
            return config.base_url
        own = f"{variable_prefix(config.label)}_BASE_URL"
        for variable in (*self.base_url_variables, own):
            if environ.get(variable, "").strip():
                return environ[variable]
        return self.base_url

    def find_key(self, environ: Mapping[str, str]) -> tuple[str | None, str | None]:
        """The first key in the environment and the name of its variable."""
        keys, variable = self.find_keys(environ)
        if variable is None:
            return None, None
        return keys[0], variable if environ.get(variable) else f"{variable}_1"

    def find_keys(self, environ: Mapping[str, str]) -> tuple[tuple[str, ...], str | None]:
        """The keys in the environment, and the name of their variable, without a number."""
        for variable in self.key_variables:
            found = keys_of_variable(variable, environ)
            if found:
                return found, variable
        return (), None

    def key_headers(self, key: str, variable: str | None) -> dict[str, str]:
        """The headers that carry a key."""
        if self.key_header == "authorization":
            return {"Authorization": f"Bearer {key}"}
        return {self.key_header: key}

    def extra_headers(self, config: ProviderConfig, environ: Mapping[str, str]) -> dict[str, str]:
        """Headers that follow from the configuration's options or the environment."""
        return {}

    def seconds_to_new_day(self, time: float) -> float:
        """Seconds until its daily quotas are renewed, at ``time`` seconds since 1970."""
        return 86400.0 - (time + self.day_begins * 3600.0) % 86400.0

    def read_balance(self, path: str, payload: Mapping[str, Any]) -> Decimal | None:
        """The remaining credit, from the answer of one of ``balance_paths``; ``None`` if it does not say."""
        return None

    def explain(self, error: APIError, *, base_url: str) -> None:
        """Give an error a better hint than its class has, where this provider is known to need one."""


def custom_headers(text: str | None) -> dict[str, str]:
    """Headers from a variable such as ``OPENAI_CUSTOM_HEADERS``: ``Name: value`` lines."""
    headers: dict[str, Any] = {}
    for line in (text or "").splitlines():
        name, colon, value = line.partition(":")
        if colon and name.strip():
            headers[name.strip()] = value.strip()
    return headers


def variable_prefix(label: str) -> str:
    """How the environment variables of a provider begin: ``my-server`` has ``MY_SERVER_API_KEY``."""
    return label.upper().replace("-", "_").replace(".", "_")


def keys_of_variable(variable: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The key in a variable; where that is not set, those in ``<variable>_1``, ``_2`` and so on."""
    if environ.get(variable):
        return (environ[variable],)
    found: list[str] = []
    while key := environ.get(f"{variable}_{len(found) + 1}"):
        found.append(key)
    return tuple(found)


def shown_variable(variable: str, environ: Mapping[str, str]) -> str:
    """The name to show for the variable, or the numbered ones, in which :func:`keys_of_variable` finds keys."""
    if environ.get(variable):
        return variable
    count = len(keys_of_variable(variable, environ))
    return f"{variable}_1" if count == 1 else f"{variable}_1 to _{count}"


def as_decimal(value: Any) -> Decimal | None:
    """An amount from JSON, ``None`` if it is not a number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None
