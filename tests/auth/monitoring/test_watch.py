"""Credentials and calls tell the same kind of events, so that one function can listen to both."""

import asyncio
import logging

from provider_kit import Client, Event, MonitoringConfig, OAuthCredentialSet, OAuthKeyManager, ScriptedTransport
from provider_kit.transports.drive import run_to_completion


def test_one_function_listens_to_calls_and_credentials(call, caplog):
    """And the log has both."""
    told = []
    manager = OAuthKeyManager(
        "acme",
        [OAuthCredentialSet(id="team", client_id="c", refresh_token="r-0123456789")],
        refresh_function=lambda token: token.replace(access_token="fresh-0123456789", expires_at=4e9),
        monitoring=MonitoringConfig(on_event=told.append),
    )
    answer = {"json": {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}}
    client = Client(
        "openai_compatible/any",
        base_url="https://acme.example/v1",
        auth=manager,
        transport=ScriptedTransport([answer]),
        on_event=told.append,
    )
    with caplog.at_level(logging.DEBUG, "provider_kit"):
        call.chat(client, "Hello")
    names = [event.name for event in told]
    assert all(isinstance(event, Event) for event in told)
    assert {"credential", "request", "success"} <= set(names)
    (renewed,) = [event for event in told if event.name == "credential"]
    assert (renewed.kind, renewed.credential_id, renewed.provider) == ("refresh", "team", "acme")
    assert renewed.to_dict()["data"] == renewed.data == {"expires_at": 4e9}
    assert "acme: token refreshed" in [
        record.message for record in caplog.records if record.name == "provider_kit.auth"
    ]


def test_the_listeners_of_a_client_hear_of_its_credentials(call):
    """Without asking for it twice; its metrics count them as well."""
    heard = []
    credentials = [OAuthCredentialSet(id="one", access_token="a-token-0123456789", client_id="x")]
    manager = OAuthKeyManager("openai", credentials)
    client = Client("openai/gpt-4o", auth=manager, on_event=heard.append)
    run = asyncio.run if call.name == "asyncio" else run_to_completion
    watch = manager._watch
    transport = client._transports.make_blocking() if call.name == "blocking" else client._transports.make_asyncio()
    run(watch.rotation(transport, "one", "is old"))
    assert [(event.name, event.credential_id) for event in heard] == [("credential", "one")]
    assert client.metrics.snapshot().events == {"credential": 1}
    client.close()
