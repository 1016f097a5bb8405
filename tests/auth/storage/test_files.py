"""Files with tokens that are not as they should be: told with a hint, and nothing lost."""

import json
import os
import resource
import stat
import subprocess
import sys
import time

import pytest

from provider_kit import FileTokenStorage, OAuthToken, SQLiteTokenStorage, StorageError

TOKEN = OAuthToken(access_token="the-access-token-0123456789", refresh_token="the-refresh-token-0123456789")

pytestmark = pytest.mark.skipif(os.name != "posix", reason="file modes and links are POSIX")


@pytest.fixture(params=["file", "directory"])
def kept(request, tmp_path):
    """A storage with one token, and the file it is in."""
    folder = tmp_path / "kept"
    folder.mkdir(mode=0o700)
    storage = FileTokenStorage(folder / "tokens.json" if request.param == "file" else folder)
    storage.store_token("acme", TOKEN)
    path = folder / ("tokens.json" if request.param == "file" else "acme.json")
    assert path.is_file()
    return storage, path


def fails(storage, *, write=True):
    """Reading, and perhaps writing, raises the same typed error; returns it."""
    errors = []
    acts = [lambda: storage.retrieve_token("acme")]
    if storage.is_directory:
        assert storage.list_tokens() == ["acme"]  # it is there; what is wrong with it, reading tells
    else:
        acts.append(storage.list_tokens)
    if write:
        acts.append(lambda: storage.store_token("acme", TOKEN))
    for act in acts:
        with pytest.raises(StorageError) as caught:
            act()
        errors.append(caught.value)
    assert all(error.hint for error in errors)
    assert {error.code for error in errors} == {"storage_error"}
    return errors[0]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o666, 0o610])
def test_a_file_that_others_may_read_is_refused(kept, mode):
    """The hint is the command that mends it."""
    storage, path = kept
    before = path.read_bytes()
    path.chmod(mode)
    error = fails(storage)
    assert "read by other users" in error.message
    assert error.hint.startswith(f"chmod 600 {path}")
    assert path.read_bytes() == before
    path.chmod(0o600)
    assert storage.retrieve_token("acme") == TOKEN


def test_a_link_is_not_followed(kept, tmp_path):
    """It may lead to somebody else's file."""
    storage, path = kept
    target = tmp_path / "target.json"
    path.rename(target)
    path.symlink_to(target)
    before = target.read_bytes()
    assert "symbolic link" in fails(storage).message
    assert target.read_bytes() == before
    assert path.is_symlink()


def test_a_dangling_link_is_not_followed(kept, tmp_path):
    """Nothing is made where it points."""
    storage, path = kept
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    assert "symbolic link" in fails(storage).message
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away")
def test_somebody_elses_file_is_refused(kept):
    """Whatever is in it."""
    storage, path = kept
    os.chown(path, 12345, 12345)
    error = fails(storage)
    assert "another user" in error.message
    os.chown(path, 0, 0)
    assert storage.retrieve_token("acme") == TOKEN


@pytest.mark.parametrize("content", [b"", b"{", b"\x00\xff\x00", None], ids=["empty", "brace", "binary", "cut"])
def test_a_damaged_file_is_told_and_set_aside_by_the_next_login(kept, content):
    """Reading changes nothing; a new token is stored, and the damaged bytes are kept."""
    storage, path = kept
    damaged = path.read_bytes()[:-7] if content is None else content
    path.write_bytes(damaged)
    error = fails(storage, write=False)
    assert "damaged" in error.message
    assert path.read_bytes() == damaged
    storage.store_token("acme", TOKEN)
    assert storage.retrieve_token("acme") == TOKEN
    (aside,) = path.parent.glob("*.damaged-*")
    assert aside.read_bytes() == damaged
    assert storage.list_tokens() == ["acme"]


@pytest.mark.parametrize(
    "content", [{"name": "my-app", "version": "1.0"}, [1, 2], "text", {"tokens": [1]}, {"tokens": None}, 5]
)
def test_a_file_of_another_kind_is_left_as_it_is(kept, content):
    """A package.json is no token storage, neither to read nor to write."""
    storage, path = kept
    path.write_text(json.dumps(content))
    assert "does not hold tokens" in fails(storage).message
    assert json.loads(path.read_text()) == content


@pytest.mark.parametrize(
    "record",
    [
        {"access_token": 5},
        {"access_token": ""},
        {"access_token": "x", "expires_at": "soon"},
        {"access_token": "x", "scopes": "a"},
        {"access_token": "x", "client": [1]},
        {"access_token": "x", "refresh_token": 1},
        {"access_token": "x", "version": 99},
    ],
)
def test_a_record_that_is_no_token_is_told(kept, record):
    """Of a later version, or nonsense."""
    storage, path = kept
    path.write_text(json.dumps({"key": "acme", **record} if storage.is_directory else {"tokens": {"acme": record}}))
    with pytest.raises(StorageError) as caught:
        storage.retrieve_token("acme")
    assert ("later version" if "version" in record else "no token") in caught.value.message


