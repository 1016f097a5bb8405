"""Replacing credentials in time."""

import pytest

from provider_kit import AuthError, AuthErrorCode, RotationPolicy
from provider_kit.auth.oauth.credential_rotation import Rotation

DAY = 86400.0


def rotation(**options):
    made = Rotation("acme", RotationPolicy(**options))
    made.register("old", 0.0)
    made.register("new", 20 * DAY)
    return made


def test_the_policy_has_its_usual_numbers():
    """Thirty days, seven of grace, decommissioned by itself."""
    policy = RotationPolicy()
    assert (policy.rotation_interval, policy.grace_period, policy.auto_decommission) == (30 * DAY, 7 * DAY, True)


def test_a_credential_is_due_after_its_interval():
    """And told of once."""
    made = rotation()
    assert made.check(29 * DAY) == []
    assert made.check(30 * DAY) == ["old"]
    assert made.untold(["old"]) == ["old"]
    assert made.untold(["old"]) == []
    made.tell_again("old")
    assert made.untold(["old"]) == ["old"]
    assert made.check(60 * DAY) == ["new", "old"]


def test_nothing_is_due_without_a_policy():
    """Disabled, or none at all."""
    assert rotation(enabled=False).check(1000 * DAY) == []
    assert Rotation("acme").check(1000 * DAY) == []


def test_a_replaced_credential_lives_on_for_its_grace():
    """Marked, retiring, over."""
    made = rotation()
    made.check(30 * DAY)
    state = made.mark("old", "new", 30 * DAY)
    assert (state.stage, state.replaced_by, state.retires_at) == ("retiring", "new", 37 * DAY)
    assert made.check(31 * DAY) == []
    assert made.expired(36 * DAY) == []
    assert made.expired(37 * DAY) == ["old"]
    assert made.complete("old", 37 * DAY).stage == "retired"
    assert made.expired(38 * DAY) == []
    assert made.states()["old"].stage == "retired"
    made.forget("old")
    assert made.state("old") is None


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda r: r.mark("old", "old", 0), "replaced already"),
        (lambda r: r.mark("nobody", "new", 0), "nobody"),
        (lambda r: r.mark("old", "nobody", 0), "nobody"),
        (lambda r: r.complete("old", 0), "was not replaced"),
        (lambda r: r.complete("nobody", 0), "nobody"),
        (lambda r: (r.mark("old", "new", 0), r.mark("old", "new", 0)), "replaced already"),
    ],
)
def test_what_cannot_be_is_an_error(act, words):
    """key_rotation_failed, and nothing has changed."""
    with pytest.raises(AuthError, match=words) as caught:
        act(rotation())
    assert caught.value.code == AuthErrorCode.KEY_ROTATION_FAILED
    assert caught.value.hint
