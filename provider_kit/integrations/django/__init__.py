"""Django: clients from the settings, checks, a command, and streamed answers. Needs ``pip install
provider-kit[django]``.

In the settings::

    INSTALLED_APPS = [..., "provider_kit.integrations.django"]
    PROVIDER_KIT = {"default": {"type": "openai", "model": "gpt-5-mini", "api_key": os.environ["OPENAI_API_KEY"]}}

In a view: ``clients["default"].chat("Hello")``, ``stream_response(clients["default"].stream("Hello"))``. ``records``
is a further app, with models for conversations and usage.
"""

from __future__ import annotations

from importlib.util import find_spec

from provider_kit.integrations.settings import needs_extra

if find_spec("django") is None:
    raise needs_extra("django", "django")

from provider_kit.integrations.django.clients import clients
from provider_kit.integrations.django.responses import astream_response, stream_response

__all__ = ["astream_response", "clients", "stream_response"]
