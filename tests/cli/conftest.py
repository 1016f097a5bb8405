"""The command in this process, away from the settings of the machine."""

import pytest
from click.testing import CliRunner

from provider_kit.cli import cli
from provider_kit.testing import demo


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    """An empty folder, a storage of the test's own, no setting of the machine; no demo server stays behind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROVIDER_KIT_TOKEN_STORAGE", f"{tmp_path}/kept/")
    for name in ("PROVIDER_KIT_MODEL", "PROVIDER_KIT_DEBUG", "PROVIDER_KIT_ENCRYPTION_KEY"):
        monkeypatch.delenv(name, raising=False)
    yield
    demo.stop_demo()


@pytest.fixture
def run():
    """A function: run the command in this process; nothing it prints shows the tests' key, nor a traceback."""

    def invoke(*arguments, input="", **environment):
        result = CliRunner().invoke(cli, list(arguments), input=input, env=environment, prog_name="provider-kit")
        assert "secret-0123" not in result.output
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke
