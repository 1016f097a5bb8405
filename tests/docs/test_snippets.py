"""Everything the documents show is run as it stands there: Python, doctests, commands, examples."""

import base64
import doctest
import importlib
import importlib.util
import inspect
import logging
import os
import pkgutil
import re
import runpy
import shlex
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest
import yaml

import provider_kit
from provider_kit.cli import cli
from provider_kit.cli.chat_command import chat
from provider_kit.cli.default_command import with_command
from provider_kit.config.configuration import read_configuration
from provider_kit.doctor.examine import ORDER
from provider_kit.providers import registry
from provider_kit.testing import FakeServer, MockProvider
from provider_kit.transports.aiohttp_transport import AiohttpTransport
from provider_kit.transports.requests_transport import RequestsTransport

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [path for path in (ROOT / "README.rst", *sorted(DOCS.rglob("*.rst"))) if path.exists()]
TEXTS = [path for path in (*PAGES, ROOT / "CHANGELOG.rst", ROOT / "CONTRIBUTING.rst") if path.exists()]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
DOCTEST_FLAGS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
KEY = "sk-docs-0123456789abcdef"
#: The smallest files that are what their names say.
FILES = {
    "photo.png": base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
    ),
    "report.pdf": b"%PDF-1.4\n%%EOF\n",
    "voice.wav": b"RIFF\x08\x00\x00\x00WAVEfmt ",
    "notes.txt": b"Rivers begin as springs.\n",
}
LINK = re.compile(r":(doc|ref):`(?:[^`<]*<)?([^`>]+)>?`")


def by_name(path):
    return str(path.relative_to(ROOT))


# ------------------------------------------------------------------------------------------------ reading pages


def indented(lines, start, margin):
    """The block that begins at ``lines[start]`` and is indented by more than ``margin``: its first line, its text."""
    block = []
    position = start
    while position < len(lines) and (
        not lines[position].strip() or len(lines[position]) - len(lines[position].lstrip()) > margin
    ):
        block.append(lines[position])
        position += 1
    first = next((number for number, line in enumerate(block) if line.strip()), 0)
    if not block:
        return start, []
    indent = len(block[first]) - len(block[first].lstrip())
    return start + first, [line[indent:] for line in block[first:]]


def blocks(path):
    """``(kind, line, text)`` of each block of a page, in order; kinds are python, doctest, console and others."""
    lines = path.read_text("utf-8").splitlines()
    position = 0
    while position < len(lines):
        line = lines[position]
        margin = len(line) - len(line.lstrip())
        directive = re.match(r"\s*\.\. code-block:: *(\S+)", line)
        if directive or (line.rstrip().endswith("::") and not line.lstrip().startswith("..")):
            start, text = indented(lines, position + 1, margin)
            kind = directive[1] if directive else "console" if text and text[0].startswith("$ ") else "text"
            while directive and text and re.match(r":\w+:", text[0]):
                text.pop(0)
                start += 1
            yield kind, start + 1, "\n".join(text) + "\n"
            position = max(position + 1, start + len(text))
        elif line.lstrip().startswith(">>> "):
            end = position
            while end < len(lines) and lines[end].strip():
                end += 1
            yield "doctest", position + 1, "\n".join(text[margin:] for text in lines[position:end]) + "\n"
            position = end
        else:
            position += 1


def commands(path):
    """``(line, command, expected output)`` of what a page shows of the command ``provider-kit``."""
    for kind, line, text in blocks(path):
        if kind != "console":
            continue
        found = []
        for number, row in enumerate(text.splitlines()):
            if row.startswith("$ "):
                found.append((line + number, row[2:], []))
            elif found:
                found[-1][2].append(row)
        for where, command, output in found:
            if re.search(r"(?:^|\| *)provider-kit ", command):
                yield where, command, "\n".join(output).strip()


# ------------------------------------------------------------------------------------------------ one fake for all


@pytest.fixture(scope="module")
def server():
    with FakeServer() as running:
        yield running


def keys_and_addresses(server):
    """Environment variables that give each provider a key and the fake server's address."""
    variables = {}
    for name in registry.provider_names():
        provider = registry.find_provider(name)
        variables.update(dict.fromkeys(provider.key_variables[:1], KEY))
        variables.update(dict.fromkeys(provider.base_url_variables[:1], server.base_url(name)))
    return variables


def led_to(server, send):
    """The method of a transport, with other machines' addresses and the usual local ports replaced by the server's."""

    async def send_here(self, request, limits):
        parts = urlsplit(request.url)
        if parts.scheme == "https" or parts.port in (8000, 8080, 1234, 11434):
            request.url = server.url + request.url.partition(parts.netloc)[2]
        return await send(self, request, limits)

    return send_here


