"""``provider-kit route``: who would be asked and why; and what strategies would make of many calls."""

import json

import pytest

from provider_kit import Router, load_config

CONFIG = """\
providers:
  openai: {model: gpt-5-mini, api_key: sk-0123456789abcdef}
  anthropic: {model: claude-haiku-4-5, api_key: sk-ant-0123456789abcdef}
  demo: {model: echo}
  other: {type: demo, model: count}
routing:
  careful: {providers: [openai, {provider: anthropic, priority: 1, weight: 2}]}
  quick: {strategy: latency, providers: [demo, other]}
"""
NAMES = ("openai/gpt-5-mini", "anthropic/claude-haiku-4-5")


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    path.chmod(0o600)
    monkeypatch.setenv("PROVIDER_KIT_CONFIG", str(path))
    return path


def test_chat_takes_a_route(run, file):
    """-m careful."""
    result = run("chat", "-m", "quick", "Hello")
    assert result.exit_code == 0
    assert result.stdout.strip()


def test_a_route_takes_no_option_of_one_provider(run, file):
    """They would be ignored."""
    result = run("chat", "-m", "quick", "--base-url", "http://localhost:1", "Hello")
    assert result.exit_code == 2
    assert "--base-url cannot be used with the route quick" in result.stderr


def test_a_command_about_one_provider_says_so(run, file):
    """With the providers of the route."""
    result = run("models", "quick")
    assert result.exit_code == 2
    assert "quick" in result.stderr


def test_check_names_the_routes(run, file):
    """Next to the providers."""
    assert "Routes: careful, quick." in run("config", "check").stdout


def test_explain_tells_who_and_why(run, file):
    """Order, prices, windows; nothing is sent."""
    result = run("route", "explain", "careful", "Hello")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "fallback: the first one in order"
    assert lines[1].startswith("  1. openai/gpt-5-mini: priority 0, about $0.00")
    assert "priority 1, weight 2" in lines[2]
    assert "holds 200,000 tokens" in lines[2]
    rows = json.loads(run("route", "explain", "careful", "Hello", "--json").stdout)
    assert [one["name"] for one in rows["targets"]] == list(NAMES)
    assert run("route", "explain", "openai", "Hello").exit_code == 2
    assert "serves 'nothing'" in run("route", "explain", "careful", "Hello", "-m", "nothing").stderr


def trace(tmp_path, rows):
    path = tmp_path / "calls.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(path)


def test_simulate_compares_strategies_over_recorded_calls(run, file, tmp_path):
    """The slow one and the one that fails are told apart."""
    rows = []
    for number in range(400):
        rows.append({"time": number / 4, "target": NAMES[0], "first_token": 2.0, "error": None, "cost": 0.01})
        failed = "InternalServerError" if number % 2 else None
        rows.append(
            {"time": number / 4, "target": NAMES[1], "first_token": 0.2, "error": failed, "cost": 0.02, "retry": True}
        )
    path = trace(tmp_path, rows)
    result = run("route", "simulate", str(file), "-r", "careful", "--trace", path, "--json")
    found = {one["strategy"]: one for one in json.loads(result.stdout)}
    assert found["fallback"]["calls"] == 400
    assert found["fallback"]["availability"] == 1.0
    assert found["fallback"]["p50"] == pytest.approx(2.0)
    assert found["fallback"]["cost"] == pytest.approx(4.0)
    assert found["fallback"]["shares"][NAMES[0]] == 400


def test_simulate_draws_a_table_and_a_plot(run, file):
    """With invented calls, where there is no record."""
    options = ("--calls", "500", "--target", "demo/echo=0.5,fail=0.2", "--target", "other/count=1.0")
    result = run("route", "simulate", str(file), "--route", "quick", *options)
    assert result.exit_code == 0, result.stderr
    assert "quick: 500 calls" in result.stdout
    assert "latency *" in result.stdout
    assert "hedge" in result.stdout
    assert "▓" in result.stdout
    again = run("route", "simulate", str(file), "--route", "quick", *options)
    assert again.stdout == result.stdout


def test_the_rows_of_a_call_are_a_trace(run, file, tmp_path):
    """reply.routing.trace() is what --trace reads."""
    router = load_config(file).route("quick")
    rows = [row for _ in range(20) for row in router.chat("Hello").routing.trace()]
    assert {row["target"] for row in rows} <= {"demo/echo", "other/count"}
    rows += [{**row, "target": name} for row in rows[:1] for name in ("demo/echo", "other/count")]
    path = trace(tmp_path, rows)
    result = run("route", "simulate", str(file), "-r", "quick", "--trace", path, "-s", "weighted", "-s", "racing")
    assert result.exit_code == 0, result.stderr
    assert "racing" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "has several routes: careful, quick"),
        (("-r", "carefull"), "has no route 'carefull'"),
        (("-r", "quick", "-s", "fastest"), "no strategy 'fastest'"),
        (("-r", "quick", "--target", "nobody=1"), "no target 'nobody'"),
        (("-r", "quick", "--target", "demo/echo=fast"), "not understood"),
        (("-r", "quick", "--target", "demo/echo=1,broken=2"), "not understood"),
        (("-r", "quick", "--target", "demo/echo=-1"), "negative number"),
        (("-r", "quick", "--trace", "/no/such/file"), "cannot be read"),
    ],
)
def test_mistakes_are_told(run, file, arguments, words):
    """With what there is."""
    result = run("route", "simulate", str(file), *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", "calls.jsonl:1: this is no recorded call"),
        ('{"time": 1}', "calls.jsonl:1: this is no recorded call"),
        ('{"time": 1, "target": 3, "first_token": 1}', "must be numbers"),
        ('{"time": 1, "target": "a", "first_token": -1}', "must be numbers"),
        ("", "has no calls"),
        ('{"time": 1, "target": "demo/echo", "first_token": 1}', "Nothing is known of how other/count answers"),
    ],
)
def test_a_broken_trace_is_told_with_its_line(run, file, tmp_path, text, words):
    """And what a line looks like."""
    path = tmp_path / "calls.jsonl"
    path.write_text(text)
    result = run("route", "simulate", str(file), "-r", "quick", "--trace", str(path))
    assert result.exit_code == 2
    assert words in result.stderr


def test_a_route_can_be_talked_to(file):
    """The same router in code."""
    assert isinstance(load_config(file)["quick"], Router)
