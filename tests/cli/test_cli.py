"""The command: what it prints, how it fails, and with which exit code."""

import json
import os
import subprocess
import sys

import pytest
from attrs import evolve
from click.testing import CliRunner

from provider_kit import ConfigError, __version__, provider_names
from provider_kit.cli import cli, main
from provider_kit.cli.target import default_target
from provider_kit.testing import Reply, demo

KEY = "sk-fake-0123456789abcdef"


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    """No setting of the machine reaches the command, and no demo server stays behind."""
    monkeypatch.delenv("PROVIDER_KIT_MODEL", raising=False)
    monkeypatch.delenv("PROVIDER_KIT_DEBUG", raising=False)
    yield
    demo.stop_demo()


@pytest.fixture
def run():
    """A function: run the command in this process."""

    def invoke(*arguments, input="", **environment):
        return CliRunner().invoke(cli, list(arguments), input=input, env=environment, prog_name="provider-kit")

    return invoke


@pytest.fixture
def served(fake_server):
    """The environment of a command that talks to the fake server."""
    return {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": fake_server.base_url(), "PROVIDER_KIT_MODEL": "openai/gpt-4o"}


def process(*arguments, environment=None, **options):
    """Run the command in a process of its own, strictly."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-m", "provider_kit", *arguments]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PROVIDER_KIT")}
    options.setdefault("stdin", subprocess.DEVNULL if "input" not in options else None)
    if options["stdin"] is None:
        del options["stdin"]
    return subprocess.run(
        command, env={**inherited, **(environment or {})}, capture_output=True, timeout=60, check=False, **options
    )


# ------------------------------------------------------------------------------------------------ chat


def test_it_answers(run):
    """Without any key the demo answers."""
    result = run("chat", "What is 2 + 3?")
    assert (result.stdout, result.stderr, result.exit_code) == ("2 + 3 = 5\n", "", 0)


@pytest.mark.parametrize("options", [(), ("--no-stream",)])
def test_it_asks_the_provider_of_the_environment(run, fake_server, served, options):
    """Streamed unless told otherwise."""
    result = run("chat", "Hello", "-s", "Be brief.", "-t", "0.5", "--max-tokens", "50", *options, **served)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Hello! I am the demo model")
    (request,) = fake_server.requests
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.asked.turns == [("system", "Be brief."), ("user", "Hello")]
    assert (request.json["temperature"], request.asked.max_tokens) == (0.5, 50)
    assert request.asked.stream == (not options)


def test_a_key_alone_chooses_the_provider(run, fake_server):
    """The first provider with a key in the environment, with its default model."""
    fake_server.reply("Hi.")
    result = run(
        "chat", "Hello", ANTHROPIC_API_KEY=KEY, ANTHROPIC_BASE_URL=fake_server.base_url("anthropic"), OLLAMA_API_KEY="x"
    )
    assert result.stdout == "Hi.\n"
    assert fake_server.requests[0].path == "/v1/messages"


def test_model_and_address_can_be_named(run, fake_server, served):
    """-m goes before the environment, --base-url too."""
    result = run("chat", "Hello", "-m", "vllm/mine", "--base-url", fake_server.base_url(), "--timeout", "5", **served)
    assert result.exit_code == 0, result.output
    assert fake_server.requests[0].json["model"] == "mine"
    assert "authorization" not in fake_server.requests[0].headers


def test_what_is_piped_in_is_added_to_the_prompt(run, fake_server, served):
    """Or is the prompt, if there is none."""
    run("chat", "Sum this up:", input="a long\ntext\n", **served)
    run("chat", input="only this\n", **served)
    run("chat", "only that", input=" \n", **served)
    asked = [request.asked.last[1] for request in fake_server.requests]
    assert asked == ["Sum this up:\n\na long\ntext", "only this", "only that"]


def test_files_are_attached(run, fake_server, served, tmp_path):
    """As often as -f is given."""
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\nIEND")
    notes = tmp_path / "notes.txt"
    notes.write_text("Remember the milk.")
    result = run("chat", "What is it?", "-f", str(picture), "-f", str(notes), **served)
    assert result.exit_code == 0, result.output
    sent = json.dumps(fake_server.requests[0].json)
    assert "data:image/png;base64," in sent
    assert "Remember the milk." in sent


def test_the_whole_answer_can_be_json(run, fake_server, served):
    """Everything that is known of it, on one line."""
    fake_server.reply("Four.", tool_calls=[("add", {"a": 1})], thinking="hmm")
    result = run("chat", "What is 2 + 2?", "--json", **served)
    data = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    assert (data["text"], data["thinking"], data["finish_reason"]) == ("Four.", "hmm", "tool_calls")
    assert data["tool_calls"] == [{"id": "call_fake_1", "name": "add", "arguments": '{"a":1}'}]
    assert data["usage"]["total_tokens"] == 14
    assert (data["provider"], data["model"], data["request_id"]) == ("openai", "gpt-4o", "req_fake_1")
    assert (data["cost"], data["warnings"], data["refusal"]) == ("0.00005", [], None)


@pytest.mark.parametrize("options", [(), ("--no-stream",)])
def test_what_is_not_text_is_told_on_stderr(run, fake_server, served, options):
    """Tool calls, warnings, and an answer that ended early; a refusal is an answer."""
    fake_server.reply("Let me", tool_calls=[("add", {"a": 1})])
    result = run("chat", "Hello", *options, **served)
    assert (result.stdout, result.stderr) == ("Let me\n", 'Tool call: add({"a":1})\n')
    fake_server.reply(Reply("one two", finish_reason="length"))
    result = run("chat", "Hello", *options, **served)
    assert result.stderr == "Warning: the answer ended early: length.\n"
    fake_server.reply(Reply(refusal="I will not."))
    result = run("chat", "Hello", *options, **served)
    assert result.stdout == "I will not.\n"
    served["PROVIDER_KIT_MODEL"] = "openai/gpt-5-mini"
    result = run("chat", "Hello", "-t", "0.3", "-m", "openai/o3", *options, **served)
    assert result.stderr.startswith("Warning: temperature: ")
    assert result.exit_code == 0


# ------------------------------------------------------------------------------------------------ failures


@pytest.mark.parametrize(
    ("arguments", "environment", "words", "hint"),
    [
        (("chat", "Hi", "-m", "opnai/gpt-4o"), {}, "names no known provider", "openai"),
        (("chat", "Hi", "-m", "openai/gpt-4o"), {}, "No API key", "OPENAI_API_KEY"),
        (("chat", "Hi", "-f", "/nowhere.png"), {}, "Cannot read the file", "path"),
        (("chat", "Hi", "--base-url", "nonsense"), {}, "not an http", "https://nonsense"),
        (("models", "opnai"), {}, "names no known provider", "openai"),
        (("models", "openai"), {"OPENAI_API_KEY": "two words"}, "no key has", "Copy the key"),
        (("demo", "-m", "azure/x"), {}, "needs a base URL", "AZURE_OPENAI_ENDPOINT"),
        (("chat", "Hi"), {"PROVIDER_KIT_MODEL": "what/ever"}, "names no known provider", "provider/model"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_a_hint(run, arguments, environment, words, hint):
    """Exit code 2, nothing on stdout, no traceback."""
    result = run(*arguments, **environment)
    first, second, third = result.stderr.splitlines()
    assert third.startswith("More: provider-kit explain ")
    assert first.startswith("Error: ")
    assert words in first
    assert second.startswith("Hint: ")
    assert hint in second
    assert result.stdout == ""
    assert result.exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("chat",), "There is no prompt"),
        (("chat", "Hi", "--max-tokens", "0"), "--max-tokens"),
        (("chat", "Hi", "--timeout", "0"), "--timeout"),
        (("chat", "Hi", "--nonsense"), "No such option"),
        (("chatt",), "There is no command"),
    ],
)
def test_a_wrong_command_line_is_told(run, arguments, words):
    """As every command does, with exit code 2."""
    result = run(*arguments)
    assert words in result.stderr
    assert result.exit_code == 2


@pytest.mark.parametrize("options", [(), ("--no-stream",), ("--json",)])
def test_a_failure_of_the_provider_is_told_in_one_line(run, fake_server, served, options):
    """Exit code 1; the key is not shown."""
    fake_server.fault(401, message=f"wrong key\n{KEY}")
    result = run("chat", "Hello", *options, **served)
    first, second, third = result.stderr.splitlines()
    assert third == "More: provider-kit explain authentication"
    assert first == ("Error: [openai] wrong key *** (status=401, code=authentication_error, request_id=req_fake_1)")
    assert second.startswith("Hint: Check the API key")
    assert result.exit_code == 1


def test_an_error_without_a_hint_is_one_line(run, monkeypatch):
    """No empty hint, nor one that only a program can follow."""
    for hint in (None, "Call Client('openai/gpt-5-mini').with_options()."):

        def failing(*args, hint=hint, **options):
            raise ConfigError("no", hint=hint)

        monkeypatch.setattr("provider_kit.cli.chat.open_model", failing)
        result = run("chat", "Hello")
        assert result.stderr == "Error: no\nMore: provider-kit explain invalid_config\n"
        assert result.exit_code == 2


def test_a_stream_that_breaks_is_told_below_its_text(run, fake_server, served):
    """What came stays on stdout, the error goes to stderr."""
    fake_server.reply("one two three four")
    fake_server.fault(cut_after=3)
    result = run("chat", "Hello", **served)
    assert result.stdout == "one two \n"
    assert result.stderr.startswith("Error: ")
    assert result.exit_code == 1


@pytest.mark.parametrize("how", ["option", "variable"])
def test_the_traceback_can_be_asked_for(run, how):
    """By --debug or PROVIDER_KIT_DEBUG."""
    arguments = ("--debug",) if how == "option" else ()
    environment = {} if how == "option" else {"PROVIDER_KIT_DEBUG": "1"}
    result = run(*arguments, "chat", "Hi", "-m", "opnai/x", **environment)
    assert type(result.exception).__name__ == "UnknownProviderError"
    assert result.exit_code == 1


# ------------------------------------------------------------------------------------------------ the rest


def test_models_as_json_have_what_the_catalog_knows(run, monkeypatch):
    """Beside the provider's own fields."""
    from provider_kit import Client

    known = evolve(Client("openai/gpt-4o", api_key="k-0123456789").model_info(), raw={"owned_by": "x"})
    monkeypatch.setattr("provider_kit.cli.model_cache.ModelCache.read", lambda _: [known])
    (told,) = json.loads(run("models", "openai", "--json", OPENAI_API_KEY="sk-0123456789").stdout)
    assert (told["context_window"], told["pricing"]["input"], told["owned_by"]) == (128_000, "2.5", "x")
    assert None not in told.values()


def test_models_are_listed(run, fake_server, served):
    """Sorted, ready to be copied into -m; as JSON with all that is known."""
    result = run("models", "openai", **served)
    assert [line.strip() for line in result.stdout.splitlines()] == ["openai/demo", "openai/echo"]
    data = json.loads(run("models", "openai", "--json", **served).stdout)
    assert data[0]["owned_by"] == "fake"
    result = run("models", "gemini", "--base-url", fake_server.base_url("gemini"), GEMINI_API_KEY="k")
    assert "8,192 tokens" in result.stdout
    assert run("models").stdout.splitlines()[0].startswith("demo/demo")


def test_providers_are_listed(run):
    """All of them, each with what it lacks; keys themselves are not shown."""
    result = run("providers", GROQ_API_KEY=KEY)
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == provider_names()
    states = {line.split()[0]: line for line in lines}
    assert states["groq"].endswith("GROQ_API_KEY is set")
    assert states["ollama"].endswith("no key needed")
    assert states["openai"].endswith("set OPENAI_API_KEY")
    assert KEY not in result.output
    data = json.loads(run("providers", "--json").stdout)
    assert [row["name"] for row in data] == provider_names()
    assert {row["name"]: row["key_variables"] for row in data}["openai"] == ["OPENAI_API_KEY"]


def test_the_demo_talks_in_all_three_ways(run, fake_server, served):
    """Without a key in this process, with one to the provider."""
    result = run("demo")
    assert result.exit_code == 0, result.output
    for words in (
        "[blocking]",
        "[asyncio]",
        "[streamed]",
        "Nice to meet you, Ada!",
        "Your name is Ada.",
        "20 + 22 = 42",
    ):
        assert words in result.stdout
    assert "a few rules in this process" in result.stdout
    result = run("demo", **served)
    assert "Talking to openai/gpt-4o" in result.stdout
    assert "a few rules" not in result.stdout
    assert len(fake_server.requests) == 3


def test_the_provider_is_guessed_in_a_fixed_order():
    """PROVIDER_KIT_MODEL, then keys, then the demo; local servers are never guessed."""
    assert default_target({}) == "demo"
    assert default_target({"OLLAMA_API_KEY": "k", "VLLM_API_KEY": "k", "AZURE_OPENAI_API_KEY": "k"}) == "demo"
    assert default_target({"MISTRAL_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}) == "anthropic"
    assert default_target({"FIREWORKS_API_KEY": "k"}) == "fireworks"
    assert default_target({"PROVIDER_KIT_MODEL": "a/b", "OPENAI_API_KEY": "k"}) == "a/b"


def test_help_and_version(run):
    """Each command explains itself."""
    assert __version__ in run("--version").stdout
    for command in ((), ("chat",), ("models",), ("providers",), ("demo",)):
        result = run(*command, "--help")
        assert result.exit_code == 0
        assert "Usage: provider-kit" in result.stdout


# ------------------------------------------------------------------------------------------------ real processes


def test_it_runs_as_a_module_and_as_a_script(fake_server, served):
    """With a key and an address from the environment, warnings being errors."""
    done = process("chat", "What is 2 + 3?", environment=served)
    assert (done.stdout, done.stderr, done.returncode) == (b"2 + 3 = 5\n", b"", 0)
    script = os.path.join(os.path.dirname(sys.executable), "provider-kit")
    done = subprocess.run([script, "--version"], capture_output=True, timeout=60, check=False)
    assert __version__.encode() in done.stdout


def test_a_failure_of_a_real_process_shows_no_traceback(served, fake_server):
    """One line, a hint, an exit code; with --debug the traceback."""
    fake_server.always(400, message="no such thing")
    done = process("chat", "Hi", environment=served)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert done.stderr.startswith(b"Error: [openai] no such thing")
    done = process("--debug", "chat", "Hi", environment=served)
    assert b"Traceback" in done.stderr
    assert b"BadRequestError" in done.stderr
    assert KEY.encode() not in done.stderr
    assert done.returncode == 1
    assert process("chat", "Hi", "-m", "nobody/x").returncode == 2


def test_bytes_that_are_no_text_can_be_piped_in(fake_server, served):
    """They are replaced, not fatal, and not without a word."""
    done = process("chat", "Look:", environment=served, input=b"\xff\xfe\x00ok")
    assert done.stderr == b"Warning: the piped input is not entirely UTF-8 text.\n"
    assert done.returncode == 0
    assert fake_server.requests[0].asked.last[1].endswith("ok")


@pytest.mark.parametrize("command", [("chat", "many words"), ("providers",), ("chat", "many words", "--no-stream")])
def test_a_reader_that_goes_away_is_no_failure(fake_server, served, command):
    """``| head -c1`` ends it quietly."""
    for _ in range(2):
        fake_server.reply("word " * 20_000)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PROVIDER_KIT")}
    with subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", "-m", "provider_kit", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**environment, **served},
    ) as started:
        assert len(started.stdout.read(1)) == 1
        started.stdout.close()
        assert started.stderr.read() == b""
        assert started.wait(30) == 0


def test_the_help_is_quick():
    """Nothing of a command is loaded before it runs."""
    code = (
        "import sys\nfrom provider_kit.cli import main\n"
        "sys.argv = ['provider-kit', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "loaded = {'requests', 'aiohttp', 'provider_kit.client.client'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert b"Usage" in done.stdout
    assert callable(main)


@pytest.mark.parametrize(
    ("arguments", "environment", "lines"),
    [
        (("--log-level", "debug"), {}, 2),
        ((), {"LOG_LEVEL": "debug"}, 2),
        ((), {"PROVIDER_KIT_LOG_LEVEL": "info"}, 0),
        ((), {"LOG_LEVEL": "of-another-program"}, 0),
        ((), {}, 0),
    ],
)
def test_the_log_can_be_shown(arguments, environment, lines):
    """On standard error, so that the answer stays alone."""
    done = process(*arguments, "chat", "-m", "demo/echo", "Hello", environment=environment)
    assert done.stdout == b"Hello\n"
    assert done.stderr.count(b"DEBUG provider_kit.http") == lines, done.stderr


def test_a_log_level_that_is_none_is_told(run):
    result = run("--log-level", "loud", "chat", "Hello")
    assert result.exit_code == 2
    assert "'loud'" in result.stderr


def test_a_key_in_the_wrong_place_is_not_repeated(run):
    """The first thing one tries ends up in the log of a build."""
    for arguments in (("keys", "set", "openai", "sk-proj-ABCDEFGH0123456789"), ("sk-proj-ABCDEFGH0123456789",)):
        done = run(*arguments)
        assert done.exit_code == 2
        assert "ABCDEFGH" not in done.output
    assert "chatt" in run("chatt").output
