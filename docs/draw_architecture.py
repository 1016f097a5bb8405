"""Draws ``docs/architecture.svg`` from the source: the rooms of the package in their layers, and who imports whom.

::

    $ python docs/draw_architecture.py

A test holds the picture current, and the imports to the order of :data:`LAYERS`.
"""

from __future__ import annotations

import ast
from html import escape
from pathlib import Path

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "provider_kit"
PICTURE = HERE / "architecture.svg"

#: From the bottom to the top; a room may import from the rooms of lower layers, from those named before it in its own
#: layer, and from itself.
LAYERS = (
    ("_version", "error_guide", "short_traceback", "errors"),
    ("model",),
    ("wire", "schema", "catalog", "tokens"),
    ("dialects",),
    ("providers",),
    ("policies",),
    ("transports",),
    ("stores", "observability"),
    ("auth",),
    ("engine",),
    ("routing",),
    ("plugins",),
    ("config",),
    ("doctor",),
    ("structured",),
    ("tools",),
    ("conversations", "bulk"),
    ("client", "frozen"),
    ("testing", "cli", "integrations", "__main__"),
)

ROW, CELL, LEFT, TOP = 26, 18, 760, 66
ROOMS = [room for layer in reversed(LAYERS) for room in reversed(layer) if not room.startswith("_")]


def door(room: str) -> str:
    """The first sentence of a room's docstring, without markup."""
    path = PACKAGE / room / "__init__.py"
    tree = ast.parse((path if path.exists() else PACKAGE / f"{room}.py").read_text("utf-8"))
    text = " ".join((ast.get_docstring(tree) or "").split("\n\n")[0].split())
    for end in (". ", "; "):
        text = text.partition(end)[0]
    return text.replace("``", "").rstrip(".")


def imports_of(room: str) -> set[str]:
    """The other rooms from which a room imports, wherever in it, for type checkers too."""
    folder = PACKAGE / room
    found = set()
    for path in sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{room}.py"]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else names
            found |= {name.split(".")[1] for name in names if name.startswith("provider_kit.")}
    return found - {room}


def draw() -> str:
    """The picture, as SVG."""
    width, height = LEFT + CELL * len(ROOMS) + 40, TOP + ROW * len(ROOMS)
    y_of = {room: TOP + ROW * number for number, room in enumerate(ROOMS)}
    x_of = {room: LEFT + CELL * number for number, room in enumerate(ROOMS)}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"',
        ' font-family="sans-serif" font-size="12">',
        "<title>The rooms of provider_kit in their layers, and who imports whom</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="14" y="{TOP - 34}" fill="#555">A room imports only from rooms below it: ● in its row.</text>',
    ]
    for number, layer in enumerate(reversed(LAYERS)):
        rooms = [room for room in reversed(layer) if room in y_of]
        top = y_of[rooms[0]] - 17
        shade = "#eef3f8" if number % 2 else "#e2ebf3"
        parts.append(
            f'<rect x="6" y="{top}" width="{width - 12}" height="{ROW * len(rooms) - 2}" rx="4" fill="{shade}"/>'
        )
    for room in ROOMS:
        y = y_of[room]
        parts.append(f'<text x="14" y="{y}" font-weight="bold" fill="#123">{escape(room)}</text>')
        parts.append(f'<text x="120" y="{y}" font-size="11" fill="#345">{escape(door(room))}</text>')
        x = x_of[room]
        parts.append(f'<text x="{x}" y="{y}" text-anchor="middle" fill="#9ab">–</text>')
        parts.append(
            f'<text x="{x}" y="{TOP - 20}" font-size="9" fill="#555" transform="rotate(-45 {x} {TOP - 20})">'
            f"{escape(room)}</text>"
        )
        for other in sorted(imports_of(room) & y_of.keys()):
            parts.append(f'<circle cx="{x_of[other]}" cy="{y - 4}" r="4" fill="#2b6cb0"/>')
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(draw(), "utf-8")
