"""Byte order marks, arguments in other encodings, poor locales, closed pipes; hints for people without Python."""

import codecs
import json
import os
import re
import shlex
import subprocess
import sys

import pytest

from provider_kit import Document
from provider_kit.cli.hints import at_the_command
from provider_kit.cli.main import cli
from provider_kit.testing import FakeServer

SCHEMA = json.dumps({"type": "object", "properties": {"a": {"type": "string"}}})
MARKED = {
    "UTF-8": lambda text: codecs.BOM_UTF8 + text.encode(),
    "UTF-16, as Windows writes it": lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
    "UTF-16, the other way round": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
}
marked = pytest.mark.parametrize("encoded", MARKED.values(), ids=MARKED)
#: A machine whose locale knows letters without accents only, and whose Python does not look beyond it.
POOR = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def command(tmp_path):
    """A function: run the command as a program of its own."""

    def run(*arguments, stdin=b"", stdout=subprocess.PIPE, **environment):
        folders = {f"XDG_{name}_HOME": str(tmp_path) for name in ("CACHE", "CONFIG", "DATA", "STATE")}
        return subprocess.run(
            [sys.executable, "-m", "provider_kit", *arguments],
            input=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env={**os.environ, **folders, **environment},
            timeout=60,
            check=False,
        )

    return run


@marked
def test_a_schema_may_have_a_byte_order_mark(run, tmp_path, encoded):
    """Editors put one first."""
    path = tmp_path / "schema.json"
    path.write_bytes(encoded(SCHEMA))
    result = run("chat", "-m", "demo", "Hello", "--schema", str(path))
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"a": "Hello"})


@marked
def test_what_is_piped_in_may_have_one(run, encoded):
    """It is no part of the question."""
    result = run("chat", "-m", "demo", input=encoded("Tell me ä story."))
    assert (result.exit_code, result.stdout) == (0, "You said: Tell me ä story.\n")


def test_a_key_that_is_piped_in_may_have_one(run):
    """Or it would be refused for a character that nobody sees."""
    result = run("keys", "set", "openai", input=codecs.BOM_UTF8 + b"sk-proj-0123456789abcdef\n")
    assert result.exit_code == 0
    assert "…cdef" in result.stdout


@marked
def test_a_text_file_may_have_one(tmp_path, encoded):
    """The model reads what a person sees."""
    path = tmp_path / "notes.txt"
    path.write_bytes(encoded("Grüße"))
    assert Document.from_path(path).as_text == "Grüße"
    path = tmp_path / "without_a_known_ending"
    path.write_bytes(encoded("Grüße"))
    assert Document.from_path(path).media_type == "text/plain"


@pytest.mark.skipif(sys.platform == "win32", reason="arguments are Unicode there")
@pytest.mark.parametrize("environment", [{}, POOR], ids=["UTF-8", "ASCII"])
def test_an_argument_that_is_no_text_is_asked_as_far_as_it_is(command, environment):
    """Whatever is no UTF-8 is shown as such; what is, arrives under any locale."""
    for argument, arrives in ((b"caf\xe9", "caf\ufffd"), ("café".encode(), "café")):
        result = command(b"chat", b"-m", b"demo", argument, b"--json", **environment)
        assert result.returncode == 0, result.stderr
        assert json.loads(result.stdout.decode("utf-8", "replace").replace("?", "\ufffd"))["text"].startswith(
            "You said"
        )
        shown = command(b"chat", b"-m", b"demo", argument, b"-s", argument, **environment)
        assert shown.stdout.decode("utf-8").strip() == f"You said: {arrives}"


