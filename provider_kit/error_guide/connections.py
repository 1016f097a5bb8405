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
            "DNS does not know the host: a misspelt base URL, or a DNS server that is away.",
            "Nobody listens at the address: a local server that is not started.",
            "A proxy is needed and not set, or set and not there.",
            "A certificate that is not trusted, e.g. of a company proxy.",
        ),
        (
            "Run provider-kit doctor PROVIDER: it tries DNS, TCP, TLS and the proxy one after the other.",
            "Check the base URL.",
            "Check HTTPS_PROXY, ALL_PROXY and NO_PROXY.",
            "Behind a company proxy: SSL_CERT_FILE=/path/to/its-bundle.pem, or HTTPConfig(verify='…').",
        ),
        ("It was tried again already; a second provider keeps the program answering.",),
    ),
    Entry(
        "api_timeout",
        ("APITimeoutError",),
        "A wait ran out: connecting, the first content of a stream, or an answer that was bounded by timeout=.",
        True,
        ("A slow model, or a long prompt.", "timeout= is smaller than the model needs.", "A network that loses data."),
        (
            "Stream long answers: client.stream(…).",
            "Raise the clock that ran out: Timeout(connect=…, first_token=…, idle=…).",
            "See where the time goes: provider-kit doctor PROVIDER shows DNS, connection, TLS and first byte.",
        ),
        ("Bound the whole call with total_timeout= and leave the other clocks wide.",),
    ),
    Entry(
        "deadline_exceeded",
        ("DeadlineExceededError",),
        "The whole call, with all attempts and waits, took longer than total_timeout.",
        False,
        ("The deadline is short for this model.", "Several failed attempts used it up: see error.attempts."),
        ("Look at error.attempts.", "Raise total_timeout=, lower max_tokens=, or use a faster model."),
        ("Give interactive calls a short deadline and batch calls a long one.",),
    ),
    Entry(
        "pool_timeout",
        ("PoolTimeoutError",),
        "All max_connections were busy for longer than a call may wait.",
        True,
        ("Streams that nobody reads to their end or closes.", "max_connections is small for so many calls."),
        (
            "Close streams: with client.stream(…) as stream.",
            "Raise HTTPConfig(max_connections=…).",
        ),
        ("Use one client for the whole program: each has a pool of its own.",),
    ),
    Entry(
        "response_lost",
        ("ResponseLostError",),
        "The request was sent and its answer was lost. It may have been carried out, and billed.",
        False,
        ("The connection was cut: a proxy, a firewall, a restart of the server.",),
        (
            "Repeat it only if a second answer, and a second bill, is acceptable.",
            "retry_on_read_timeout=True lets the library repeat it.",
        ),
        ("Stream long answers: a silent connection is what proxies cut.",),
    ),
)
