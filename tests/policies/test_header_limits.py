"""What headers told, and when a call had better wait."""

import pytest

from provider_kit.policies.header_limits import HeaderLimits


class Told:
    """Learned limits of one key and model, in a clock that the test moves."""

    def __init__(self, threshold=1.0):
        self.limits = HeaderLimits(threshold)

    def learn(self, now=0.0, model="m", **headers):
        told = {f"x-ratelimit-{name.replace('_', '-')}": str(value) for name, value in headers.items()}
        return self.limits.update(told, key_id="k", key="…1234", model=model, now=now, clock=lambda: 1000.0 + now)

    def claim(self, now=0.0, tokens=1.0):
        return self.limits.claim("k", "m", tokens, now)

    def wait(self, now=0.0, tokens=1.0):
        return self.limits.wait("k", "m", tokens, now)


@pytest.fixture
def told():
    return Told()


def test_what_was_told_can_be_read(told):
    """For each key and model, with the time of the answer; the latest is last."""
    told.learn(limit_requests=10, remaining_requests=9)
    told.learn(2.0, model="n", limit_requests=5)
    told.learn(3.0, limit_requests=10, remaining_requests=4)
    shown = told.limits.snapshot()
    assert [(info.model, info.key, info.updated) for info in shown] == [("n", "…1234", 1002.0), ("m", "…1234", 1003.0)]
    assert shown[1].requests.remaining == 4


def test_an_answer_without_limits_teaches_nothing(told):
    """And what was told before stays."""
    told.learn(limit_requests=10)
    assert told.learn(1.0) is None
    assert len(told.limits.snapshot()) == 1
    assert told.limits.knows("k", "m")
    assert not told.limits.knows("k", None)


def test_nothing_told_is_nothing_waited(told):
    """For another key or model nothing is guessed."""
    told.learn(limit_requests=10, remaining_requests=0, reset_requests="60s")
    assert told.limits.claim("other", "m", 1.0, 0.0) == 0.0
    assert told.limits.wait("k", "other", 1.0, 0.0) == 0.0
    told.limits.waited("other", "m", 1.0, went=True)


def test_an_empty_bucket_is_waited_for_until_there_is_one(told):
    """And those who come meanwhile queue up behind, each one refill later."""
    told.learn(limit_requests=10, remaining_requests=0, reset_requests="60s")
    assert [told.claim() for _ in range(3)] == pytest.approx([6.0, 12.0, 18.0])
    assert told.claim(12.0) == pytest.approx(12.0)


def test_an_empty_window_is_waited_for_to_its_end(told):
    """It fills up all at once."""
    told.learn(limit_requests_minute=10, remaining_requests_minute=0, reset_requests_minute=40)
    assert told.claim(15.0) == 25.0
    assert told.claim(40.0) == 0.0


def test_calls_that_were_made_since_count_against_what_was_told(told):
    """The third call of two that are left waits."""
    told.learn(limit_requests_minute=10, remaining_requests_minute=2, reset_requests_minute=40)
    assert [told.claim() for _ in range(3)] == [0.0, 0.0, 40.0]


def test_tokens_are_waited_for_as_many_as_a_call_may_need(told):
    """But never more than there can be."""
    told.learn(limit_tokens=1000, remaining_tokens=400, reset_tokens="60s")
    assert told.wait(tokens=400) == 0.0
    assert told.wait(tokens=500) == pytest.approx(10.0)
    assert told.wait(tokens=90_000) == pytest.approx(60.0)
    assert told.claim(tokens=400) == 0.0
    assert told.wait(tokens=100) == pytest.approx(10.0)


def test_tokens_of_one_direction_are_waited_for_only_when_none_is_left(told):
    """An estimate of both together says nothing of either."""
    told.learn(limit_tokens_prompt=1000, remaining_tokens_prompt=1, reset_tokens_prompt="60s")
    assert told.claim(tokens=900) == told.claim(tokens=900) == 0.0
    told.learn(limit_tokens_prompt=1000, remaining_tokens_prompt=0, reset_tokens_prompt="60s")
    assert told.wait(tokens=900) == pytest.approx(0.06)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"limit_credits": 10, "remaining_credits": 0, "reset_credits": "60s"}, id="credits"),
        pytest.param({"limit_requests": 10, "remaining_requests": 0}, id="no reset"),
        pytest.param({"remaining_requests": 0, "reset_requests": "60s"}, id="no limit"),
        pytest.param({"limit_requests": 10, "reset_requests": "60s"}, id="nothing of what is left"),
    ],
)
def test_what_is_told_by_halves_makes_nobody_wait(told, headers):
    """Only a limit, what is left of it, and when it is whole again tell together how long to wait."""
    told.learn(**headers)
    assert told.claim() == told.claim() == 0.0


