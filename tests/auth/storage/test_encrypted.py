"""Encrypted tokens: nothing readable, wrong keys told, keys changed without a loss."""

import asyncio
import base64

import pytest

from provider_kit import (
    EncryptedTokenStorage,
    EncryptionError,
    FileTokenStorage,
    MemoryTokenStorage,
    OAuthAuthenticator,
    OAuthConfig,
    OAuthToken,
    generate_encryption_key,
)

TOKEN = OAuthToken(
    access_token="the-access-token-0123456789",
    refresh_token="the-refresh-token-0123456789",
    expires_at=4_000_000_000.0,
    client={"client_secret": "the-client-secret"},
)
KEY, OTHER = generate_encryption_key(), generate_encryption_key()


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    monkeypatch.delenv("PROVIDER_KIT_ENCRYPTION_KEY", raising=False)


def sealed(inner=None, **options):
    inner = inner or MemoryTokenStorage()
    storage = EncryptedTokenStorage(inner, **options)
    storage.store_token("acme", TOKEN)
    return inner, storage


@pytest.mark.parametrize("options", [{"key": KEY}, {"passphrase": "correct horse battery"}])
def test_only_the_expiry_can_be_read(options, tmp_path):
    """A versioned header, and nothing else in the clear."""
    sealed(FileTokenStorage(tmp_path / "t.json"), **options)
    text = (tmp_path / "t.json").read_text()
    for secret in ("the-access-token", "the-refresh-token", "the-client-secret", KEY, "correct horse"):
        assert secret not in text
    assert "provider-kit:1:" in text
    assert "4000000000.0" in text
    assert EncryptedTokenStorage(FileTokenStorage(tmp_path / "t.json"), **options).retrieve_token("acme") == TOKEN


def test_each_storage_has_a_salt_of_its_own():
    """And costs of scrypt in its header, so that they can be raised later."""
    headers = set()
    for _ in range(2):
        inner, _storage = sealed(passphrase="x")
        _, version, kind, n, r, p, salt, _ = inner.retrieve_token("acme").access_token.split(":")
        assert (version, kind, n, r, p) == ("1", "scrypt", "32768", "8", "3")
        assert len(base64.urlsafe_b64decode(salt)) == 16
        headers.add(salt)
    assert len(headers) == 2


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"key": KEY}, {"key": OTHER}),
        ({"passphrase": "right"}, {"passphrase": "wrong"}),
        ({"passphrase": "right"}, {"key": KEY}),
        ({"key": KEY}, {"passphrase": "right"}),
    ],
)
def test_a_wrong_key_is_an_error_and_changes_nothing(written, read):
    """encryption_error, not retryable; never taken for being logged out."""
    inner, _ = sealed(**written)
    before = inner.retrieve_token("acme")
    storage = EncryptedTokenStorage(inner, **read)
    with pytest.raises(EncryptionError) as caught:
        storage.retrieve_token("acme")
    assert caught.value.code == "encryption_error"
    assert not caught.value.retryable
    assert "key" in caught.value.hint
    assert inner.retrieve_token("acme") == before
    authenticator = OAuthAuthenticator("acme", storage, OAuthConfig(client_id="c"))
    for ask in (authenticator.is_authenticated, authenticator.get_token, authenticator.authenticate):
        with pytest.raises(EncryptionError):
            ask()
    assert inner.retrieve_token("acme") == before


def test_keys_are_changed_without_a_loss():
    """The new one first, the old one behind it; then everything anew."""
    inner, storage = sealed(key=KEY)
    storage.store_token("other", TOKEN.replace(access_token="other"))
    both = EncryptedTokenStorage(inner, key=[OTHER, KEY])
    assert both.retrieve_token("acme") == TOKEN
    assert both.rotate() == 2
    assert EncryptedTokenStorage(inner, key=OTHER).retrieve_token("acme") == TOKEN
    with pytest.raises(EncryptionError):
        storage.retrieve_token("acme")


def test_passphrases_are_changed_likewise():
    """With a new salt."""
    inner, _ = sealed(passphrase="old words")
    salt = inner.retrieve_token("acme").access_token.split(":")[6]
    both = EncryptedTokenStorage(inner, passphrase=["new words", "old words"])
    assert both.rotate() == 1
    assert inner.retrieve_token("acme").access_token.split(":")[6] != salt
    assert EncryptedTokenStorage(inner, passphrase="new words").retrieve_token("acme") == TOKEN


def test_what_was_stored_unencrypted_is_encrypted_once():
    """Not read in silence: somebody could have put it there."""
    inner = MemoryTokenStorage()
    inner.store_token("acme", TOKEN)
    storage = EncryptedTokenStorage(inner, key=KEY)
    with pytest.raises(EncryptionError, match="unencrypted") as caught:
        storage.retrieve_token("acme")
    assert "rotate()" in caught.value.hint
    assert storage.rotate() == 1
    assert storage.retrieve_token("acme") == TOKEN
    assert "the-access" not in inner.retrieve_token("acme").access_token


