"""What a span tells of a call, under the names of a profile."""

from __future__ import annotations

from typing import Any

from provider_kit.model.call_events import CallEnded
from provider_kit.model.chat import ChatRequest, ChatResponse
from provider_kit.plugins.otel_attributes import OPERATIONS, Profile, provider_names, server_of

__all__ = ["CallFacts", "bounded", "server_attributes"]

#: Models, providers and sets of attributes that are kept.
_MOST_SETS = 2000


class CallFacts:
    """The attributes of the spans of calls.

    Args:
        profile: What they are called.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._beginnings: dict[Any, tuple[str, dict[str, Any]]] = {}
        self._endpoints: dict[tuple[str, str], dict[str, Any]] = {}

    def beginning(self, operation: str, model: str | None, is_router: bool) -> tuple[str, dict[str, Any]]:
        """Name and attributes of a span, as samplers see it."""
        key = operation, model, is_router
        found = self._beginnings.get(key)
        if found is None:
            profile, shown = self._profile, OPERATIONS.get(operation, operation)
            attributes: dict[str, Any] = {profile.operation: shown}
            if model:
                attributes[profile.model] = model
            if profile.kind is not None:
                attributes[profile.kind] = "CHAIN" if is_router else profile.kinds.get(shown, "CHAIN")
            found = f"{shown} {model}" if model else shown, attributes
            bounded(self._beginnings)[key] = found
        return found

    def of(self, event: CallEnded, is_router: bool) -> dict[str, Any]:
        """The attributes of a call, without its content."""
        profile, response = self._profile, event.response
        answer = response if isinstance(response, ChatResponse) else None
        if is_router:
            attributes: dict[str, Any] = {"provider_kit.router": event.provider}
            routing = None if answer is None else answer.routing
            if routing is not None:
                attributes["provider_kit.router.strategy"] = routing.strategy
                attributes["provider_kit.router.targets_asked"] = len(routing.attempts)
                if routing.target is not None:
                    attributes["provider_kit.router.target"] = routing.target
        else:
            attributes = dict(self._endpoint(event.provider, event.base_url))
        if event.correlation_id:
            attributes["provider_kit.correlation_id"] = event.correlation_id
        request = event.request
        if type(request) is ChatRequest:
            profile.request.read(request, attributes)
            if profile.parameters is not None:
                attributes.update(profile.parameters(request))
        if event.operation == "stream":
            profile.stream.read(event, attributes)
        if answer is not None:
            profile.response.read(answer, attributes)
        if event.cached:
            attributes["provider_kit.cache"] = "hit"
        elif not is_router:  # else the tokens of its targets would count twice
            usage = event.usage
            if usage is not None:
                profile.usage.read(usage, attributes)
        if event.outcome != "success":
            attributes["error.type"] = event.error_type
            status = getattr(event.error, "status_code", None)
            if status is not None:
                attributes["http.response.status_code"] = status
            if event.lost:
                attributes["provider_kit.lost"] = True
        if event.tags:
            attributes["provider_kit.tags"] = event.tags
        return attributes

    def _endpoint(self, provider: str, base_url: str) -> dict[str, Any]:
        key = provider, base_url
        found = self._endpoints.get(key)
        if found is None:
            found = server_attributes(self._profile, provider, base_url)
            bounded(self._endpoints)[key] = found
        return found


def server_attributes(profile: Profile, provider: str, base_url: str) -> dict[str, Any]:
    """Whom a call asked."""
    found: dict[str, Any] = dict(provider_names(profile, provider))
    server = server_of(base_url)
    if server is not None:
        found["server.address"], found["server.port"] = server
    return found


def bounded(known: dict[Any, Any]) -> dict[Any, Any]:
    """A dict of what was made once; it is emptied before it grows too large."""
    if len(known) >= _MOST_SETS:
        known.clear()
    return known
