"""Imports run downward only, and only one folder waits. Read from the source, not from memory."""

import ast
from importlib.resources import files

import pytest

ROOT = files("provider_kit")

#: From the bottom to the top; a room may import from the rooms of lower layers and from itself.
LAYERS = (
    ("_version", "error_guide", "errors"),
    ("model",),
    ("wire",),
    ("dialects",),
    ("providers",),
    ("policies",),
    ("transports",),
    ("stores", "observability"),
    ("auth",),
    ("engine",),
    ("config",),
    ("doctor",),
    ("client", "frozen"),
    ("testing", "cli", "__main__"),
)
HEIGHT = {room: height for height, rooms in enumerate(LAYERS) for room in rooms}
#: Modules that wait, and the rooms that may import them.
WAITING = ("asyncio", "threading", "time", "requests", "aiohttp", "urllib3", "socket", "select", "concurrent", "queue")
MAY_WAIT = ("transports", "stores", "testing", "cli")
#: Rooms and modules of others that own a file, a lock of a file, or a server.
MAY_WAIT_TOO = (
    ("auth", "storage"),
    ("auth", "sessions"),
    ("auth", "oauth", "loopback"),
    ("observability", "http_dump"),
)


def modules():
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
    """Each layer imports lower ones only; the order is that of LAYERS."""
    if parts == ("__init__",):
        return  # names only, loaded on demand
    height = HEIGHT[parts[0]]
    for name, names, _ in imports(parts, tree):
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
        assert parts[0] in ("auth", "policies", "config"), f"{'/'.join(parts)} imports {name}"
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
    assert all(room(name) not in ("testing", "cli") or parts == ("__main__",) for name, _, _ in imports(parts, tree))
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    if parts != ("providers", "registry"):
        assert not any(text.startswith("provider_kit.testing") for text in texts)


@pytest.mark.parametrize(("parts", "tree"), MODULES)
def test_the_engine_awaits_the_transport_and_nothing_else(parts, tree):
    """What the engine awaits: the transport, its streams, keys and stores of the user's, or the engine's own."""
    if parts[0] != "engine":
        return
    transport = {"send", "open_stream", "sleep", "read", "drain", "aclose", "wait", "call_blocking"}
    engine = {"begin", "succeeded", "failed", "judge", "broke_off", "enter", "take", "finish", "learn", "keep", "emit"}
    engine |= {"look_up", "acquire_slot", "wait_for_turn", "wait_for_advertised_limits", "count_of_the_day", "pause"}
    users_own = {"fetch", "run", "method", "result", "read", "function", "call_user"}
    logins = {"ask", "discover", "obtain", "renew", "receive", "answer", "_tell", "keep"}
    # Of the place a token is stored in, and of the refresh that goes on by itself.
    logins |= {"read", "write", "delete", "lock", "lock_or_none", "try_lock", "unlock", "spawn", "retry_dead"}
    logins |= {"_look", "_store", "_still_there", "_unlock"}  # of the token that is kept fresh
    allowed = transport | engine | users_own | logins
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Await):
            awaited = node.value
            for call in [awaited.body, awaited.orelse] if isinstance(awaited, ast.IfExp) else [awaited]:
                if isinstance(call, ast.Name):
                    name = call.id  # what a callable of the user's returned
                else:
                    name = call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id
                assert name in allowed | own, ast.unparse(node)


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