def test_a_record_cannot_take_anothers_place():
    """The name is inside."""
    inner, storage = sealed(key=KEY)
    storage.store_token("victim", TOKEN.replace(access_token="v"))
    inner.store_token("victim", inner.retrieve_token("acme"))
    with pytest.raises(EncryptionError, match="another token"):
        storage.retrieve_token("victim")


@pytest.mark.parametrize(
    "record",
    [
        "provider-kit:1:fernet:nonsense",
        "provider-kit:1:fernet:",
        "provider-kit:1:scrypt:1:2",
        "provider-kit:1:scrypt:99999999999:8:1:c2FsdHNhbHRzYWx0c2FsdA==:x",
        "provider-kit:1:scrypt:32768:8:900:c2FsdHNhbHRzYWx0c2FsdA==:x",
        "provider-kit:1:scrypt:32768:8:1:***:x",
        "provider-kit:1:unknown:x",
        "provider-kit:1:",
    ],
)
@pytest.mark.parametrize("options", [{"key": KEY}, {"passphrase": "x"}])
def test_a_damaged_record_is_an_error_and_costs_nothing(record, options):
    """Not gigabytes of memory because a header asks for them."""
    inner, storage = sealed(**options)
    inner.store_token("acme", OAuthToken(access_token=record))
    with pytest.raises(EncryptionError):
        storage.retrieve_token("acme")


def test_every_byte_counts():
    """A record that was tampered with is not read."""
    inner, storage = sealed(key=KEY)
    record = inner.retrieve_token("acme").access_token
    for position in range(len("provider-kit:1:fernet:") + 8, len(record) - 2, 7):
        flipped = "A" if record[position] != "A" else "B"
        inner.store_token("acme", OAuthToken(access_token=record[:position] + flipped + record[position + 1 :]))
        with pytest.raises(EncryptionError):
            storage.retrieve_token("acme")


def test_the_key_comes_from_argument_file_or_environment(tmp_path, monkeypatch):
    """One of them."""
    inner, _ = sealed(key=KEY)
    path = tmp_path / "key"
    path.write_text(KEY + "\n")
    assert EncryptedTokenStorage(inner, key_file=path).retrieve_token("acme") == TOKEN
    monkeypatch.setenv("PROVIDER_KIT_ENCRYPTION_KEY", KEY)
    assert EncryptedTokenStorage(inner).retrieve_token("acme") == TOKEN


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "No encryption key"),
        ({"key": "short"}, "malformed"),
        ({"key": "ü" * 44}, "malformed"),
        ({"passphrase": ""}, "empty"),
        ({"key": KEY, "passphrase": "x"}, "Several"),
        ({"key_file": "/nowhere/at/all"}, "cannot be read"),
    ],
)
def test_a_key_that_cannot_be_is_refused(options, words):
    """Before anything is stored, without showing it."""
    with pytest.raises(EncryptionError, match=words) as caught:
        EncryptedTokenStorage(MemoryTokenStorage(), **options)
    assert caught.value.hint
    assert "short" not in str(caught.value)


def test_an_asynchronous_storage_can_be_encrypted_too():
    """It is awaited where it is used."""

    class Later:
        def __init__(self):
            self.kept = {}

        async def store_token(self, key, token):
            self.kept[key] = token

        async def retrieve_token(self, key):
            return self.kept.get(key)

        async def delete_token(self, key):
            return self.kept.pop(key, None) is not None

        async def list_tokens(self):
            return list(self.kept)

    inner = Later()
    storage = EncryptedTokenStorage(inner, key=KEY)

    async def main():
        await storage.store_token("acme", TOKEN)
        authenticator = OAuthAuthenticator("acme", storage, OAuthConfig(client_id="c"))
        assert await authenticator.aget_token() == TOKEN.access_token
        assert await authenticator.alogout(revoke=False)

    asyncio.run(main())
    assert inner.kept == {}


def test_a_store_opened_without_its_key_hands_out_no_ciphertext(fake_server):
    """Forgetting the key is an encryption_error; nothing is sent, and the record stays as it is."""
    inner, _ = sealed(key=KEY)
    before = inner.retrieve_token("acme")
    authenticator = OAuthAuthenticator("acme", inner, OAuthConfig(client_id="c"))
    client = fake_server.client("openai/gpt-4o", auth=authenticator)
    acts = (
        authenticator.is_authenticated,
        authenticator.get_token,
        authenticator.get_token_info,
        lambda: client.chat("Hello"),
        lambda: asyncio.run(client.achat("Hello")),
    )
    for act in acts:
        with pytest.raises(EncryptionError, match="without a key") as caught:
            act()
        assert "PROVIDER_KIT_ENCRYPTION_KEY" in caught.value.hint
    assert fake_server.requests == []
    assert inner.retrieve_token("acme") == before
