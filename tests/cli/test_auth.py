"""``provider-kit auth``: in this process, and on a real terminal."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time

import pytest
from click.testing import CliRunner

from provider_kit import FileTokenStorage, OAuthToken
from provider_kit.cli import cli
from provider_kit.cli.device_code import copy_sequence, large
from provider_kit.testing import FakeServer, OAuthServer


@pytest.fixture
def server():
    with OAuthServer() as running:
        yield running


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function: run the command in this process."""
    monkeypatch.setenv("PROVIDER_KIT_TOKEN_STORAGE", str(tmp_path / "tokens.json"))
    for name in ("PROVIDER_KIT_MODEL", "PROVIDER_KIT_ENCRYPTION_KEY", "DISPLAY", "WAYLAND_DISPLAY", "ACME_CLIENT_ID"):
        monkeypatch.delenv(name, raising=False)

    def invoke(*arguments, input=None, **environment):
        return CliRunner().invoke(cli, list(arguments), input=input, env=environment, prog_name="provider-kit")

    return invoke


def addresses(server):
    given = {"client-id": server.client_id}
    for name, path in (("auth", "authorize"), ("token", "token"), ("device", "device"), ("revoke", "revoke")):
        given[f"{name}-url"] = f"{server.url}/{path}"
    return [word for name, value in given.items() for word in (f"--{name}", value)]


def browsing(server, monkeypatch):
    """A machine with a browser."""
    monkeypatch.setattr("provider_kit.auth.oauth.authenticator._open_browser", server.browser)


def test_log_in_look_refresh_log_out(run, server, monkeypatch):
    """The whole life of a login; the token appears nowhere."""
    browsing(server, monkeypatch)
    done = run("auth", "login", "acme", "--browser", "--scope", "x", *addresses(server))
    assert done.exit_code == 0, done.output
    assert "Logged in to acme." in done.output
    assert "59 minutes and is refreshed automatically" in done.output
    outputs = [done.output]
    for arguments, code, words in (
        (["auth", "status"], 0, "acme          logged in     for 59 minutes, then refreshed automatically"),
        (["auth", "status", "acme"], 0, "logged in"),
        (["auth", "refresh", "acme"], 0, "Refreshed the token of acme; good for 59 minutes."),
        (["auth", "logout", "acme"], 0, "Logged out of acme."),
        (["auth", "logout", "acme"], 0, "There was no login to acme."),
        (["auth", "status", "acme"], 1, "not logged in"),
        (["auth", "status"], 1, "There is no login"),
        (["auth", "refresh", "acme"], 2, "Not authenticated"),
    ):
        done = run(*arguments)
        assert (done.exit_code, words in done.output) == (code, True), done.output
        outputs.append(done.output)
    assert not any(token in output for token in [*server._access, *server._refresh] for output in outputs)
    assert server.live_logins == 0


def test_status_as_json(run, server, tmp_path, monkeypatch):
    """For programs; begun logins are none."""
    storage = FileTokenStorage(tmp_path / "tokens.json")
    later, before = time.time() + 7200, time.time() - 10
    storage.store_token("good", OAuthToken(access_token="s3cret-a", expires_at=later, scopes=("x",)))
    storage.store_token("old", OAuthToken(access_token="s3cret-b", refresh_token="s3cret-c", expires_at=before))
    storage.store_token("over", OAuthToken(access_token="s3cret-d", expires_at=before))
    storage.store_token("endless", OAuthToken(access_token="s3cret-e"))
    storage.store_token("x#login.0", OAuthToken(access_token="s3cret-f", token_type="login"))
    done = run("auth", "status", "--json")
    rows = {row["provider"]: row for row in json.loads(done.output)}
    assert {name: row["state"] for name, row in rows.items()} == {
        "good": "logged in",
        "old": "expired",
        "over": "over",
        "endless": "logged in",
    }
    assert rows["good"]["scopes"] == ["x"]
    assert rows["old"]["can_refresh"]
    assert done.exit_code == 1  # one of them needs a login
    assert "s3cret" not in done.output + run("auth", "status").output


