"""The policies a client is made with: wrong ones are refused at once, with a hint; and which may stand where."""

import copy
import pickle

import pytest

from provider_kit import (
    AuthError,
    Backoff,
    CircuitBreaker,
    CircuitBreakerConfig,
    Client,
    ConfigError,
    KeyManager,
    ProviderConfig,
    RateLimitConfig,
    RateLimiter,
    RedisStore,
    ResponseCache,
    ScriptedTransport,
)

KEY = "sk-test-key-0123456789"
OTHER = "sk-test-key-9876543210"

#: What is wrong both as an argument of a client and as a field of a configuration.
WRONG = {
    "api_keys is one key": {"api_keys": KEY},
    "api_keys is bytes": {"api_keys": b"sk-test"},
    "api_keys is a number": {"api_keys": 3},
    "key_strategy is unknown": {"key_strategy": "roundrobin"},
    "key_strategy is nothing": {"key_strategy": None},
    "wait_for_key is negative": {"wait_for_key": -1},
    "wait_for_key is no number": {"wait_for_key": float("nan")},
    "wait_for_key is text": {"wait_for_key": "long"},
    "max_retries is negative": {"max_retries": -1},
    "max_retries is text": {"max_retries": "3"},
    "rate_limit is a number": {"rate_limit": 60},
    "rate_limit is a dict": {"rate_limit": {"requests_per_minute": 60}},
    "max_concurrency is 0": {"max_concurrency": 0},
    "max_concurrency is true": {"max_concurrency": True},
    "max_concurrency is a fraction": {"max_concurrency": 2.5},
    "circuit_breaker is text": {"circuit_breaker": "yes"},
    "circuit_breaker is a number": {"circuit_breaker": 5},
    "circuit_breaker is a class": {"circuit_breaker": CircuitBreakerConfig},
    "response_cache is a number": {"response_cache": 5},
    "response_cache is in a database": {"response_cache": "mysql://localhost"},
    "store is no address": {"store": "localhost"},
    "store is another server's": {"store": "mysql://localhost"},
    "on_store_failure is unknown": {"on_store_failure": "ignore"},
    "on_store_failure is true": {"on_store_failure": True},
}
#: What only a client takes.
WRONG_PARTS = {
    "api_keys has a weight of 0": {"api_keys": {KEY: 0}},
    "api_keys has a weight of text": {"api_keys": {KEY: "much"}},
    "retry is an unknown preset": {"retry": "agressive"},
    "retry is a number": {"retry": 5},
    "rate_limiter is a number": {"rate_limiter": 5},
    "rate_limiter is a config": {"rate_limiter": RateLimitConfig(requests_per_minute=5)},
    "rate_limiter is a class": {"rate_limiter": RateLimiter},
    "response_cache is a number": {"response_cache": 5},
    "response_cache is an empty path": {"response_cache": ""},
    "response_cache is a class": {"response_cache": ResponseCache},
    "response_cache is another server's": {"response_cache": "mysql://localhost"},
    "response_cache is a dict": {"response_cache": {}},
    "store is a number": {"store": 5},
    "store is a class": {"store": RedisStore},
    "on_event is text": {"on_event": "print"},
    "on_event is true": {"on_event": True},
}


def refused(options):
    """The error of making a client; nothing is sent, not even asked for."""
    given = {} if "api_keys" in options else {"api_key": KEY}
    with pytest.raises(ConfigError) as caught:
        Client("openai/gpt-4o", transport=ScriptedTransport([]), **given, **options)
    return caught.value


@pytest.mark.parametrize("case", [*WRONG, *WRONG_PARTS])
def test_a_wrong_argument_is_refused_with_a_hint(case):
    """When the client is made, not with its first call."""
    options = {**WRONG, **WRONG_PARTS}[case]
    error = refused(options)
    assert error.hint
    assert KEY not in str(error)
    (name,) = options
    words = {"key_strategy": "strategy", "response_cache": "cache", "api_keys": "key", "store": "store"}
    assert words.get(name, name) in str(error).lower()


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_field_of_a_configuration_is_refused_with_a_hint(case):
    """By the configuration itself, or by the client made of it."""
    with pytest.raises(ConfigError) as caught:
        Client(ProviderConfig(type="openai", default_model="gpt-4o", **WRONG[case]), transport=ScriptedTransport([]))
    assert caught.value.hint