def test_a_call_that_gave_up_waiting_leaves_its_place(told):
    """Who comes next waits no longer than it would have."""
    told.learn(limit_requests=10, remaining_requests=0, reset_requests="60s")
    assert told.claim() == pytest.approx(6.0)
    assert told.claim() == pytest.approx(12.0)
    told.limits.waited("k", "m", 1.0, went=False)
    assert told.claim() == pytest.approx(12.0)


def test_an_answer_that_comes_meanwhile_forgets_nobody_who_waits(told):
    """It counts the calls the provider has seen, not those that are still to come."""
    told.learn(limit_requests=10, remaining_requests=0, reset_requests="60s")
    assert told.claim() == pytest.approx(6.0)
    told.learn(limit_requests=10, remaining_requests=0, reset_requests="60s")
    assert told.claim() == pytest.approx(12.0)
    told.limits.waited("k", "m", 1.0, went=True)
    told.limits.waited("k", "m", 1.0, went=True)
    told.learn(limit_requests=10, remaining_requests=0, reset_requests="60s")
    assert told.claim() == pytest.approx(6.0)


def test_beyond_the_threshold_calls_are_spaced_as_the_bucket_fills_up():
    """The first goes at once, the others at the pace of the refill."""
    told = Told(0.8)
    told.learn(limit_requests=100, remaining_requests=20, reset_requests="48s")  # a refill takes 0.6 s
    assert [told.claim() for _ in range(4)] == pytest.approx([0.0, 0.6, 1.2, 1.8])
    assert told.claim(10.0) == 0.0


def test_below_the_threshold_calls_are_not_spaced_nor_remembered_for_it():
    """A burst that was allowed makes nobody wait for it afterwards."""
    told = Told(0.8)
    told.learn(limit_requests=1000, remaining_requests=1000, reset_requests="60s")
    assert {told.claim() for _ in range(700)} == {0.0}
    told.learn(1.0, limit_requests=1000, remaining_requests=150, reset_requests="51s")
    assert told.claim(1.0) == 0.0
    assert told.claim(1.0) == pytest.approx(0.06)


def test_beyond_the_threshold_what_is_left_of_a_window_is_spread_over_its_rest():
    """Two calls and forty seconds: one every twenty."""
    told = Told(0.8)
    told.learn(limit_requests_minute=10, remaining_requests_minute=2, reset_requests_minute=40)
    assert told.claim() == 0.0
    assert told.wait() == pytest.approx(20.0)
    assert told.claim(20.0) == 0.0


def test_tokens_beyond_the_threshold_space_calls_by_what_they_need():
    """A large call is followed later than a small one."""
    told = Told(0.8)
    told.learn(limit_tokens=6000, remaining_tokens=1000, reset_tokens="50s")
    assert told.claim(tokens=200) == 0.0
    assert told.claim(tokens=10) == pytest.approx(2.0)


def test_a_far_away_reset_spaces_nothing():
    """A limit of a day that is nearly used up is minded when nothing is left."""
    told = Told(0.8)
    told.learn(limit_requests_day=1000, remaining_requests_day=2, reset_requests_day=50_000)
    assert [told.claim() for _ in range(3)] == [0.0, 0.0, 50_000.0]


def test_a_threshold_of_one_never_spaces():
    """Calls go until nothing is left."""
    told = Told(1.0)
    told.learn(limit_requests_minute=10, remaining_requests_minute=3, reset_requests_minute=40)
    assert [told.claim() for _ in range(4)] == [0.0, 0.0, 0.0, 40.0]


def test_a_limit_of_nothing_breaks_nothing(told):
    """A provider may tell a limit of 0, or a bucket that is full and has a reset all the same."""
    told.learn(limit_requests=0, remaining_requests=0, reset_requests="30s")
    assert told.claim() == 30.0
    told.learn(limit_requests=1, remaining_requests=1, reset_requests="30s")
    told.learn(limit_requests=5, remaining_requests=9, reset_requests="0s")
    assert told.claim() == 0.0


def test_only_so_many_are_remembered(told):
    """The pairs of key and model that were told of longest ago are forgotten."""
    for number in range(250):
        told.learn(model=f"m{number}", limit_requests=10)
    assert len(told.limits.snapshot()) == 200
    assert told.limits.snapshot()[0].model == "m50"
