"""Streams that end early."""

from __future__ import annotations

from provider_kit.error_guide.entry import Entry

__all__ = ["ENTRIES"]

ENTRIES = (
    Entry(
        "stream",
        ("StreamError",),
        "A stream failed after content had been received. error.partial holds that content.",
        False,
        ("The provider reported an error in the middle.", "See error.code and error.status_code."),
        (
            "Use error.partial, or repeat the whole call.",
            "The library does not repeat it: part of the answer has already been delivered.",
        ),
        ("Keep what is received until the stream ends.",),
    ),
    Entry(
        "stream_incomplete",
        ("StreamIncompleteError",),
        "The connection ended before the stream's last event: the answer is truncated.",
        False,
        ("A proxy with a time limit.", "A restart of the provider.", "A lost network connection."),
        (
            "Use error.partial, or repeat the call.",
            "Check for a proxy that cuts long connections: provider-kit doctor.",
        ),
        ("Raise the time limit of proxies on the way (proxy_read_timeout in nginx).",),
    ),
    Entry(
        "stream_timeout",
        ("StreamTimeoutError",),
        "Content stopped coming in the middle of a stream, or its total deadline passed.",
        False,
        ("A model that pauses while it reasons.", "A provider that stalls while it keeps the connection open."),
        ("Use error.partial, or repeat the call.", "Raise Timeout(idle=…) for models that pause."),
        ("Give reasoning models a long idle timeout.",),
    ),
)
