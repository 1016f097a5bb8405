"""A pickle of a client holds no secret unless that was asked for; its copy works all the same."""

import asyncio
import copy
import pickle
import pickletools

import pytest

from provider_kit import Client, HTTPConfig, ProviderConfig, RateLimitConfig, ResponseCache
from provider_kit.testing import FakeServer

#: What a person may choose, and what a machine does.
PASSWORD = "hunter2"
TOKEN = "Zq7w8e9r0t1y2u3i4o5p6a"
KEY = "sk-given-0123456789abcdef"
OF_THE_ENVIRONMENT = "sk-environment-0123456789"

SECRETS = {
    "api_key": {"api_key": KEY},
    "api_keys": {"api_keys": [KEY, TOKEN]},
    "api_keys with weights": {"api_keys": {KEY: 1.0, TOKEN: 2.0}},
    "a callable that knows it": {"api_key": lambda: KEY},
    "proxy": {"http": HTTPConfig(proxy=f"http://user:{PASSWORD}@proxy:3128")},
    "proxy by scheme": {"http": HTTPConfig(proxy={"https": f"http://user:{PASSWORD}@proxy:3128"})},
    "proxy without a scheme": {"http": HTTPConfig(proxy=f"user:{PASSWORD}@proxy:3128")},
    "proxy with a token for a user": {"http": HTTPConfig(proxy=f"http://{TOKEN}@proxy:3128")},
    "proxy with escapes": {"http": HTTPConfig(proxy=f"http://user:{PASSWORD}%40%2F@proxy:3128")},
    "store": {"store": f"redis://:{PASSWORD}@localhost:6379/0"},
    "store with a user": {"store": f"rediss://user:{PASSWORD}@localhost:6379/0"},
    "store with a query": {"store": f"redis://localhost:6379/0?password={PASSWORD}"},
    "response_cache": {"response_cache": f"redis://:{PASSWORD}@localhost:6379/0"},
    "ResponseCache": {"response_cache": ResponseCache(f"redis://user:{PASSWORD}@localhost:6379/0", ttl=7)},
    "a key in base_url": {"base_url": f"https://gateway.invalid/v1?key={PASSWORD}&api-version=2"},
    "a token in base_url": {"base_url": f"https://gateway.invalid/v1?tenant={TOKEN}"},
    "a header of a credential's name": {"headers": {"X-Auth": PASSWORD}},
    "a gateway's header": {"headers": {"Ocp-Apim-Subscription-Key": PASSWORD}},
    "a key in a plain header": {"headers": {"X-Team": KEY}},
    "a token in a plain header": {"headers": {"X-Team": TOKEN}},
    "a bearer token in a plain header": {"headers": {"X-Team": f"Bearer {PASSWORD}-{PASSWORD}"}},
    "extra_query of every call": {"defaults": {"extra_query": {"key": PASSWORD}}},
    "a token in extra_query of every call": {"defaults": {"extra_query": {"team": TOKEN}}},
    "a proxy of a token alone": {"http": HTTPConfig(proxy=f"{TOKEN}@proxy:3128")},
    "proxy, slash in the password": {"http": HTTPConfig(proxy=f"http://user:{PASSWORD}/x@proxy:3128")},
    "proxy, hash in the password": {"http": HTTPConfig(proxy=f"http://user:a#{PASSWORD}@proxy:3128")},
    "store, slash in the password": {"store": f"redis://:ab/{PASSWORD}@localhost:6379/0"},
    "store, hash in the password": {"store": f"redis://:ab#{PASSWORD}@localhost:6379/0"},
    "store on a socket": {"store": f"unix://:{PASSWORD}@/tmp/redis.sock"},
    "ResponseCache, hash in the password": {
        "response_cache": ResponseCache(f"redis://:ab#{PASSWORD}@localhost:6379/0", ttl=7)
    },
    "a signature in base_url": {"base_url": f"https://gateway.invalid/v1?sig={PASSWORD}"},
    "a code in base_url": {"base_url": f"https://gateway.invalid/v1?code={PASSWORD}"},
    "a key in the path of base_url": {"base_url": f"https://gateway.invalid/v1/{KEY}/x"},
    "a base64 token in a plain header": {"headers": {"X-Team": f"ab/{TOKEN}=="}},
    "a short name for a password": {"headers": {"X-Pass": PASSWORD, "X-Pwd": PASSWORD}},
    "a session": {"headers": {"X-Session": PASSWORD}},
    "a signature in extra_query of every call": {"defaults": {"extra_query": {"sig": PASSWORD}}},
    "extra_body of every call": {"defaults": {"extra_body": {"api_key": PASSWORD, "user": KEY}}},
    "deep in extra_body of every call": {
        "defaults": {"extra_body": {"provider": [{"headers": {"authorization": f"Bearer {TOKEN}"}}, KEY]}}
    },
    "lists and objects in extra_body of every call": {
        "defaults": {"extra_body": {"passwords": [PASSWORD], "credentials": {"value": PASSWORD}}}
    },
    "the name of the program": {"http": HTTPConfig(user_agent=f"app/1 {KEY}")},
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", OF_THE_ENVIRONMENT)


def holds(data):
    """Which of the secrets a pickle holds, as they are or inside another text."""
    shown = data.decode("latin-1") + "".join(str(argument) for _, argument, _ in pickletools.genops(data))
    return [secret for secret in (PASSWORD, TOKEN, KEY, OF_THE_ENVIRONMENT) if secret in shown]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("where", SECRETS)
def test_a_pickle_holds_no_secret(where, protocol):
    """Wherever it stands, in whatever protocol."""
    client = Client("openai/gpt-4o", **SECRETS[where])
    data = pickle.dumps(client, protocol)
    assert holds(data) == []
    again = pickle.loads(data)
    assert holds(pickle.dumps(again, protocol)) == []
    assert again.provider == client.provider
    assert again.config.default_model == "gpt-4o"


def _is_configuration(options):
    """Whether a ProviderConfig takes these options."""
    return not isinstance(options.get("response_cache"), ResponseCache) and not isinstance(
        options.get("api_keys"), dict
    )


@pytest.mark.parametrize("where", [where for where, options in SECRETS.items() if _is_configuration(options)])
def test_a_configuration_object_makes_no_difference(where):
    """The same in a ProviderConfig, as a configuration file makes it."""
    given = {name: value for name, value in SECRETS[where].items() if name != "defaults"}
    client = Client(ProviderConfig(type="openai", default_model="gpt-4o", **given))
    assert holds(pickle.dumps(client)) == []


def test_all_of_them_at_once():
    """Nothing depends on the others."""
    together = {}
    for options in SECRETS.values():
        together |= options
    del together["api_keys"]
    together["api_key"] = KEY
    data = pickle.dumps(Client("openai/gpt-4o", **together))
    assert holds(data) == []
    assert pickle.loads(data).keys.secrets[0] == OF_THE_ENVIRONMENT


def test_the_client_itself_keeps_its_secrets():
    """Pickling changes nothing in what is pickled, nor does copying."""
    client = Client(
        "openai/gpt-4o",
        api_key=KEY,
        headers={"X-Auth": PASSWORD},
        http=HTTPConfig(proxy=f"http://user:{PASSWORD}@proxy:3128"),
        response_cache=ResponseCache(f"redis://:{PASSWORD}@localhost:6379/0"),
    )
    pickle.dumps(client)
    for one in (client, copy.copy(client), copy.deepcopy(client)):
        assert one.config.headers == {"X-Auth": PASSWORD}
        assert PASSWORD in one.config.http.proxy
        assert PASSWORD in one._engine.parts.cache.store
        assert one.keys.secrets[0] == KEY


def test_what_is_no_secret_is_kept():
    """Addresses without passwords, harmless headers and queries, limits, times, the model."""
    client = Client(
        "openai/gpt-4o",
        api_key=KEY,
        base_url="https://gateway.invalid:8443/v1?api-version=2024-06-01&key=hunter2",
        headers={"X-Team": "search", "X-Auth": PASSWORD},
        http=HTTPConfig(proxy=f"http://user:{PASSWORD}@[::1]:3128", max_connections=7),
        response_cache=ResponseCache(f"rediss://user:{PASSWORD}@[::1]:6379/3?socket_timeout=2", ttl=7, tool_calls=True),
        rate_limit=RateLimitConfig(requests_per_minute=3),
        timeout=4,
        max_retries=1,
        defaults={
            "temperature": 0.5,
            "extra_query": {"region": "eu", "key": PASSWORD},
            "extra_body": {"max_tokens": 5, "eos_token": "</s>", "plugins": [{"id": "web"}], "api_key": PASSWORD},
        },
    )
    again = pickle.loads(pickle.dumps(client))
    config = again.config
    assert config.base_url == "https://gateway.invalid:8443/v1?api-version=2024-06-01"
    assert config.headers == {"X-Team": "search"}
    assert (config.http.proxy, config.http.max_connections) == ("http://[::1]:3128", 7)
    cache = again._engine.parts.cache
    assert (cache.store, cache.ttl, cache.tool_calls) == ("rediss://[::1]:6379/3?socket_timeout=2", 7, True)
    assert (config.rate_limit.requests_per_minute, config.timeout, config.max_retries) == (3, 4, 1)
    assert again._defaults == {
        "temperature": 0.5,
        "extra_query": {"region": "eu"},
        "extra_body": {"max_tokens": 5, "eos_token": "</s>", "plugins": [{"id": "web"}]},
    }


def test_names_and_versions_are_no_secrets():
    """Long words of letters and digits, as headers and queries have them; a schema may have a field "password"."""
    headers = {
        "anthropic-beta": "interleaved-thinking-2025-05-14",
        "OpenAI-Beta": "responses_multi_agent=v1",
        "x-goog-user-project": "my-company-project-123456",
        "X-Model": "claude-sonnet-4-5-20250929",
    }
    schema = {"properties": {"password": {"type": "string"}}}
    client = Client(
        "openai/gpt-4o",
        api_key=KEY,
        headers=headers,
        base_url="http://[::1]:8080/@org/v1?model=claude-sonnet-4-5-20250929",
        defaults={"extra_body": {"schema": schema}},
    )
    again = pickle.loads(pickle.dumps(client))
    assert again.config.headers == headers
    assert again.config.base_url == client.config.base_url
    assert again._defaults == {"extra_body": {"schema": schema}}
    client.close()


@pytest.mark.parametrize(
    "store", ["C:\\me@corp\\a.db", "/home/me@corp/answers.db", "unix:///tmp/redis.sock", "redis://[::1]:6379/1"]
)
def test_where_answers_are_kept_stays(store):
    """A path with an @ is no address with a user, and a socket has no host."""
    client = Client("openai/gpt-4o", api_key=KEY, response_cache=ResponseCache(store))
    assert pickle.loads(pickle.dumps(client))._engine.parts.cache.store == store
    client.close()


def test_the_copy_works(call, tmp_path):
    """With the key of its own environment, a cache of its own, and all else as it was."""
    with FakeServer(key=OF_THE_ENVIRONMENT) as server:
        client = Client(
            "openai/gpt-4o",
            api_key=KEY,
            base_url=f"{server.base_url()}?api-version=2024-06-01&key={PASSWORD}",
            headers={"X-Team": "search", "X-Auth": PASSWORD},
            response_cache=ResponseCache(tmp_path / "answers.db"),
            max_concurrency=1,
            max_retries=0,
        )
        with pickle.loads(pickle.dumps(client)) as again:
            assert call.chat(again, "What is 20 + 22?").text == "20 + 22 = 42"
            assert call.chat(again, "What is 20 + 22?").cache == "hit"
            chunks, response = call.stream(again, "What is 1 + 1?")
            assert chunks
            assert response.text == "1 + 1 = 2"
        (asked, _) = server.requests
        assert asked.path == "/v1/chat/completions?api-version=2024-06-01"
        assert asked.headers["x-team"] == "search"
        assert "x-auth" not in asked.headers
        client.close()


#: Functions and pools of keys are no part of a pickle.
NEVER_KEPT = ("a callable that knows it", "api_keys with weights")


@pytest.mark.parametrize("where", [where for where in SECRETS if where not in NEVER_KEPT])
def test_whoever_allows_it_keeps_what_there_was(where):
    """The copy has all that its original had."""
    client = Client("openai/gpt-4o", allow_secret_pickle=True, **SECRETS[where])
    data = pickle.dumps(client)
    assert holds(data) != []
    again = pickle.loads(data)
    assert again.config == client.config
    assert again._defaults == client._defaults
    if client._engine.parts.cache is not None:
        assert again._engine.parts.cache.store == client._engine.parts.cache.store
    assert holds(pickle.dumps(again)) == holds(data)


def test_whoever_allows_it_can_call_with_it(call):
    """The key, the header and the query all arrive."""
    with FakeServer(key=KEY) as server:
        client = Client(
            "openai/gpt-4o",
            api_key=KEY,
            base_url=f"{server.base_url()}?key={PASSWORD}",
            headers={"X-Auth": PASSWORD},
            allow_secret_pickle=True,
        )
        again = pickle.loads(pickle.dumps(client))
        assert call.chat(again, "What is 20 + 22?").text == "20 + 22 = 42"
        assert server.requests[0].headers["x-auth"] == PASSWORD
        assert server.requests[0].path.endswith(f"?key={PASSWORD}")
        client.close()
        again.close()


@pytest.mark.parametrize("allowed", [True, False])
def test_what_was_called_meanwhile_is_no_part_of_it(call, allowed):
    """Keys found in the environment, answers in memory, connections, and errors stay here."""
    with FakeServer(key=OF_THE_ENVIRONMENT) as server:
        client = Client(
            "openai/gpt-4o", base_url=server.base_url(), response_cache=True, allow_secret_pickle=allowed, max_retries=0
        )
        call.chat(client, f"My password is {PASSWORD}.")
        assert holds(pickle.dumps(client)) == []
        with pickle.loads(pickle.dumps(client)) as again:
            assert call.chat(again, "What is 20 + 22?").text == "20 + 22 = 42"
        client.close()


def test_what_stands_for_somebody_is_not_pickled():
    """Scopes, sessions and stores of one's own: their copies would be somebody else."""
    client = Client("openai/gpt-4o", api_key=KEY)
    with pytest.raises(TypeError, match="with_options"):
        pickle.dumps(client.with_options(api_key=TOKEN))
    client.close()


def test_a_copy_serves_asyncio_too():
    """One that was never used in the blocking world."""
    with FakeServer() as server:
        client = pickle.loads(pickle.dumps(server.client(max_concurrency=1)))

        async def main():
            answers = await asyncio.gather(*(client.achat("What is 20 + 22?") for _ in range(5)))
            await client.aclose()
            return {answer.text for answer in answers}

        assert asyncio.run(main()) == {"20 + 22 = 42"}
