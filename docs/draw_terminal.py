"""Draw ``docs/terminal.svg``: a session at a terminal, as it is. Run it again when the command prints something else.

The commands run in a pseudoterminal, with the demo provider and an empty home; rich draws what they print.
"""

import io
import os
import pty
import re
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parent / "terminal.svg"
WIDTH = 88
#: Commands, and the first and the last lines that are shown of each; None: all.
SESSION = [
    ('provider-kit "What is 20 + 22?"', None),
    ("cat note.txt | provider-kit --schema 'name, age int'", None),
    ("provider-kit models claude-opus-5", None),
    ("provider-kit chat -m gpt4o Hello", None),
    ("provider-kit doctor demo", (1, 8)),
]
NOTE = "There was Ada, who is 36 years old.\n"
#: A page of rich's without the fonts that it would load from elsewhere.
PAGE = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title>provider-kit at a terminal</title>
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: {char_height}px; line-height: {line_height}px; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
<rect fill="#1b1f24" x="0" y="0" width="{width}" height="{height}" rx="8"/>
<g transform="translate({terminal_x}, 20)" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def printed(command, folder):
    """What a command prints to a terminal."""
    child, terminal = pty.fork()
    if child == 0:
        scripts = str(Path(sys.executable).parent)
        kept = {name: os.environ[name] for name in ("LANG", "PYTHONPATH") if name in os.environ}
        os.chdir(folder)
        os.execvpe(
            "bash",
            ["bash", "-c", command],
            {
                **kept,
                "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
                "HOME": folder,
                "TERM": "xterm-256color",
                "COLUMNS": str(WIDTH),
                "LINES": "60",
                "PROVIDER_KIT_LOGS": "off",
            },
        )
    received = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        received += piece
    os.waitpid(child, 0)
    os.close(terminal)
    return shown(received.decode())


def shown(text):
    """What is left on the screen, in colour."""
    lines = []
    for line in text.replace("\x1b[?25l", "").replace("\x1b[?25h", "").split("\n"):
        # A line that was written over shows what was written last.
        last = re.split(r"\r(?!$)", line.rstrip("\r"))[-1]
        lines.append(re.sub(r"\x1b\[\d*[AKJ]", "", last).rstrip())
    return "\n".join(lines).strip("\n")


def session():
    """The whole of it."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "note.txt").write_text(NOTE)
        for command, lines in SESSION:
            text = printed(command, folder)
            text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8000", text)
            text = re.sub(r"port \d+", "port 8000", text)
            yield command, text if lines is None else "\n".join(text.splitlines()[lines[0] : lines[1]])


def main():
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for command, text in session():
        console.print(Text.assemble(("$ ", "bold green"), (command, "bold white")))
        console.print(Text.from_ansi(text))
        console.print()
    drawn = console.export_svg(title="", code_format=PAGE, unique_id="terminal")
    PICTURE.write_text(re.sub(r"[ \t]+$", "", drawn, flags=re.MULTILINE), "utf-8")


if __name__ == "__main__":
    main()
