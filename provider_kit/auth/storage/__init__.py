"""Where tokens are kept between runs: memory, files, keyring, SQLite, Redis, encrypted or not.

``protocol.py`` says what a storage can do, ``factory.py`` opens one by its address, ``adapter.py`` asks one from either
world. A storage that shares tokens between processes brings a lock.
"""
