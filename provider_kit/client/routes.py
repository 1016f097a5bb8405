"""The routers of a configuration file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from provider_kit.client.client import Client
from provider_kit.client.router import Router
from provider_kit.client.target import Target
from provider_kit.config.routes import RouteMember, RoutingConfig, members_of, strategy_of
from provider_kit.policies.failure_rules import errors_by_name

__all__ = ["router_of"]


def router_of(name: str, route: RoutingConfig, find: Callable[[str], Client | Router]) -> Router:
    """The router of a route.

    Args:
        name: Its name in the file.
        route: Its settings.
        find: Returns a client or router of the file.

    Raises:
        ConfigError: A setting is invalid.
    """
    targets = _targets(name, route, find)
    labels = {one.provider: target.name for one, target in zip(members_of(route), targets, strict=True)}
    known = errors_by_name()
    words: Any = None if route.fallback_on is None else [known.get(one, one) for one in route.fallback_on]
    return Router(
        targets,
        strategy_of(route),
        aliases={alias: [labels.get(one) or one for one in meant] for alias, meant in route.aliases.items()},
        fallback_on=words,
        wait=route.wait,
        sticky=route.sticky,
        min_rate=route.min_rate,
        circuit_breaker=route.circuit_breaker,
        store=route.store,
        timeout=route.timeout,
        total_timeout=route.total_timeout,
        name=name,
    )


def _targets(name: str, route: RoutingConfig | RouteMember, find: Callable[[str], Client | Router]) -> list[Target]:
    weights = route.weights if isinstance(route, RoutingConfig) else {}
    return [
        _target(f"{name}.{number}", member, weights.get(member.provider or "", member.weight), find)
        for number, member in enumerate(members_of(route), 1)
    ]


def _target(name: str, member: RouteMember, weight: float, find: Callable[[str], Client | Router]) -> Target:
    found: Client | Router
    if member.providers:
        name = member.name or name
        found = Router(_targets(name, member, find), strategy_of(member), name=name)
    else:
        assert member.provider is not None  # the file was checked
        found = find(member.provider)
        model = member.model or getattr(found, "model", None)
        name = member.name or (found.name if isinstance(found, Router) else f"{found.provider}/{model}")
    return Target(
        found,
        model=member.model,
        weight=weight,
        priority=member.priority,
        defaults=dict(member.defaults) or None,
        name=name,
    )
