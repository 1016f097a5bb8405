"""What the command costs: ``--help``, and the CPU of ``chat`` until its first byte, over the bare library call.

    python benchmarks/command.py [rounds]

CPU is read from /proc at the moment the first byte of the answer arrives (Linux). The server holds the rest
of the answer back until then, so that nothing behind the first byte is counted.
"""

from __future__ import annotations

import os
import pty
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from provider_kit.testing import FakeServer

LIBRARY = """
import sys
from provider_kit import Client
for chunk in Client(sys.argv[1]).stream("Hello"):
    sys.stdout.write(chunk.text); sys.stdout.flush()
"""


def cpu_ms(process: int) -> float:
    """CPU that a process has used, all its threads together, in milliseconds."""
    nanoseconds = 0
    for task in Path(f"/proc/{process}/task").iterdir():
        nanoseconds += int((task / "schedstat").read_text().split()[0])
    return nanoseconds / 1e6


def first_byte(command: list[str], environment: dict[str, str], terminal: bool) -> float:
    """CPU of a command until the first byte of its answer, in milliseconds."""
    if terminal:
        reading, writing = pty.openpty()
    else:
        reading, writing = os.pipe()
    process = subprocess.Popen(
        command, stdout=writing, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=environment
    )
    os.close(writing)
    received = b""
    while b"one" not in received:
        piece = os.read(reading, 4096)
        if not piece:
            raise RuntimeError(f"{command} printed nothing: {received!r}")
        received += piece
    used = cpu_ms(process.pid)
    process.kill()
    process.wait()
    os.close(reading)
    return used


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    help_times, results = [], {"library": [], "chat, piped": [], "chat, terminal": []}
    with FakeServer() as server, tempfile.TemporaryDirectory() as home:
        server.always(stall_after=2)
        environment = {
            **os.environ,
            "OPENAI_API_KEY": "sk-fake-0123456789abcdef",
            "OPENAI_BASE_URL": server.base_url(),
            "HOME": home,
            "TERM": "xterm-256color",
        }
        chat = [sys.executable, "-m", "provider_kit", "chat", "-m", "openai/gpt-4o", "Hello"]
        library = [sys.executable, "-c", LIBRARY, "openai/gpt-4o"]
        for _ in range(rounds):
            started = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "provider_kit", "--help"], check=True, capture_output=True, env=environment
            )
            help_times.append((time.perf_counter() - started) * 1000)
            for name, command, terminal in (
                ("library", library, False),
                ("chat, piped", chat, False),
                ("chat, terminal", chat, True),
            ):
                server.reply("one two three four five six")
                results[name].append(first_byte(command, environment, terminal))
    print(f"provider-kit --help      {statistics.median(help_times):6.1f} ms (slowest {max(help_times):.1f})")
    base = statistics.median(results["library"])
    for name, values in results.items():
        middle = statistics.median(values)
        print(f"{name:<24} {middle:6.1f} ms CPU to the first byte, {middle - base:+6.1f} over the library")


if __name__ == "__main__":
    main()
