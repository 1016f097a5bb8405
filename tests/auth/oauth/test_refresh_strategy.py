"""How early a token is renewed."""

import pytest

from provider_kit import ConfigError, CredentialMetrics, RefreshStrategy

NOW = 1_800_000_000.0


def metrics(requests=0, *, errors=0, refresh_latency=None, over=3600.0):
    """Requests spread evenly over the last seconds."""
    made = CredentialMetrics()
    for number in range(requests):
        made.record(number >= errors, 0.1, None, NOW - over + over * (number + 1) / requests)
    if refresh_latency is not None:
        made.record_refresh(True, refresh_latency, NOW)
    return made


def test_the_three_named_strategies_have_their_numbers():
    """Five minutes; five with bounds of one and fifteen; fifteen with ten and thirty."""
    assert RefreshStrategy.default() == RefreshStrategy() == RefreshStrategy(buffer_time=300.0)
    adaptive, careful = RefreshStrategy.adaptive(), RefreshStrategy.conservative()
    assert (adaptive.min_buffer, adaptive.max_buffer, adaptive.load_threshold) == (60, 900, 100)
    assert (careful.buffer_time, careful.min_buffer, careful.max_buffer, careful.load_threshold) == (900, 600, 1800, 50)


@pytest.mark.parametrize(
    ("strategy", "known", "expected"),
    [
        (RefreshStrategy(), metrics(500), 300),
        (RefreshStrategy.adaptive(), None, 300),
        (RefreshStrategy.adaptive(), metrics(0), 300),
        (RefreshStrategy.adaptive(), metrics(2), 162),  # nearly idle: about half of it
        (RefreshStrategy(adaptive_buffer=True), metrics(100), 450),  # at the threshold: half as much again
        (RefreshStrategy(adaptive_buffer=True), metrics(1000), 450),
        (RefreshStrategy.adaptive(), metrics(100), 900),  # under load: as early as allowed
        (RefreshStrategy(adaptive_buffer=True), metrics(100, refresh_latency=3.0), 675),
        (RefreshStrategy(adaptive_buffer=True), metrics(100, refresh_latency=60.0), 900),
        (RefreshStrategy(adaptive_buffer=True), metrics(100, errors=50), 675),
        (RefreshStrategy(adaptive_buffer=True, min_buffer=200), metrics(2), 200),
        (RefreshStrategy.conservative(), metrics(2), 600),
        (RefreshStrategy.conservative(), metrics(60), 1800),
    ],
)
def test_the_buffer_follows_traffic_latency_and_failures(strategy, known, expected):
    """Within its bounds; a fixed one follows nothing."""
    assert strategy.calculate_buffer(known, NOW) == pytest.approx(expected, abs=1.0)


def test_a_token_is_due_within_its_buffer():
    """And one without an end never."""
    strategy = RefreshStrategy(buffer_time=600)
    assert strategy.should_refresh(NOW + 600, None, NOW)
    assert not strategy.should_refresh(NOW + 601, None, NOW)
    assert not strategy.should_refresh(None, None, NOW)


@pytest.mark.parametrize("options", [{"buffer_time": 0}, {"min_buffer": -1}, {"min_buffer": 10, "max_buffer": 5}])
def test_impossible_numbers_are_refused(options):
    """Before anything is done with them."""
    with pytest.raises(ConfigError):
        RefreshStrategy(**options)