@pytest.mark.parametrize("arguments", [["explain", "rate_limit"], ["providers"], ["doctor", "demo"], ["--help"]])
def test_a_poor_locale_gets_no_traceback(command, arguments):
    """Every command can be read there, or by whatever reads UTF-8 behind it."""
    result = command(*arguments, **POOR)
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.decode("utf-8")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end otherwise there")
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["chat", "--help"], ["explain"], ["providers"]])
def test_whoever_reads_no_further_is_not_bothered(command, arguments):
    """``| head``: no traceback, no error."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        result = command(*arguments, stdout=writer)
    finally:
        os.close(writer)
    assert (result.returncode, result.stderr) == (0, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["explain"]])
def test_a_full_disk_is_told(command, arguments):
    """In one line."""
    with open("/dev/full", "wb") as full:
        result = command(*arguments, stdout=full)
    assert result.returncode == 2
    assert result.stderr == b"Error: standard output: No space left on device.\n"


@pytest.mark.parametrize(
    ("hint", "here"),
    [
        ("Raise timeout=, or spread the requests.", "Raise --timeout, or spread the requests."),
        (
            "Raise total_timeout=, or ask for less (max_tokens=, a faster model).",
            "Raise total_timeout in the configuration file, or ask for less (--max-tokens, a faster model).",
        ),
        ("Write base_url='https://h/v1'.", "Write --base-url https://h/v1."),
        (
            "Use https://, or pass allow_insecure_http=True if the network is trusted.",
            "Use https://, or set allow_insecure_http: true in the configuration file if the network is trusted.",
        ),
        (
            "Set OPENAI_API_KEY in the environment, pass api_key=…, or store it: provider-kit keys set openai.",
            "Set OPENAI_API_KEY in the environment, or store it: provider-kit keys set openai.",
        ),
        ("Name it: project_id='…', or GEMINI_PROJECT_ID.", "Name it: project_id in the configuration file, or"),
        ("Check HTTPConfig(proxy=…) and HTTPS_PROXY.", "Check http.proxy in the configuration file and HTTPS_PROXY."),
        ("Raise total_timeout=, or Client('x', timeout=5).", "Raise total_timeout in the configuration file."),
        ("Log in: provider-kit auth login x, or login().", "Log in: provider-kit auth login x."),
        ("Look at it. Then error.partial has it.", "Look at it."),
        ("What was received is in error.partial.", "What was received is above."),
        ("Raise timeout= (connect, first_token, idle).", "Raise --timeout."),
        ("ask in words, or use response_format=.", "ask in words, or use --schema."),
        ("Name it as its type, or pass media_type='text/plain'.", "Name it as its type."),
        ("Raise timeout=Timeout(connect=…).", "Raise timeout.connect in the configuration file."),
        (
            "Pass model=, or create the client with one: Client('openai/gpt-5-mini').",
            "Pass --model, for example openai/",
        ),
        ("Look at the network.", "Look at the network."),
        ("Name the file: my_app/config.yaml.", "Name the file: my_app/config.yaml."),
        ("chmod o-w /tmp/tok(1)/a_b, or choose another place.", "chmod o-w /tmp/tok(1)/a_b, or choose another place."),
        ("provider-kit config init my_app/config.yaml writes one.", "provider-kit config init my_app/config.yaml"),
        ("Pass base_url='https://…' or set X_BASE_URL.", "Pass --base-url https://… or set X_BASE_URL."),
        ("Pass project_id='…'.", "Set project_id in the configuration file."),
    ],
)
def test_a_hint_speaks_of_options_at_the_command(hint, here):
    """And of the configuration file, where there is no option."""
    assert at_the_command(hint, cli.commands["chat"]).startswith(here)


def test_what_only_a_program_can_follow_is_left_out():
    """Not cut into a statement that means something else."""
    chat, models = cli.commands["chat"], cli.commands["models"]
    assert at_the_command("It was cut or decoded with errors='x'. Replace it: text.encode('utf-8').", chat) == ""
    assert at_the_command("What was received is in error.partial.", models) == ""
    assert at_the_command("Use config.replace(…).", chat) == ""


def test_a_command_without_the_option_does_not_name_it():
    """Only chat has --max-tokens."""
    assert "--max-tokens" not in at_the_command("Ask for less (max_tokens=).", cli.commands["models"])


def test_the_hint_of_a_failed_call_is_one_for_the_command(run):
    """Not one for a program in Python."""
    with FakeServer() as server:
        server.always(latency=5)
        result = run(
            "chat",
            "hi",
            "-m",
            "openai/gpt-4o",
            "--timeout",
            "0.2",
            "--max-retries",
            "0",
            OPENAI_API_KEY="sk-proj-0123456789abcdef",
            OPENAI_BASE_URL=server.base_url(),
        )
    assert result.exit_code == 1
    assert "--timeout" in result.stderr
    assert "timeout=" not in result.stderr


@pytest.mark.parametrize("settings", [{"NO_COLOR": "1", "TERM": "dumb"}, {"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_no_colour_where_none_is_wanted(settings, monkeypatch):
    """Also where the terminal says that it can show none."""
    from provider_kit.cli import terminal_text

    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    said = []
    monkeypatch.setattr(terminal_text.click, "echo", lambda text, **_: said.append(text))
    terminal_text.say("red", fg="red")
    assert said == ["red"]
    assert not terminal_text.may_draw()


FAILING = {
    "a file of no type": (("-f", "{folder}/data.bin"), {}, {}, r"ending of its type, e\.g\. report\.pdf\.$"),
    "an empty schema": (("--schema", "{{}}"), {}, {}, r"--schema '\{\"type\": \"object\""),
    "an empty model": (("-m", " "), {}, {}, "-m openai/gpt-5-mini"),
    "a misspelt provider": (("-m", "opnai/gpt-5"), {}, {}, r"Did you mean 'openai'"),
    "too many requests": ((), {}, {"status": 429, "headers": {"retry-after": "7"}}, r"Hint: Wait 7 s, or lower the"),
    "a late stream": (("--timeout", "0.2"), {}, {"latency": 3}, r"Raise --timeout; or look at the provider's status"),
    "a late answer": (
        ("--timeout", "0.2", "--no-stream"),
        {},
        {"latency": 3},
        "Raise --timeout, or let it stream, without",
    ),
    "a cut stream": ((), {}, {"cut_after": 3}, "what was received is above"),
    "a proxy that is not there": (
        (),
        {"HTTPS_PROXY": "http://127.0.0.1:9"},
        {},
        r"http\.proxy in the configuration file",
    ),
    "a refused request": ((), {}, {"status": 400}, "debug_http: true in the configuration file shows what was sent"),
    "a gateway that gave up": ((), {}, {"status": 504}, r"ask for less \(--max-tokens\)"),
}


@pytest.mark.parametrize("what", FAILING)
def test_a_hint_names_what_can_be_typed(run, tmp_path, what):
    """Options, settings, files and variables; nothing of Python's."""
    arguments, environment, fault, hint = FAILING[what]
    (tmp_path / "data.bin").write_bytes(b"\x00\x01\x02\xff")
    with FakeServer() as server:
        if fault:
            server.always(**fault)
        target = () if "-m" in arguments else ("-m", "openai/gpt-5-mini", "--base-url", server.base_url("openai"))
        if "HTTPS_PROXY" in environment:
            target = ("-m", "openai/gpt-5-mini", "--base-url", "https://provider.test/v1")
        result = run(
            *("chat", "hi", *target, "--max-retries", "0"),
            *(argument.format(folder=tmp_path) for argument in arguments),
            **{"OPENAI_API_KEY": "test-key-0123456789", **environment},
        )
    (told,) = [line for line in result.stderr.splitlines() if line.startswith("Hint: ")]
    assert re.search(hint, told), told
    assert not re.search(r"[a-z_]=|\w\((?!-)|error\.|Client", told), told


@pytest.mark.parametrize("name", ["PROVIDER_KIT_MODEL", "PROVIDER_KIT_CONFIG", "PROVIDER_KIT_TOKEN_STORAGE"])
def test_a_blank_variable_counts_as_unset(run, name):
    """As shells and files of settings leave them."""
    result = run("chat", "Tell me a story.", **{name: "  "})
    assert (result.exit_code, result.stdout) == (0, "You said: Tell me a story.\n"), result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a shell closes it otherwise there")
def test_a_closed_output_is_told_before_anything_is_asked(tmp_path):
    """``>&-``: the answer would go nowhere."""
    line = f"{shlex.quote(sys.executable)} -m provider_kit chat -m demo hi >&-"
    result = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (2, "Error: standard output is closed.\n")
