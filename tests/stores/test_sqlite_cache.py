"""Answers in an SQLite file: times, sizes, processes, and files that are none."""

import gc
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time

import pytest

from provider_kit import StoreError
from provider_kit.stores import sqlite_cache
from provider_kit.stores.sqlite_cache import SQLiteCache


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "answers.db")


@pytest.fixture
def open_cache(path):
    """Make caches of one file; closed after the test."""
    made = []

    def make(where=path, **options):
        made.append(SQLiteCache(where, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def clock(monkeypatch):
    """The clock that the cache reads: ``clock[0]``."""
    now = [1_800_000_000.0]
    monkeypatch.setattr(sqlite_cache.time, "time", lambda: now[0])
    return now


def size_of(path):
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT COALESCE(SUM(bytes), 0) FROM answers").fetchone()[0]
    connection.close()
    return found


def test_what_was_set_is_there_and_what_was_not_is_none(open_cache):
    """Any bytes; the newest ones count."""
    cache = open_cache()
    cache.set("a", b"old", 60)
    cache.set("a", b"\x00new\xff", 60)
    assert (cache.get("a"), cache.get("b")) == (b"\x00new\xff", None)


def test_an_answer_lasts_for_its_time_and_no_longer(open_cache, clock):
    """Until the last moment, and across a restart."""
    open_cache().set("a", b"x", 10)
    clock[0] += 9.9
    assert open_cache().get("a") == b"x"
    clock[0] += 0.1
    assert open_cache().get("a") is None


def test_the_file_is_for_its_owner_only(open_cache, path, tmp_path):
    """Also its companions, and the folders that had to be made; whatever the umask says."""
    where = str(tmp_path / "new" / "folder" / "answers.db")
    before = os.umask(0)
    try:
        cache = open_cache(where)
        cache.set("a", b"x", 60)
        files = [where, where + "-wal", where + "-shm"]
        assert [stat.S_IMODE(os.stat(file).st_mode) for file in files] == [0o600] * 3
        assert stat.S_IMODE(os.stat(os.path.dirname(where)).st_mode) == 0o700
    finally:
        os.umask(before)


def test_a_path_in_the_home_folder_may_begin_with_a_tilde(monkeypatch, tmp_path, open_cache):
    """As in a shell."""
    monkeypatch.setenv("HOME", str(tmp_path))
    open_cache("~/answers.db").set("a", b"x", 60)
    assert (tmp_path / "answers.db").exists()


def test_the_least_recently_used_answers_leave_when_it_grows(open_cache, clock):
    """Reading counts as use, if it is a minute later or more."""
    cache = open_cache(max_bytes=1000)
    for name in "abc":
        clock[0] += 1
        cache.set(name, b"x" * 300, 3600)
    clock[0] += 61
    assert cache.get("a")
    clock[0] += 1
    cache.set("d", b"x" * 300, 3600)
    assert [name for name in "abcd" if cache.get(name)] == ["a", "c", "d"]


def test_small_answers_do_not_let_it_grow_either(open_cache, path):
    """Never more than a twentieth beyond its bound, and an answer."""
    cache = open_cache(max_bytes=10_000)
    sizes = []
    for number in range(200):
        cache.set(f"k{number}", b"x" * 490, 3600)
        sizes.append(size_of(path))
    assert 9_000 < max(sizes) <= 10_000 + 10_000 // 20 + 490


def test_answers_whose_time_is_over_are_removed(open_cache, path, clock):
    """They do not push out those that still count."""
    cache = open_cache(max_bytes=1000)
    cache.set("old", b"x" * 600, 1)
    clock[0] += 2
    cache.set("a", b"x" * 400, 60)
    cache.set("b", b"x" * 400, 60)
    assert size_of(path) == 800


def test_a_hit_that_cannot_be_noted_is_a_hit(open_cache, path, clock):
    """Another process holds the lock; what was read is given all the same."""
    cache = open_cache(timeout=0.01)
    cache.set("a", b"x", 3600)
    clock[0] += 100
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        assert cache.get("a") == b"x"
        with pytest.raises(StoreError, match="locked"):
            cache.set("b", b"x", 60)
        other.execute("ROLLBACK")
    other.close()
    cache.set("b", b"x", 60)
    assert cache.get("b") == b"x"


def foreign_table(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE answers (question TEXT, answer TEXT)")
    connection.close()


def garbage(path):
    with open(path, "wb") as file:
        file.write(b"this is no database at all\n" * 400)


@pytest.mark.parametrize("spoil", [garbage, foreign_table, os.mkdir], ids=["no database", "foreign table", "folder"])
@pytest.mark.parametrize("verb", ["get", "set"])
def test_a_file_that_cannot_be_used_is_a_store_error(open_cache, path, spoil, verb):
    """Typed, with its name and what to do; the file stays as it is."""
    spoil(path)
    cache = open_cache()
    for _ in range(2):
        with pytest.raises(StoreError) as caught:
            cache.get("a") if verb == "get" else cache.set("a", b"x", 60)
        assert path in str(caught.value)
        assert caught.value.hint
    gc.collect()  # no connection was left open


def test_a_folder_that_cannot_be_made_is_a_store_error(open_cache, path):
    """A file stands where the folder should be."""
    garbage(path)
    with pytest.raises(StoreError, match="cannot be used"):
        open_cache(path + "/below/answers.db").get("a")


def test_a_file_that_was_damaged_later_is_a_store_error_and_no_crash(open_cache, path):
    """What SQLite finds out is told; whether bytes are an answer is for their reader to judge."""
    cache = open_cache()
    for number in range(50):
        cache.set(f"k{number}", b"x" * 3000, 3600)
    cache.close()
    with open(path, "r+b") as file:
        size = file.seek(0, 2)
        file.seek(size // 4)
        file.write(b"\xee" * (size // 2))
    again = open_cache()
    failures = 0
    for number in range(50):
        try:
            again.get(f"k{number}")
        except StoreError:
            failures += 1
    assert failures


def test_a_closed_cache_opens_again(open_cache):
    """Closing twice does no harm."""
    cache = open_cache()
    cache.set("a", b"x", 60)
    cache.close()
    cache.close()
    assert cache.get("a") == b"x"


def test_threads_share_one_cache(open_cache):
    """No write is lost."""
    cache = open_cache()

    def work(number):
        for turn in range(30):
            cache.set(f"{number}-{turn}", b"%d" % turn, 60)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(cache.get(f"{number}-{turn}") == b"%d" % turn for number in range(6) for turn in range(30))


PROCESS = """
import sys
import time
from provider_kit.stores.sqlite_cache import SQLiteCache
print("ready", flush=True)
begin = float(sys.stdin.readline())
while time.time() < begin:
    pass
cache = SQLiteCache(sys.argv[1], timeout=10)
for turn in range(40):
    cache.set(f"{sys.argv[2]}-{turn}", b"x" * 200, 600)
    assert cache.get(f"{sys.argv[2]}-{turn}") == b"x" * 200
cache.close()
"""


def test_processes_that_begin_at_the_same_moment_share_a_file(open_cache, path):
    """Nobody finds it locked, not even while it is being made."""
    command = [sys.executable, "-c", PROCESS, path]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([*command, str(number)], **pipes) for number in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write(f"{time.time() + 0.05}\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0] * 4
    cache = open_cache()
    assert all(cache.get(f"{number}-{turn}") for number in range(4) for turn in range(40))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_opens_the_file_anew(open_cache):
    """Neither spoils the other's connection."""
    cache = open_cache()
    cache.set("a", b"parent", 60)
    child = os.fork()
    if not child:
        status = 1
        try:
            status = 0 if cache.get("a") == b"parent" else 2
            cache.set("b", b"child", 60)
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (cache.get("a"), cache.get("b")) == (b"parent", b"child")
    cache.set("c", b"later", 60)
    assert cache.get("c") == b"later"
