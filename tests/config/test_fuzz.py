"""Whatever stands in a file: a configuration or a ConfigError, soon, and nothing else."""

import os
import time

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from provider_kit import ConfigError
from provider_kit.config.configuration import read_configuration
from provider_kit.config.resolved import effective_values

#: Documents of each kind; more for a long run of its own.
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "150"))
#: Seconds for one document, on a busy machine.
LONGEST = 2.0
ENVIRON = {"OPENAI_API_KEY": "sk-0123456789abcdefghij", "A": "1", "HOME": "/nowhere"}

WORKING = """\
providers:
  openai:
    enabled: true
    api_key: ${OPENAI_API_KEY}
    model: gpt-4o
    timeout: {connect: 5, idle: 30}
    max_retries: 3
    headers:
      X-Team: search
    rate_limit: &limit
      requests_per_minute: 60
  anthropic:
    api_keys:
      - ${A}
      - "two"
    rate_limit: *limit
  gemini:
    auth_type: oauth
    oauth_credentials:
      - id: team
        client_id: ${A:-none}
custom:
  local: {base_url: "http://127.0.0.1:8000/v1", models: [a, b]}
routing:
  fast: {strategy: fallback, providers: [openai, local]}
default: openai
"""
_NAMES = """
providers custom routing default preferred_order openai anthropic ollama enabled type api_key api_keys model timeout
headers rate_limit oauth oauth_credentials http options x-a base_url requests_per_minute id << circuit_breaker
"""
KEYS = st.sampled_from(_NAMES.split())
REFERENCES = ["${A}", "${B:-c}", "$A", "os.environ/A", "http://x/v1", "${file:/nowhere}", "${vault:a#b}", "openai"]
PUNCTUATION = [*" \n\t:-#{}[],&*!|>'\"%@`?<$ab1.", "providers:", "openai:", "api_key", "${", "}"]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.dates(),
    st.sampled_from(
        ["${A}", "${B:-c}", "$A", "os.environ/A", "http://x/v1", "${file:/nowhere}", "${vault:a#b}", "openai"]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(KEYS, st.text(max_size=8)), inner, max_size=5)
    ),
    max_leaves=25,
)


def read(text):
    """Read a text; what it raises, and how long it takes, is the test."""
    started = time.perf_counter()
    found = read_configuration(text, "fuzz.yaml", ENVIRON)
    error = None
    try:
        found.check()
    except ConfigError as caught:
        error = caught
    else:
        effective_values(found, ENVIRON)
    assert error is None or error.problems
    breaks = sum(text.count(mark) for mark in "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")
    assert all(1 <= problem.line <= breaks + 2 and problem.column >= 1 for problem in found.problems)
    assert time.perf_counter() - started < LONGEST


@settings(max_examples=EXAMPLES)
@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_any_structure(value):
    """Well-formed YAML with anything in it."""
    read(yaml.safe_dump(value, allow_unicode=True))


@settings(max_examples=EXAMPLES)
@given(st.text(max_size=400))
def test_any_text(text):
    """Anything at all."""
    read(text)


@settings(max_examples=EXAMPLES)
@given(st.lists(st.sampled_from(PUNCTUATION), max_size=120))
def test_any_punctuation(parts):
    """The characters that mean something to YAML."""
    read("".join(parts))


@settings(max_examples=EXAMPLES)
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(WORKING)), st.integers(0, 6), st.text(alphabet=" \n\t:-#{}[]&*!'\"$@%a1", max_size=4)
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_working_file_with_damages(damages):
    """Characters lost and added."""
    text = WORKING
    for position, lost, added in damages:
        text = text[:position] + added + text[position + lost :]
    read(text)


def test_hostile_files():
    """Deep, wide, self-referring and exploding documents end soon."""
    laughs = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    for text in (
        "[" * 100_000,
        "{a: " * 50_000,
        "- " * 50_000,
        "a: &a\n  b: *a\n",
        f"x-{laughs}".replace("\n", "\nx-", 8) + "providers: {openai: {options: {use_responses_api: *i}}}\n",
        "a: " + "9" * 200_000 + "\n",
        "a: 1" + ":59" * 50_000 + "\n",
        "providers: {" + ", ".join(f"p{n}: {{type: opnai}}" for n in range(500)) + "}\n",
        "? [a, b]\n: c\n",
        "providers:\n" + "".join(f"  p{n}:\n    timout: 1\n" for n in range(500)),
        '"' + "\\u0000" * 1000 + '": x\n',
    ):
        started = time.perf_counter()
        found = read_configuration(text, "hostile.yaml", ENVIRON)
        assert found.problems
        assert time.perf_counter() - started < 20.0