@pytest.fixture
def offline(server, monkeypatch, tmp_path):
    """No snippet leaves the machine: whatever would, and the usual local servers, is the fake server."""
    for name in registry.provider_names():
        for variable in registry.find_provider(name).key_variables[:1]:
            monkeypatch.setenv(variable, KEY)
    for variable in ("ANTHROPIC_API_KEY_1", "ANTHROPIC_API_KEY_2", "GEMINI_CLIENT_ID", "GEMINI_CLIENT_SECRET"):
        monkeypatch.setenv(variable, f"{variable.lower()}-0123456789")
    for transport in (RequestsTransport, AiohttpTransport):
        for verb in ("send", "open_stream"):
            monkeypatch.setattr(transport, verb, led_to(server, getattr(transport, verb)))
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    loggers = [logging.getLogger(name) for name in ("provider_kit", "provider_kit.http.dump")]
    before = [(logger.level, logger.propagate, list(logger.handlers)) for logger in loggers]
    yield
    for logger, (level, propagate, handlers) in zip(loggers, before, strict=True):
        for handler in logger.handlers:
            if handler not in handlers:
                handler.close()
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


class WholeMessages:
    """The traceback module as doctest sees it: the notes of an error belong to its message.

    Before Python 3.11.4 doctest took the last line of an error for its message, which is the last line of its notes.
    """

    def __getattr__(self, name):
        return getattr(traceback, name)

    @staticmethod
    def format_exception_only(*error):
        return ["".join(traceback.format_exception_only(*error))]


def run_doctest(text, namespace, name, line, monkeypatch):
    """Run a doctest in a namespace that later blocks share."""
    monkeypatch.setattr(doctest, "traceback", WholeMessages())
    test = doctest.DocTestParser().get_doctest(text, {}, name, name, line - 1)
    test.globs = namespace
    report = []
    doctest.DocTestRunner(optionflags=DOCTEST_FLAGS, verbose=False).run(test, out=report.append, clear_globs=False)
    assert not report, "".join(report)


def run_its_tests(namespace, done):
    """Call the test functions that a snippet has defined, with the fixtures that come with the package."""
    for name, function in list(namespace.items()):
        if not name.startswith("test_") or not inspect.isfunction(function) or name in done:
            continue
        done.add(name)
        with FakeServer() as fake, pytest.MonkeyPatch.context() as patch:
            known = {"fake_server": fake, "mock_provider": MockProvider(), "monkeypatch": patch}
            function(**{argument: known[argument] for argument in inspect.signature(function).parameters})


@pytest.mark.parametrize("path", PAGES, ids=by_name)
def test_the_python_of_a_page_runs(path, offline, monkeypatch):
    """Its blocks run one after the other in one namespace; tests that they define pass."""
    namespace = {"__name__": "snippet"}
    done = set()
    for kind, line, text in blocks(path):
        if kind == "yaml" and (name := re.match(r"# (\w+\.yaml)\n", text)):
            Path(name[1]).write_text(text)
        elif kind == "python":
            code = compile("\n" * (line - 1) + text, str(path), "exec")
            exec(code, namespace)  # the documents are ours
            run_its_tests(namespace, done)
        elif kind in ("doctest", "pycon"):
            run_doctest(text, namespace, by_name(path), line, monkeypatch)


def test_the_reader_sees_every_block():
    """As many as there are directives, so that none is passed over."""
    for path in PAGES:
        told = len(re.findall(r"^\s*\.\. code-block:: python$", path.read_text("utf-8"), re.MULTILINE))
        assert told == sum(kind == "python" for kind, _, _ in blocks(path)), path


@pytest.mark.parametrize("path", PAGES, ids=by_name)
def test_the_yaml_of_the_pages_is_right(path, offline):
    """Configuration files have no problem, unless the page says that they are wrong; all the rest is YAML."""
    for kind, line, text in blocks(path):
        if kind == "text" and text.startswith("# wrong\n"):
            assert read_configuration(text, path.name).problems, f"{by_name(path)}:{line}"
        elif kind == "yaml" and re.search(r"^(?:providers|custom):", text, re.MULTILINE):
            found = read_configuration(text, path.name)
            problems = [problem for problem in found.problems if problem.severity == "error"]
            assert not problems, f"{by_name(path)}:{line}: {problems}"
        elif kind == "yaml":
            assert isinstance(yaml.safe_load(text), dict), f"{by_name(path)}:{line}"


# ------------------------------------------------------------------------------------------------ commands


