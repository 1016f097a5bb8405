"""Functions as tools of the command, each call after it was allowed; templates and aliases."""

import json
import sys

import pytest

TOOLS = '''
def weather(city: str) -> str:
    """Tell the weather."""
    return f"{city}: sunny"


def _hidden(): ...
'''


@pytest.fixture
def tools(tmp_path):
    """A file with a tool."""
    path = tmp_path / "mine.py"
    path.write_text(TOOLS)
    return path


@pytest.mark.parametrize("option", [("--tools", "mine.py"), ("--tool", "mine:weather"), ("--tool", "mine.py:weather")])
@pytest.mark.usefixtures("tools")
def test_functions_are_called(run, option, monkeypatch, tmp_path):
    """What they do is told on standard error; the answer alone is printed."""
    monkeypatch.syspath_prepend(tmp_path)
    result = run("chat", *option, "--yes", "What is the weather in Paris?")
    assert result.exit_code == 0
    assert result.stdout == "weather says: Paris: sunny\n"
    assert result.stderr == "→ weather(city='Paris')\n← Paris: sunny\n"


@pytest.mark.usefixtures("tools")
def test_answers_with_tools_in_other_forms(run):
    """JSON, and whole."""
    told = json.loads(run("--tools", "mine.py", "-y", "--json", "What is the weather in Paris?").stdout)
    assert told["text"] == "weather says: Paris: sunny"
    assert run("--tools", "mine.py", "-y", "--no-stream", "What is the weather in Paris?").stdout == told["text"] + "\n"


@pytest.mark.usefixtures("tools")
def test_nobody_to_ask_is_an_error_before_anything_is_sent(run):
    """Where standard input is no terminal."""
    result = run("--tools", "mine.py", "What is the weather in Paris?")
    assert result.exit_code == 2
    assert "--yes" in result.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def f(:", "line 1"),
        ("1 / 0", "ZeroDivisionError"),
        ("x = 1", "no public functions"),
        ("import nomodule_x", "nomodule_x"),
    ],
)
def test_a_file_that_cannot_be_used(run, tools, text, words):
    """With the line of it, and without a traceback."""
    tools.write_text(text)
    result = run("--tools", "mine.py", "--yes", "Hi there")
    assert result.exit_code == 2
    assert words in result.stderr


def test_a_tool_that_fails_is_told(run, tools):
    """The model is not told the text of the exception; the user is."""
    tools.write_text("def weather(city: str) -> str:\n    '''Tell the weather.'''\n    raise ValueError('no sky')\n")
    result = run("--tools", "mine.py", "--yes", "What is the weather in Paris?")
    assert "← failed: ValueError: no sky" in result.stderr


# ------------------------------------------------------------------------------------------------ templates


@pytest.fixture(autouse=True)
def _config(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_a_template_is_saved_and_used(run):
    """With ``$input`` for what changes, given or piped in."""
    assert run("chat", "--save", "about", "-m", "demo/echo", "-t", "0", "Tell of $input.").exit_code == 0
    assert run("--template", "about", "rivers").stdout == "Tell of rivers.\n"
    assert run("--template", "about", input="seas").stdout == "Tell of seas.\n"
    assert run("templates", "list").stdout.split() == ["about", "Tell", "of", "$input."]
    assert "model: demo/echo" in run("templates", "show", "about").stdout
    assert run("templates", "path", "about").stdout.strip().endswith("about.yaml")
    assert run("chat", "--template", "about").exit_code == 2
    assert run("templates", "rm", "about").exit_code == 0
    assert run("templates", "list").stdout.startswith("There are no templates yet")


def test_what_is_given_wins_over_the_template(run):
    """A model, for example."""
    run("chat", "--save", "short", "-m", "demo/demo", "-s", "Be brief.")
    assert run("--template", "short", "-m", "demo/echo", "Hello there").stdout == "Hello there\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prompt: $nothing", "unknown $nothing"),
        ("promt: x", "Did you mean 'prompt'?"),
        ("temperature: warm", "temperature"),
        ("- x", "must hold names"),
        ("a: [", "no valid YAML"),
        ("prompt: costs 5$", "Write $$"),
    ],
)
def test_a_template_that_cannot_be_used(run, tmp_path, text, words):
    """Said with what is wrong."""
    path = tmp_path / "one.yaml"
    path.write_text(text)
    result = run("--template", "one.yaml", "Hi there")
    assert result.exit_code == 2
    assert words in result.stderr


def test_an_alias_stands_for_a_model(run):
    """In ``-m``, and in ``PROVIDER_KIT_MODEL``."""
    assert run("aliases", "set", "e", "demo/echo").exit_code == 0
    assert run("-m", "e", "Hello there").stdout == "Hello there\n"
    assert run("Hello there", PROVIDER_KIT_MODEL="e").stdout == "Hello there\n"
    assert json.loads(run("aliases", "list", "--json").stdout) == {"e": "demo/echo"}
    assert run("aliases", "rm", "e").exit_code == 0
    assert run("-m", "e", "Hello there").exit_code == 2


def test_a_template_is_used_anywhere(run, tools, tmp_path, monkeypatch):
    """Its files are those of the folder where it was made; another file of the same name there is not run."""
    tools.write_text("def weather(city: str) -> str:\n    '''Tell the weather.'''\n    return 'right'\n")
    run("chat", "--save", "sky", "--tools", "mine.py")
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.py").write_text("raise SystemExit('wrong')")
    monkeypatch.chdir(other)
    assert "right" in run("--template", "sky", "--yes", "What is the weather in Paris?").stdout


def test_names_of_templates_are_no_files(run, tmp_path):
    """And what cannot be read leaves the others."""
    assert run("chat", "--save", "short.yaml", "-s", "Be brief.").exit_code == 2
    assert run("chat", "--save", "short", "-s", "Be brief.").exit_code == 0
    assert run("chat", "--save", "short", "-s", "Be brief.").stdout.startswith("Replaced")
    (folder,) = (path.parent for path in (tmp_path / "config").rglob("short.yaml"))
    (folder / "broken.yaml").write_text("a: [")
    (folder / "my notes.yaml").write_text("system: x")
    listed = run("templates", "list")
    assert listed.stdout.split() == ["short", "Be", "brief."]
    assert "broken" in listed.stderr
    (tmp_path / "mine.yaml").write_text("system: x")
    assert run("templates", "show", "mine.yaml").stdout == "system: x"
    assert run("templates", "rm", "mine.yaml").exit_code == 2
    assert (tmp_path / "mine.yaml").exists()
    assert run("templates", "rm", "broken").exit_code == 0


def test_the_working_directory_is_behind_what_is_installed(run, tools, tmp_path):
    """A file called like a package does not take its place."""
    (tmp_path / "requests.py").write_text("raise SystemExit('wrong')")
    assert run("-m", "demo/echo", "--tool", "statistics:mean", "--yes", "Hi there").stdout == "Hi there\n"
    assert "" not in sys.path


@pytest.mark.parametrize(("tool", "words"), [("math.sqrt", "--tool math:sqrt"), ("sqrt", "--tool module:sqrt")])
def test_a_tool_without_its_colon(run, tool, words):
    assert words in run("--tool", tool, "Hi there").stderr


def test_an_alias_of_nobody(run):
    """It is refused when it is made, and ``models`` knows those there are."""
    assert run("aliases", "set", "bad", "nobody/x").exit_code == 2
    run("aliases", "set", "zq", "demo/echo")
    assert run("models", "zq").stdout.split() == ["demo/echo"]
