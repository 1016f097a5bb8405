"""Tokens in memory, for tests and for programs that log in each time. Lost when the process ends."""

from __future__ import annotations

from provider_kit.auth.storage.base import StorageBase
from provider_kit.auth.storage.protocol import check_key_name, check_token
from provider_kit.model.oauth import OAuthToken

__all__ = ["MemoryTokenStorage"]


class MemoryTokenStorage(StorageBase):
    """Keeps tokens in this process; safe to share between threads and event loops."""

    #: Its methods return at once and need no thread.
    never_blocks = True

    def __init__(self) -> None:
        self._tokens: dict[str, OAuthToken] = {}

    def __repr__(self) -> str:
        return f"<MemoryTokenStorage of {len(self._tokens)} tokens>"

    def store_token(self, key: str, token: OAuthToken) -> None:
        """Store a token under a name."""
        self._tokens[check_key_name(key)] = check_token(token)

    def retrieve_token(self, key: str) -> OAuthToken | None:
        """The token under a name, or ``None``."""
        return self._tokens.get(key)

    def delete_token(self, key: str) -> bool:
        """Delete a token; return whether there was one."""
        return self._tokens.pop(key, None) is not None

    def list_tokens(self) -> list[str]:
        """The names of all tokens, sorted."""
        return sorted(list(self._tokens))  # noqa: C414  # the copy is one step, so that others may write meanwhile
