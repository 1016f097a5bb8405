"""What importing costs, and how much memory a first blocking call takes, over a bare interpreter."""

from __future__ import annotations

import statistics
import subprocess
import sys
from importlib.util import find_spec

from upstream import running

MEASURE = """
import sys, time
def rss():
    for line in open('/proc/self/status'):
        if line.startswith('VmRSS'): return int(line.split()[1]) / 1024
base = rss(); modules = len(sys.modules); start = time.perf_counter()
{action}
print((time.perf_counter() - start) * 1000, len(sys.modules) - modules, rss() - base)
"""


def measure(action: str) -> list[float]:
    runs = []
    for _ in range(7):
        output = subprocess.run([sys.executable, "-c", MEASURE.format(action=action)], capture_output=True, check=True)
        runs.append([float(word) for word in output.stdout.split()])
    return [statistics.median(column) for column in zip(*runs, strict=True)]


def main() -> None:
    with running() as base:
        made = f"Client('openai/gpt-4o', api_key='sk-x123456789', base_url='{base}/v1')"
        call = f"from provider_kit import Client; c = {made}"
        actions = {
            "import provider_kit": "import provider_kit",
            "import provider_kit, make a client": call,
            "... and make the first blocking call": f"{call}; c.chat('x').text",
            "import requests": "import requests",
            "import aiohttp": "import aiohttp",
        }
        actions |= {
            f"import {name}": f"import {name}" for name in ("openai", "anthropic", "litellm") if find_spec(name)
        }
        print(f"{'':40} {'ms':>8} {'modules':>8} {'MB':>8}")
        for name, action in actions.items():
            milliseconds, modules, megabytes = measure(action)
            print(f"{name:40} {milliseconds:8.1f} {modules:8.0f} {megabytes:8.1f}")


if __name__ == "__main__":
    main()
