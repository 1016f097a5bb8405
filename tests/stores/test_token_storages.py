"""What every token storage can do, the same test over all of them."""

import asyncio
import os
import threading

import pytest

from provider_kit import (
    EncryptedTokenStorage,
    FileTokenStorage,
    KeyringTokenStorage,
    MemoryTokenStorage,
    OAuthAuthenticator,
    OAuthConfig,
    OAuthToken,
    RedisTokenStorage,
    SQLiteTokenStorage,
    StorageError,
    TokenStorage,
    generate_encryption_key,
    open_token_storage,
)

TOKEN = OAuthToken(
    access_token="the-access-token-0123456789",
    refresh_token="the-refresh-token-0123456789",
    expires_at=4_000_000_000.5,
    obtained_at=3_999_996_400.0,
    scopes=("a", "b"),
    client={"client_id": "me", "client_secret": "the-client-secret"},
    extra={"resource_url": "api.example", "n": [1, {"x": None}]},
)
SECRETS = (TOKEN.access_token, TOKEN.refresh_token, "the-client-secret")


def keyring_backend(tmp_path):
    """A real keyring backend, in a file of the test's own."""
    from keyrings.alt.file import PlaintextKeyring

    backend = PlaintextKeyring()
    backend.file_path = str(tmp_path / "keyring.cfg")
    return backend


KINDS = ("memory", "file", "directory", "sqlite", "redis", "keyring", "encrypted", "passphrase")