def test_a_login_that_the_server_has_ended_looks_like_one(run, server, monkeypatch):
    """As soon as a refresh has failed; one that is under way is no failure."""
    browsing(server, monkeypatch)
    assert run("auth", "login", "acme", "--browser", *addresses(server)).exit_code == 0
    server.revoke_all()
    assert "invalid_grant" in run("auth", "refresh", "acme").output
    assert "the last refresh failed" not in run("auth", "status").output
    monkeypatch.setattr("provider_kit.cli.auth._REFRESH_TAKES", 0.0)
    assert "the last refresh failed; try: provider-kit auth refresh acme" in run("auth", "status").output


def test_a_storage_that_cannot_be_read_is_told(run, tmp_path):
    """Without a traceback, with the command that mends it."""
    (tmp_path / "tokens.json").write_text("{}")
    (tmp_path / "tokens.json").chmod(0o644)
    done = run("auth", "status", "acme")
    assert done.exit_code == 1
    assert "chmod 600" in done.output
    done = run("auth", "status")
    assert done.exit_code == 2
    assert "chmod 600" in done.output


def test_the_address_can_be_pasted(run, server, monkeypatch):
    """As over SSH; what is no callback of this login is told."""
    import provider_kit.cli.auth as module

    read, write = os.pipe()
    shown = module._show_address

    def show(url):
        shown(url)

        os.write(write, b"nonsense\n" + server.agree(url).encode() + b"\n")

    monkeypatch.setattr(module, "_show_address", show)
    with os.fdopen(read) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        from provider_kit.cli.auth import run_login

        given = {
            "client_id": server.client_id,
            "auth_url": f"{server.url}/authorize",
            "token_url": f"{server.url}/token",
        }
        run_login("acme", False, False, None, (), 10.0, **given)
    os.close(write)
    assert server.issued == {"authorization_code": 1}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["auth", "login", "acme"], "No OAuth login is known for acme"),
        (["auth", "login", "gemini"], "GEMINI_CLIENT_ID"),
        (["auth", "login", "acme", "--issuer", "http://auth.example", "--client-id", "c"], "unencrypted"),
        (["auth", "login"], "Missing argument"),
        (["auth", "frobnicate"], "No such command"),
    ],
)
def test_what_is_missing_is_told(run, arguments, words):
    """With exit code 2 and what to do."""
    done = run(*arguments)
    assert done.exit_code == 2
    assert words in done.output
    assert "Traceback" not in done.output


def test_a_failed_login_is_told_in_one_line(run, server, monkeypatch):
    """The person declined."""
    browsing(server, monkeypatch)
    monkeypatch.setattr(server, "_authorize", lambda query: server._decision({**query, "agree": "no"}))
    done = run("auth", "login", "acme", "--browser", *addresses(server))
    assert done.exit_code == 2
    assert "The login was declined" in done.output
    assert "Hint:" in done.output


def test_a_device_login(run, server):
    """The code on stderr, as text that can be piped."""

    def approve():
        end = time.monotonic() + 10
        while not server._devices and time.monotonic() < end:
            time.sleep(0.01)
        server.approve(next(iter(server._devices.values())).user_code)

    thread = threading.Thread(target=approve)
    thread.start()
    done = run("auth", "login", "acme", "--device", *addresses(server))
    thread.join()
    assert done.exit_code == 0, done.output
    assert re.search(r"^  [0-9A-F]{4}-[0-9A-F]{4}$", done.output, re.MULTILINE)
    assert "\033" not in done.output
    assert "Logged in to acme." in done.output


def test_a_stored_login_serves_the_other_commands(run, server, monkeypatch, tmp_path):
    """chat and models need no key then; a key goes first."""
    storage = FileTokenStorage(tmp_path / "tokens.json")
    authenticator = server.authenticator("openai", storage)
    authenticator.login(open_browser=server.browser, show=None)
    with FakeServer(key=server.accepts) as api:
        environment = {"OPENAI_BASE_URL": api.base_url()}
        done = run("chat", "-m", "openai/gpt-4o", "What is 2 + 3?", **environment)
        assert (done.exit_code, done.output.strip()) == (0, "2 + 3 = 5"), done.output
        assert run("models", "openai", **environment).exit_code == 0
        done = run("chat", "-m", "openai/gpt-4o", "Hi", OPENAI_API_KEY="sk-wrong-0123456789", **environment)
        assert done.exit_code == 1


