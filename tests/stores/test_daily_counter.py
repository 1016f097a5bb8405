"""The count of a day in a file: it survives, it is shared, and nothing that stands in the file breaks it."""

import json
import os
import stat
import subprocess
import sys
import threading
import time

import pytest
from filelock import FileLock

from provider_kit import StoreError
from provider_kit.stores.daily_counter import DailyCounter, default_path
from provider_kit.stores.user_folders import lock_folder

DAY = 86400.0


class Clock:
    """Seconds since 1970, moved by hand."""

    def __init__(self, now=1_800_000_000.0):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "state" / "daily.json")


@pytest.fixture
def counter(path, clock):
    return DailyCounter(path, clock=clock)


def test_a_day_rolls(counter, clock):
    """A request leaves the count 24 hours after it was counted, and no earlier."""
    assert counter.take("k", 2) == 0.0
    clock.now += 100
    assert counter.take("k", 2) == 0.0
    clock.now += 100
    assert counter.take("k", 2) == DAY - 200
    clock.now += DAY - 200.5
    assert counter.take("k", 2) == 0.5
    clock.now += 0.5
    assert counter.take("k", 2) == 0.0
    assert counter.take("k", 2) == 100.0


def test_each_name_has_a_count_of_its_own(counter):
    """What one key has used up is no other's business."""
    assert counter.take("one", 1) == 0.0
    assert counter.take("one", 1) > 0
    assert counter.take("two", 1) == 0.0


def test_a_count_that_exceeds_a_lowered_limit_is_waited_for(counter, clock):
    """As many must leave as there are too many."""
    for _ in range(5):
        assert counter.take("k", 5) == 0.0
        clock.now += 10
    assert counter.take("k", 2) == DAY - 50 + 30


def test_another_counter_of_the_same_file_goes_on_counting(counter, path, clock):
    """A program that starts anew knows what the former one has sent."""
    assert counter.take("k", 1) == 0.0
    assert DailyCounter(path, clock=clock).take("k", 1) == DAY


def test_the_file_is_for_its_owner_only(counter, path):
    """Nobody else reads when somebody sends what."""
    counter.take("k", 1)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700


def test_nothing_is_written_for_a_request_that_does_not_fit(counter, path):
    """And nothing else is left lying about."""
    counter.take("k", 1)
    before = os.stat(path).st_mtime_ns, os.stat(path).st_ino
    assert counter.take("k", 1) > 0
    assert (os.stat(path).st_mtime_ns, os.stat(path).st_ino) == before
    assert {name.removesuffix(".lock") for name in os.listdir(os.path.dirname(path))} == {"daily.json"}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"\xff\xfe\x00", id="no text"),
        pytest.param(b"[1, 2]", id="a list"),
        pytest.param(b'{"k": 3}', id="a number"),
        pytest.param(b'{"k": [[1]]}', id="half an entry"),
        pytest.param(b'{"k": [["a", "b"]]}', id="texts"),
        pytest.param(b"[" * 200_000, id="deep"),
    ],
)
def test_a_damaged_file_is_moved_aside(counter, path, text):
    """It is kept for whoever may want to look, and counting begins anew."""
    os.makedirs(os.path.dirname(path))
    with open(path, "wb") as file:
        file.write(text)
    assert counter.take("k", 1) == 0.0
    assert counter.take("k", 1) > 0
    with open(f"{path}.damaged", "rb") as file:
        assert file.read() == text


def test_a_time_that_is_no_number_counts_nothing(counter, path):
    """JSON of Python's own may hold NaN and infinity."""
    os.makedirs(os.path.dirname(path))
    with open(path, "w") as file:
        file.write('{"k": [[NaN, 1], [Infinity, 1]]}')
    assert counter.take("k", 1) == 0.0


def test_a_clock_that_goes_back_a_little_forgets_nothing(counter, clock):
    """What seems to lie ahead still counts, and leaves a day after its own time."""
    assert counter.take("k", 2) == 0.0
    clock.now -= 3600
    assert counter.take("k", 2) == 0.0
    assert counter.take("k", 2) == DAY
    clock.now += DAY
    assert counter.take("k", 2) == 0.0
    assert counter.take("k", 2) == 3600.0


