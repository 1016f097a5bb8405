"""Flask: an extension with clients, a scope per request, and streamed answers. Needs ``pip install
provider-kit[flask]``.

>>> from flask import Flask
>>> from provider_kit.integrations.flask import ProviderKit, current_client
>>> app = Flask(__name__)
>>> kit = ProviderKit(app, {"default": {"type": "demo", "model": "echo"}})
>>> @app.get("/")
... def hello():
...     return current_client.chat("Hello").text
>>> app.test_client().get("/").text
'Hello'
"""

from __future__ import annotations

import atexit
import os
import weakref
from collections.abc import Mapping
from contextlib import nullcontext
from threading import RLock
from typing import Any, cast

import click

from provider_kit.cli import cli
from provider_kit.client.client import Client
from provider_kit.client.collection import Clients
from provider_kit.client.router import Router
from provider_kit.config.discovery import read_text
from provider_kit.config.loader import given_configuration
from provider_kit.errors import ConfigError, ProviderKitError
from provider_kit.integrations.relay_blocking import BlockingRelay
from provider_kit.integrations.settings import (
    OwnClients,
    clients_of,
    clients_of_settings,
    document_of,
    is_made,
    needs_extra,
)
from provider_kit.integrations.ui_stream import Protocol, UIAnswer, UISource, UIStreamOptions, error_answer

try:
    from flask import Flask, Response, current_app, g, has_request_context, stream_with_context
    from flask.cli import with_appcontext
    from werkzeug.local import LocalProxy
except ModuleNotFoundError as error:  # the extra is not installed
    raise needs_extra("flask", "flask") from error

__all__ = ["ProviderKit", "current_client", "stream_response"]

_NAME = "provider_kit"
_SCOPE = "_provider_kit_client"


class ProviderKit:
    """The extension. Its clients live as long as the process, and are made on first use.

    Settings of the application: ``PROVIDER_KIT``, a dict with the keys of the YAML file; or ``PROVIDER_KIT_CONFIG``, a
    file. ``PROVIDER_KIT_CLIENT`` names the client of ``current_client``; default: that of the configuration.

    Args:
        app: The application; or call :meth:`init_app` later.
        config: Instead of the settings: a file, a dict, clients, or one client.
    """

    def __init__(
        self,
        app: Flask | None = None,
        config: str | os.PathLike[str] | Mapping[str, Any] | Clients | Client | Router | None = None,
    ) -> None:
        self._config = config
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Add it to an application.

        It gets the command ``flask provider-kit``, and answers errors of calls with a status of their own (429, 502,
        504 …) and JSON without secrets.
        """
        app.extensions[_NAME] = _State(self._config)
        app.cli.add_command(_command)
        app.register_error_handler(ProviderKitError, error_answer)

    @property
    def clients(self) -> Clients | OwnClients:
        """The clients of the current application.

        Raises:
            ConfigError: The configuration is wrong, or the application has no extension.
        """
        return _state().clients

    def use(self, client: str | Client | Router | None = None, **options: Any) -> Client | Router:
        """Let ``current_client`` be another one for the rest of the request: of its user, its tenant, its key.

        Args:
            client: The client, or its name in the configuration; default: the one that is current.
            options: As for ``client.with_options``: ``user=``, ``metadata=``, ``api_key=`` …
        """
        chosen = _current() if client is None else self.clients[client] if isinstance(client, str) else client
        made = chosen.with_options(**options) if options else chosen
        setattr(g, _SCOPE, made)
        return made


class _State:
    """What an application has of the extension."""

    def __init__(self, config: Any) -> None:
        self._config = config
        self._clients: Clients | OwnClients | None = None
        self._lock = RLock()

    @property
    def config(self) -> Any:
        """What its clients are made of."""
        if self._config is not None:
            return self._config
        return current_app.config.get("PROVIDER_KIT") or current_app.config.get("PROVIDER_KIT_CONFIG")

    @property
    def clients(self) -> Clients | OwnClients:
        with self._lock:
            if self._clients is not None:
                return self._clients
            config = self.config
            if isinstance(config, Mapping) and not is_made(config):
                made: Clients | OwnClients = clients_of_settings(config, "PROVIDER_KIT")
            else:
                made = clients_of(config)
            self._clients = made
            # Not with the application context: the next request has another one, and wants the same connections.
            atexit.register(_close, weakref.ref(made))
        return made


def _close(clients: weakref.ref[Clients | OwnClients]) -> None:
    found = clients()
    if found is not None:
        found.close()


def _state() -> _State:
    found = current_app.extensions.get(_NAME)
    if found is None:
        raise ConfigError("The application has no extension provider_kit.", hint="Write ProviderKit(app).")
    return cast(_State, found)


def _current() -> Client | Router:
    if has_request_context():
        scoped = g.get(_SCOPE)
        if scoped is not None:
            return cast("Client | Router", scoped)
    name = current_app.config.get("PROVIDER_KIT_CLIENT")
    clients = _state().clients
    return clients.default if name is None else clients[name]


#: The client of the request: that of :meth:`ProviderKit.use`, else of ``PROVIDER_KIT_CLIENT``, else the default.
current_client: Client = cast(Client, LocalProxy(_current))


def stream_response(stream: Any, protocol: Protocol = "sse", **options: Any) -> Response:
    """Answer a request with a stream; return it from a view, plain or ``async``.

    An error before the first content has a status of its own (429, 502, 504 …); a later one is an event of the stream.
    Tools may use the request until the end. A reader who leaves is noticed with the
    next piece or ping, and the call upstream is closed.

    Args:
        stream: ``client.stream(…)``, ``client.stream_run(…)``, ``talk.stream(…)``, or an iterator of chunks, events of
            a run, or texts. One for asyncio is accepted; it runs in an event loop of the thread that reads it.
        protocol: ``sse``, ``openai``, ``vercel`` or ``text``.
        options: Fields of :class:`~provider_kit.integrations.ui_stream.UIStreamOptions`: ``headers=``, ``ping=`` …

    Raises:
        ConfigError: It is no stream, or an option is wrong.
    """
    relay = BlockingRelay(UIAnswer(UISource(stream), UIStreamOptions(protocol=protocol, **options)))
    status, told, body = relay.begin()
    if body is not None:
        return Response(body, status, told)
    pieces = stream_with_context(iter(relay)) if has_request_context() else iter(relay)
    response = Response(pieces, status, told, direct_passthrough=True)
    response.call_on_close(relay.close)
    return response


@click.command("provider-kit", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@with_appcontext
def _command(arguments: tuple[str, ...]) -> None:
    """The command provider-kit (chat, doctor, models …), with the settings of the application."""
    config = _state().config
    if isinstance(config, (str, os.PathLike)):
        given: Any = given_configuration(read_text(os.fspath(config)), os.fspath(config))
    elif isinstance(config, Mapping) and not is_made(config):
        given = given_configuration(document_of(config, "PROVIDER_KIT"), "PROVIDER_KIT")
    else:
        given = nullcontext()
    with given:
        cli.main(args=list(arguments), prog_name="flask provider-kit")
