"""Rotation of credentials: when one is due, which one replaces it, and how long both are valid.

Plain state; the time is an argument. The user's callback creates the new credential.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal, TypeAlias

from attrs import define, field, frozen

from provider_kit.errors import AuthError, AuthErrorCode
from provider_kit.model.http_config import positive_seconds

__all__ = ["Rotation", "RotationPolicy", "RotationState"]

_Callback: TypeAlias = Callable[[str], object] | Callable[[str], Awaitable[object]]
_DAY = 86400.0
#: ``active``; ``due``: old enough to be replaced; ``retiring``: replaced, valid until its grace period ends;
#: ``retired``: no longer used.
Stage: TypeAlias = Literal["active", "due", "retiring", "retired"]


@frozen(kw_only=True)
class RotationPolicy:
    """How old a credential may become. Times are in seconds."""

    enabled: bool = True
    rotation_interval: float = field(default=30 * _DAY, validator=positive_seconds)
    #: How long an old credential stays in use alongside its replacement.
    grace_period: float = field(default=7 * _DAY, validator=positive_seconds)
    #: Take old credentials out of use when their grace period ends.
    auto_decommission: bool = True
    #: Called once with the id of a credential that is due; sync or async.
    on_rotation_needed: _Callback | None = field(default=None, repr=False, eq=False)
    #: Called with the id of a credential that was taken out of use; sync or async.
    on_decommissioned: _Callback | None = field(default=None, repr=False, eq=False)


@define(kw_only=True)
class RotationState:
    """The rotation state of one credential. Times are seconds since 1970."""

    credential_id: str
    stage: Stage = "active"
    since: float
    #: The credential that replaces it.
    replaced_by: str | None = None
    retires_at: float | None = None
    #: Whether the callback was called.
    told: bool = False


class Rotation:
    """The rotation of a set of credentials."""

    def __init__(self, provider: str, policy: RotationPolicy | None = None) -> None:
        self.provider = provider
        self.policy = policy or RotationPolicy(enabled=False)
        self._states: dict[str, RotationState] = {}

    def register(self, credential_id: str, since: float) -> None:
        """Add a credential that has been in use since a time."""
        self._states.setdefault(credential_id, RotationState(credential_id=credential_id, since=since))

    def forget(self, credential_id: str) -> None:
        """Remove a credential."""
        self._states.pop(credential_id, None)

    def state(self, credential_id: str) -> RotationState | None:
        """The state of a credential."""
        return self._states.get(credential_id)

    def states(self) -> dict[str, RotationState]:
        """The states of all credentials."""
        return dict(self._states)

    def check(self, now: float) -> list[str]:
        """The credentials that are due and have not been replaced yet."""
        if not self.policy.enabled:
            return []
        for state in self._states.values():
            if state.stage == "active" and now - state.since >= self.policy.rotation_interval:
                state.stage = "due"
        return sorted(state.credential_id for state in self._states.values() if state.stage == "due")

    def mark(self, old: str, new: str, now: float) -> RotationState:
        """Replace ``old`` by ``new``; both are valid for the grace period.

        Raises:
            AuthError: One of them is not known, they are the same, or ``old`` was replaced already.
        """
        found = self._known(old)
        self._known(new)
        if old == new or found.stage in ("retiring", "retired"):
            raise self._failed(f"The credential {old!r} cannot be replaced by {new!r}: it was replaced already.")
        found.stage, found.replaced_by, found.retires_at = "retiring", new, now + self.policy.grace_period
        return found

    def complete(self, old: str, now: float) -> RotationState:
        """End the grace period of a replaced credential.

        Raises:
            AuthError: It is not known, or was not replaced.
        """
        found = self._known(old)
        if found.replaced_by is None:
            raise self._failed(f"The credential {old!r} was not replaced; mark_for_rotation() comes first.")
        found.stage, found.retires_at = "retired", now
        return found

    def expired(self, now: float) -> list[str]:
        """The credentials whose grace period has ended, and which are still in use."""
        return sorted(
            state.credential_id
            for state in self._states.values()
            if state.stage == "retiring" and state.retires_at is not None and state.retires_at <= now
        )

    def untold(self, due: Iterable[str]) -> list[str]:
        """Those not reported yet; they count as reported from now on."""
        found = [state for name in due if not (state := self._states[name]).told]
        for state in found:
            state.told = True
        return [state.credential_id for state in found]

    def tell_again(self, credential_id: str) -> None:
        """Reporting failed; try again next time."""
        state = self._states.get(credential_id)
        if state is not None:
            state.told = False

    def _known(self, credential_id: str) -> RotationState:
        found = self._states.get(credential_id)
        if found is None:
            raise self._failed(f"No credential {credential_id!r} is known.")
        return found

    def _failed(self, text: str, **known: Any) -> AuthError:
        return AuthError(
            text,
            code=AuthErrorCode.KEY_ROTATION_FAILED,
            provider=self.provider,
            retryable=False,
            hint="get_rotation_states() shows the state of each credential.",
            **known,
        )