def test_a_clock_that_was_years_ahead_locks_nobody_out(counter, clock):
    """Entries of more than a day ahead are the wrong clock's."""
    clock.now += 10 * 365 * DAY
    assert counter.take("k", 1) == 0.0
    clock.now -= 10 * 365 * DAY
    assert counter.take("k", 1) == 0.0
    assert counter.take("k", 1) == DAY


def test_names_of_which_nothing_is_left_are_forgotten(counter, path, clock):
    """Keys that came and went do not make the file grow for ever."""
    for number in range(20):
        counter.take(f"k{number}", 5)
    clock.now += DAY
    counter.take("new", 5)
    with open(path) as file:
        assert list(json.load(file)) == ["new"]


def test_many_requests_take_the_room_of_some_thousand_entries(path, clock):
    """Those of one minute are merged, which delays nobody by more than that minute and lets nobody go early."""
    counter, exact = DailyCounter(path, clock=clock), []
    os.makedirs(os.path.dirname(path))
    start = clock.now
    entries = [[start - DAY + 30 * number, 1] for number in range(2880)]
    with open(path, "w") as file:
        json.dump({"k": entries[:1440]}, file)
    exact = [when for when, _ in entries[:1440]]
    for when, _ in entries[1440:1560]:
        clock.now = when
        assert counter.take("k", 10_000) == 0.0
        exact.append(when)
    with open(path) as file:
        kept = json.load(file)["k"]
    assert sum(amount for _, amount in kept) == len(exact)
    assert len(kept) <= 1440 + 61
    for limit in range(100, 1560, 97):
        right = exact[len(exact) - limit] + DAY - clock.now
        wait = counter.take("k", limit)
        assert right - 1e-3 <= wait <= right + 60


def test_a_file_that_another_holds_for_long_is_an_error(path, clock, tmp_path, monkeypatch):
    """It says what is the matter; nobody waits for ever."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    os.makedirs(os.path.dirname(path))
    counter = DailyCounter(path, timeout=0.05, clock=clock)
    assert counter.take("k", 5) == 0.0
    (lock,) = os.listdir(lock_folder())
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]  # nothing else stands beside it
    with FileLock(os.path.join(lock_folder(), lock)), pytest.raises(StoreError, match="locked by another process"):
        counter.take("k", 1)
    assert counter.take("k", 5) == 0.0


def test_a_place_that_cannot_be_written_is_an_error(tmp_path):
    """With the path, and what to do."""
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(StoreError, match="cannot be kept") as caught:
        DailyCounter(str(tmp_path / "file" / "daily.json")).take("k", 1)
    assert "persist" in caught.value.hint
    os.mkdir(tmp_path / "taken")
    with pytest.raises(StoreError, match="cannot be kept"):
        DailyCounter(str(tmp_path / "taken")).take("k", 1)


def test_threads_together_count_right(path):
    """Eight threads try twice as often as they may."""
    counter, granted = DailyCounter(path, timeout=30), []

    def work():
        for _ in range(4):
            granted.append(counter.take("k", 16) == 0.0)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(granted), sum(granted)) == (32, 16)


COUNT = """
import sys
from provider_kit.stores.daily_counter import DailyCounter

counter = DailyCounter(sys.argv[1], timeout=30)
print(sum(counter.take("k", 10) == 0.0 for _ in range(10)))
"""


def test_processes_together_count_right(path):
    """Two programs that name the same file share its limit."""
    members = [
        subprocess.Popen([sys.executable, "-c", COUNT, str(path)], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    assert sum(int(member.communicate(timeout=60)[0]) for member in members) == 10


def test_the_usual_place_is_the_users_own():
    """A file of this library in the user's state directory; ``~`` is understood in a path."""
    assert os.path.isabs(default_path())
    assert "provider-kit" in default_path()
    assert DailyCounter("~/x.json").path == os.path.expanduser("~/x.json")


def test_the_time_is_that_of_the_machine(path):
    """Seconds since 1970, which mean the same to every program."""
    before = time.time()
    DailyCounter(path).take("k", 1)
    with open(path) as file:
        ((when, amount),) = json.load(file)["k"]
    assert before <= when <= time.time()
    assert amount == 1
