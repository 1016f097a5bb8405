"""Watches the whole suite for secrets that get out: in logs, errors and all that hangs on them, tracebacks with their
variables, pickles, and files.

Every :class:`OAuthServer` of a test tells which tokens and codes it has handed out, every :class:`FakeServer` which key
it wants. When the test ends, nothing
of what was logged, raised and left in temporary files may hold one of them. Tokens that a test writes into a
token storage are where they belong: a file of mode 0600.
"""

import io
import logging
import pickle
import stat
import traceback
import weakref
from collections.abc import Mapping
from contextlib import suppress

from provider_kit.testing import fake_server, oauth_server

#: Frames of the tests and of the fake servers may hold tokens: they play the other side.
OURS = "/provider_kit/"
NOT_OURS = ("/provider_kit/testing/", "/tests/")


class SecretWatch:
    """What was seen during one test."""

    def __init__(self):
        self.servers = []
        self.providers = []
        self.log = io.StringIO()
        self.texts = []
        self.handler = logging.StreamHandler(self.log)
        self.handler.setFormatter(_Everything())

    @property
    def secrets(self):
        """Everything the servers of this test have handed out."""
        found = set()
        for server in self.servers:
            found |= {*server._access, *server._refresh, *server._codes, *server._devices}
            found |= server.former_secrets
        return found

    @property
    def keys(self):
        """The keys that a test chose for its servers; short ones stand in other words too."""
        return {one._key for one in self.providers if isinstance(one._key, str) and len(one._key) > 15}

    def see(self, error):
        """Remember all that can be seen of an error: its texts, its attributes, the variables of our frames."""
        self.texts += _texts(error)
        for one in _chain(error):
            self.texts += [str(one), repr(one), repr(getattr(one, "__dict__", "")), repr(one.args)]
            self.texts += [str(note) for note in getattr(one, "__notes__", ())]
            for frame, _ in traceback.walk_tb(one.__traceback__):
                path = frame.f_code.co_filename
                if OURS in path and not any(part in path for part in NOT_OURS):
                    self.texts.append(_variables(frame))

    def found_in(self, text):
        """The secrets in a text."""
        return [secret for secret in (*self.secrets, *self.keys) if secret in text]


class _Everything(logging.Formatter):
    """The message, and all that was passed along."""

    def format(self, record):
        return f"{super().format(record)} {record.args!r} {record.__dict__.get('exc_text') or ''}"


def _chain(error):
    seen = []
    while error is not None and error not in seen:
        seen.append(error)
        error = error.__cause__ or error.__context__
    return seen


def _texts(error):
    """All texts that hang on an error: of its attributes, the partial answer, both its causes, and its pickle."""
    found, waiting, seen = [], [error], set()
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, (str, bytes)):
            found.append(str(item))
        elif isinstance(item, BaseException):
            waiting += [item.__cause__, item.__context__, *item.args, *vars(item).values(), getattr(item, "doc", None)]
        elif isinstance(item, (list, tuple, set, frozenset)):
            waiting += item
        elif isinstance(item, Mapping):
            waiting += [*item.keys(), *item.values()]
        elif hasattr(type(item), "__attrs_attrs__"):
            waiting += [getattr(item, one.name, None) for one in type(item).__attrs_attrs__]
    with suppress(Exception):  # not every error of others can be pickled
        found.append(pickle.dumps(error).decode("latin-1"))
    return found


def _variables(frame):
    shown = []
    for name, value in frame.f_locals.items():
        try:
            shown.append(f"{frame.f_code.co_qualname}: {name} = {value!r}")
        except Exception as error:  # half made objects
            shown.append(f"{name}: {type(error).__name__}")
    return "\n".join(shown)


_current = None
_made = weakref.WeakSet()


def begin(monkeypatch):
    """Watch until :func:`end`."""
    global _current
    _current = watch = SecretWatch()
    real = oauth_server.OAuthServer.__init__

    def remember(self, *args, **options):
        real(self, *args, **options)
        self.former_secrets = set()
        expire = self.expire_access_tokens

        def keep_and_expire():
            self.former_secrets |= set(self._access)
            expire()

        self.expire_access_tokens = keep_and_expire
        watch.servers.append(self)

    monkeypatch.setattr(oauth_server.OAuthServer, "__init__", remember)
    begun = fake_server.FakeServer.__init__

    def remember_provider(self, *args, **options):
        begun(self, *args, **options)
        watch.providers.append(self)

    monkeypatch.setattr(fake_server.FakeServer, "__init__", remember_provider)
    logging.getLogger("provider_kit").addHandler(watch.handler)
    return watch


def saw(error):
    """An expected error was caught by a test."""
    if _current is not None:
        _current.see(error)


def end(watch, folder, printed):
    """Nothing that was seen holds a secret.

    Args:
        watch: As :func:`begin` returned it.
        folder: Temporary files of the test; ``None`` if it has none.
        printed: A function that returns what it printed.
    """
    global _current
    _current = None
    logging.getLogger("provider_kit").removeHandler(watch.handler)
    if not watch.secrets and not watch.keys:
        return
    assert not watch.found_in(watch.log.getvalue()), "a secret was logged"
    assert not watch.found_in(printed()), "a secret was printed"
    for text in watch.texts:
        found = watch.found_in(text)
        assert not found, f"a secret is in an error or its traceback: {text.replace(found[0], '<SECRET>')[:2000]}"
    watch.providers.clear()  # their keys are written into files by the tests themselves
    for path in folder.rglob("*") if folder is not None else ():
        if path.is_file() and watch.found_in(path.read_bytes().decode("latin-1")):
            mode = stat.S_IMODE(path.stat().st_mode)
            kept = path.suffix in (".json", ".db", ".cfg") or ".damaged-" in path.name
            assert kept, f"{path} holds a secret"
            assert mode == 0o600 or path.suffix == ".cfg", f"{path} can be read by others"
