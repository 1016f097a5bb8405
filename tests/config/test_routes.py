"""The block ``routing:`` acts: routers of a file, and its mistakes with their lines."""

import pytest

from provider_kit import AllProvidersFailedError, Client, ConfigError, RateLimitError, Router, load_config
from provider_kit.testing import FakeServer

BASE = "providers: {demo: {model: echo}, other: {type: demo, model: count}}\nrouting:\n"


def loaded(tmp_path, text, base=BASE):
    path = tmp_path / "config.yaml"
    path.write_text(base + text)
    path.chmod(0o600)
    return load_config(path)


def test_a_route_is_a_router_with_its_settings(tmp_path):
    """As in code, by the same words."""
    clients = loaded(
        tmp_path,
        """\
  careful:
    strategy: weighted
    providers: [demo, other]
    weights: {demo: 3}
    aliases: {fast: [other]}
    fallback_on: [RateLimitError, refusal]
    wait: 12
    sticky: user
    min_rate: 5
    circuit_breaker: {open_for: 9}
    total_timeout: 60
""",
    )
    router = clients["careful"]
    assert isinstance(router, Router)
    assert (router.name, router.strategy, router.targets) == ("careful", "weighted", ["demo/echo", "other/count"])
    assert [state.weight for state in router.target_states] == [3, 1]
    handler = router.inner_handler
    assert handler.wait == 12
    assert handler.min_rate == 5
    assert handler.rule.judges_answers
    assert router.target_states[0].breaker.config.open_for == 9
    assert router._total == 60
    assert router.chat("Hello", model="fast").routing.target == "other/count"


def test_groups_priorities_defaults_and_other_routes(tmp_path):
    """Nested as deep as you like."""
    clients = loaded(
        tmp_path,
        """\
  inner: {providers: [other]}
  careful:
    providers:
      - {provider: demo, weight: 2, priority: 1, defaults: {temperature: 0}, name: first}
      - strategy: round_robin
        name: group
        providers: [other, {provider: demo, model: another}]
      - inner
""",
    )
    router = clients["careful"]
    assert router.targets == ["first", "group", "inner"]
    first = router.target_states[0]
    assert (first.weight, first.priority) == (2, 1)
    assert router.chat("Hello").routing.attempts[0].target == "group > other/count"
    assert router.inner_handler.targets[2].handler is clients["inner"].handler
    assert router.inner_handler.targets[0].defaults == (("temperature", 0),)


@pytest.mark.parametrize(
    ("block", "strategy"),
    [
        ("{strategy: hedge, hedge: {after: p90, budget: 0.1}, providers: [demo, other]}", "hedge"),
        ("{strategy: hedge, providers: [demo, other]}", "hedge"),
        ("{strategy: racing, race: {timeout: 2, grace: 0.5, losers: drain}, providers: [demo, other]}", "race"),
    ],
)
def test_hedges_and_races(tmp_path, block, strategy):
    """With their settings, which are those of Hedge and Race."""
    router = loaded(tmp_path, f"  r: {block}\n")["r"]
    assert router.strategy == strategy
    if "p90" in block:
        assert (router.inner_handler.hedge.after, router.inner_handler.hedge.budget) == ("p90", 0.1)
    if "drain" in block:
        assert router.inner_handler.race.losers == "drain"
    assert router.chat("Hello").text


def test_a_route_can_be_the_default(tmp_path):
    """So that every program that asks for the default gets it."""
    clients = loaded(tmp_path, "  careful: {providers: [demo, other]}\ndefault: careful\n")
    assert isinstance(clients.default, Router)
    assert clients.default is clients["careful"]


def test_it_falls_over(tmp_path, call):
    """Over real HTTP; and what fallback_on names replaces the table."""
    with FakeServer() as a, FakeServer() as b:
        path = tmp_path / "c.yaml"
        path.write_text(
            f"custom:\n  a: {{base_url: '{a.base_url()}', models: [m], max_retries: 0}}\n"
            f"  b: {{base_url: '{b.base_url()}', models: [m], max_retries: 0}}\n"
            "routing:\n  careful: {providers: [a, b]}\n  strict: {providers: [a, b], fallback_on: [RateLimitError]}\n"
        )
        with load_config(path) as clients:
            a.fault(500)
            assert call.chat(clients["careful"], "Hello").routing.target == "b/m"
            a.fault(429)
            assert call.chat(clients["strict"], "Hello").routing.target == "b/m"
            a.fault(500)
            b.fault(500)
            with pytest.raises(AllProvidersFailedError):
                call.chat(clients["careful"], "Hello")
            assert clients["strict"].inner_handler.rule._classes == (RateLimitError,)
            for client in (clients["a"], clients["b"]):
                assert isinstance(client, Client)


