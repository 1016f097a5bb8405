"""Every verb twice: ``x`` blocks, ``ax`` is awaited, and nothing else differs."""

import inspect

import pytest

from provider_kit import AsyncChatStream, AuthManager, ChatStream, Client, OAuthAuthenticator, OAuthKeyManager
from provider_kit.testing import ScriptedTransport
from provider_kit.transports.aiohttp_transport import AiohttpTransport
from provider_kit.transports.base import ByteStream, Transport
from provider_kit.transports.requests_transport import RequestsTransport

VERBS = (
    *("chat", "stream", "run", "stream_run", "step", "map"),
    *("models", "embed", "count_tokens", "health_check", "test_connection"),
    *("diagnose", "close"),
)
#: Those that return an iterator at once.
ITERATED = ("stream", "stream_run", "map")


@pytest.mark.parametrize("verb", VERBS)
def test_both_twins_take_the_same(verb):
    """Parameters, their order, kinds, defaults and annotations are equal."""
    one, other = getattr(Client, verb), getattr(Client, f"a{verb}")
    assert inspect.signature(one).parameters == inspect.signature(other).parameters
    if verb not in (*ITERATED, "close"):
        assert inspect.signature(one).return_annotation == inspect.signature(other).return_annotation


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "close"])
def test_the_awaited_twin_is_documented_by_the_other(verb):
    """One description for both, so that they cannot drift apart."""
    one, other = inspect.getdoc(getattr(Client, verb)), inspect.getdoc(getattr(Client, f"a{verb}"))
    assert one
    assert f":meth:`{verb}`" in other
    assert "Args:" not in other
    assert "Raises:" not in other


@pytest.mark.parametrize("verb", VERBS)
def test_only_the_awaited_twin_is_a_coroutine(verb):
    """``astream`` returns an asynchronous iterator without being awaited."""
    assert not inspect.iscoroutinefunction(getattr(Client, verb))
    assert inspect.iscoroutinefunction(getattr(Client, f"a{verb}")) == (verb not in ITERATED)


def test_no_verb_is_without_its_twin():
    """Every public method that calls a provider has one."""
    methods = {name for name in dir(Client) if inspect.isfunction(getattr(Client, name)) and not name.startswith("_")}
    methods -= {"with_options", "conversation", "model_info", "estimate_tokens", "estimate_cost"}  # call nobody
    assert methods == {name for verb in VERBS for name in (verb, f"a{verb}")}


#: What a login offers that waits for nobody, and so needs no twin.
WAIT_FOR_NOBODY = {
    OAuthAuthenticator: {
        "get_auth_method",
        "set_refresh_strategy",
        "as_requests_auth",
        "as_requests_session",
        "as_aiohttp_middleware",
    },
    OAuthKeyManager: {
        "add_credential",
        "remove_credential",
        "credential_ids",
        "status",
        "is_healthy",
        "set_refresh_strategy",
        "set_rotation_policy",
        "mark_for_rotation",
        "complete_rotation",
        "get_rotation_state",
        "get_rotation_states",
        "get_metrics",
        "export_json",
        "export_prometheus",
        "get_health_summary",
    },
    AuthManager: {"register", "register_oauth", "remove", "get", "names"},
}


def methods_of(kind):
    return {name for name, value in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}


@pytest.mark.parametrize("kind", WAIT_FOR_NOBODY, ids=lambda kind: kind.__name__)
def test_no_method_of_a_login_is_without_its_twin(kind):
    """Each that reads a storage or asks a server has one; and only those."""
    alone = WAIT_FOR_NOBODY[kind]
    methods = methods_of(kind)
    assert alone <= methods
    plain = {name for name in methods - alone if not (name.startswith("a") and name[1:] in methods)}
    assert methods == alone | plain | {f"a{name}" for name in plain}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param(kind, name, id=f"{kind.__name__}.{name}")
        for kind in WAIT_FOR_NOBODY
        for name in sorted(methods_of(kind))
        if f"a{name}" in methods_of(kind) and name != "close"
    ],
)
def test_both_twins_of_a_login_take_the_same(kind, name):
    """Parameters and results are equal; the awaited one is documented by the other."""
    one, other = getattr(kind, name), getattr(kind, f"a{name}")
    assert not inspect.iscoroutinefunction(one)
    assert inspect.iscoroutinefunction(other)
    if name != "execute_with_failover":  # whose function may be asynchronous only there
        assert inspect.signature(one).parameters == inspect.signature(other).parameters
    assert inspect.signature(one).return_annotation == inspect.signature(other).return_annotation
    assert f":meth:`{name}`" in inspect.getdoc(other)
    assert "Raises:" not in inspect.getdoc(other)


def test_both_streams_offer_the_same():
    """What can be asked of one stream can be asked of the other."""
    plain = {name for name in vars(ChatStream) if not name.startswith("_")}
    awaited = {name for name in vars(AsyncChatStream) if not name.startswith("_")}
    assert plain - {"close"} == awaited - {"aclose"} == {"response", "warnings", "text", "partials", "items"}


@pytest.mark.parametrize("kind", [RequestsTransport, AiohttpTransport, ScriptedTransport])
def test_all_transports_have_the_methods_of_the_protocol(kind):
    """With the same parameters."""
    for name, promised in vars(Transport).items():
        if name.startswith("_") or not inspect.isfunction(promised):
            continue
        given = inspect.signature(getattr(kind, name)).parameters
        assert [(p.name, p.kind) for p in given.values()] == [
            (p.name, p.kind) for p in inspect.signature(promised).parameters.values()
        ]
    assert isinstance(kind([]) if kind is ScriptedTransport else kind(), Transport)
    assert {"read", "progress", "drain", "aclose"} <= set(vars(ByteStream))
