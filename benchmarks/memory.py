"""Memory of open streams: 500 at once on one client, as KB each."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from contenders import contenders
from upstream import running

COUNT = 500


def rss_kb() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


async def measure(contender: Any) -> float:
    await contender.open()
    async for _ in contender.astream("chunks=5"):
        pass
    before = rss_kb()
    arrived = 0
    all_here = asyncio.Event()

    async def read() -> None:
        nonlocal arrived
        count = 0
        async for _ in contender.astream("chunks=5 hold=4000"):
            count += 1
            if count == 4:
                arrived += 1
                if arrived == COUNT:
                    all_here.set()

    tasks = [asyncio.create_task(read()) for _ in range(COUNT)]
    await asyncio.wait_for(all_here.wait(), 3.5)
    each = (rss_kb() - before) / COUNT
    await asyncio.gather(*tasks)
    await contender.close()
    return each


def main() -> None:
    """One contender to a process, named on the command line; without a name, all of them."""
    kinds = {kind.name: kind for kind in contenders() if hasattr(kind, "astream")}
    if len(sys.argv) > 1:
        with running() as base:
            print(f"{sys.argv[1]:<14} {asyncio.run(measure(kinds[sys.argv[1]](base))):6.1f} KB a stream")
        return
    import subprocess

    for name in kinds:
        subprocess.run([sys.executable, __file__, name], check=True)


if __name__ == "__main__":
    main()