def test_a_login_of_the_configuration_file(run, server, monkeypatch, tmp_path):
    """Its name is enough: server and client stand in the file, and the client of that name uses the login."""
    browsing(server, monkeypatch)
    monkeypatch.chdir(tmp_path)
    with FakeServer(key=server.accepts) as api:
        (tmp_path / "config.yaml").write_text(f"""
providers:
  work:
    type: openai
    base_url: {api.base_url("openai")}
    model: gpt-4o
    client_id: {server.client_id}
    oauth: {{auth_url: "{server.url}/authorize", token_url: "{server.url}/token", revoke_url: "{server.url}/revoke"}}
""")
        done = run("auth", "login", "work", "--browser")
        assert done.exit_code == 0, done.output
        assert "Logged in to work." in done.output
        assert "provider-kit chat -m work" in done.output
        api.reply("through the login")
        done = run("chat", "-m", "work", "Hello")
        assert (done.exit_code, done.stdout) == (0, "through the login\n"), done.output
        assert run("auth", "refresh", "work").exit_code == 0
        assert server.live_logins == 1
        assert run("auth", "logout", "work").exit_code == 0
    assert server.live_logins == 0


@pytest.mark.parametrize(
    "text",
    [
        "providers: {acme: {type: openai, api_key: 'sk-x-0123456789abcdef', timeout: abc}}",
        "providers: {acme: {type: openai",
        "providers: {acme: {type: openai, oauth: {client_id: a, client_secret: '${file:/not/there}', issuer: 'https://x'}}}",
    ],
)
def test_logging_out_needs_no_file(run, server, monkeypatch, tmp_path, text):
    """What is wrong with it is said; the login is forgotten, and ended at its server, all the same."""
    browsing(server, monkeypatch)
    monkeypatch.chdir(tmp_path)
    assert run("auth", "login", "acme", "--browser", *addresses(server)).exit_code == 0
    (tmp_path / "config.yaml").write_text(text)
    done = run("auth", "logout", "acme")
    assert (done.exit_code, "Logged out of acme." in done.output) == (0, True), done.output
    assert "config.yaml" in done.output or "cannot be read" in done.output
    assert server.live_logins == 0


def test_a_login_of_the_file_takes_the_client_of_its_own_variables(run, server, monkeypatch, tmp_path):
    """As without a file."""
    browsing(server, monkeypatch)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("providers: {me-too: {type: openai, api_key: sk-x-0123456789abcdef}}")
    where = addresses(server)[2:]  # without the client's id
    assert run("auth", "login", "me-too", "--browser", *where).exit_code == 2
    done = run("auth", "login", "me-too", "--browser", *where, ME_TOO_CLIENT_ID=server.client_id)
    assert done.exit_code == 0, done.output


