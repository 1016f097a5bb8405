"""A prompt is sent without a command; a misspelt command never is; mistakes are answered with the word that helps."""

import pytest

from provider_kit import ConfigError, InvalidRequestError
from provider_kit.cli.default_command import quoted_line, with_command
from provider_kit.cli.short_schema import read_schema, short_schema

COMMANDS = ["chat", "models", "providers", "test", "keys", "config", "doctor", "logs"]
CHAT = ["-m", "--model", "-s", "--system", "-c", "--continue", "--json"]


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        (["Why is the sky blue?"], ["chat", "Why is the sky blue?"]),
        (["Hello"], ["chat", "Hello"]),
        (["-m", "demo/echo", "Hi"], ["chat", "-m", "demo/echo", "Hi"]),
        (["-mdemo/echo", "Hi"], ["chat", "-mdemo/echo", "Hi"]),
        (["--model=demo/echo", "Hi"], ["chat", "--model=demo/echo", "Hi"]),
        (["-c", "And then?"], ["chat", "-c", "And then?"]),
        (["--debug", "--log-level", "info", "Hi there"], ["--debug", "--log-level", "info", "chat", "Hi there"]),
        (["models", "openai"], ["models", "openai"]),
        (["--help"], ["--help"]),
        (["--debug", "chat", "Hi"], ["--debug", "chat", "Hi"]),
        (["--nonsense"], ["--nonsense"]),
        ([], []),
    ],
)
def test_what_a_line_means(line, meant):
    """``chat`` is put before a prompt or its options."""
    assert with_command(line, COMMANDS, CHAT) == meant


@pytest.mark.parametrize("word", ["modles", "chta", "Test", "doctr", "provider", "confg", "log", "key"])
def test_a_word_near_a_command_is_never_sent(run, word):
    """It is named, with the way to send it all the same."""
    result = run(word)
    assert result.exit_code == 2
    assert f"There is no command {word!r}. Did you mean" in result.stderr
    assert f"provider-kit chat {word}" in result.stderr


def test_the_quoted_line_can_be_copied():
    """Quotes of the shell around a prompt, and options before it."""
    assert quoted_line("provider-kit", ["Why", "is", "it?"]) == 'provider-kit "Why is it?"'
    assert quoted_line("provider-kit", ["a", "$b"], ["-m", "x y"]) == "provider-kit -m 'x y' 'a $b'"


#: Forty mistakes at the keyboard, and words of the answer.
MISTAKES = [
    ("What is love", 'provider-kit "What is love"'),
    ("chat What is love -m demo/echo", 'provider-kit -m demo/echo "What is love"'),
    ("What is love -m demo/echo", 'provider-kit -m demo/echo "What is love"'),
    ("test my code please", "unexpected extra argument"),
    ("-m gpt4o 'Hi there'", "'openai/gpt-4o'"),
    ("-m gpt5 'Hi there'", "'openai/gpt-5'"),
    ("-m claude 'Hi there'", "'anthropic/claude"),
    ("-m llama3.2 'Hi there'", "'ollama/llama3.2'"),
    ("-m opnai/gpt-4o 'Hi there'", "'openai'"),
    ("-m antropic/claude 'Hi there'", "'anthropic'"),
    ("-m http://127.0.0.1:9/v1 'Hi there'", "--base-url http://127.0.0.1:9/v1 -m MODEL"),
    ("-m localhost:8000 'Hi there'", "'http://localhost:8000'"),
    ("-m sk-proj-0123456789abcdefghijklmnop 'Hi there'", "looks like an API key"),
    ("-m '' 'Hi there'", "is empty"),
    ("-m openai/gpt-4o 'Hi there'", "provider-kit keys set openai"),
    ("-m openai:gpt-4o 'Hi there'", "provider-kit keys set openai"),
    ("-m gpt-4o 'Hi there'", "provider-kit keys set openai"),
    ("-m ollama/llama3.2 --base-url http://127.0.0.1:9 'Hi there'", "ollama serve"),
    ("-m ollama --base-url http://127.0.0.1:9 'Hi there'", "ollama pull"),
    ("-m lmstudio/x --base-url http://127.0.0.1:9 'Hi there'", "lms server start"),
    ("keys set opnai", "'openai'"),
    ("keys rm openai", "provider-kit keys list"),
    ("models opnai", "'openai'"),
    ("doctor opnai", "'openai'"),
    ("auth login opnai", "openai"),
    ("--model", "requires an argument"),
    ("chat --sytem x 'Hi there'", "--system"),
    ("chat --schema 'name, age itn' 'Hi there'", "'int'"),
    ("chat --schema 'a b c' 'Hi there'", "no property of a schema"),
    ("chat --schema nofile.json 'Hi there'", "cannot be read"),
    ("chat --schema '{' 'Hi there'", "not valid JSON"),
    ("chat --tool os:getcw 'Hi there'", "'getcwd'"),
    ("chat --tool os 'Hi there'", "names a module"),
    ("chat --tool nomodule:f 'Hi there'", "There is no module"),
    ("chat --tools nofile.py 'Hi there'", "There is no file nofile.py"),
    ("chat --tool os:getcwd 'Hi there'", "--yes"),
    ("chat --template nope 'Hi there'", "--save NAME makes one"),
    ("chat -f nofile.png 'Hi there'", "nofile.png"),
    ("chat -c 'Hi there'", "no conversation to continue"),
    ("chat -t 5 'Hi there'", "range"),
    ("chat", "There is no prompt"),
    ("aliases set openai gpt-5", "is a provider"),
    ("aliases set fast gpt5", "'openai/gpt-5'"),
    ("aliases rm nope", "There is no alias"),
    ("logs show nope", "provider-kit logs list"),
    ("templates show nope", "There is no template"),
    ("explain nope", "provider-kit explain"),
    ("config check nofile.yaml", "nofile.yaml"),
    ("usage --since yesterday", "2026-11-28"),
    ("logs shwo", "show"),
]


@pytest.mark.parametrize(("line", "words"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_at_the_keyboard_is_answered_with_the_word_that_helps(run, line, words, tmp_path):
    """In one line and a hint; nothing is sent, and nothing is logged."""
    import shlex

    result = run(*shlex.split(line), PROVIDER_KIT_LOGS=str(tmp_path / "logs.db"))
    assert result.exit_code in (1, 2)
    assert words in " ".join(result.output.split()) or words in result.output
    assert not (tmp_path / "logs.db").exists()


def test_a_misspelt_command_with_words_is_shown_right(run):
    """And ordinary words are no misspelt commands."""
    told = run("mdoels", "openai").stderr
    assert "\n  provider-kit models openai\n" in told
    assert '\n  provider-kit "mdoels openai"\n' in told
    assert "Did you mean" not in run("What", "is", "2", "+", "3?").stderr


# ------------------------------------------------------------------------------------------------ schemas


@pytest.mark.parametrize("text", ["name: str, age:int", "name, age: int", "name: string, age: INTEGER"])
def test_types_behind_a_colon_are_types(text):
    """As Python and YAML write them."""
    kinds = {name: one["type"] for name, one in short_schema(text)["properties"].items()}
    assert kinds == {"name": "string", "age": "integer"}


@pytest.mark.parametrize("text", ["first name, age int", "name: full name, with title, age int", "tags list[str]"])
def test_rules_of_a_short_schema_are_told(run, text):
    result = run("--schema", text, "Hi there")
    assert result.exit_code == 2
    assert "a name of one word (first_name)" in " ".join(result.stderr.split())


def test_a_short_schema():
    """Names and types; descriptions may hold commas where there is an item in each line."""
    made = short_schema("name, age int, tags list: what it is about")
    assert made["properties"] == {
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}, "description": "what it is about"},
    }
    assert made["required"] == ["name", "age", "tags"]
    assert made["additionalProperties"] is False
    lines = short_schema("name: first, then last\nweight float")
    assert lines["properties"]["name"]["description"] == "first, then last"
    assert lines["properties"]["weight"] == {"type": "number"}


@pytest.mark.parametrize("text", ["", ",", "1a", "a int int", "a, a", "a itn"])
def test_what_is_no_short_schema(text):
    """A clear error."""
    with pytest.raises(InvalidRequestError):
        short_schema(text)


def test_a_schema_may_be_json_or_a_file(tmp_path):
    """As before."""
    path = tmp_path / "schema.json"
    path.write_text('{"type": "object"}')
    assert read_schema(str(path)) == read_schema('{"type": "object"}') == {"type": "object"}


def test_the_answer_has_the_short_schema(run):
    """The demo provider takes the values from the prompt."""
    result = run("--schema", "name, age int", "Bob is 7 years old.")
    assert result.exit_code == 0
    assert result.stdout.strip().startswith("{")


def test_names_of_settings_are_checked():
    """They become names of files."""
    from provider_kit.cli.user_settings import check_name

    with pytest.raises(ConfigError):
        check_name("../x", "a template")
