"""``${…}`` in a configuration file: variables, defaults, dollar signs, and how other tools write them."""

import pytest

from provider_kit.config.references import expand
from provider_kit.config.secret_reference import SecretReference

ENVIRON = {"A": "one", "B": "two", "EMPTY": "", "OPENAI_API_KEY": "sk-x"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("${A}", "one"),
        ("${A} and ${B}", "one and two"),
        ("${A:-other}", "one"),
        ("${MISSING:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("${MISSING:-}", ""),
        ("${MISSING:-${B}}", "two"),
        ("${MISSING:-${NEITHER:-deep}}", "deep"),
        ("${MISSING:-http://x:80/v1}", "http://x:80/v1"),
        ("${env:A}", "one"),
        ("$$", "$"),
        ("$${A}", "${A}"),
        ("a$$b$$", "a$b$"),
        ("costs 5$", "costs 5$"),
        ("5$ and $6", "5$ and $6"),
    ],
)
def test_what_is_replaced(text, value):
    found = expand(text, ENVIRON)
    assert (found.value, found.errors, found.warnings) == (value, [], [])


@pytest.mark.parametrize(("text", "right"), [("os.environ/A", "${A}"), ("env.A", "${A}")])
def test_the_spelling_of_other_tools_works_and_is_told(text, right):
    """A warning names the right one."""
    found = expand(text, ENVIRON)
    assert found.value == "one"
    assert right in found.warnings[0][1]


@pytest.mark.parametrize(
    ("text", "words", "right"),
    [
        ("$A", "$A is not replaced", "${A}"),
        ("${A", "not closed", "${NAME}"),
        ("${NOPE}", "NOPE is not set", "${NOPE:-default}"),
        ("${EMPTY}", "or empty", "export EMPTY"),
        ("${A:?must}", "shell syntax", "${NAME:-default}"),
        ("${A-x}", "shell syntax", "${NAME:-default}"),
        ("${a b}", "not understood", "${NAME}"),
        ("${}", "not understood", "${NAME}"),
        ("${valt:x#y}", "not understood", "${vault:…}"),
        ("${file: }", "names no secret", "${file:where}"),
        ("os.environ/NOPE", "NOPE is not set", "export NOPE"),
    ],
)
def test_what_is_refused_says_how_to_write_it(text, words, right):
    found = expand(text, ENVIRON)
    told = " ".join(f"{message} {remedy}" for message, remedy in found.errors)
    assert words in told
    assert right in told


def test_every_missing_variable_of_a_text_is_named():
    assert expand("${ONE} ${TWO:-x} ${THREE}", {}).missing == ["ONE", "THREE"]


def test_a_secret_stays_a_reference(tmp_path):
    """Nothing is read before its value is needed; what stands around it stays."""
    path = tmp_path / "key"
    found = expand(f"Bearer ${{file:{path}}}", ENVIRON)
    assert isinstance(found.value, SecretReference)
    assert str(path) in repr(found.value)
    path.write_text("sk-secret\n")
    assert found.value() == "Bearer sk-secret"
    assert "sk-secret" not in repr(found.value()) + repr(found)
