"""A certified authorization server, and a real browser, for the tests; installed once for all workers."""

import json
import os
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

import filelock
import pytest
import requests

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """The folder in which npm has put the server."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("needs node and npm for oidc-provider")
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    folder = shared / "oidc-provider"
    with filelock.FileLock(f"{folder}.lock"):
        if not (folder / "done").exists():
            folder.mkdir(exist_ok=True)
            for name in ("package.json", "server.mjs"):
                shutil.copy(HERE / name, folder)
            command = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
            assert done.returncode == 0, done.stderr
            (folder / "done").touch()
    return folder


@pytest.fixture
def issuer(installed, request):
    """The address of a running server; ``access_token_seconds`` marks how long its access tokens live."""
    mark = request.node.get_closest_marker("access_token_seconds")
    environment = {**os.environ, "ACCESS_TOKEN_SECONDS": str(mark.args[0] if mark else 3600)}
    process = subprocess.Popen(
        ["node", "server.mjs"],
        cwd=installed,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield json.loads(process.stdout.readline())["issuer"]
    finally:
        process.kill()
        process.communicate()


class _Form(HTMLParser):
    """The first form of a page."""

    def __init__(self):
        super().__init__()
        self.action, self.fields, self._inside = None, {}, False

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "form" and self.action is None:
            self.action, self._inside = given.get("action", ""), True
        elif tag in ("input", "button") and self._inside and given.get("name"):
            self.fields[given["name"]] = given.get("value") or ""

    def handle_endtag(self, tag):
        if tag == "form":
            self._inside = False


class Person:
    """Follows links and fills in forms, without scripts, as a person would: logs in and agrees."""

    def __init__(self):
        self.session = requests.Session()
        self.session.trust_env = False
        self.seen = []

    def visit(self, url, until=None, **answers):
        """Go on until a page has no form, or the next address begins with ``until``; that address or the page."""
        answers = {"login": "ada", "password": "any", **answers}
        response = self.session.get(url, allow_redirects=False, timeout=20)
        for _ in range(25):
            if response.is_redirect:
                target = urljoin(response.url, response.headers["location"])
                if until and target.startswith(until):
                    return target
                response = self.session.get(target, allow_redirects=False, timeout=20)
                continue
            self.seen.append(response.text)
            form = _Form()
            form.feed(response.text)
            if form.action is None:
                return response
            fields = {name: answers.get(name, value) for name, value in form.fields.items()}
            fields.pop("abort", None)
            target = urljoin(response.url, form.action)
            response = self.session.post(target, data=fields, allow_redirects=False, timeout=20)
        raise AssertionError(self.seen[-1])

    def close(self):
        self.session.close()


@pytest.fixture
def person():
    made = Person()
    yield made
    made.close()
