"""The same three tasks through each library, on one fake server: lines, requests, tokens, and CPU of a step.

An agent with three functions; 200 typed records with a limit and a progress bar; two turns of a conversation. The
programs are in ``agent_programs``; what counts is their lines as ruff formats them. CPU of a step is the slope between
a short and a long run of the agent, so that what a library does once is not in it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from provider_kit.dialects.replies import Asked, Reply
from provider_kit.testing import FakeServer

HERE = Path(__file__).parent / "agent_programs"
LIBRARIES = {
    "provider_kit": "provider_kit",
    "pydantic-ai": "pydantic_ai",
    "instructor": "instructor",
    "openai-agents": "agents",
}
FOLDERS = {
    "provider_kit": "provider_kit_",
    "pydantic-ai": "pydantic_ai_",
    "instructor": "instructor_",
    "openai-agents": "openai_agents_",
}
TASKS = ("agent", "records", "talk")
KEY = "sk-benchmark-0123456789abcdef"
SHORT, LONG, ROUNDS = 20, 220, 3

#: The agent as a loop of many steps; printed is the CPU time of the process.
LOOPS = {
    "provider_kit": """
from tools import weather
from provider_kit import Client
client = Client("openai/gpt-4o")
result = client.run("Plan.", tools=[weather], max_steps=10_000)
""",
    "provider_kit, asyncio": """
import asyncio
from tools import weather
from provider_kit import Client
async def later(city: str, days: int = 1) -> str:
    return weather(city, days)
later.__name__, later.__doc__ = "weather", weather.__doc__
asyncio.run(Client("openai/gpt-4o").arun("Plan.", tools=[later], max_steps=10_000))
""",
    "pydantic-ai": """
import asyncio
from tools import weather
from pydantic_ai import Agent, UsageLimits
agent = Agent("openai-chat:gpt-4o", tools=[weather])
asyncio.run(agent.run("Plan.", usage_limits=UsageLimits(request_limit=None)))
""",
    "openai-agents": """
import asyncio
from tools import weather
from agents import Agent, Runner, function_tool, set_tracing_disabled
set_tracing_disabled(True)
agent = Agent("planner", model="gpt-4o", tools=[function_tool(weather)])
asyncio.run(Runner.run(agent, "Plan.", max_turns=10_000))
""",
}
END = """
import resource
used = resource.getrusage(resource.RUSAGE_SELF)
print("CPU", used.ru_utime + used.ru_stime)
"""


class Model:
    """Answers the tasks: so many tool calls before the answer, a record, or what was said before."""

    def __init__(self) -> None:
        self.steps = 3

    def respond(self, asked: Asked) -> Reply:
        if "weather" in asked.tools:
            done = sum(role == "tool" for role, _ in asked.turns)
            if done < self.steps:
                name = list(asked.tools)[done % len(asked.tools)]
                arguments = {
                    "weather": {"city": f"City{done}"},
                    "convert": {"amount": 100.0 + done, "to": "EUR"},
                    "book": {"hotel": f"Hotel{done}", "nights": 2},
                }[name]
                return Reply(tool_calls=[{"name": name, "arguments": arguments, "id": f"call_{done}"}])
            return Reply("The trip is planned.")
        found = re.search(r"There was (\w+), who is (\d+)", asked.last[1])
        if found:
            name, age = found.groups()
            if asked.schema is None:  # the record as the arguments of a tool
                tool = next(iter(asked.tools))
                return Reply(tool_calls=[(tool, {"name": name, "age": int(age)})])
            record = f'{{"name": "{name}", "age": {age}}}'
            outer = list(asked.schema.get("properties") or ())
            return Reply(record if "name" in outer else f'{{"{outer[0]}": {record}}}')  # some wrap it
        return Reply("Your name is Ada." if len(asked.turns) > 2 else "Nice to meet you!")


def run(server: FakeServer, code: list[str]) -> str:
    environment = {
        **os.environ,
        "OPENAI_BASE_URL": server.base_url(),
        "OPENAI_API_KEY": KEY,
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
        "PYTHONPATH": str(HERE),
    }
    done = subprocess.run(
        [sys.executable, *code], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return done.stdout


def lines_of(path: Path) -> int:
    return sum(bool(line.strip()) for line in path.read_text("utf-8").splitlines())


def main() -> None:
    installed = [name for name, module in LIBRARIES.items() if find_spec(module)]
    model = Model()
    with FakeServer(respond=model.respond, check_schemas=False) as server:
        print(f"{'':22}" + "".join(f"{name:>16}" for name in installed))
        for task in TASKS:
            rows: dict[str, list[str]] = {"lines": [], "requests": [], "tokens sent": []}
            for name in installed:
                path = HERE / FOLDERS[name] / f"{task}.py"
                if not path.exists():
                    for row in rows.values():
                        row.append("-")
                    continue
                server.reset()
                run(server, [str(path)])
                sent = sum(len(repr(request.json)) for request in server.requests) // 4
                for row, value in zip(rows.values(), (lines_of(path), len(server.requests), sent), strict=True):
                    row.append(f"{value:,}")
            for label, row in rows.items():
                print(f"{task + ', ' + label:22}" + "".join(f"{value:>16}" for value in row))
        print("\nCPU of a step of the agent, request and tool call included:")
        for name, loop in LOOPS.items():
            if name.partition(",")[0] not in installed:
                continue
            best = {}
            for model.steps in (SHORT, LONG):
                times = []
                for _ in range(ROUNDS):
                    server.reset()
                    times.append(float(run(server, ["-c", loop + END]).split("CPU")[1]))
                best[model.steps] = min(times)
            print(f"  {name:24} {(best[LONG] - best[SHORT]) / (LONG - SHORT) * 1e6:8.0f} µs")


if __name__ == "__main__":
    main()