def test_a_directory_or_pipe_in_its_place_is_told(tmp_path):
    """And nothing waits for a pipe that nobody writes to."""
    (tmp_path / "tokens.json").mkdir()
    storage = FileTokenStorage(tmp_path / "tokens.json")
    storage.is_directory = False  # it became one after the storage was made
    with pytest.raises(StorageError):
        storage.retrieve_token("acme")
    os.mkfifo(tmp_path / "pipe.json")
    started = time.monotonic()
    with pytest.raises(StorageError, match="not a file"):
        FileTokenStorage(tmp_path / "pipe.json").retrieve_token("acme")
    assert time.monotonic() - started < 1


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="the child drops root's rights itself")
def test_a_place_that_may_not_be_written_is_told(tmp_path):
    """Permission denied, with the command that mends it; root may write everywhere, so another user tries."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o755)
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(parent.stat().st_mode | 0o055)
    code = (
        "import os, sys\nfrom provider_kit import FileTokenStorage, OAuthToken, StorageError\n"
        "import filelock, platformdirs\nos.setgid(12345); os.setuid(12345)\n"
        "try:\n    FileTokenStorage(sys.argv[1]).store_token('a', OAuthToken(access_token='x'))\n"
        "except StorageError as error:\n    print(error.message, '|', error.hint)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder / "t.json")], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "cannot be used" in done.stdout
    assert "writable" in done.stdout or "chmod" in done.stdout


def test_a_full_disk_loses_nothing(kept, monkeypatch):
    """The write fails, the old token is still there, no scrap is left behind."""
    storage, path = kept
    code = (
        "import resource, signal, sys\nfrom provider_kit import FileTokenStorage, OAuthToken, StorageError\n"
        "import filelock\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))\n"  # a write beyond 64 bytes fails as on a full disk
        "try:\n    FileTokenStorage(sys.argv[1]).store_token('acme', OAuthToken(access_token='y' * 200))\n"
        "except StorageError as error:\n    print(error.code.value, error.message)\n"
    )
    assert resource.RLIMIT_FSIZE is not None
    done = subprocess.run(
        [sys.executable, "-c", code, str(storage.path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("storage_error")
    assert storage.retrieve_token("acme") == TOKEN
    assert [one.name for one in path.parent.iterdir() if one.name.endswith(".new")] == []


def test_the_disk_full_error_of_the_system_has_its_hint(kept, monkeypatch):
    """ENOSPC names the disk, not the permissions."""
    storage, _ = kept

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("provider_kit.auth.storage.files.os.fsync", full)
    with pytest.raises(StorageError) as caught:
        storage.store_token("acme", TOKEN)
    assert "disk is full" in caught.value.hint
    monkeypatch.undo()
    assert storage.retrieve_token("acme") == TOKEN


def test_a_file_is_replaced_in_one_step(kept):
    """Whoever reads while others write sees a whole token, old or new."""
    storage, _path = kept
    code = (
        "import sys\nfrom provider_kit import FileTokenStorage, OAuthToken\n"
        "storage = FileTokenStorage(sys.argv[1])\n"
        "for n in range(150):\n    storage.store_token('acme', OAuthToken(access_token=str(n) * 500))\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(storage.path)])
    reads = 0
    while writer.poll() is None:
        token = storage.retrieve_token("acme")
        assert token == TOKEN or len(set(token.access_token)) <= 3
        reads += 1
    assert writer.returncode == 0
    assert reads > 10
    assert storage.retrieve_token("acme").access_token == "149" * 500


def test_a_path_tells_whether_it_is_a_file_or_a_directory(tmp_path, monkeypatch):
    """As the guide has them: .tokens.json, and .tokens or .tokens/."""
    monkeypatch.chdir(tmp_path)
    assert FileTokenStorage().path == str(tmp_path / ".tokens.json")
    assert not FileTokenStorage(".tokens.json").is_directory
    assert FileTokenStorage(".tokens").is_directory
    assert FileTokenStorage("x/.tokens/").is_directory
    (tmp_path / "plain").write_text("{}")
    assert not FileTokenStorage("plain").is_directory
    (tmp_path / "folder.json").mkdir()
    assert FileTokenStorage("folder.json").is_directory
    monkeypatch.setenv("HOME", str(tmp_path))
    assert FileTokenStorage("~/t.json").path == str(tmp_path / "t.json")


def test_a_database_that_is_none_or_open_to_others_is_told(tmp_path):
    """SQLite's own words, and the hint."""
    path = tmp_path / "t.db"
    path.write_bytes(b"this is no database at all, but long enough to be looked at as one" * 20)
    path.chmod(0o600)
    with pytest.raises(StorageError, match="cannot be used"):
        SQLiteTokenStorage(path).retrieve_token("a")
    path.unlink()
    storage = SQLiteTokenStorage(path)
    storage.store_token("a", TOKEN)
    path.chmod(0o644)
    with pytest.raises(StorageError, match="read by other users") as caught:
        storage.retrieve_token("a")
    assert caught.value.hint.startswith("chmod 600")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
def test_a_folder_that_everybody_may_write_keeps_no_tokens(tmp_path):
    """Unless only the owner of a file may replace it there, as in /tmp."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    for storage in (FileTokenStorage(folder / "tokens.json"), FileTokenStorage(folder)):
        with pytest.raises(StorageError, match="All users may write to") as caught:
            storage.store_token("a", OAuthToken(access_token="t"))
        assert "chmod o-w" in caught.value.hint
        assert [path.name for path in folder.iterdir()] == []
    folder.chmod(0o1777)
    FileTokenStorage(folder / "tokens.json").store_token("a", OAuthToken(access_token="t"))
