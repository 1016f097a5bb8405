"""Broken configuration files: each problem at its line, with what to do; never a traceback."""

import pytest

from provider_kit import ConfigError, load_config
from provider_kit.config.configuration import read_configuration

#: The environment of these files.
ENVIRON = {"OPENAI_API_KEY": "sk-0123456789abcdefghij", "EMPTY": "", "NUMBER": "thirty"}

# a table
#: Name, text, line, words of the message, words of the remedy. Lines are counted from 1.
BROKEN = [
    ("an unknown key", "providers:\n  openai:\n    timout: 3\n", 3, "Unknown setting 'timout'", "'timeout'"),
    ("a key in camel case", "providers:\n  openai:\n    apiKey: x\n", 3, "'apiKey'", "'api_key'"),
    ("a key of another tool", "providers:\n  openai:\n    api_base: http://x/v1\n", 3, "'api_base'", "'base_url'"),
    ("a key nobody can guess", "providers:\n  openai:\n    zzqq: 1\n", 3, "'zzqq'", "There are: "),
    ("an unknown block", "provders:\n  openai:\n    model: x\n", 1, "'provders'", "'providers'"),
    ("a key of a rate limit", "providers:\n  openai:\n    rate_limit: {rpm: 3}\n", 3, "'rpm'", "requests_per_minute"),
    ("text for a number", "providers:\n  openai:\n    timeout: soon\n", 3, "must be a number", "Write a number"),
    ("a unit behind a number", "providers:\n  openai:\n    timeout: 30s\n", 3, "not the text '30s'", "Write 30"),
    ("a number in quotes", 'providers:\n  openai:\n    max_retries: "3"\n', 3, "whole number", "without quotes"),
    ("a fraction", "providers:\n  openai:\n    max_retries: 2.5\n", 3, "whole number, not 2.5", "whole number"),
    ("a negative number", "providers:\n  openai:\n    max_retries: -1\n", 3, "0 or more, not -1", "0 tries only once"),
    ("no time at all", "providers:\n  openai:\n    total_timeout: 0\n", 3, "above 0, not 0", "no limit"),
    ("yes for a number", "providers:\n  openai:\n    max_retries: yes\n", 3, "not yes (a truth value)", "whole number"),
    ("a number for a key", "providers:\n  openai:\n    api_key: 12345\n", 3, "must be a text", "quotes"),
    ("off for a model", "providers:\n  openai:\n    model: off\n", 3, "must be a text, not off", "quotes"),
    ("a text for a list", "providers:\n  openai:\n    api_keys: one\n", 3, "must be a list", "[a, b]"),
    ("a list for a text", "providers:\n  openai:\n    model: [a, b]\n", 3, "must be a text, not a list", "a text"),
    ("a mapping for a text", "providers:\n  openai:\n    model: {a: b}\n", 3, "not a mapping", "a text"),
    ("a list for headers", "providers:\n  openai:\n    headers: [a]\n", 3, "names and values", "mapping"),
    ("a number in headers", "providers:\n  openai:\n    headers: {X-A: 1}\n", 3, "must be a text, not 1", "quotes"),
    ("a choice that is none", "providers:\n  openai:\n    key_strategy: any\n", 3, "round_robin", "one of"),
    ("truth in quotes", "providers:\n  openai:\n    enabled: 'true'\n", 3, "true or false", "without quotes"),
    ("providers as a list", "providers:\n  - openai\n", 2, "must be a mapping of names", "'openai:'"),
    ("providers as a text", "providers: openai\n", 1, "must be a mapping of names", "'openai:'"),
    ("no provider", "providers:\n", 1, "There is no provider", "'openai:'"),
    ("settings as a text", "providers:\n  openai: sk-key\n", 2, "must be a mapping", "'api_key: …'"),
    ("an empty file", "", 1, "is empty", "config init"),
    ("a list", "- a\n- b\n", 1, "must hold a mapping", "providers:"),
    ("a text", "hello\n", 1, "must hold a mapping", "providers:"),
    ("no block at all", "routing: {}\n", 1, "no key providers", "providers:"),
    (
        "providers not indented",
        "providers:\nopenai:\n  api_key: x\n",
        2,
        "at the level of providers",
        "two more spaces",
    ),
    ("providers forgotten", "openai:\n  model: x\n", 1, "'providers:' above it is missing", "two spaces"),
    ("settings not indented", "providers:\n  openai:\n  model: x\n", 3, "at the level of openai", "two more spaces"),
    ("a tab", "providers:\n  openai:\n\tmodel: x\n", 3, "a tab", "spaces"),
    ("a tab behind spaces", "providers:\n  openai:\n  \tmodel: x\n", 3, "a tab", "spaces"),
    ("uneven indentation", "providers:\n  openai:\n    model: x\n   timeout: 3\n", 4, "indent", "spaces"),
    ("a duplicate key", "providers:\n  openai:\n    model: a\n    model: b\n", 4, "twice", "Remove one"),
    ("a duplicate provider", "providers:\n  openai: {}\n  openai: {}\n", 3, "line 2", "Remove one"),
    ("an at sign", "providers:\n  openai:\n    api_key: @secret\n", 3, "cannot begin with @", "quotes"),
    ("a backtick", "providers:\n  openai:\n    api_key: `secret`\n", 3, "cannot begin with `", "quotes"),
    ("a percent sign", "providers:\n  openai:\n    api_key: %secret\n", 3, "cannot begin with %", "quotes"),
    ("a star", "providers:\n  openai:\n    model: *gpt\n", 3, "*gpt refers to", "quotes"),
    ("an exclamation mark", "providers:\n  openai:\n    model: !gpt 4\n", 3, "!gpt is an unknown tag", "quotes"),
    ("a colon in a value", "providers:\n  openai:\n    model: a: b\n", 3, "holds ': '", "quotes"),
    ("quotes not closed", "providers:\n  openai:\n    model: 'gpt\n", 3, "not closed", "same quote"),
    ("a backslash in quotes", 'providers:\n  openai:\n    model: "C:\\path"\n', 3, "backslash", "single quotes"),
    ("a bracket not closed", "providers:\n  openai:\n    api_keys: [a, b\n", 3, "[ is not closed", "]"),
    ("a brace not closed", "providers:\n  openai:\n    headers: {a: b\n", 3, "{ is not closed", "}"),
    ("no colon", "providers:\n  openai:\n    model gpt\n", 3, "must be a mapping", "indented"),
    ("no space behind a colon", "providers:\n  openai:\n    model:gpt\n    timeout: 3\n", 3, "no ':'", "space"),
    ("a list behind its key", "providers:\n  openai:\n    api_keys: - a\n", 3, "on the line of its key", "next line"),
    ("two documents", "providers: {demo: {}}\n---\nproviders: {}\n", 2, "several documents", "'---'"),
    ("a bell", "providers:\n  openai:\n    model: a\x07b\n", 3, "U+0007", "invisible"),
    ("an unset variable", "providers:\n  openai:\n    api_key: ${NOT_SET}\n", 3, "NOT_SET is not set", "export"),
    (
        "a misspelt variable",
        "providers:\n  openai:\n    api_key: ${OPENAI_APIKEY}\n",
        3,
        "OPENAI_APIKEY",
        "OPENAI_API_KEY",
    ),
    ("an empty variable", "providers:\n  openai:\n    api_key: ${EMPTY}\n", 3, "or empty", "export"),
    (
        "a bare variable",
        "providers:\n  openai:\n    api_key: $OPENAI_API_KEY\n",
        3,
        "not replaced",
        "${OPENAI_API_KEY}",
    ),
    ("a reference not closed", "providers:\n  openai:\n    api_key: ${OPENAI\n", 3, "not closed", "${NAME}"),
    (
        "a default of the shell",
        "providers:\n  openai:\n    model: ${M-gpt}\n",
        3,
        "shell syntax",
        "${NAME:-default}",
    ),
    ("an unknown keeper", "providers:\n  openai:\n    api_key: ${valut:a#b}\n", 3, "not understood", "${vault:…}"),
    (
        "a secret without a place",
        "providers:\n  openai:\n    api_key: '${file:}'\n",
        3,
        "names no secret",
        "${file:where}",
    ),
    (
        "a variable that is no number",
        "providers:\n  openai:\n    timeout: ${NUMBER}\n",
        3,
        "must be a number",
        "number",
    ),
    ("an ftp address", "providers:\n  openai:\n    base_url: ftp://x/v1\n", 3, "not an http://", "https://"),
    (
        "an address without scheme",
        "providers:\n  openai:\n    base_url: x.test/v1\n",
        3,
        "not an http://",
        "https://x.test",
    ),
    ("a key inside an address", "providers:\n  openai:\n    base_url: https://u:p@x/v1\n", 3, "user name", "api_key"),
    ("a key in the clear", "providers:\n  openai:\n    base_url: http://x.test/v1\n", 3, "unencrypted", "https://"),
    ("an unknown name", "providers:\n  opnai:\n    model: x\n", 2, "not a known provider", "'openai'"),
    ("an unknown type", "providers:\n  mine:\n    type: opnai\n", 3, "no provider type", "'openai'"),
    ("a name with a space", "providers:\n  my server:\n    type: openai\n", 2, "not a valid provider name", "letters"),
    ("no key at all", "providers:\n  groq:\n    model: x\n", 2, "There is no key", "${GROQ_API_KEY}"),
    ("two kinds of keys", "providers:\n  openai:\n    api_key: a\n    api_keys: [b]\n", 4, "both given", "Keep one"),
    (
        "a key and a login",
        "providers:\n  gemini:\n    api_key: a\n    auth_type: oauth\n",
        2,
        "key and a login",
        "Keep",
    ),
    ("a login nobody knows", "providers:\n  groq:\n    auth_type: oauth\n", 3, "No OAuth login", "issuer"),
    ("an unset api_key_env", "providers:\n  openai:\n    api_key_env: NOPE\n", 3, "NOPE is not set", "export NOPE"),
    (
        "credentials without id",
        "providers:\n  gemini:\n    oauth_credentials: [{client_id: a}]\n",
        3,
        "id is missing",
        "id: …",
    ),
    ("a default that is none", "default: grok2\nproviders: {demo: {}}\n", 1, "no provider 'grok2'", "There are: demo"),
    ("an order with a stranger", "preferred_order: [demo, x]\nproviders: {demo: {}}\n", 1, "no provider 'x'", "demo"),
    ("an enabled stranger", "providers:\n  enabled: [dmo]\n  demo: {}\n", 2, "no provider 'dmo'", "'demo'"),
    ("a route to a stranger", "providers: {demo: {}}\nrouting: {a: {providers: [b]}}\n", 2, "no provider 'b'", "demo"),
    ("a route without providers", "providers: {demo: {}}\nrouting: {a: {}}\n", 2, "providers is missing", "providers"),
    (
        "an unknown strategy",
        "providers: {demo: {}}\nrouting: {a: {providers: [demo], strategy: best}}\n",
        2,
        "fallback",
        "one of",
    ),
    ("a header with a line break", 'providers:\n  openai:\n    headers: {X-A: "a\\nb"}\n', 3, "eader", ""),
    ("an option of another provider", "providers:\n  openai:\n    site_url: x\n", 3, "'site_url'", ""),
    ("two models", "providers:\n  openai:\n    model: a\n    default_model: b\n", 3, "differ", "Keep one"),
    ("an alias of itself", "providers:\n  openai:\n    defaults: {stop: &a [*a]}\n", 3, "refers to itself", "aliases"),
]


