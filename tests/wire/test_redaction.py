"""Secrets never reach a text."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import provider_kit
from provider_kit.wire.redaction import (
    MASK,
    MaskedDict,
    MaskedStr,
    is_secret_header,
    redact,
    redact_headers,
    redact_value,
)


@pytest.mark.parametrize(
    "secret",
    [
        "sk-abcdefghijklmnop1234",
        "sk-ant-api03-abcdefghijklmnop",
        "gsk_abcdefghijklmnop1234",
        "xai-abcdefghijklmnop1234",
        "csk-abcdefghijklmnop1234",
        "hf_abcdefghijklmnop1234",
        "AIzaSyA-abcdefghijklmnop1234",
        "ya29.a0abcdefghijklmnop",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "github_pat_11ABCDEFG0abcdefghijklmn",
        "xoxb-123456789012-abcdefghijkl",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    ],
)
def test_what_looks_like_a_key_is_masked(secret):
    """Keys are known by their shape, wherever they stand."""
    assert secret not in redact(f"Incorrect API key provided: {secret}.")
    assert redact(f"Incorrect API key provided: {secret} .").startswith("Incorrect API key provided: ***")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abcdefgh1234", "Authorization: Bearer ***"),
        ("https://h.test/v1?key=abc&x=1", "https://h.test/v1?key=***&x=1"),
        ("https://h.test/cb?state=1&code=abc#end", "https://h.test/cb?state=1&code=***#end"),
        ('{"refresh_token": "abc", "n": 1}', '{"refresh_token": "***", "n": 1}'),
        ("nothing to hide", "nothing to hide"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIEow==\n-----END RSA PRIVATE KEY-----",
            "-----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY-----",
        ),
        ("task-force and risk_free", "task-force and risk_free"),
    ],
)
def test_credentials_are_masked_where_they_usually_stand(text, shown):
    """Bearer tokens, query parameters and fields keep their name and lose their value."""
    assert redact(text) == shown


def test_known_secrets_are_masked_by_value():
    """A key of no known shape is found by its value; very short ones are left, they would hit common words."""
    assert redact("my-odd/key is wrong", ["my-odd/key"]) == f"{MASK} is wrong"
    assert redact("abc", ["abc"]) == "abc"


def test_values_are_masked_at_any_depth():
    """Lists, dicts and keys of dicts."""
    value = {"a": ["Bearer abcdefgh1234", 1, None], "odd-secret": {"x": "odd-secret"}, 5: True}
    assert redact_value(value, ["odd-secret"]) == {"a": ["Bearer ***", 1, None], MASK: {"x": MASK}, 5: True}


def test_headers_with_credentials_are_masked_whole():
    """In any case of letters; other headers lose only secrets."""
    headers = {"Authorization": "x", "API-Key": "y", "Set-Cookie": "z", "X-Note": "s3cret! here"}
    assert redact_headers(headers, ["s3cret!"]) == {
        "Authorization": MASK,
        "API-Key": MASK,
        "Set-Cookie": MASK,
        "X-Note": "*** here",
    }


@given(before=st.text(max_size=20), after=st.text(max_size=20), secret=st.text(alphabet="XYZ789-_", min_size=8))
def test_a_known_secret_never_survives(before, after, secret):
    """Whatever surrounds it."""
    assert secret not in redact(f"{before} {secret} {after}", [secret])


def test_hidden_values_work_and_are_not_shown():
    """A key in a traceback's variables is a mask, on the wire it is a key."""
    key = MaskedStr("s3cret")
    assert f"Bearer {key}" == "Bearer s3cret"
    assert repr([key]) == "['***']"
    assert repr(MaskedDict({"KEY": "s3cret"})) == "<1 values>"
    assert MaskedDict({"KEY": "s3cret"})["KEY"] == "s3cret"


def test_headers_with_credentials_are_known_by_name():
    """In any case of letters."""
    assert is_secret_header("Authorization")
    assert not is_secret_header("Accept")


def test_no_expression_repeats_a_group_possessively():
    """Python 3.11.2, which Debian 12 brings, then finds nothing where the group is empty: a password would be shown."""
    package = Path(provider_kit.__file__).parent
    possessive = re.compile(r"\)(?:[*+?]|\{[\d,]+\})\+")
    found = [
        f"{path.name}: {line.strip()}"
        for path in package.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if possessive.search(line)
    ]
    assert found == []
