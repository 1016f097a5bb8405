"""One client with the credentials of another user: what is shared with it, and what is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import evolve

from provider_kit.auth.credentials import pool_of
from provider_kit.auth.fixed_credentials import BearerTokenAuthenticator
from provider_kit.auth.keys.pool import KeyPool
from provider_kit.engine.admission import Gate
from provider_kit.engine.assembly import Parts, find_login, make_gate
from provider_kit.engine.endpoint import Endpoint
from provider_kit.engine.shared_state import SharedState
from provider_kit.model.config import APIKey, ProviderConfig
from provider_kit.wire.redaction import is_secret_header

__all__ = ["scoped_config", "scoped_parts", "share_gate"]


def scoped_config(config: ProviderConfig, api_key: APIKey | None, api_keys: Sequence[str] | KeyPool) -> ProviderConfig:
    """The configuration with other keys, and no credential of the old ones."""
    keys = () if isinstance(api_keys, KeyPool) else api_keys
    headers = {name: value for name, value in config.headers.items() if not is_secret_header(name)}
    return config.replace(api_key=api_key, api_keys=keys, oauth_credentials=(), oauth=None, headers=headers)


def scoped_parts(
    parts: Parts, config: ProviderConfig, api_keys: Sequence[str] | KeyPool, token: str | None, auth: Any
) -> Parts:
    """The parts with another pool."""
    pool: KeyPool | None = api_keys if isinstance(api_keys, KeyPool) else None
    if token is not None:
        pool = pool_of(BearerTokenAuthenticator(config.label, token), config.label)
    elif auth is not None:
        pool = find_login(config, auth)[0]
    return evolve(parts, pool=pool, login=None, auth=None)


def share_gate(gate: Gate, endpoint: Endpoint, config: ProviderConfig, parts: Parts) -> Gate:
    """A gate for the other keys, with the circuit and the places of the first one."""
    if isinstance(gate.shared, SharedState):
        parts = evolve(parts, store=gate.shared.store)
    made = make_gate(endpoint, config, parts)
    made.breaker, made.slots = gate.breaker, gate.slots
    return made
