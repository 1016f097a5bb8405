"""The way to the provider: proxy, DNS, TCP, TLS."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from provider_kit.doctor.examination import Examination
from provider_kit.transports.base import Transport
from provider_kit.transports.environment import find_proxy
from provider_kit.transports.network_probe import NetworkFacts, probe_network
from provider_kit.transports.threads import run_in_daemon_thread
from provider_kit.wire.http import is_loopback

__all__ = ["examine_network"]

_SECONDS = 15.0
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy")
_DAY = 86400.0
#: Vendors of TLS-inspecting proxies, as named in their certificates.
_INSPECTORS = re.compile(
    r"zscaler|netskope|palo alto|fortinet|fortigate|blue ?coat|symantec web|cisco umbrella|sophos|mitmproxy"
    r"|charles proxy|checkpoint|check point|forcepoint|mcafee web|barracuda|squid|kaspersky|avast|eset|bitdefender",
    re.IGNORECASE,
)
_CA_HINT = (
    "Behind a company proxy: get its CA certificate, then SSL_CERT_FILE=/path/to/ca.pem or HTTPConfig(verify='…'). "
    "Never switch verification off."
)


async def examine_network(one: Examination, transport: Transport) -> None:
    """Probe the way once, and report each step."""
    url, http = one.endpoint.base_url, one.config.http
    proxy = find_proxy(url, http)
    facts = await run_in_daemon_thread(transport.kind, probe_network, url, proxy, http, one.left(_SECONDS))
    _tell_proxy(one, facts, proxy)
    if facts.failed == "proxy":
        return
    if facts.proxy is None:
        _tell_dns(one, facts)
        if facts.failed == "dns":
            return
        _tell_tcp(one, facts)
        if facts.failed == "tcp":
            return
    await _tell_tls(one, facts, transport)


def _tell_proxy(one: Examination, facts: NetworkFacts, proxy: str | None) -> None:
    if proxy is None:
        one.tell("proxy", "ok", "None; the connection is direct.")
        return
    source = "HTTPConfig(proxy=…)" if one.config.http.proxy is not None else "the environment"
    if facts.failed == "proxy":
        names = [name for name in sorted(one.environ) if name.lower() in _PROXY_VARIABLES and one.environ[name]]
        hint = f"Check {', '.join(names) or 'HTTPConfig(proxy=…)'}; NO_PROXY exempts a host."
        if facts.proxy_status == 407:
            hint = "The proxy requires a user name and password: http://user:password@proxy:port."
        elif facts.proxy_status == 403:
            hint = f"Ask the administrator of the proxy to allow {facts.host}, or set NO_PROXY={facts.host}."
        one.tell("proxy", "failed", f"The proxy {facts.proxy} (from {source}): {facts.reason}.", hint)
    elif is_loopback(facts.host):
        one.tell(
            "proxy",
            "warning",
            f"A server on this machine is called through the proxy {facts.proxy} (from {source}).",
            "Set NO_PROXY=localhost,127.0.0.1.",
        )
    else:
        one.tell("proxy", "ok", f"Through {facts.proxy} (from {source}).", seconds=facts.connect_seconds)


def _tell_dns(one: Examination, facts: NetworkFacts) -> None:
    if facts.failed == "dns":
        local = " A server on this machine is localhost." if "." not in facts.host else ""
        one.tell(
            "dns", "failed", f"{facts.reason}.", f"Check the base URL for typing errors, the network and DNS.{local}"
        )
        return
    slow = (facts.dns_seconds or 0) > 1.0
    one.tell(
        "dns",
        "warning" if slow else "ok",
        f"{facts.host} is {', '.join(facts.addresses[:3])}{', …' if len(facts.addresses) > 3 else ''}.",
        "The DNS server is slow; ask your network administrators, or use another one." if slow else None,
        seconds=facts.dns_seconds,
        addresses=facts.addresses,
    )


def _tell_tcp(one: Examination, facts: NetworkFacts) -> None:
    if facts.failed == "tcp":
        if is_loopback(facts.host, unspecified=True):
            hint = "Is the server running, and on this port? Inside a container, localhost is the container itself."
        elif "time" in facts.reason:
            hint = "A firewall drops the connection, or a proxy is needed: set HTTPS_PROXY."
        else:
            hint = "Check host and port of the base URL, and firewalls on the way."
        one.tell("tcp", "failed", f"{facts.reason.capitalize()}.", hint)
        return
    slow = (facts.connect_seconds or 0) > 1.0
    one.tell(
        "tcp",
        "warning" if slow else "ok",
        f"Connected to port {facts.port}.",
        "The connection is slow or lossy; the provider may offer a nearer region." if slow else None,
        seconds=facts.connect_seconds,
    )


async def _tell_tls(one: Examination, facts: NetworkFacts, transport: Transport) -> None:
    if not facts.secure:
        parts = urlsplit(one.endpoint.base_url)
        local = is_loopback(parts.hostname or "", unspecified=True)
        one.tell(
            "tls",
            "ok" if local else "warning",
            "None; the server is on this machine."
            if local
            else "The address is http://: the traffic can be read on the way.",
            None if local else "Use https:// if the server has it.",
        )
        return
    if facts.failed == "tls":
        message, hint = _why(facts)
        one.tell("tls", "failed", message, hint, verify_code=facts.verify_code, issuer=facts.issuer)
        return
    if facts.not_tried:
        one.tell("tls", "skipped", facts.not_tried)
        return
    signed = f", signed by {facts.issuer}" if facts.issuer else ""
    days = None if facts.expires_at is None else (facts.expires_at - transport.time()) / _DAY
    data: dict[str, Any] = {
        "version": facts.tls_version,
        "issuer": facts.issuer,
        "days_left": None if days is None else round(days, 1),
    }
    if one.config.http.verify is False:
        one.tell(
            "tls",
            "warning",
            "Certificates are not verified: the key can be read on the way.",
            "Remove verify=False; for a company's own CA use HTTPConfig(verify='/path/to/ca.pem').",
            seconds=facts.tls_seconds,
            **data,
        )
    elif facts.issuer and _INSPECTORS.search(facts.issuer):
        one.tell(
            "tls",
            "warning",
            f"A proxy inspects the connection{signed}.",
            "It can read keys and prompts, and may buffer streams; ask to exclude this host.",
            seconds=facts.tls_seconds,
            **data,
        )
    elif days is not None and days < 14:
        one.tell(
            "tls",
            "warning",
            f"The certificate{signed} expires in {max(0, int(days))} days.",
            "The operator of the server must renew it.",
            seconds=facts.tls_seconds,
            **data,
        )
    else:
        left = f", valid for {int(days)} days" if days is not None else ""
        one.tell("tls", "ok", f"{facts.tls_version or 'TLS'}{signed}{left}.", seconds=facts.tls_seconds, **data)


def _why(facts: NetworkFacts) -> tuple[str, str]:
    """What is wrong with TLS, and what to do. Source of the numbers: OpenSSL, X509_verify_cert_error_string."""
    who = f" by {facts.issuer}" if facts.issuer else ""
    code = facts.verify_code
    if code == 10:
        return (
            f"The certificate of {facts.host} has expired.",
            "The operator of the server must renew it. If it has not expired, this machine's clock is wrong.",
        )
    if code == 9:
        return f"The certificate of {facts.host} is not valid yet.", "This machine's clock is wrong: set it."
    if code in (62, 64):
        return (
            f"The certificate belongs to another host than {facts.host}.",
            "Check the base URL; or a proxy or login page answers in the server's place.",
        )
    if code is not None:
        inspected = facts.issuer is not None and _INSPECTORS.search(facts.issuer) is not None
        proxy = f"A company proxy ({facts.issuer}) inspects the connection: " if inspected else ""
        return (
            f"{proxy}The certificate of {facts.host} is signed{who or ' by an issuer'} that this machine "
            f"does not trust ({facts.reason}).",
            _CA_HINT,
        )
    if facts.speaks_plain_http:
        return f"The server at port {facts.port} does not speak TLS.", "Write http:// in the base URL, or another port."
    return (
        f"The TLS handshake with {facts.host} failed: {facts.reason}.",
        "Something on the way cuts TLS, or the server only speaks versions that are too old.",
    )
