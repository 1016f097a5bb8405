"""Token storages: memory, files, keyring, SQLite, Redis, encrypted or not.

``protocol.py`` defines a storage, ``factory.py`` opens one by its address, ``adapter.py`` calls one from blocking or
asyncio code. A storage that shares tokens between processes has a lock.
"""
