"""The token of an OAuth login, as a credential of an engine's pool."""

from __future__ import annotations

from collections.abc import Callable

from provider_kit.auth.credential_pool import Secret
from provider_kit.auth.monitoring.metrics import CredentialMetrics
from provider_kit.auth.oauth.refresher import TokenRefresher
from provider_kit.transports.base import Runtime

__all__ = ["OAuthCredential"]

#: Requests after which the buffer of a credential is worked out anew.
_LOOK_EVERY = 64


class OAuthCredential:
    """A credential whose token a :class:`TokenRefresher` keeps fresh."""

    def __init__(self, keeper: TokenRefresher, moment: Callable[[], float] | None = None) -> None:
        self.keeper = keeper
        self.id = keeper.credential_id
        self._moment = moment

    @property
    def renewable(self) -> bool:
        """Whether asking again may bring another token."""
        return self.keeper.renewable

    def subscribe(self, changed: Callable[[], object]) -> None:
        """Have a function called with each login and logout."""
        self.keeper.subscribe(changed)

    @property
    def bearer(self) -> bool:
        """Not for a key that a login brought."""
        token = self.keeper.token
        return token is None or token.token_type != "api_key"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Token, refresh token, and the client's secret."""
        return self.keeper.secrets

    @property
    def metrics(self) -> CredentialMetrics:
        """How it fared."""
        return self.keeper.metrics

    async def obtain(self, runtime: Runtime, deadline: float | None, rejected: str | None) -> Secret:
        """A token that is good now."""
        token = await self.keeper.obtain(runtime, deadline=deadline, rejected=rejected)
        # One whose refresh failed a moment ago is asked for again with the next call.
        return Secret(token.access_token, runtime.now() + self.keeper.fresh_for(runtime))

    def observe(self, ok: bool, latency: float, tokens: float | None, time: float) -> float | None:
        """Count a call; now and then, the clock reading until which the token is good without a refresh."""
        metrics = self.keeper.metrics
        metrics.record(ok, latency, tokens, time)
        if metrics.request_count % _LOOK_EVERY == 0 and self._moment is not None:
            return self.keeper.reschedule(self._moment(), time)
        return None