@pytest.mark.parametrize(
    ("text", "line", "words", "remedy"),
    [
        ("  r: {providers: [demo, dmo]}\n", 3, "no provider 'dmo'", "demo"),
        ("  r: {providers: []}\n", 3, "needs providers", "Write"),
        ("  r: {providers: [demo, demo]}\n", 3, "in this route twice", "weight"),
        ("  r: {providers: [demo], strategy: fastest}\n", 3, "one of", "latency"),
        ("  r:\n    providers:\n      - {provider: demo, weight: -1}\n", 5, "must not be negative", "1"),
        ("  r:\n    providers: [demo]\n    weights: {demo: 0}\n", 3, "All weights are 0", "above 0"),
        ("  r:\n    providers: [demo]\n    weights: {dmo: 1}\n", 5, "'dmo' is not in this route", "demo"),
        ("  r:\n    providers: [demo]\n    fallback_on: [RateLimit]\n", 5, "no error 'RateLimit'", "RateLimitError"),
        ("  r:\n    providers: [demo]\n    aliases: {fast: [dmo]}\n", 5, "'dmo' is not in this route", "demo"),
        ("  r:\n    providers: [demo]\n    wiat: 3\n", 5, "Unknown setting 'wiat'", "wait"),
        ("  r:\n    providers:\n      - {weight: 2}\n", 5, "A member needs a provider", "provider:"),
        ("  r:\n    providers:\n      - {provider: demo, providers: [other]}\n", 5, "not both", "Remove"),
        ("  r:\n    providers:\n      - providers: [dmo]\n", 5, "no provider 'dmo'", "demo"),
        ("  r:\n    providers: [demo]\n    strategy: hedge\n    hedge: {budget: 7}\n", 6, "share", "0.05"),
        ("  r:\n    providers: [demo]\n    hedge: {budget: 0.1}\n", 5, "belongs to strategy: hedge", "strategy: hedge"),
        ("  r:\n    providers: [demo]\n    race: {timeout: 1}\n", 5, "belongs to strategy: racing", "strategy: racing"),
        ("  r:\n    providers: [demo]\n    wait: -1\n", 5, "wait must be", "wait: 30"),
        ("  r:\n    providers: [demo]\n    timeout: -1\n", 5, "timeout must be seconds", "timeout: 60"),
        ("  r:\n    providers: [demo]\n    total_timeout: 0\n", 5, "total_timeout must be", "60"),
        ("  r:\n    providers: [demo]\n    store: localhost\n", 5, "No store is known", "redis://"),
        ("  r:\n    providers: [demo]\n    aliases: {r: [demo]}\n", 5, "the name of its route", "another name"),
        ("  r:\n    providers:\n      - {providers: []}\n", 5, "A group needs providers", "Write"),
        ("  a/b: {providers: [demo]}\n", 3, "not a valid name for a route", "letters"),
        (
            "  r:\n    providers:\n      - {provider: demo, name: x}\n      - {provider: other, name: x}\n",
            5,
            "Two members have the name 'x'",
            "distinct",
        ),
        ("  r:\n    providers:\n      - providers: [{provider: demo, weight: -2}]\n", 5, "not be negative", "1"),
        (
            "  r:\n    providers:\n      - provider: q\n        defaults: {seed: 1}\n  q: {providers: [demo]}\n",
            6,
            "no defaults of its own",
            "its providers",
        ),
        ("  r:\n    providers: [demo]\n    min_rate: 0\n", 5, "min_rate must be", "min_rate: 20"),
        (
            "  r:\n    providers:\n      - provider: demo\n        defaults: {temperatur: 0}\n",
            6,
            "Unknown default 'temperatur'",
            "temperature",
        ),
        ("  demo: {providers: [other]}\n", 3, "There is a provider 'demo' already", "another name"),
        ("  a: {providers: [b]}\n  b: {providers: [a]}\n", 3, "contains itself: a > b > a", "Remove"),
        ("  a: {providers: [demo, a]}\n", 3, "contains itself: a > a", "Remove"),
        ("  a:\n    providers:\n      - providers: [a]\n", 3, "contains itself: a > a", "Remove"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path, text, line, words, remedy):
    """And what to write instead; nothing is sent."""
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    found = [problem for problem in caught.value.problems if words in problem.message]
    assert found, [str(problem) for problem in caught.value.problems]
    assert found[0].line == line
    assert remedy in found[0].remedy


def test_a_group_that_contains_itself_is_told_with_its_line(tmp_path):
    """Through an anchor and its alias."""
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, "  loop: &a\n    providers:\n      - demo\n      - providers: [other, *a]\n")
    assert "config.yaml:3:" in str(caught.value)
    assert "refers to itself" in str(caught.value)
