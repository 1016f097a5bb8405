"""Imports run downward only, and only one folder waits. Read from the source, not from memory."""

import ast
import functools
import importlib.util
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = files("provider_kit")

_drawing = importlib.util.spec_from_file_location(
    "draw_architecture", Path(__file__).parents[1] / "docs" / "draw_architecture.py"
)
_drawn = importlib.util.module_from_spec(_drawing)
_drawing.loader.exec_module(_drawn)

#: The order of the rooms, as it is drawn.
LAYERS = _drawn.LAYERS
HEIGHT = {room: height for height, rooms in enumerate(LAYERS) for room in rooms}
#: Modules that wait, and the rooms that may import them.
WAITING = ("asyncio", "threading", "time", "requests", "aiohttp", "urllib3", "socket", "select", "concurrent", "queue")
MAY_WAIT = ("transports", "stores", "testing", "cli", "integrations")
#: Rooms and modules of others that own a file, a lock of a file, or a server.
MAY_WAIT_TOO = (
    ("auth", "storage"),
    ("auth", "sessions"),
    ("auth", "oauth", "loopback"),
    ("observability", "http_dump"),
    # They take a lock only if it is free, and ask which thread they are in: the garbage collector may call them.
    ("observability", "prometheus"),
    ("plugins", "opentelemetry"),
    ("plugins", "otel_live"),
    ("plugins", "otel_metrics"),
)


@functools.cache
def modules():
    """The parts of each module's name, and its tree."""
    return list(_modules())


def _modules():
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield parts, ast.parse(path.read_text(encoding="utf-8"))