@pytest.mark.parametrize("options", [{"api_keys": ["sk-fine-key-0123456789", ""]}, {"api_keys": {"two lines\n": 1}}])
def test_a_key_that_cannot_be_sent_is_refused_before_anything_is(options):
    """An empty one, or one with a line break; it is not shown."""
    transport = ScriptedTransport([])
    with pytest.raises(AuthError) as caught:
        Client("openai/gpt-4o", transport=transport, **options).chat("Hello")
    assert "sk-fine-key" not in str(caught.value)
    assert transport.requests == []


def test_one_key_and_several_at_once_are_refused():
    """It would not be clear which one counts."""
    config = ProviderConfig(type="openai", api_key=KEY)
    with pytest.raises(ConfigError, match="both given"):
        Client(config, api_keys=KeyManager("openai", [OTHER]))
    with pytest.raises(ConfigError, match="both given"):
        Client("openai", api_key=KEY, api_keys={OTHER: 1})


def test_keys_of_a_configuration_and_a_manager_at_once_are_refused():
    """None of them is ignored in silence."""
    with pytest.raises(ConfigError, match="given twice") as caught:
        Client(ProviderConfig(type="openai", api_keys=[KEY]), api_keys=KeyManager("openai", [OTHER]))
    assert caught.value.hint


BESIDE = {
    "api_keys": [OTHER],
    "api_keys with weights": {OTHER: 1},
    "api_keys from a function": lambda: [OTHER],
    "key_strategy": "random",
    "wait_for_key": False,
    "wait_for_key of 0": 0,
    "max_retries": 0,
    "retry_on_read_timeout": True,
    "rate_limit": RateLimitConfig(requests_per_minute=5),
    "max_concurrency": 5,
    "circuit_breaker": True,
    "circuit_breaker with numbers": CircuitBreakerConfig(),
    "circuit_breaker of nonsense": "yes",
    "store": "redis://localhost",
    "on_store_failure": "raise",
}


@pytest.mark.parametrize("case", BESIDE)
def test_what_a_configuration_says_is_refused_beside_one(case):
    """It would be ignored otherwise."""
    config = ProviderConfig(type="openai", default_model="gpt-4o")
    with pytest.raises(ConfigError, match="and further arguments") as caught:
        Client(config, **{case.partition(" ")[0]: BESIDE[case]})
    assert "replace" in caught.value.hint


class Shared:
    """A store of one's own, as far as a client asks when it is made."""

    async def run(self, transport, script, keys, args):
        raise NotImplementedError


PARTS = {
    "on_event": print,
    "response_cache": True,
    "response_cache with numbers": ResponseCache(),
    "circuit_breaker": CircuitBreaker(),
    "retry": "conservative",
    "retry with numbers": Backoff(1),
    "rate_limiter": RateLimiter(10),
    "api_keys": KeyManager("openai", [OTHER]),
    "store": Shared(),
}


@pytest.mark.parametrize("case", PARTS)
def test_what_no_configuration_can_say_may_stand_beside_one(case):
    """Live parts: listeners, caches, breakers, limiters, managers, policies."""
    config = ProviderConfig(type="openai", default_model="gpt-4o")
    assert Client(config, **{case.partition(" ")[0]: PARTS[case]}).config is config


def test_parts_beside_a_configuration_are_used(answers_of_openai):
    """All of them, in one call."""
    heard, breaker, cache = [], CircuitBreaker(), ResponseCache()
    client = Client(
        ProviderConfig(type="openai", default_model="gpt-4o"),
        transport=answers_of_openai,
        api_keys=KeyManager("openai", [OTHER]),
        on_event=heard.append,
        circuit_breaker=breaker,
        response_cache=cache,
        rate_limiter=RateLimiter(10),
    )
    client.chat("Hello")
    assert [event.name for event in heard] == ["cache_miss", "request", "success", "cache_store"]
    assert answers_of_openai.requests[0].headers["Authorization"] == f"Bearer {OTHER}"
    assert (breaker.status(1000.0).requests, len(cache.memory)) == (1, 1)


@pytest.fixture
def answers_of_openai():
    """A transport that answers every chat."""
    message = {"role": "assistant", "content": "Hi"}
    payload = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    return ScriptedTransport([{"json": payload}], repeat=True)


