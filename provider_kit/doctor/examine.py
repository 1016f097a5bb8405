"""Examines one client: the checks in order, each only where the earlier results allow it.

Written once, over an injected transport, for blocking and asyncio. All of it has one deadline.
"""

from __future__ import annotations

from provider_kit.doctor import environment
from provider_kit.doctor.calls import examine_calls
from provider_kit.doctor.examination import Examination
from provider_kit.doctor.findings import Diagnosis
from provider_kit.doctor.network import examine_network
from provider_kit.doctor.provider import examine_provider
from provider_kit.transports.base import Transport
from provider_kit.transports.threads import run_in_daemon_thread

__all__ = ["ORDER", "examine"]


async def examine(examination: Examination, transport: Transport) -> Diagnosis:
    """All checks of one client.

    Returns:
        The findings; a check that cannot be made is ``skipped`` and says why.
    """
    started = transport.now()
    one = examination
    await run_in_daemon_thread(transport.kind, environment.examine_versions, one)
    environment.examine_environment(one)
    await environment.examine_key(one, transport)
    await environment.examine_token_storage(one, transport)
    if one.network:
        await examine_network(one, transport)
    else:
        one.tell("dns", "skipped", "The client has its own transport or session; how it connects is not known.")
    if one.hopeless:
        _skip(one, "credentials", "model", "quota", "clock", "latency", "streaming")
    else:
        await examine_provider(one, transport)
        if one.hopeless or any(found.status == "failed" and found.check == "quota" for found in one.found):
            _skip(one, "model", "quota", "latency", "streaming")
        else:
            await examine_calls(one)
            environment.examine_used_keys(one, transport)
    order = {name: number for number, name in enumerate(ORDER)}
    one.found.sort(key=lambda finding: order.get(finding.check, len(order)))
    return Diagnosis(
        provider=one.endpoint.name,
        model=one.model,
        base_url=one.endpoint.base_url,
        findings=one.found,
        seconds=transport.now() - started,
    )


#: All checks, in the order in which they are shown.
ORDER = (
    "versions",
    "configuration",
    "environment",
    "key",
    "token_storage",
    "proxy",
    "dns",
    "tcp",
    "tls",
    "base_url",
    "service",
    "credentials",
    "model",
    "quota",
    "credits",
    "clock",
    "latency",
    "streaming",
)


def _skip(one: Examination, *checks: str) -> None:
    known = {finding.check for finding in one.found}
    for check in checks:
        if check not in known:
            one.tell(check, "skipped", "Skipped: a prerequisite failed.")
