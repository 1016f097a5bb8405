"""Tokens in files that only their owner can read: one file for all, or a directory with one file per token.

A file is replaced atomically, so that a crash leaves the old or the new content, never a mixture. Files of another kind
are refused rather than overwritten: a link, another user's file, a file with other content.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from provider_kit.auth.storage.base import FileLock, StorageBase, file_lock
from provider_kit.auth.storage.protocol import VERSION, check_key_name, from_fields, to_fields
from provider_kit.errors import StorageError
from provider_kit.model.oauth import OAuthToken
from provider_kit.stores.user_folders import lock_folder

__all__ = ["FileTokenStorage"]

#: Seconds to wait for another process that is writing.
_WAIT = 10.0
_LARGEST = 16 * 1024 * 1024
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)


class FileTokenStorage(StorageBase):
    """Keeps tokens in a file or a directory, shared by the processes of a machine.

    Args:
        path: A file (``.tokens.json``), or a directory (``.tokens/``, or one that exists), in which each token has its
            own file. ``~`` is the home directory. Files are created with mode 0600, directories with 0700.

    Example:
        >>> from provider_kit import FileTokenStorage, OAuthToken
        >>> storage = FileTokenStorage(".tokens.json")
        >>> storage.store_token("gemini", OAuthToken(access_token="ya29…"))
        >>> storage.list_tokens()
        ['gemini']
    """

    def __init__(self, path: str | os.PathLike[str] = ".tokens.json") -> None:
        given = os.path.expanduser(os.fspath(path))
        self.path = os.path.abspath(given)
        ends_like_a_folder = given.endswith(("/", os.sep)) or not os.path.splitext(os.path.basename(given))[1]
        self.is_directory = os.path.isdir(self.path) or (ends_like_a_folder and not os.path.isfile(self.path))
        self._folder = self.path if self.is_directory else os.path.dirname(self.path)

    def __repr__(self) -> str:
        return f"<FileTokenStorage {self.path}>"

    # -------------------------------------------------------------------------------------------- protocol

    def store_token(self, key: str, token: OAuthToken) -> None:
        """Store a token under a name, atomically.

        A file that turns out to be damaged is set aside (``….damaged-<time>``), never lost.

        Raises:
            StorageError: It cannot be written, or the existing file is not a token file of this user.
        """
        check_key_name(key)
        with self._writing():
            if self.is_directory:
                path = self._file_of(key)
                self._read(path, damaged="set aside")
                self._write(path, {"key": key, **to_fields(token)})
                return
            content = self._read(self.path, damaged="set aside") or {}
            content[key] = to_fields(token)
            self._write(self.path, {"version": VERSION, "tokens": content})

    def retrieve_token(self, key: str) -> OAuthToken | None:
        """The token under a name, or ``None``.

        Raises:
            StorageError: It is damaged, belongs to another user, or is readable by others.
        """
        path = self._file_of(key) if self.is_directory else self.path
        content = self._read(path)
        if content is None:
            return None
        if self.is_directory and content.get("key") != key:
            raise StorageError(
                f"The token file {path} belongs to another name.",
                hint="It was moved there. Delete it and log in again.",
                retryable=False,
            )
        found = content if self.is_directory else content.get(key)
        return None if found is None else from_fields(found, path)

    def delete_token(self, key: str) -> bool:
        """Delete a token; return whether there was one.

        Raises:
            StorageError: The file cannot be written.
        """
        with self._writing():
            if self.is_directory:
                try:
                    os.unlink(self._file_of(key))
                except FileNotFoundError:
                    return False
                return True
            content = self._read(self.path) or {}
            if content.pop(key, None) is None:
                return False
            self._write(self.path, {"version": VERSION, "tokens": content})
            return True

    def list_tokens(self) -> list[str]:
        """The names of all tokens, sorted.

        Raises:
            StorageError: The file is damaged, belongs to another user, or is readable by others.
        """
        if not self.is_directory:
            return sorted(self._read(self.path) or {})
        try:
            names = [name for name in os.listdir(self.path) if name.endswith(".json") and not name.startswith(".")]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._failed(self.path, error) from error
        found = []
        for name in names:
            try:
                content = self._read(os.path.join(self.path, name))
            except StorageError:  # reported when it is read; the other files are unaffected
                content = {"key": name.removesuffix(".json")}
            if content is not None:
                found.append(str(content.get("key", name.removesuffix(".json"))))
        return sorted(found)

    def lock(self, key: str) -> FileLock:
        """A lock that keeps other processes from refreshing the same token."""
        folder = (
            self.path if self.is_directory else lock_folder()
        )  # in our own folder, or else not next to the user's files
        with self._reporting(folder):
            return file_lock(folder, f"{os.path.realpath(self.path)}\0{key}")

    # -------------------------------------------------------------------------------------------- files

    def _file_of(self, key: str) -> str:
        """The file of a name; two names never share one, even on case-insensitive file systems."""
        if re.fullmatch(r"[a-z0-9_-]{1,60}", check_key_name(key)) and not re.search(r"-[0-9a-f]{32}$", key):
            return os.path.join(self.path, f"{key}.json")
        plain = re.sub(r"[^a-z0-9_-]", "-", key.lower())[:60]
        return os.path.join(self.path, f"{plain}-{hashlib.sha256(key.encode()).hexdigest()[:32]}.json")

    @contextmanager
    def _reporting(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._failed(path, error) from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._reporting(self._folder):
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            _check_folder(self._folder)
            lock = file_lock(self._folder, self.path)
        lock.wait(_WAIT)
        try:
            with self._reporting(self.path):
                yield
        finally:
            lock.release()

    def _failed(self, path: str, error: OSError) -> StorageError:
        if error.errno == errno.ELOOP:
            return _link(path)
        hint = "Check that the directory exists and is writable, or choose another location for tokens."
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = "The disk is full. Free some space; the tokens stored before are still there."
        elif isinstance(error, PermissionError):
            hint = f"Set the permissions: chmod 600 {self.path}; chmod u+rwx {self._folder}."
            if self.is_directory:
                hint = f"Set the permissions: chmod 700 {self.path}; chmod 600 on the files in it."
        return StorageError(f"The token file {path} cannot be used: {error.strerror or error}.", hint=hint)

    def _read(self, path: str, *, damaged: str = "refuse") -> dict[str, Any] | None:
        """The tokens of the file for all, or the fields of the file for one; ``None`` if there is no file."""
        with self._reporting(path):
            try:
                handle = os.open(path, os.O_RDONLY | _NOFOLLOW | getattr(os, "O_NONBLOCK", 0))
            except FileNotFoundError:
                return None
            with open(handle, "rb") as file:
                self._check(path, os.fstat(file.fileno()))
                data = file.read(_LARGEST + 1)
        content: Any = None
        broken = len(data) > _LARGEST
        if not broken:
            try:
                content = json.loads(data)
            except (ValueError, RecursionError):
                broken = True
        if not broken:
            tokens = content.get("tokens") if isinstance(content, dict) and not self.is_directory else content
            ours = isinstance(tokens, dict) and (not self.is_directory or "access_token" in tokens)
            if not ours:
                raise StorageError(
                    f"The file {path} does not hold tokens; it is left unchanged.",
                    hint="Choose another path for the tokens, or move that file away.",
                    retryable=False,
                )
            return dict(tokens or {})
        if damaged == "refuse":
            raise StorageError(
                f"The token file {path} is damaged or truncated.",
                hint="Log in again, which renames the damaged file, or restore it from a backup.",
                retryable=False,
            )
        with self._reporting(path):
            os.replace(path, f"{path}.damaged-{time.time_ns()}")
        return None

    def _check(self, path: str, found: os.stat_result) -> None:
        """Refuse anything but a regular file of this user that others cannot read."""
        if not stat.S_ISREG(found.st_mode):
            raise StorageError(f"{path} is not a file.", hint="Choose another path for the tokens.", retryable=False)
        if os.name != "posix":
            return
        if found.st_uid != os.geteuid():
            raise StorageError(
                f"The token file {path} belongs to another user.",
                hint=f"Choose a path of your own, or: chown {os.geteuid()} {path}",
                retryable=False,
            )
        if found.st_mode & 0o077:
            raise StorageError(
                f"The token file {path} can be read by other users (mode {found.st_mode & 0o777:03o}).",
                hint=f"chmod 600 {path}; if others may have read it, log in again and revoke the old tokens.",
                retryable=False,
            )

    def _write(self, path: str, content: dict[str, Any]) -> None:
        if os.path.islink(path):
            raise _link(path)
        beginning = f".{os.path.basename(path)}."
        for name in os.listdir(self._folder):  # left by a process that died; living ones hold the lock
            if name.startswith(beginning) and name.endswith(".new"):
                os.unlink(os.path.join(self._folder, name))
        temporary = os.path.join(self._folder, f".{os.path.basename(path)}.{os.getpid()}.{time.time_ns()}.new")
        try:
            handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _NOFOLLOW, 0o600)
            with open(handle, "w", encoding="utf-8") as file:
                if os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o077:
                    raise StorageError(
                        f"The file system of {self._folder} does not keep files from other users.",
                        hint="Choose a location on a local disk, or keep tokens in the keychain or in Redis.",
                        retryable=False,
                    )
                json.dump(content, file, separators=(",", ":"))
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:  # on interrupts too: no partial file stays behind
            with suppress(OSError):  # it was not created; the original error is raised below
                os.unlink(temporary)
            raise
        _sync_folder(self._folder)


def _link(path: str) -> StorageError:
    return StorageError(
        f"The token file {path} is a symbolic link; it is not followed.",
        hint="Give the path of the file itself.",
        retryable=False,
    )


def _check_folder(folder: str) -> None:
    """In a world-writable folder, any user could replace the token file."""
    mode = os.stat(folder).st_mode
    if os.name == "posix" and mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise StorageError(
            f"All users may write to {folder} (mode {mode & 0o777:03o}); tokens are not kept there.",
            hint=f"chmod o-w {folder}, or choose another location for tokens.",
            retryable=False,
        )


def _sync_folder(folder: str) -> None:
    """Make the new name survive a power failure."""
    if os.name == "posix":
        with suppress(OSError):  # some file systems cannot sync a folder; the file itself is written
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