@pytest.mark.parametrize("given", [True, CircuitBreakerConfig(open_for=7)], ids=["usual", "own numbers"])
def test_a_configuration_may_ask_for_a_circuit_breaker(given):
    """Each client of it has one of its own."""
    config = ProviderConfig(type="openai", circuit_breaker=given)
    one, other = Client(config, model="gpt-4o"), Client(config, model="gpt-4o")
    assert one.circuit.state == "closed"
    assert one._admission.breaker is not other._admission.breaker
    assert one._admission.breaker.config.open_for == (30.0 if given is True else 7)


def test_without_asking_there_are_no_policies_that_cost():
    """No breaker, no cache, no store, no limit, no cap, no listener."""
    client = Client("openai/gpt-4o", api_key=KEY)
    gate, parts = client._admission, client._engine.parts
    assert (gate.breaker, parts.cache, gate.shared, gate.limits, gate.slots) == (None,) * 5
    assert parts.events.sinks == (client.metrics,)
    assert not parts.events.observed
    assert Client("openai/gpt-4o", api_key=KEY, metrics=False)._engine.parts.events.sinks == ()


@pytest.mark.parametrize("nothing", [None, False])
def test_nothing_means_nothing(nothing):
    """For arguments that may be taken from a setting."""
    client = Client(
        "openai/gpt-4o",
        api_key=KEY,
        circuit_breaker=nothing or False,
        response_cache=nothing,
        store=None,
        rate_limit=None,
        on_event=None,
        retry=None,
    )
    assert (client.circuit, client._engine.parts.cache) == (None, None)


def test_an_address_of_a_cache_is_checked_without_a_connection():
    """Nothing listens there; a client can be made all the same."""
    client = Client("openai/gpt-4o", api_key=KEY, response_cache="redis://127.0.0.1:9/0")
    assert isinstance(client._engine.parts.cache.opened, RedisStore)
    assert pickle.loads(pickle.dumps(client._engine.parts.cache)).opened is None


def test_a_client_that_was_pickled_has_a_breaker_of_the_same_numbers():
    """Its own one: an object cannot be shared with another process."""
    client = Client("openai/gpt-4o", api_key=KEY, circuit_breaker=CircuitBreaker(CircuitBreakerConfig(open_for=7)))
    made = pickle.loads(pickle.dumps(client))
    assert made._admission.breaker.config.open_for == 7
    assert made.circuit.state == "closed"


def test_a_copy_of_a_client_shares_its_parts():
    """Breaker, cache and listener are the same objects."""
    breaker, cache = CircuitBreaker(), ResponseCache()
    client = Client("openai/gpt-4o", api_key=KEY, circuit_breaker=breaker, response_cache=cache, on_event=print)
    made = copy.copy(client)
    assert made._admission.breaker is breaker
    assert made._engine.parts.cache is cache
    assert made._engine.parts.events.sinks == (print, made.metrics)
    assert made.metrics is not client.metrics


def test_a_configuration_may_ask_for_a_response_cache(tmp_path):
    """In memory or in a file; what the client is given goes before it."""
    transport = ScriptedTransport(
        [{"json": {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}}], repeat=True
    )

    def ask(**options):
        client = Client(ProviderConfig(type="openai", api_key=KEY, default_model="m", **options), transport=transport)
        return [client.chat("Hello").cache for _ in range(2)]

    assert ask() == [None, None]
    assert ask(response_cache=True) == ["miss", "hit"]
    path = str(tmp_path / "answers.db")
    assert ask(response_cache=path) == ["miss", "hit"]
    assert ask(response_cache=path) == ["hit", "hit"]
    config = ProviderConfig(type="openai", api_key=KEY, response_cache=path)
    assert Client(config)._engine.parts.cache.store == path
    assert Client(config, response_cache=False)._engine.parts.cache is None
    assert Client(config, response_cache=True)._engine.parts.cache.store is None
    url = ProviderConfig(type="openai", response_cache="redis://:a-password@localhost")
    assert "a-password" not in repr(url)


def test_a_setting_without_effect_is_refused():
    """It would be believed to work."""
    manager = KeyManager("openai", ["key-number-one-abcdef", "key-number-two-abcdef"])
    with pytest.raises(ConfigError, match="key_strategy"):
        Client("openai/gpt-4o", api_keys=manager, key_strategy="random")
    with pytest.raises(ConfigError, match="requests_per_day"):
        RateLimitConfig(requests_per_minute=1, persist=True)
