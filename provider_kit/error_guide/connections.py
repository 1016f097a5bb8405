"""The way to the provider: DNS, TCP, TLS, proxies, clocks."""

from __future__ import annotations

from provider_kit.error_guide.entry import Entry

__all__ = ["ENTRIES"]

ENTRIES = (
    Entry(
        "api_connection",
        ("APIConnectionError",),
        "The request could not be delivered; nothing was answered.",
        True,
        (
            "No network, or a firewall on the way.",
            "DNS does not know the host: a misspelt base URL, or a DNS server that cannot be reached.",
            "Nothing listens at the address: a local server that is not running.",
            "A proxy is needed but not set, or set but not reachable.",
            "A certificate that is not trusted, e.g. that of a company proxy.",
        ),
        (
            "Run provider-kit doctor PROVIDER: it tries DNS, TCP, TLS and the proxy one after the other.",
            "Check the base URL.",
            "Check HTTPS_PROXY, ALL_PROXY and NO_PROXY.",
            "Behind a company proxy: SSL_CERT_FILE=/path/to/its-bundle.pem, or HTTPConfig(verify='…').",
        ),
        ("The call was already retried; with a second provider the program still gets an answer.",),
    ),
    Entry(
        "api_timeout",
        ("APITimeoutError",),
        "A timeout passed: for connecting, for the first content of a stream, or the timeout= of the call.",
        True,
        ("A slow model, or a long prompt.", "timeout= is smaller than the model needs.", "A network that loses data."),
        (
            "Stream long answers: client.stream(…).",
            "Raise the timeout that passed: Timeout(connect=…, first_token=…, idle=…).",
            "See where the time goes: provider-kit doctor PROVIDER shows DNS, connection, TLS and first byte.",
        ),
        ("Limit the whole call with total_timeout= and leave the other timeouts long.",),
    ),
    Entry(
        "deadline_exceeded",
        ("DeadlineExceededError",),
        "The whole call, with all attempts and waits, took longer than total_timeout.",
        False,
        ("The deadline is too short for this model.", "Several failed attempts used up the time: see error.attempts."),
        ("Look at error.attempts.", "Raise total_timeout=, lower max_tokens=, or use a faster model."),
        ("Give interactive calls a short deadline and batch calls a long one.",),
    ),
    Entry(
        "pool_timeout",
        ("PoolTimeoutError",),
        "All max_connections were busy for longer than a call may wait.",
        True,
        ("Streams that are neither read to their end nor closed.", "max_connections is too small for so many calls."),
        (
            "Close streams: with client.stream(…) as stream.",
            "Raise HTTPConfig(max_connections=…).",
        ),
        ("Use one client for the whole program: each client has its own pool.",),
    ),
    Entry(
        "response_lost",
        ("ResponseLostError",),
        "The request was sent and its answer was lost. It may have been carried out, and billed.",
        False,
        ("The connection was cut by a proxy, a firewall or a restart of the server.",),
        (
            "Repeat it only if a second answer, and a second bill, is acceptable.",
            "retry_on_read_timeout=True lets the library repeat it.",
        ),
        ("Stream long answers: proxies cut connections that are idle.",),
    ),
)
