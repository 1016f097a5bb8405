"""Until when a token is good, when it is refreshed, and how long a failure keeps us from trying again."""

import pytest

from provider_kit import AuthError, OAuthToken, RefreshStrategy
from provider_kit.auth.oauth.token_state import TokenState

TIME = 1_800_000_000.0


def state(lifetime=3600.0, *, buffer=300.0, refresh="r", enabled=True, obtained=TIME):
    made = TokenState(RefreshStrategy(buffer_time=buffer), enabled)
    expires = None if lifetime is None else TIME + lifetime
    made.set_token(
        OAuthToken(access_token="a", refresh_token=refresh, obtained_at=obtained, expires_at=expires), 0.0, TIME
    )
    return made


@pytest.mark.parametrize(
    ("made", "fresh", "good"),
    [
        (state(), 3300, 3600),
        (state(buffer=1800), 1800, 3600),
        (state(buffer=9000), 1800, 3600),  # half of its life at most
        (state(100.0), 50, 100),
        (state(100.0, obtained=None), -200, 100),  # nobody knows how long it was given to live
        (state(refresh=None), 3600, 3600),  # nothing to refresh with: used to its end
        (state(enabled=False), 3600, 3600),
        (state(None), float("inf"), float("inf")),
        (state(-5.0, obtained=None), -305, -5),
    ],
)
def test_a_token_is_fresh_until_its_buffer_and_good_until_its_end(made, fresh, good):
    """In readings of the clock."""
    assert made.fresh_until == fresh
    assert (made.fresh(fresh - 1, None) is not None) == (fresh - 1 < good)
    assert made.fresh(fresh, None) is None
    if good < float("inf"):
        assert (made.usable(good - 1, None) is not None) == (good > 0 or fresh < good)
        assert made.usable(good, None) is None


def test_a_refused_token_is_neither():
    """Whatever its expiry says."""
    made = state()
    assert made.usable(1.0, "a") is None
    assert made.fresh(1.0, "a") is None
    assert made.serves(1.0, "a") is None
    assert made.usable(1.0, "another") is not None


def test_failures_rest_longer_and_longer():
    """1, 2, 4, 8 s; from the fifth on 60 to 480."""
    made = state()
    rests = []
    for _ in range(10):
        made.failed(AuthError("no"), 0.0, TIME)
        rests.append(made.rest_until)
    assert rests == [1, 2, 4, 8, 60, 120, 240, 480, 480, 480]
    assert made.metrics.refresh_failures == 10
    made.succeeded(0.1, TIME)
    made.failed(AuthError("no"), 0.0, TIME)
    assert made.rest_until == 1


def test_while_refreshing_rests_a_good_token_serves():
    """And a token that is over does not."""
    made = state()
    made.failed(AuthError("no"), 3400.0, TIME)
    assert made.serves(3400.5, None) is not None
    assert made.serves(3401.5, None) is None  # try again
    assert made.serves(3601.0, None) is None


def test_nobody_logged_in_has_nothing():
    """Not even a moment."""
    made = TokenState(RefreshStrategy(), True)
    made.set_token(None, 0.0, TIME)
    assert made.serves(0.0, None) is None
    assert not made.can_refresh(None)
