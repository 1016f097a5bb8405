"""Which key of a pool a call uses next: pure state, for calls of a client and for calls of your own."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

from provider_kit.auth.keys.pool import KeyPool
from provider_kit.auth.keys.state import Key
from provider_kit.errors import ProviderKitError
from provider_kit.policies.failure_rules import FailureRule, KeyAction

__all__ = ["KeyRotation"]


@define(eq=False)
class KeyRotation:
    """What one call has learned about the keys it used. It neither waits nor changes a key."""

    #: Ids of the keys that this call does not use again.
    excluded: set[str] = field(factory=set)
    #: Ids of the keys it used.
    used: set[str] = field(factory=set)
    #: Ids of the tokens that were refused and renewed once.
    renewed: set[str] = field(factory=set)
    #: Ids of those whose new token was adopted from another process: they may be renewed here once more.
    adopted: set[str] = field(factory=set)
    #: By id: the errors of rate-limited keys, which can be used again after a cooldown.
    cooling: dict[str, ProviderKitError] = field(factory=dict)
    #: Id of the key that was used last, and of the one to use again, where the key did not cause the failure.
    last: str | None = None
    preferred: str | None = None

    def pick(self, pool: KeyPool, now: float, wait_of: Callable[[Key], float] | None = None) -> Key | None:
        """The key to use now, if there is one."""
        return pool.pick(now, exclude=self.excluded, wait_of=wait_of, prefer=self.preferred)

    def use(self, key: Key) -> None:
        """Record the use of a key."""
        self.last = key.id
        self.used.add(key.id)

    def renew(self, key: Key) -> None:
        """A token was refused for the first time: the same credential is retried with a new token."""
        self.renewed.add(key.id)
        self.preferred = key.id

    def adopt(self, key: Key) -> None:
        """The new token came from another process: if it is refused too, it is renewed here, once."""
        if key.id not in self.adopted:
            self.adopted.add(key.id)
            self.renewed.discard(key.id)

    def give_up(self, key: Key) -> None:
        """Exclude a key from this call."""
        self.used.add(key.id)
        self.excluded.add(key.id)
        if self.preferred == key.id:
            self.preferred = None

    def failed(
        self, pool: KeyPool, key: Key, rule: FailureRule, error: ProviderKitError, now: float
    ) -> tuple[bool, ProviderKitError]:
        """A call with a key failed.

        Args:
            pool: The keys.
            key: The one that was used.
            rule: The rule for the failure.
            error: The failure.
            now: The clock.

        Returns:
            Whether another key is used at once, and the error that decides about waiting if none is.
        """
        self.preferred = key.id if pool.has_multiple and not rule.other_key else None
        if not pool.has_multiple or not rule.other_key:
            return False, error
        if rule.key is not KeyAction.COOLING or pool.strategy == "simple":
            self.excluded.add(key.id)
        # If this key is unusable but another one is only cooling down, that cooldown decides.
        if rule.key is KeyAction.COOLING:
            self.cooling[key.id] = error
        else:
            self.cooling.pop(key.id, None)
            error = next(reversed(self.cooling.values()), error)
        if not self.exhausted(pool) and pool.usable(now, self.used):
            self.excluded |= self.used
            return True, error
        if self.cooling:
            self.excluded -= self.cooling.keys()
        else:
            self.excluded = {one for one in self.excluded if pool.refused(one)}
        if self.exhausted(pool):
            self.excluded |= pool.others(self.used)
        return False, error

    def exhausted(self, pool: KeyPool) -> bool:
        """Whether it has used as many keys as one call may."""
        return len(self.used) >= (len(pool) if pool.strategy == "simple" else pool.max_keys)
