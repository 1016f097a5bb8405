"""What response headers tell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider_kit.wire.response_headers import duration_seconds, request_id, retry_after


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360.0),
        ("2m59.56s", 179.56),
        ("825ms", 0.825),
        ("1h30m0s", 5400.0),
        ("1d", 86400.0),
        (" 7.66s ", 7.66),
        ("12us", 12e-6),
        ("12µs", 12e-6),
        ("5ns", 5e-9),
        ("", None),
        ("12", None),
        ("soon", None),
        ("5s!", None),
    ],
)
def test_go_durations_are_read(text, seconds):
    """Durations as OpenAI and Groq write them; anything else is none."""
    assert duration_seconds(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "5"}, 5.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "1m30s"}, 90.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "later"}, None),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:30 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 09:00:00 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 0.0),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:30 GMT"}, None),
        ({"retry-after": "Sun, 99 Nov 2026 10:00:30 GMT"}, None),
    ],
)
def test_the_wait_a_provider_asks_for_is_read(headers, seconds):
    """Milliseconds go before seconds, a date counts from the answer's own date."""
    assert retry_after(headers) == seconds


def test_a_date_counts_from_the_given_clock_where_the_answer_has_none():
    """``now`` stands in for a missing ``date``."""
    assert retry_after({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, now=40.0) == 60.0


@given(st.text(max_size=30))
def test_no_header_value_breaks_the_reading(text):
    """Whatever a proxy writes there, the result is a number of 0 or more, or nothing."""
    for value in (
        retry_after({"retry-after": text}, now=1.0),
        retry_after({"retry-after-ms": text}),
        duration_seconds(text),
    ):
        assert value is None or value >= 0


def test_the_request_id_is_found_under_any_of_its_names():
    """Providers name it differently; the most specific name wins."""
    assert request_id({"x-request-id": "a", "cf-ray": "b"}) == "a"
    assert request_id({"x-request-id": "", "apim-request-id": "c"}) == "c"
    assert request_id({"cf-ray": "b"}) == "b"
    assert request_id({}) is None


def test_an_id_of_odd_bytes_can_be_logged():
    """aiohttp reads bytes that are no UTF-8 as lone surrogates."""
    assert request_id({"x-request-id": "req-\udce4-1"}) == "req-\ufffd-1"
    assert request_id({"x-request-id": "req-ä-1"}) == "req-ä-1"
