"""The face of the package: names, types, and what importing it costs."""

import importlib
import json
import pkgutil
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

import provider_kit
from provider_kit import dialects, plugins, providers, testing, transports

HEAVY = ("requests", "urllib3", "aiohttp", "yaml", "oauthlib", "requests_oauthlib", "cattrs", "click", "asyncio")


def run(code, *arguments):
    """Run Python code in a process of its own and return what it prints, as JSON."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


LOADED = f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"


#: What users import, authors of providers, dialects and transports included. A name that is taken away breaks somebody.
FACES = (provider_kit, testing, dialects, plugins, providers, transports)


def test_nothing_documents_a_deeper_path():
    """Users see the package itself, and the faces for authors; what lies deeper may move."""
    # The second last one has a module for each framework, and the last one is a logger's name.
    shallow = {face.__name__ for face in FACES} | {"provider_kit.integrations", "provider_kit.http.dump"}
    root = Path(__file__).parents[1]
    pages = [root / "README.rst", *sorted((root / "docs").glob("*.rst")), *sorted((root / "examples").glob("*.py"))]
    for page in pages:
        if page.name == "architecture.rst":  # it is for those who change the library
            continue
        for name in re.findall(r"\bprovider_kit(?:\.[a-z_]+)+(?!\w|/)", page.read_text(encoding="utf-8")):
            known = any(name == face or name.startswith(f"{face}.") for face in shallow - {"provider_kit"})
            assert known or name.count(".") == 1 or name == "provider_kit", f"{page.name}: {name}"


def test_all_names_are_sorted_and_there():
    """``__all__`` is sorted, without doubles, and every name resolves."""
    for module in FACES:
        names = list(module.__all__)
        assert names == sorted(set(names))
        for name in names:
            assert getattr(module, name) is not None
        assert set(names) <= set(dir(module)) | {*names}
    assert set(provider_kit.__all__) <= set(dir(provider_kit))


def test_a_name_that_is_not_there_is_an_attribute_error():
    """So that ``hasattr`` and typing mistakes work as everywhere."""
    for module in FACES:
        with pytest.raises(AttributeError, match="has no attribute 'Nonsense'"):
            module.Nonsense  # noqa: B018
        assert not hasattr(module, "Nonsense")


def test_what_type_checkers_see_is_what_there_is():
    """The imports for type checkers and the lazy table name the same things."""
    import ast

    tree = ast.parse(files("provider_kit").joinpath("__init__.py").read_text(encoding="utf-8"))
    seen = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            for statement in node.body:
                assert isinstance(statement, ast.ImportFrom)
                seen |= {alias.asname: statement.module for alias in statement.names}
    assert seen == {name: module for module, names in provider_kit._HOMES.items() for name in names}


def test_the_version_is_that_of_the_package():
    """A literal, equal to the installed metadata."""
    from importlib.metadata import version

    assert provider_kit.__version__ == version("provider-kit")


def test_the_package_is_typed():
    """py.typed is there."""
    assert files("provider_kit").joinpath("py.typed").is_file()


def test_every_module_can_be_imported_and_says_what_it_is():
    """Each has a docstring, and every name it lists is there."""
    for found in pkgutil.walk_packages(provider_kit.__path__, "provider_kit."):
        if found.name.endswith(("__main__", "pytest_plugin")):
            continue
        if ".django.records." in found.name:
            continue  # models need the settings of a project; the tests of Django have them
        module = importlib.import_module(found.name)
        assert module.__doc__ or found.name.endswith("_version"), found.name
        names = list(getattr(module, "__all__", ()))
        assert len(names) == len(set(names)), found.name
        for name in names:
            assert hasattr(module, name), (found.name, name)


def test_importing_loads_no_library_that_is_not_needed():
    """Neither HTTP libraries nor YAML, OAuth or cattrs."""
    assert run(f"import json, sys, provider_kit\n{LOADED}") == []


def test_making_a_client_loads_no_http_library():
    """requests is loaded with the first blocking call, aiohttp with the first awaited one."""
    code = (
        "import json, sys, os\nfrom provider_kit import Client, Message, Image, ProviderConfig\n"
        "Client('openai/gpt-4o', api_key='k')\nClient(ProviderConfig(type='anthropic', api_key='k'))\n"
        "Client('gemini'); Client('http://127.0.0.1:1/v1')\n"
    )
    assert run(code + LOADED) == []


def test_the_first_call_loads_only_the_library_of_its_world():
    """A blocking program never loads aiohttp, an asyncio program never loads requests."""
    call = "from provider_kit import Client\nclient = Client('http://127.0.0.1:9/v1', model='m', max_retries=0)\n"
    blocking = run(f"import json, sys\n{call}assert not client.health_check()\n{LOADED}")
    assert "requests" in blocking
    assert "aiohttp" not in blocking
    awaited = run(f"import json, sys, asyncio\n{call}assert not asyncio.run(client.ahealth_check())\n{LOADED}")
    assert "aiohttp" in awaited
    assert "requests" not in awaited


def test_importing_is_quick():
    """A generous bound; a library of this size needs a fraction of it."""
    code = (
        "import json, time\nstart = time.perf_counter()\nimport provider_kit\n"
        "from provider_kit import Client\nClient('openai/gpt-4o', api_key='k')\n"
        "print(json.dumps(time.perf_counter() - start))"
    )
    assert min(run(code) for _ in range(3)) < 1.0


def test_importing_touches_neither_network_nor_files_nor_environment():
    """Only modules are read; no socket is opened, no thread started, no variable asked for."""
    code = """
import json, sys, os, threading
sys.dont_write_bytecode = True
import attrs, inspect, importlib.metadata, ast, decimal, typing, datetime, email.utils, ipaddress, json.decoder
seen = []
def hook(event, arguments):
    if event.startswith(("socket.", "subprocess.", "os.system", "os.listdir", "os.mkdir", "urllib.")):
        seen.append([event, str(arguments)])
    if event == "open" and not str(arguments[0]).endswith((".py", ".pyc", ".so", ".zip", ".pyd")):
        if "__pycache__" not in str(arguments[0]):
            seen.append([event, str(arguments)])
class Watched(dict):
    pass
real = os.environ
class Environment(type(real)):
    def __getitem__(self, name):
        if not name.startswith("PYTHON"):
            seen.append(["environment", name])
        return super().__getitem__(name)
os.environ = Environment(real._data, real.encodekey, real.decodekey, real.encodevalue, real.decodevalue)
sys.addaudithook(hook)
import provider_kit
for name in provider_kit.__all__:
    if name not in ("ScriptedTransport",):
        getattr(provider_kit, name)
seen = [item for item in seen if "os.listdir" not in item[0]]
print(json.dumps([seen, threading.active_count()]))
"""
    seen, threads = run(code)
    assert seen == []
    assert threads == 1


def test_the_doctest_of_the_package_holds():
    """The first thing a reader sees works."""
    import doctest

    assert doctest.testmod(provider_kit).failed == 0
    assert doctest.testmod(testing).failed == 0