@pytest.mark.parametrize(
    ("text", "line", "words", "remedy"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN]
)
def test_a_broken_file_is_told_at_its_line(text, line, words, remedy):
    """The right line, what is wrong, and what to write instead."""
    found = read_configuration(text, "config.yaml", ENVIRON)
    errors = [problem for problem in found.problems if problem.severity == "error"]
    told = "\n".join(f"{problem}\n    {problem.remedy}" for problem in errors)
    assert any(one.line == line and words in one.message and remedy in one.remedy for one in errors), told
    with pytest.raises(ConfigError) as caught:
        found.check()
    assert caught.value.problems == tuple(found.problems)
    assert f"config.yaml:{line}:" in str(caught.value)
    assert "provider-kit config check config.yaml" in caught.value.hint


def test_there_are_sixty_of_them():
    assert len({row[1] for row in BROKEN}) >= 60


def test_all_problems_are_told_at_once():
    """Of syntax, of keys, of values, of variables: each with its own line, in the order of the file."""
    text = """\
providers:
  openai:
    api_key: $OPENAI_API_KEY
    timout: 30
    max_retries: "3"
    model: @gpt
  anthropic:
    api_key: ${ANTHROPIC_API_KEY}
    total_timeout: -3
    headers: {a: b
  gemini:
    api_key: ${GEMINI_API_KEY}
    enabled: false
default: nobody
"""
    found = read_configuration(text, "c.yaml", {})
    assert [problem.line for problem in found.problems] == [3, 4, 5, 6, 8, 9, 10, 14]
    assert found.disabled == ["gemini"]  # what is switched off is not resolved


