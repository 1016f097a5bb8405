"""Token storages: memory, files, encrypted, keyring, Redis, SQLite. See ``auth/token_storage.py`` for the protocol."""
