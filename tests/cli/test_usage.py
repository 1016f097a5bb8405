"""``provider-kit usage``: tables, bars, JSON and CSV of the ledger."""

import csv
import io
import json

import pytest
from click.testing import CliRunner

from provider_kit import Client, UsageLedger
from provider_kit.cli.main import cli


@pytest.fixture
def file(tmp_path):
    """A ledger with some calls."""
    path = tmp_path / "usage.db"
    prices = {"*": {"pricing": {"input": "1000", "output": "1"}}}
    client = Client("demo/echo", plugins=[UsageLedger(path)], model_overrides=prices)
    for number in range(4):
        client.chat("Hello " * 10, tags=["=SUM(A1)", "daily"] if number else [])
    client.chat("Hello", model="count")
    client.close()
    return str(path)


def run(*arguments):
    result = CliRunner().invoke(cli, ["usage", *arguments])
    return result.exit_code, result.output


def test_a_table_by_day(file):
    """Sums, bars, and a total."""
    code, out = run("--file", file)
    lines = out.splitlines()
    assert code == 0
    assert lines[0].split()[:2] == ["day", "attempts"]
    assert lines[1].split()[1] == "5"
    assert "█" in lines[1]
    assert lines[-1].split()[0] == "total"


def test_by_model_and_tag(file):
    """The greatest first."""
    _, out = run("--file", file, "--by", "model")
    assert [line.split()[0] for line in out.splitlines()] == ["model", "echo", "count", "total"]
    _, out = run("--file", file, "--by", "tag")
    assert "daily" in out


def test_json(file):
    """For programs."""
    code, out = run("--file", file, "--by", "model", "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["total"]["attempts"], [row["name"] for row in found["rows"]]) == (5, ["echo", "count"])
    assert float(found["total"]["cost"]) > 0


def test_csv(file):
    """For spreadsheets, which run nothing of it."""
    code, out = run("--file", file, "--by", "tag", "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert {row["tag"] for row in rows} == {"'=SUM(A1)", "daily", ""}
    assert sum(int(row["attempts"]) for row in rows if row["tag"] in ("daily", "")) == 5


@pytest.mark.parametrize(("since", "calls"), [("1h", 5), ("7d", 5), ("all", 5), ("2100-01-01", 0)])
def test_a_time(file, since, calls):
    """Hours, days, or a date."""
    _, out = run("--file", file, "--since", since, "--json")
    assert json.loads(out)["total"]["attempts"] == calls


def test_what_is_no_time_is_refused(file):
    """With examples."""
    code, out = run("--file", file, "--since", "yesterday")
    assert code == 2
    assert "7d" in out
    code, out = run("--file", file, "--json", "--csv")
    assert code == 2


def test_without_a_ledger(tmp_path):
    """It says how to get one."""
    code, out = run("--file", str(tmp_path / "none.db"))
    assert code == 2
    assert "UsageLedger" in out


def test_an_empty_time(file):
    """In words."""
    assert "Nothing was used" in run("--file", file, "--since", "2100-01-01")[1]