def run_command(command, environment, folder):
    shell = "; ".join(["set -o pipefail", command])
    return subprocess.run(
        ["bash", "-c", shell],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.long
def test_the_commands_of_the_pages_run(server, tmp_path):
    """Each ends with 0; those of the guide print what the page shows (``...`` stands for anything)."""
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    scripts = str(Path(sys.executable).parent)
    plain = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "PYTHONIOENCODING": "utf-8"}
    with_keys = {**plain, **keys_and_addresses(server)}
    # A command that names a provider gets its key; the others find none and talk to the demo provider.
    names = re.compile(rf"-m (?:{'|'.join(registry.provider_names())})/")
    shown = [(path, *command) for path in PAGES for command in commands(path)]
    assert shown
    with ThreadPoolExecutor(4) as pool:
        runs = list(
            pool.map(lambda row: run_command(row[2], with_keys if names.search(row[2]) else plain, tmp_path), shown)
        )
    for (path, line, command, expected), run in zip(shown, runs, strict=True):
        where = f"{by_name(path)}:{line}: {command}\n{run.stdout}{run.stderr}"
        assert run.returncode == 0, where
        if expected and path.parent == DOCS:
            # Errors go to standard error, which is shown first, as a terminal would in these examples.
            printed = f"{run.stderr.strip()}\n{run.stdout.strip()}".strip()
            wanted = expected if expected.endswith("...") else f"{expected}..." if "..." in expected else expected
            assert doctest.OutputChecker().check_output(f"{wanted}\n", f"{printed}\n", doctest.ELLIPSIS), where


def test_commands_that_need_a_person_are_understood():
    """A login cannot be run here (tests/cli does); its words are those the command knows."""
    shown = [
        line for path in PAGES for kind, _, text in blocks(path) if kind == "sh" for line in text.split("\n") if line
    ]
    assert any("auth login" in line for line in shown)
    for line in shown:
        program, *words = shlex.split(line)
        assert program == "provider-kit"
        words = with_command(words, list(cli.commands), [name for one in chat.params for name in one.opts])
        command = cli
        context = click.Context(cli, info_name=program)
        while isinstance(command, click.Group) and words:
            name, command, words = command.resolve_command(context, words)
            context = click.Context(command, parent=context, info_name=name)
        command.parse_args(context, words)


# ------------------------------------------------------------------------------------------------ docstrings, examples


def modules_with_doctests():
    found = []
    for info in pkgutil.walk_packages(provider_kit.__path__, "provider_kit."):
        if not info.name.endswith("__main__"):
            source = Path(importlib.util.find_spec(info.name).origin).read_text("utf-8")
            if re.search(r"^\s*>>> ", source, re.MULTILINE):
                found.append(info.name)
    return ["provider_kit", *found]


@pytest.mark.parametrize("name", modules_with_doctests())
def test_the_docstrings_of_a_module_run(name, offline):
    report = []
    runner = doctest.DocTestRunner(optionflags=DOCTEST_FLAGS, verbose=False)
    tests = [test for test in doctest.DocTestFinder().find(importlib.import_module(name)) if test.examples]
    assert tests
    for test in tests:
        runner.run(test, out=report.append)
    assert not report, "".join(report)


@pytest.mark.parametrize("path", EXAMPLES, ids=by_name)
def test_an_example_runs(path, offline, monkeypatch, capsys):
    """As ``python examples/….py``, without arguments."""
    monkeypatch.setattr(sys, "argv", [str(path)])
    runpy.run_path(str(path), run_name="__main__")
    told = capsys.readouterr()
    assert told.out.strip()
    assert not told.err


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in EXAMPLES
        if path.name not in ("custom_server.py", "log_in.py", "model_discovery_demo.py", "config_demo.py")
    ],
    ids=by_name,
)
def test_an_example_takes_a_target(path, offline, server, monkeypatch, capsys):
    """The first argument says whom to ask."""
    server.requests.clear()
    monkeypatch.setattr(sys, "argv", [str(path), "anthropic/claude-haiku-4-5"])
    runpy.run_path(str(path), run_name="__main__")
    assert {request.path for request in server.requests} == {"/v1/messages"}


def test_there_are_examples():
    assert {path.stem for path in EXAMPLES} >= {
        "attach_a_picture",
        "chat_asyncio",
        "config_demo",
        "custom_server",
        "demo_client",
        "demo_client_streaming",
        "log_in",
        "model_discovery_demo",
        "structured_answer",
        "tool_calling_demo",
        "many_records",
        "approve_in_a_script",
        "approve_in_a_queue",
        "approve_in_a_web_view",
    }


def test_every_example_is_shown():
    """The page has all programs of the folder, and no other."""
    shown = re.findall(r"^\.\. literalinclude:: \.\./(\S+)$", (DOCS / "examples.rst").read_text("utf-8"), re.MULTILINE)
    here = [*EXAMPLES, *(ROOT / "examples/web").glob("*.py"), *(ROOT / "examples/deploy").glob("[!.]*")]
    assert sorted(shown) == sorted(by_name(path) for path in here if path.is_file())


# ------------------------------------------------------------------------------------------------ what the pages say


def test_internal_links_lead_somewhere():
    """Pages, labels and included files exist, and every page is in a table of contents."""
    pages = {str(path.relative_to(DOCS).with_suffix("")) for path in DOCS.rglob("*.rst")}
    everything = {path: path.read_text("utf-8") for path in TEXTS}
    labels = {label for text in everything.values() for label in re.findall(r"^\.\. _([\w-]+):$", text, re.MULTILINE)}
    for path, text in everything.items():
        for role, target in LINK.findall(text):
            assert target.lstrip("/") in (pages if role == "doc" else labels), f"{by_name(path)} links to {target}"
        for included in re.findall(r"^\.\. include:: (\S+)$", text, re.MULTILINE):
            assert (path.parent / included).exists(), f"{by_name(path)} includes {included}"
        for named in re.findall(r"``((?:docs|examples|tests|provider_kit)/[\w/.-]+\.\w+)``", text):
            assert (ROOT / named).exists(), f"{by_name(path)} names {named}"
    tables = [everything[DOCS / f"{page}.rst"] for page in ("index", "providers", "api")]
    listed = {page for text in tables for page in re.findall(r"^   ([\w/-]+)$", text, re.MULTILINE)}
    assert listed == pages - {"index"}


def test_the_table_of_providers_is_the_code():
    """Names, variables, default models and addresses as the providers have them."""
    table = (DOCS / "providers.rst").read_text("utf-8")
    rows = dict(re.findall(r"^   \* - :doc:`(\w+) <providers/\1>`\n((?:     - .*\n)+)", table, re.MULTILINE))
    # Providers that installed packages or other tests brought are none of ours.
    assert rows.keys() == registry.built_in_names()
    for name, row in rows.items():
        provider = registry.find_provider(name)
        keys, urls, model, rest = [re.findall(r"``([^`]+)``", cell) for cell in row.strip().split("\n")]
        assert tuple(keys) == provider.key_variables, name
        assert tuple(urls) == provider.base_url_variables, name
        assert model == ([provider.default_model] if provider.default_model else []), name
        dialect = provider.make_dialects(provider_kit.ProviderConfig(type=name))(provider.default_model or "any")
        assert dialect.name in rest, name
        assert provider.base_url is None or provider.base_url in rest, name


def test_the_table_of_failures_is_the_code():
    """Every row and column of the matrix, in its order."""
    from provider_kit.policies.failure_rules import FAILURE_RULES

    page = (DOCS / "reliability.rst").read_text("utf-8")
    table = page[page.index("   * - Failure\n") : page.index("A stream counts as begun")]
    shown = [
        [text.strip() for text in re.split(r"\n     - ", row.strip())]
        for row in re.split(r"^   \* - ", table, flags=re.M)
    ][2:]
    assert shown == [
        [
            row.failure,
            row.same_key,
            "at once" if row.other_key else "no",
            row.key.value,
            row.next_provider,
            "yes" if row.breaker else "no",
        ]
        for row in FAILURE_RULES
    ]


def test_every_error_is_explained():
    """The tree names all of them; the table tells what to do about each one that is raised."""
    text = (DOCS / "errors.rst").read_text("utf-8")
    tree = text[text.index("   ProviderKitError\n") :]
    for name in provider_kit.errors.__all__:
        if name == "AuthErrorCode":
            continue
        assert re.search(rf"\b{name}\b", tree), name
        starred = re.search(rf"\b{name}\b[^\n]*\*$", tree, re.MULTILINE)
        abstract = name in ("ProviderKitError", "APIError", "ToolError")
        assert starred or abstract or f"   * - ``{name}``\n" in text, name


def test_every_public_name_is_in_the_reference():
    text = "".join(path.read_text("utf-8") for path in DOCS.glob("api/*.rst"))
    missing = [
        name
        for name in provider_kit.__all__
        if not name.startswith("__")
        and not re.search(rf"^\.\. auto\w+:: provider_kit\.(?:[\w.]+\.)?{name}\b", text, re.MULTILINE)
    ]
    assert not missing


def test_the_table_of_the_doctors_checks_is_the_code():
    """Each check, in the order in which they are shown."""
    page = (DOCS / "doctor.rst").read_text("utf-8")
    assert re.findall(r"^   \* - ``(\w+)``$", page, re.MULTILINE) == list(ORDER)