def test_a_secret_stands_in_no_problem():
    """Neither keys nor passwords of the file are repeated."""
    secret = "sk-proj-VerySecretValue0123456789"
    text = f"""\
providers:
  openai:
    api_key: [{secret}]
    headers: {secret}
    timeout: {secret}
    {secret}: 3
    base_url: https://user:{secret}@host/v1
  {secret}:
    model: x
default: {secret}
"""
    found = read_configuration(text, "c.yaml", {})
    told = "\n".join(f"{problem} {problem.remedy}" for problem in found.problems)
    assert len(found.problems) >= 6
    assert "VerySecretValue" not in told


def test_a_file_that_cannot_be_read_is_told(tmp_path, monkeypatch):
    """A directory, nothing at all, bytes of another encoding, too much of it."""
    with pytest.raises(ConfigError, match="is a directory"):
        load_config(tmp_path)
    with pytest.raises(ConfigError, match="There is no configuration file"):
        load_config(tmp_path / "nothing.yaml")
    odd = tmp_path / "odd.yaml"
    odd.write_bytes(b"providers:\n  demo:\n    model: \xff\xfe\n")
    with pytest.raises(ConfigError, match=r"odd.yaml:3: error: .* not UTF-8"):
        load_config(odd)
    odd.write_bytes(b"#" * (1 << 21))
    with pytest.raises(ConfigError, match="larger than"):
        load_config(odd)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="There is no configuration file"):
        load_config()
