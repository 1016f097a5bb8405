"""Limits as six families of headers tell them."""

from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from provider_kit.wire.rate_limit_headers import (
    Allowance,
    RateLimitInfo,
    has_rate_limits,
    read_rate_limits,
    wait_told,
)

#: 2026-01-01 00:00:00 UTC.
NEW_YEAR = 1_767_225_600.0

FAMILIES = {
    "OpenAI": (
        {
            "x-ratelimit-limit-requests": "60",
            "x-ratelimit-remaining-requests": "59",
            "x-ratelimit-reset-requests": "1s",
            "x-ratelimit-limit-tokens": "150000",
            "x-ratelimit-remaining-tokens": "149984",
            "x-ratelimit-reset-tokens": "6m0s",
        },
        {
            "requests": Allowance(limit=60, remaining=59, reset=1.0),
            "tokens": Allowance(limit=150000, remaining=149984, reset=360.0),
        },
    ),
    "Groq": (
        {
            "x-ratelimit-limit-requests": "14400",
            "x-ratelimit-remaining-requests": "14370",
            "x-ratelimit-reset-requests": "2m59.56s",
            "x-ratelimit-limit-tokens": "18000",
            "x-ratelimit-remaining-tokens": "17997",
            "x-ratelimit-reset-tokens": "750ms",
        },
        {
            "requests": Allowance(limit=14400, remaining=14370, reset=179.56),
            "tokens": Allowance(limit=18000, remaining=17997, reset=0.75),
        },
    ),
    "Anthropic": (
        {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-requests-reset": "2026-01-01T00:00:30Z",
            "anthropic-ratelimit-input-tokens-limit": "30000",
            "anthropic-ratelimit-input-tokens-remaining": "29000",
            "anthropic-ratelimit-input-tokens-reset": "2026-01-01T01:00:02+01:00",
            "anthropic-ratelimit-output-tokens-limit": "8000",
            "anthropic-ratelimit-output-tokens-remaining": "8000",
            "anthropic-ratelimit-output-tokens-reset": "2026-01-01T00:00:00",
            "anthropic-ratelimit-unified-5h-reset": "1767225700",
        },
        {
            "requests": Allowance(limit=50, remaining=49, reset=30.0),
            "input_tokens": Allowance(limit=30000, remaining=29000, reset=2.0),
            "output_tokens": Allowance(limit=8000, remaining=8000, reset=0.0),
        },
    ),
    "Cerebras": (
        {
            "x-ratelimit-limit-requests-day": "14400",
            "x-ratelimit-remaining-requests-day": "14399",
            "x-ratelimit-reset-requests-day": "33011.382867",
            "x-ratelimit-limit-tokens-minute": "60000",
            "x-ratelimit-remaining-tokens-minute": "59000",
            "x-ratelimit-reset-tokens-minute": "11.38",
            "x-ratelimit-limit-requests-hour": "900",
        },
        {
            "requests_day": Allowance(limit=14400, remaining=14399, reset=33011.382867, window=86400.0, steady=False),
            "tokens": Allowance(limit=60000, remaining=59000, reset=11.38, window=60.0, steady=False),
            "requests_hour": Allowance(limit=900, window=3600.0, steady=False),
        },
    ),
    "OpenRouter": (
        {
            "X-RateLimit-Limit": "20",
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": "1767225645000",
        },
        {"requests": Allowance(limit=20, remaining=0, reset=45.0, steady=False)},
    ),
    "Qwen": (
        {
            "qwen-ratelimit-limit-requests": "600",
            "qwen-ratelimit-remaining-requests": "599",
            "qwen-ratelimit-reset-requests": "100ms",
            "dashscope-ratelimit-limit-tokens": "1000000",
            "dashscope-ratelimit-remaining-tokens": "999000",
            "dashscope-ratelimit-reset-tokens": "60ms",
        },
        {
            "requests": Allowance(limit=600, remaining=599, reset=0.1),
            "tokens": Allowance(limit=1000000, remaining=999000, reset=0.06),
        },
    ),
    "Azure": (
        {
            "x-ratelimit-limit-requests": "100",
            "x-ratelimit-remaining-requests": "99",
            "x-ratelimit-reset-requests": "10",
            "x-ratelimit-remaining-tokens": "-1",
            "x-ratelimit-limit-tokens": "-1",
        },
        {"requests": Allowance(limit=100, remaining=99, reset=10.0)},
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("spelling", [str.lower, str.upper, str.title], ids=["lower", "upper", "title"])
def test_each_family_of_headers_is_read_in_any_spelling(family, spelling):
    """Limits, what is left, and the seconds until it is whole again, under the same names for all."""
    headers, limits = FAMILIES[family]
    assert read_rate_limits({spelling(name): value for name, value in headers.items()}, now=NEW_YEAR) == limits


def test_a_point_in_time_is_compared_with_the_answers_own_date():
    """A local clock that is wrong does no harm; without either there is no reset."""
    headers = {"anthropic-ratelimit-requests-reset": "2026-01-01T00:00:30Z"}
    dated = {**headers, "date": "Thu, 01 Jan 2026 00:00:10 GMT"}
    assert read_rate_limits(dated, now=5.0)["requests"].reset == 20.0
    assert read_rate_limits(headers, now=NEW_YEAR + 100)["requests"].reset == 0.0
    assert read_rate_limits(headers) == {}
    assert read_rate_limits({"x-ratelimit-reset": "1767225645"}, now=NEW_YEAR)["requests"].reset == 45.0


@pytest.mark.parametrize(
    "reset",
    [
        "",
        "soon",
        "nan",
        "inf",
        "-5",
        "1e999",
        "9" * 400,
        "9" * 400 + "s",
        "40000d",
        "99999-01-01",
        "2026-13-45T99:99:99Z",
    ],
    ids=lambda text: text[:12] or "empty",
)
def test_a_reset_that_is_nonsense_is_left_out(reset):
    """What is told beside it is kept, and nobody is made to wait for ever."""
    headers = {"x-ratelimit-limit-requests": "5", "x-ratelimit-remaining-requests": "0"}
    read = read_rate_limits({**headers, "x-ratelimit-reset-requests": reset}, now=NEW_YEAR)
    assert read == {"requests": Allowance(limit=5, remaining=0)}
    assert read["requests"].wait_for(1) == 0.0


def test_nothing_is_made_of_headers_that_tell_nothing():
    """Unknown kinds, empty numbers, other headers."""
    assert read_rate_limits({}) == {}
    assert read_rate_limits({"content-type": "text/plain", "x-ratelimit-limit-bananas": "3"}) == {}
    assert read_rate_limits({"x-ratelimit-limit-requests": "many", "x-ratelimit-policy": "fair"}) == {}
    assert not has_rate_limits({"content-type": "text/plain"})


@pytest.mark.parametrize("name", ["x-ratelimit-limit", "X-RateLimit-Limit", "X-Ratelimit-Limit"])
def test_whether_an_answer_may_tell_limits_is_seen_in_the_usual_spellings(name):
    """It is asked after each call, so it looks at names only."""
    assert has_rate_limits({"date": "x", name: "1"})


WORDS = ["x-ratelimit", "anthropic-ratelimit", "limit", "remaining", "reset", "requests", "tokens", "minute", "day", ""]
NAMES = st.one_of(st.text(max_size=20), st.lists(st.sampled_from(WORDS), max_size=6).map("-".join))
VALUES = st.one_of(
    st.text(max_size=20),
    st.floats().map(str),
    st.datetimes().map(lambda when: when.isoformat() + "Z"),
    st.datetimes().map(format_datetime),
)


@given(st.dictionaries(NAMES, VALUES, max_size=6), st.one_of(st.none(), st.floats(0, 4e9)))
@example({"x-ratelimit-reset": "0001-01-01T00:00:00", "date": "Mon, 01 Jan 0001 00:00:00 GMT"}, 0.0)
@example({"x-ratelimit-reset": "9999-12-31T23:59:59-23:59"}, None)
def test_nothing_a_server_sends_raises(headers, now):
    """Whatever is read is a number of 0 or more that a call can reckon with."""
    for told in read_rate_limits(headers, now=now).values():
        for number in (told.limit, told.remaining, told.reset):
            assert number is None or 0 <= number < float("inf")
        assert 0 <= told.wait_for(1.0) < float("inf")
        assert told.used_share is None or 0 <= told.used_share <= 1
    waits = wait_told(headers, now=now)
    assert waits is None or waits >= 0


def test_a_bucket_is_waited_for_in_proportion():
    """It fills up steadily: half of what is missing is there after half of the time."""
    bucket = Allowance(limit=100, remaining=0, reset=60)
    assert bucket.wait_for(1) == 0.6
    assert bucket.wait_for(50) == 30.0
    assert bucket.wait_for(1000) == 60.0
    assert Allowance(limit=100, remaining=20, reset=40).wait_for(30) == 5.0
    assert Allowance(limit=100, remaining=20, reset=40).wait_for(20) == 0.0


def test_a_window_is_waited_for_to_its_end():
    """It is whole again all at once; so is one whose limit nobody told."""
    assert Allowance(limit=100, remaining=0, reset=60, steady=False).wait_for(1) == 60
    assert Allowance(remaining=0, reset=60).wait_for(1) == 60
    assert Allowance(remaining=0).wait_for(1) == 0.0


def test_the_used_share_lies_between_nothing_and_all():
    """Unknown where a number is missing."""
    assert Allowance(limit=10, remaining=2).used_share == 0.8
    assert Allowance(limit=10, remaining=20).used_share == 0.0
    assert Allowance(remaining=2).used_share is None
    assert Allowance(limit=10).used_share is None


def test_a_refused_request_learns_from_the_limits_of_which_nothing_is_left():
    """The longest of them counts; credits, and limits with something left, do not."""
    headers = {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "20s",
        "x-ratelimit-remaining-tokens-minute": "0",
        "x-ratelimit-reset-tokens-minute": "7.5",
        "x-ratelimit-remaining-tokens-day": "5",
        "x-ratelimit-reset-tokens-day": "9000",
        "x-ratelimit-remaining-credits": "0",
        "x-ratelimit-reset-credits": "90",
    }
    assert wait_told(headers) == 7.5
    assert wait_told({"x-ratelimit-remaining-requests": "4", "x-ratelimit-reset-requests": "20s"}) is None


def test_the_shortest_windows_are_at_hand():
    """``requests`` and ``tokens``, or ``None``."""
    info = RateLimitInfo(allowances={"requests": Allowance(limit=1), "tokens_day": Allowance(limit=2)})
    assert info.requests == Allowance(limit=1)
    assert info.tokens is None