def imports(parts, tree):
    """What a module imports, wherever in it, except for type checkers only."""
    for_types = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for_types |= {id(inner) for statement in node.body for inner in ast.walk(statement)}
    for node in ast.walk(tree):
        typing_only = id(node) in for_types
        if isinstance(node, ast.Import):
            yield from ((alias.name, (), typing_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {parts}"
            yield node.module, tuple(alias.name for alias in node.names), typing_only


def room(name):
    """The room of a module's dotted name, None outside the package and for the package itself."""
    head, _, rest = name.partition(".")
    return rest.partition(".")[0] if head == "provider_kit" and rest else None


MODULES = [pytest.param(parts, tree, id="/".join(parts)) for parts, tree in modules()]


@pytest.mark.parametrize(("parts", "tree"), MODULES)
def test_imports_run_downward_only(parts, tree):
    """Each layer imports lower ones only; the order is that of LAYERS.

    The errors, below everything, name what they carry (an answer, attempts, calls) for type checkers alone.
    """
    if parts == ("__init__",):
        return  # names only, loaded on demand
    height = HEIGHT[parts[0]]
    for name, names, typing_only in imports(parts, tree):
        if typing_only and parts == ("errors",):
            continue
        if name == "provider_kit":
            pytest.fail(f"{'/'.join(parts)} imports {names} from the package itself")
        below = room(name)
        if below is not None and below != parts[0]:
            lower = HEIGHT[below] < height or (HEIGHT[below] == height and _stands_before(below, parts[0]))
            assert lower, f"{'/'.join(parts)} imports {name}"


def _stands_before(below, above):
    """Within a layer, a room may import those that are named before it."""
    rooms = LAYERS[HEIGHT[above]]
    return rooms.index(below) < rooms.index(above)


@pytest.mark.parametrize(("parts", "tree"), MODULES)
def test_only_transports_wait(parts, tree):
    """HTTP libraries, clocks and threads stand in one folder; a lock is allowed where state is shared."""
    if parts[0] in MAY_WAIT or any(parts[: len(of)] == of for of in MAY_WAIT_TOO):
        return
    for name, names, typing_only in imports(parts, tree):
        top = name.partition(".")[0]
        if top not in WAITING or typing_only:
            continue
        assert top == "threading", f"{'/'.join(parts)} imports {name}"
        with_locks = ("auth", "policies", "config", "schema", "observability")
        assert parts[0] in with_locks, f"{'/'.join(parts)} imports {name}"
        assert not names or set(names) <= {"RLock"}
        used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is(node, "threading")}
        assert used <= {"RLock"}


def _is(node, name):
    return isinstance(node.value, ast.Name) and node.value.id == name


@pytest.mark.parametrize(("parts", "tree"), MODULES)
def test_the_core_does_not_know_the_testing_package(parts, tree):
    """Only the registry names it, as text."""
    if parts[0] in ("testing", "cli"):
        return
    # The frameworks' own commands pass on to that of the library.
    allowed = {"__main__": ("testing", "cli"), "integrations": ("cli",)}.get(parts[0], ())
    assert all(room(name) not in ("testing", "cli") or room(name) in allowed for name, _, _ in imports(parts, tree))
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    if parts != ("providers", "registry"):
        assert not any(text.startswith("provider_kit.testing") for text in texts)


@functools.cache
def _coroutines(*rooms):
    """Names of the coroutines that rooms define."""
    return {
        node.name
        for parts, tree in modules()
        if parts[0] in rooms
        for node in ast.walk(tree)
        if isinstance(node, ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize(("parts", "tree"), MODULES)
def test_the_engine_awaits_the_transport_and_nothing_else(parts, tree):
    """What the engine awaits: the transport, its streams, keys and stores of the user's, or the engine's own."""
    if parts[0] != "engine":
        return
    transport = {
        "send",
        "open_stream",
        "sleep",
        "read",
        "drain",
        "aclose",
        "wait",
        "call_blocking",
        "spawn",
        "download",
    }
    users_own = {"_middleware", "method", "result"}
    keys_and_stores = {"fetch", "renew", "retry_dead", "run"}
    # Handed in by whoever is asked: an exchange, the handler behind, what is to be done first or afterwards.
    handed_in = {"told", "exchange", "handle", "work", "after", "once", "anext", "_WHOLE"}
    allowed = transport | users_own | keys_and_stores | handed_in | _coroutines("engine")
    for node in ast.walk(tree):
        if isinstance(node, ast.Await):
            awaited = node.value
            for call in [awaited.body, awaited.orelse] if isinstance(awaited, ast.IfExp) else [awaited]:
                called = call if isinstance(call, ast.Name) else call.func
                called = called.value if isinstance(called, ast.Subscript) else called
                name = called.attr if isinstance(called, ast.Attribute) else called.id
                assert name in allowed, ast.unparse(node)


@pytest.mark.parametrize(("parts", "tree"), MODULES)
def test_a_module_that_awaits_nothing_imports_nobody_who_waits(parts, tree):
    """Purity is not a folder: below the engine's root, what has no coroutine decides, and never waits."""
    rooms = ("model", "wire", "dialects", "providers", "policies", "engine")
    if parts[0] not in rooms or parts == ("engine", "assembly"):
        return
    if any(isinstance(node, ast.AsyncFunctionDef) for node in ast.walk(tree)):
        return
    for name, names, typing_only in imports(parts, tree):
        below = room(name)
        if typing_only or below not in ("transports", "stores", "observability"):
            continue
        # Protocols and types may be named; the modules that wait may not.
        pure = tuple(
            f"provider_kit.{name}"
            for name in ("transports.base", "transports.pair", "transports.callers_own", "stores.base")
        )
        assert name in pure or name == "provider_kit.transports.runtime_blocking", f"{'/'.join(parts)}: {name} {names}"


def test_no_room_is_unknown():
    """A new folder must find its place in the order."""
    assert {parts[0] for parts, _ in modules()} - {"__init__"} <= set(HEIGHT)


@pytest.mark.parametrize(("parts", "tree"), MODULES)
def test_no_branch_asks_for_a_providers_name(parts, tree):
    """A registry, never a ladder of comparisons with provider names."""
    from provider_kit import provider_names

    if parts[0] in ("testing", "cli", "providers"):
        return
    names = set(provider_names())
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            texts = {c.value for c in ast.walk(node) if isinstance(c, ast.Constant) and isinstance(c.value, str)}
            assert not texts & names, ast.unparse(node)