@pytest.fixture(params=KINDS)
def storage(request, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    kind = request.param
    if kind == "redis":
        made = RedisTokenStorage(request.getfixturevalue("redis_server").url)
    else:
        made = {
            "memory": lambda: MemoryTokenStorage(),
            "file": lambda: FileTokenStorage(tmp_path / "tokens.json"),
            "directory": lambda: FileTokenStorage(f"{tmp_path}/tokens/"),
            "sqlite": lambda: SQLiteTokenStorage(tmp_path / "tokens.db"),
            "keyring": lambda: KeyringTokenStorage("test", backend=keyring_backend(tmp_path)),
            "encrypted": lambda: EncryptedTokenStorage(
                FileTokenStorage(tmp_path / "sealed.json"), key=generate_encryption_key()
            ),
            "passphrase": lambda: EncryptedTokenStorage(MemoryTokenStorage(), passphrase="correct horse"),
        }[kind]()
    with made:
        yield made


def test_a_token_comes_back_as_it_was(storage):
    """Every field of it."""
    assert isinstance(storage, TokenStorage)
    storage.store_token("gemini", TOKEN)
    assert storage.retrieve_token("gemini") == TOKEN
    smallest = OAuthToken(access_token="x")
    storage.store_token("gemini", smallest)
    assert storage.retrieve_token("gemini") == smallest


def test_tokens_do_not_mix(storage):
    """Names of any shape, listed, deleted, absent."""
    names = ["gemini", "a/b:c d", "..", "ünï", "x" * 200, "A", "a", "gemini#login.1"]
    assert storage.list_tokens() == []
    for number, name in enumerate(names):
        storage.store_token(name, TOKEN.replace(access_token=f"token-{number}"))
    assert storage.list_tokens() == sorted(names)
    for number, name in enumerate(names):
        assert storage.retrieve_token(name).access_token == f"token-{number}"
    assert storage.delete_token("..") is True
    assert storage.delete_token("..") is False
    assert storage.retrieve_token("..") is None
    assert storage.retrieve_token("never") is None
    assert len(storage.list_tokens()) == len(names) - 1


@pytest.mark.parametrize("name", ["", "x" * 201, "line\nbreak", None, 5])
def test_a_name_that_cannot_be_is_refused(storage, name):
    """And nothing is stored."""
    with pytest.raises(StorageError, match="name"):
        storage.store_token(name, TOKEN)
    assert storage.list_tokens() == []


def test_validity_and_what_may_be_known(storage):
    """Told by the expiry alone."""
    storage.store_token("good", TOKEN)
    storage.store_token("over", TOKEN.replace(expires_at=5.0, obtained_at=1.0))
    storage.store_token("endless", TOKEN.replace(expires_at=None))
    assert storage.is_token_valid("good")
    assert storage.is_token_valid("endless")
    assert not storage.is_token_valid("over")
    assert not storage.is_token_valid("never")
    info = storage.get_token_info("good")
    assert (info.is_expired, info.expires_at, info.scopes, info.can_refresh) == (
        False,
        TOKEN.expires_at,
        ("a", "b"),
        True,
    )
    assert info.is_encrypted == isinstance(storage, (EncryptedTokenStorage, KeyringTokenStorage))
    assert storage.get_token_info("over").is_expired
    assert storage.get_token_info("endless").expires_in is None
    assert storage.get_token_info("never") is None
    assert TOKEN.refresh_token not in repr(info)


def test_only_what_is_of_no_use_is_cleaned_up(storage):
    """A token that can be refreshed is kept."""
    over = TOKEN.replace(expires_at=5.0, obtained_at=1.0)
    storage.store_token("refreshable", over)
    storage.store_token("over", over.replace(refresh_token=None))
    storage.store_token("good", TOKEN.replace(refresh_token=None))
    assert storage.cleanup_expired() == ["over"]
    assert storage.list_tokens() == ["good", "refreshable"]


def test_a_large_token_fits(storage):
    """A JWT may have kilobytes; each write replaces the one before."""
    for size in (10, 20_000, 3_000, 10, 30_000):
        token = TOKEN.replace(access_token="j" * size)
        storage.store_token("big", token)
        assert storage.retrieve_token("big") == token
    assert storage.list_tokens() == ["big"]
    assert storage.delete_token("big")
    assert storage.retrieve_token("big") is None


def test_nothing_of_it_shows_a_secret(storage):
    """Neither repr nor the representation of a token."""
    storage.store_token("gemini", TOKEN)
    shown = repr(storage) + repr(storage.retrieve_token("gemini")) + repr(vars(storage))
    assert not any(secret in shown for secret in SECRETS)


def test_a_lock_is_held_by_one(storage):
    """Until it is given back; another name is another lock."""
    if isinstance(storage, MemoryTokenStorage) or isinstance(getattr(storage, "inner", None), MemoryTokenStorage):
        assert not hasattr(storage, "lock")  # no other process can see it
        return
    one, other, elsewhere = storage.lock("a"), storage.lock("a"), storage.lock("b")
    assert one.acquire()
    assert not other.acquire()
    assert elsewhere.acquire()
    elsewhere.release()
    one.release()
    assert other.acquire()
    other.release()


def test_many_threads_write_without_losing_anything(storage):
    """Each its own names, all in one storage."""
    failed = []

    def write(number):
        try:
            for turn in range(5):
                storage.store_token(f"t{number}", TOKEN.replace(access_token=f"{number}-{turn}"))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert storage.list_tokens() == [f"t{number}" for number in range(6)]
    assert all(storage.retrieve_token(f"t{number}").access_token == f"{number}-4" for number in range(6))


def test_an_authenticator_works_over_it_from_both_worlds(storage):
    """Blocking and asyncio read the same token."""
    storage.store_token("acme", TOKEN)
    authenticator = OAuthAuthenticator("acme", storage, OAuthConfig(client_id="c"))
    assert authenticator.get_token() == TOKEN.access_token
    other = OAuthAuthenticator("acme", storage, OAuthConfig(client_id="c"))

    async def main():
        assert await other.aget_token() == TOKEN.access_token
        assert (await other.aget_token_info()).can_refresh
        assert await other.alogout(revoke=False)

    asyncio.run(main())
    assert storage.list_tokens() == []


# ------------------------------------------------------------------------------------------------ factory


def test_an_address_tells_the_storage(tmp_path, monkeypatch, redis_server):
    """What PROVIDER_KIT_TOKEN_STORAGE may hold."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name in ("PROVIDER_KIT_TOKEN_STORAGE", "TOKEN_STORAGE", "PROVIDER_KIT_ENCRYPTION_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert open_token_storage().path == str(tmp_path / "data" / "provider-kit" / "tokens")
    assert isinstance(open_token_storage("memory"), MemoryTokenStorage)
    assert isinstance(open_token_storage("keyring"), KeyringTokenStorage)
    assert isinstance(open_token_storage(redis_server.url), RedisTokenStorage)
    assert open_token_storage(f"sqlite:///{tmp_path}/t.db").path == str(tmp_path / "t.db")
    assert not open_token_storage(str(tmp_path / "t.json")).is_directory
    assert open_token_storage(f"{tmp_path}/.tokens").is_directory
    monkeypatch.setenv("TOKEN_STORAGE", "memory")
    assert isinstance(open_token_storage(), MemoryTokenStorage)
    monkeypatch.setenv("PROVIDER_KIT_TOKEN_STORAGE", str(tmp_path / "own.json"))
    assert open_token_storage().path == str(tmp_path / "own.json")
    with pytest.raises(Exception, match="No token storage is known") as caught:
        open_token_storage("mongodb://user:secret@host/db")
    assert "secret" not in str(caught.value)


def test_a_key_in_the_environment_encrypts(tmp_path, monkeypatch):
    """Without a change of the program; the keyring encrypts by itself."""
    monkeypatch.setenv("PROVIDER_KIT_ENCRYPTION_KEY", generate_encryption_key())
    storage = open_token_storage(tmp_path / "t.json")
    storage.store_token("a", TOKEN)
    assert not any(secret.encode() in (tmp_path / "t.json").read_bytes() for secret in SECRETS)
    assert open_token_storage(tmp_path / "t.json").retrieve_token("a") == TOKEN
    assert isinstance(open_token_storage("keyring"), KeyringTokenStorage)


def test_a_plugin_may_bring_a_storage(monkeypatch):
    """An entry point of the group provider_kit.storages, called with the address."""
    from provider_kit.auth.storage import factory

    class Point:
        name = "vault"

        @staticmethod
        def load():
            return lambda where: (MemoryTokenStorage(), where)

    monkeypatch.setattr(factory, "entry_points", lambda group: [Point] if group == "provider_kit.storages" else [])
    storage, where = factory._open("vault://secret/tokens")
    assert (type(storage), where) == (MemoryTokenStorage, "vault://secret/tokens")


@pytest.mark.parametrize(
    ("module", "make", "extra"),
    [
        ("keyring", KeyringTokenStorage, "keyring"),
        ("redis", RedisTokenStorage, "redis"),
        ("cryptography", lambda: EncryptedTokenStorage(MemoryTokenStorage(), passphrase="x"), "crypto"),
    ],
)
def test_a_missing_library_says_what_to_install(monkeypatch, module, make, extra):
    """Each is an extra."""
    import sys

    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError) as caught:
        make()
    assert caught.value.hint == f"pip install provider-kit[{extra}]"


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_files_are_readable_by_their_owner_only(tmp_path):
    """0600, in directories of 0700; whatever the umask says."""
    before = os.umask(0)
    try:
        for storage in (
            FileTokenStorage(tmp_path / "one" / "t.json"),
            FileTokenStorage(f"{tmp_path}/two/"),
            SQLiteTokenStorage(tmp_path / "three" / "t.db"),
        ):
            storage.store_token("a", TOKEN)
            lock = storage.lock("a")
            assert lock.acquire()
            lock.release()
    finally:
        os.umask(before)
    for folder in ("one", "two", "three"):
        assert (tmp_path / folder).stat().st_mode & 0o777 == 0o700
        for path in (tmp_path / folder).iterdir():
            assert path.stat().st_mode & 0o777 == 0o600, path