def test_a_misspelt_login_of_the_file_is_told_its_name(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    lines = ["providers:", "  office:", "    type: gemini", "    client_id: my-client", "    client_secret: hush-hush"]
    (tmp_path / "config.yaml").write_text("\n".join(lines))
    done = run("auth", "login", "ofice", "--browser")
    assert done.exit_code == 2, done.output
    assert "Did you mean 'office'?" in done.output
    shown = run("config", "show").output
    assert "client_id=my-client, client_secret=***" in shown


def test_a_login_of_a_broken_entry_is_not_begun_elsewhere(run, monkeypatch, tmp_path):
    """What the file says of it counts, not a preset of the same name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("providers:\n  gemini:\n    auth_type: oauth\n    oauht: {}\n")
    done = run("auth", "login", "gemini", "--browser", "--client-id", "x")
    assert done.exit_code == 2, done.output
    assert "Did you mean 'oauth'" in done.output


def test_a_code_is_large_where_it_fits():
    """Several lines high, within the columns; else as it is."""
    shown = large("WDJB-MJHT", 80)
    assert shown is not None
    assert len(shown.splitlines()) >= 4
    assert max(map(len, shown.splitlines())) <= 78
    assert large("WDJB-MJHT-WDJB-MJHT-WDJB-MJHT", 40) is None
    assert copy_sequence("AB").startswith("\033]52;c;QUI=")


# ------------------------------------------------------------------------------------------------ a real terminal


class Terminal:
    """The command on a pseudo-terminal of 80 columns."""

    def __init__(self, *arguments, environment):
        self.output = ""
        self.pid, self._fd = pty.fork()
        if self.pid == 0:  # the child
            try:
                os.execve(
                    sys.executable,
                    [sys.executable, "-W", "error", "-m", "provider_kit", *arguments],
                    {**os.environ, **environment, "TERM": "xterm"},
                )
            finally:
                os._exit(127)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))

    def read_until(self, words, seconds=20):
        end = time.monotonic() + seconds
        while words not in self.output:
            assert time.monotonic() < end, self.output
            if select.select([self._fd], [], [], 0.1)[0]:
                try:
                    self.output += os.read(self._fd, 4096).decode("utf-8", "replace")
                except OSError:
                    assert words in self.output, self.output
        return self.output

    def write(self, text):
        os.write(self._fd, text.encode())

    def end(self, seconds=20):
        """Read the rest; the exit code."""
        end = time.monotonic() + seconds
        while True:
            assert time.monotonic() < end, self.output
            if not select.select([self._fd], [], [], 0.1)[0]:
                continue
            try:
                data = os.read(self._fd, 4096)
            except OSError:
                break
            if not data:
                break
            self.output += data.decode("utf-8", "replace")
        os.close(self._fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.fixture
def terminal(tmp_path):
    made = []

    def start(*arguments, **environment):
        known = {"PROVIDER_KIT_TOKEN_STORAGE": str(tmp_path / "tokens.json"), "DISPLAY": "", "COLUMNS": "80"}
        made.append(Terminal(*arguments, environment={**known, **environment}))
        return made[-1]

    yield start
    for one in made:
        try:
            os.kill(one.pid, signal.SIGKILL)
            os.waitpid(one.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


def test_a_device_login_on_a_terminal(terminal, server):
    """The code large, and on the clipboard; no line is longer than the terminal."""
    shell = terminal("auth", "login", "acme", "--device", *addresses(server))
    shell.read_until("Waiting until you have agreed")
    code = next(iter(server._devices.values())).user_code
    assert copy_sequence(code) in shell.output
    assert f"  {code}" in shell.output
    lines = re.sub(r"\033\][^\a]*\a|\033\[[0-9;]*m", "", shell.output).splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(bool(re.match(r" +[_|/\\(]", line)) for line in lines) >= 4  # the large letters
    server.approve(code)
    shell.read_until("Logged in to acme.")
    assert shell.end() == 0


def test_a_login_on_a_terminal_by_pasting(terminal, server):
    """The address is shown; the one the browser ended at is pasted; Enter."""
    shell = terminal("auth", "login", "acme", *addresses(server), SSH_CONNECTION="1 2 3 4")
    shell.read_until("press Enter.")
    url = re.search(r"(http://127\.0\.0\.1\S+/authorize\S+)", shell.output)[1]
    assert "Opening your browser" not in shell.output
    shell.write("http://127.0.0.1:1/callback?code=x&state=y\n")
    shell.read_until("Paste the full final address")

    shell.write(server.agree(url) + "\n")
    shell.read_until("Logged in to acme.")
    assert shell.end() == 0


def test_ctrl_c_leaves_a_clean_prompt(terminal, server):
    """No traceback, exit code 1."""
    shell = terminal("auth", "login", "acme", *addresses(server))
    shell.read_until("press Enter.")
    shell.write("\x03")
    assert shell.end() == 1
    assert "Traceback" not in shell.output
    assert "Aborted" in shell.output


def test_help_is_quick():
    """What a command needs is imported when it runs."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "provider_kit", "auth", "login", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not {"requests", "aiohttp", "oauthlib", "cryptography", "asyncio"} & loaded


def test_a_stored_key_is_no_login(run):
    """It is not listed, nor forgotten, nor ended at a server by the commands of logins."""
    assert run("keys", "set", "openai", input="sk-proj-0123456789abcdef\n").exit_code == 0
    listed = run("auth", "status")
    assert (listed.exit_code, "openai" in listed.output) == (1, False)
    named = run("auth", "status", "openai")
    assert named.exit_code == 1
    assert "a key is stored" in named.output
    ended = run("auth", "logout", "openai")
    assert ended.exit_code == 2
    assert "provider-kit keys rm openai" in ended.output
    refreshed = run("auth", "refresh", "openai")
    assert refreshed.exit_code == 2
    assert "It needs no refresh" in refreshed.output
    assert "openai" in run("keys", "list").output
