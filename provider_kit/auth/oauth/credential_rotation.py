"""Replacing credentials in time: when one is due, which one replaces it, and how long both are good.

Plain state; the time is an argument. Who makes the new credential is the user's callback.
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
#: ``active``; ``due``: old enough to be replaced; ``retiring``: replaced, good until its grace is over;
#: ``retired``: over.
Stage: TypeAlias = Literal["active", "due", "retiring", "retired"]


@frozen(kw_only=True)
class RotationPolicy:
    """How old a credential may become. Times are seconds."""

    enabled: bool = True
    rotation_interval: float = field(default=30 * _DAY, validator=positive_seconds)
    #: How long an old credential stays in use beside its replacement.
    grace_period: float = field(default=7 * _DAY, validator=positive_seconds)
    #: Take old credentials out of use when their grace is over.
    auto_decommission: bool = True
    #: Called once with the id of a credential that is due; sync or async.
    on_rotation_needed: _Callback | None = field(default=None, repr=False, eq=False)
    #: Called with the id of a credential that was taken out of use; sync or async.
    on_decommissioned: _Callback | None = field(default=None, repr=False, eq=False)


@define(kw_only=True)
class RotationState:
    """Where one credential stands. Times are seconds since 1970."""

    credential_id: str
    stage: Stage = "active"
    since: float
    #: The credential that takes its place.
    replaced_by: str | None = None
    retires_at: float | None = None
    #: Whether the callback was told.
    told: bool = False


class Rotation:
    """The rotation of a set of credentials."""

    def __init__(self, provider: str, policy: RotationPolicy | None = None) -> None:
        self.provider = provider
        self.policy = policy or RotationPolicy(enabled=False)
        self._states: dict[str, RotationState] = {}

    def register(self, credential_id: str, since: float) -> None:
        """A credential is in use since then."""
        self._states.setdefault(credential_id, RotationState(credential_id=credential_id, since=since))

    def forget(self, credential_id: str) -> None:
        """A credential is gone."""
        self._states.pop(credential_id, None)

    def state(self, credential_id: str) -> RotationState | None:
        """Where a credential stands."""
        return self._states.get(credential_id)

    def states(self) -> dict[str, RotationState]:
        """Where all stand."""
        return dict(self._states)

    def check(self, now: float) -> list[str]:
        """The credentials that are old enough to be replaced, and were not yet."""
        if not self.policy.enabled:
            return []
        for state in self._states.values():
            if state.stage == "active" and now - state.since >= self.policy.rotation_interval:
                state.stage = "due"
        return sorted(state.credential_id for state in self._states.values() if state.stage == "due")

    def mark(self, old: str, new: str, now: float) -> RotationState:
        """``new`` takes the place of ``old``; both are good for the grace period.

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
        """End the grace of a credential that was replaced.

        Raises:
            AuthError: It is not known, or was not replaced.
        """
        found = self._known(old)
        if found.replaced_by is None:
            raise self._failed(f"The credential {old!r} was not replaced; mark_for_rotation() comes first.")
        found.stage, found.retires_at = "retired", now
        return found

    def expired(self, now: float) -> list[str]:
        """The credentials whose grace is over, and which are still in use."""
        return sorted(
            state.credential_id
            for state in self._states.values()
            if state.stage == "retiring" and state.retires_at is not None and state.retires_at <= now
        )

    def untold(self, due: Iterable[str]) -> list[str]:
        """Those of which nobody was told yet; they count as told from now on."""
        found = [state for name in due if not (state := self._states[name]).told]
        for state in found:
            state.told = True
        return [state.credential_id for state in found]

    def tell_again(self, credential_id: str) -> None:
        """Telling failed; try again next time."""
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
            hint="get_rotation_states() tells where each credential stands.",
            **known,
        )
