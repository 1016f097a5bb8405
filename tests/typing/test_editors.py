"""What an editor knows: mistakes are marked, keywords complete, and each has a text when pointed at."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest
from filelock import FileLock

from provider_kit import ChatOptions, OutputOptions, RunOptions

ROOT = Path(__file__).parents[2]
BEGINNING = """\
from provider_kit import *
from provider_kit import BudgetExceededError, Client, Image, ProviderKitError, Router, StreamError

client = Client("demo", options={"use_responses_api": False})
router = Router(["demo"])
talk = client.conversation(system="Be brief.")
error = ProviderKitError("x")
stream_error = StreamError("x")

def weather(city: str) -> str:
    return city

"""
#: One mistake in each line.
MISTAKES = """\
Client("demo", max_retires=3)
Client("demo", use_responses_api=True)
Router(["demo"], retries=3)
client.chat("Hi", temprature=0)
client.stream("Hi", stream=True)
client.run("Hi", tools=[weather], max_steps="many")
client.chat("Hi", tool_choice=5)
client.chat("Hi", response_format=5)
client.chat("Hi", reasoning=object())
client.chat("Hi", files=5)
client.chat("Hi", tools=weather)
client.map(["Hi"], concurency=8)
router.chat("Hi", temprature=0)
talk.say("Hi", temprature=0)
client.conversation(temprature=0)
client.with_options(temprature=0)
client.chat("Hi").txt
client.chat_completions("Hi")
client.chat("Hi").text + 1
stream_error.partial.words
error.attempts[0].when
Image.from_path("photo.png").pixels
"""
RIGHT = """\
Client("openai/gpt-5-mini", max_retries=3, options={"organization": "org-1"})
client.chat("Hi", temperature=0, tool_choice="auto", response_format="json", reasoning="high", files=["a.png"])
client.chat("Hi", tool_choice="weather", response_format={"type": "object"}, reasoning=2000, files=b"data")
client.run("Hi", tools=[weather, {"type": "function", "function": {"name": "x"}}], max_steps=3)
talk.say("Hi", tools=[weather]).text.upper()
client.map(["Hi"], concurrency=8, temperature=0)
stream_error.partial and stream_error.partial.text.upper()
[attempt.duration for attempt in error.attempts]
image: Image = Image.from_path("photo.png")
"""
LINES = range(BEGINNING.count("\n") + 1, BEGINNING.count("\n") + MISTAKES.count("\n") + 1)


def marked_by_mypy(folder, text):
    (folder / "program.py").write_text(text)
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "program.py"],
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode < 2, run.stdout + run.stderr
    return {int(line): said for line, said in re.findall(r"^program\.py:(\d+): error: (.*)$", run.stdout, re.MULTILINE)}


@cache
def pyright():
    """The program, where it can be had: the package fetches it from npm when it is first called."""
    found = shutil.which("pyright", path=str(Path(sys.executable).parent))
    if found is None:
        return None
    # Test processes that fetch it at once would write over each other's files.
    with FileLock(Path(tempfile.gettempdir()) / "provider-kit-tests-pyright.lock", timeout=300):
        try:
            run = subprocess.run([found, "--version"], capture_output=True, check=False, timeout=200)
        except subprocess.TimeoutExpired:
            return None
    return found if run.returncode == 0 else None


def marked_by_pyright(folder, text):
    program = pyright()
    if program is None:
        pytest.skip("needs pyright, which needs node or npm")
    (folder / "program.py").write_text(text)
    (folder / "pyrightconfig.json").write_text(json.dumps({"extraPaths": [str(ROOT)], "typeCheckingMode": "standard"}))
    command = [program, "--outputjson", "--pythonpath", sys.executable, "program.py"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    found = json.loads(run.stdout)["generalDiagnostics"]
    return {one["range"]["start"]["line"] + 1: one["message"] for one in found if one["severity"] == "error"}


CHECKERS = [marked_by_mypy, marked_by_pyright]


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("marked_by", CHECKERS, ids=lambda one: one.__name__[10:])
def test_mistakes_are_marked_and_nothing_else_is(marked_by, tmp_path):
    """Misspelt keywords, wrong types, attributes that are none; also for who imports everything with a star."""
    marked = marked_by(tmp_path, BEGINNING + MISTAKES + RIGHT)
    lines = (BEGINNING + MISTAKES + RIGHT).splitlines()
    assert [lines[number - 1] for number in LINES if number not in marked] == []
    assert {lines[number - 1]: said for number, said in marked.items() if number not in LINES} == {}


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("marked_by", CHECKERS, ids=lambda one: one.__name__[10:])
def test_a_star_imports_types(marked_by, tmp_path):
    """Not Any."""
    text = 'from provider_kit import *\nClient("demo").chat("Hi").text.no\nRateLimitError("x").retry_after.no\n'
    assert set(marked_by(tmp_path, text)) == {2, 3}


# ------------------------------------------------------------------------------------------------ completions

#: What is typed, and the keyword that is offered.
OFFERED = [
    ("Client('demo', max_re", "max_retries="),
    ("Router(['demo'], str", "strategy="),
    *((f"client.{verb}('Hi', tem", "temperature=") for verb in ("chat", "achat", "stream", "astream", "run", "arun")),
    *((f"client.{verb}('Hi', tool_t", "tool_timeout=") for verb in ("run", "arun", "step", "astep")),
    *((f"client.{verb}('Hi', tool_t", "tool_timeout=") for verb in ("stream_run", "astream_run")),
    *((f"router.{verb}('Hi', tem", "temperature=") for verb in ("chat", "achat", "stream", "astream", "run", "arun")),
    *((f"talk.{verb}('Hi', tem", "temperature=") for verb in ("say", "asay", "stream", "astream")),
    ("client.map(['Hi'], conc", "concurrency="),
    ("client.map(['Hi'], tem", "temperature="),
    ("client.amap(['Hi'], tem", "temperature="),
    ("client.conversation(sys", "system="),
    ("client.with_options(tem", "temperature="),
    ("client.count_tokens('Hi', too", "tools="),
    ("client.estimate_cost('Hi', max_t", "max_tokens="),
    ("client.embed('Hi', dim", "dimensions="),
    ("client.chat('Hi').te", "text"),
    ("client.chat('Hi').usage.inp", "input_tokens"),
]


@pytest.mark.parametrize(("typed", "offered"), OFFERED, ids=[typed for typed, _ in OFFERED])
def test_jedi_completes(typed, offered):
    """Which IPython, Vim, Emacs and Spyder ask; it knows no ``Unpack``."""
    jedi = pytest.importorskip("jedi")
    text = "from provider_kit import Client, Router\nclient = Client('demo')\nrouter = Router(['demo'])\n"
    text += f"talk = client.conversation()\n{typed}"
    script = jedi.Script(text, project=jedi.Project(ROOT))
    assert offered in [one.name for one in script.complete(5, len(typed))]


@pytest.mark.parametrize(
    ("path", "name", "options"),
    [
        ("model/call_options.py", "chat_keywords", ChatOptions),
        ("model/call_options.py", "output_keywords", OutputOptions),
        ("tools/options.py", "run_keywords", RunOptions),
    ],
)
def test_the_keywords_for_editors_are_the_options(path, name, options):
    """Each, with its type."""
    tree = ast.parse((ROOT / "provider_kit" / path).read_text("utf-8"))
    (function,) = (one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef) and one.name == name)
    told = {one.arg: ast.unparse(one.annotation) for one in function.args.kwonlyargs}
    wanted = {key: ast.unparse(ast.parse(kind.__forward_arg__)) for key, kind in options.__annotations__.items()}
    assert told == wanted


@pytest.mark.parametrize("options", [ChatOptions, OutputOptions, RunOptions])
def test_each_option_has_a_text(options):
    """A string below it, which editors show."""
    module = Path(sys.modules[options.__module__].__file__)
    (cls,) = (one for one in ast.parse(module.read_text("utf-8")).body if getattr(one, "name", "") == options.__name__)
    body = cls.body[1:]
    assert [type(one) for one in body] == [ast.AnnAssign, ast.Expr] * (len(body) // 2)
    assert all(len(one.value.value) > 10 for one in body[1::2])


class LanguageServer:
    """Asks pyright as an editor does (Language Server Protocol)."""

    def __init__(self, program, folder):
        self._process = subprocess.Popen(
            [f"{program}-langserver", "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder
        )
        self._asked = 0
        folders = [{"uri": folder.as_uri(), "name": "program"}]
        capabilities = {
            "workspace": {"configuration": True, "workspaceFolders": True},
            "textDocument": {"hover": {"contentFormat": ["plaintext"]}},
        }
        self.ask("initialize", processId=os.getpid(), capabilities=capabilities, workspaceFolders=folders)
        self.tell("initialized")

    def _send(self, **message):
        data = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
        self._process.stdin.flush()

    def _read(self):
        length = 0
        while line := self._process.stdout.readline().strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        return json.loads(self._process.stdout.read(length))

    def tell(self, method, **parameters):
        self._send(method=method, params=parameters)

    def ask(self, method, **parameters):
        self._asked += 1
        self._send(id=self._asked, method=method, params=parameters)
        while True:
            message = self._read()
            if "method" in message and "id" in message:  # it asks for our settings
                wanted = message["method"] == "workspace/configuration"
                self._send(id=message["id"], result=[{} for _ in message["params"]["items"]] if wanted else None)
            elif message.get("id") == self._asked:
                return message["result"]

    def close(self):
        self._process.kill()
        self._process.communicate()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_pyright_completes_keywords_and_explains_each(tmp_path):
    """As in VS Code: offered after the comma, with a text where the mouse rests."""
    program = pyright()
    if program is None:
        pytest.skip("needs pyright, which needs node or npm")
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"extraPaths": [str(ROOT)]}))
    given = ", ".join(f"{name}=None" for name in RunOptions.__annotations__)
    lines = [
        "from provider_kit import Client",
        "client = Client('demo')",
        "client.chat('Hi', )",
        f"client.run('Hi', {given})",
    ]
    file = tmp_path / "program.py"
    file.write_text("\n".join(lines))
    server = LanguageServer(program, tmp_path)
    try:
        document = {"uri": file.as_uri(), "languageId": "python", "version": 1, "text": file.read_text()}
        server.tell("textDocument/didOpen", textDocument=document)
        found = server.ask(
            "textDocument/completion", textDocument=document, position={"line": 2, "character": len(lines[2]) - 1}
        )
        assert {f"{name}=" for name in ChatOptions.__annotations__} <= {one["label"] for one in found["items"]}
        for name in RunOptions.__annotations__:
            where = {"line": 3, "character": lines[3].index(f" {name}=") + 2}
            hover = server.ask("textDocument/hover", textDocument=document, position=where)
            said, _, text = hover["contents"]["value"].partition("\n\n")
            assert name in said
            assert len(text) > 10, name
    finally:
        server.close()
