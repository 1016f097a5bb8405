"""Where tokens are kept between runs: memory, files, keyring, SQLite, Redis, encrypted or not."""
