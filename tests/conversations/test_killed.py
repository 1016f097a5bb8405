"""A program that is killed between any two writes goes on: nothing is lost, and nothing is silently repeated."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from provider_kit import SQLiteHistory
from provider_kit.model.convert import read_messages

#: More of them with PROVIDER_KIT_KILLS=200.
ROUNDS = int(os.environ.get("PROVIDER_KIT_KILLS", "4"))
WORKER = Path(__file__).parent / "worker.py"


@pytest.mark.long
@pytest.mark.timeout(600)  # a hundred processes, and other tests beside them
@pytest.mark.skipif(os.name != "posix", reason="processes are killed by a signal")
def test_a_killed_conversation_goes_on(tmp_path):
    """Each round: killed at random moments until it is done, then looked at."""
    chance = random.Random(7)
    kills = 0
    for number in range(ROUNDS):
        path, effects = tmp_path / f"{number}.db", tmp_path / f"{number}.txt"
        effects.touch()
        for attempt in range(30):
            after = -1 if attempt == 29 else chance.uniform(0.0, 0.06)
            done = subprocess.run(
                [sys.executable, str(WORKER), str(path), str(effects), str(after)],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            if done.returncode == 0:
                break
            assert done.returncode == -9, done.stderr
            kills += 1
        assert "finished" in done.stdout, done.stderr
        messages = read_messages(SQLiteHistory(path).load("job")["messages"])
        results = {
            part.tool_call_id: part.content for message in messages if message.role == "tool" for part in message.parts
        }
        assert sorted(results) == [f"call_{n}" for n in range(6)]
        happened = [int(line) for line in effects.read_text().split()]
        assert len(happened) == len(set(happened)), f"repeated: {happened}"
        for n in range(6):
            # Either it ran and its result is known, or somebody was asked.
            assert results[f"call_{n}"] in (f"acted {n}", "checked by hand")
            if results[f"call_{n}"] == f"acted {n}":
                assert n in happened
        assert messages[-1].text == "all done"
    assert kills
