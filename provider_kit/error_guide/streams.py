"""Streams that do not come to their end."""

from __future__ import annotations

from provider_kit.error_guide.entry import Entry

__all__ = ["ENTRIES"]

ENTRIES = (
    Entry(
        "stream",
        ("StreamError",),
        "A stream failed after content had been received. error.partial has what there is.",
        False,
        ("The provider reported an error in the middle.", "See error.code and error.status_code."),
        (
            "Use error.partial, or ask again for the whole.",
            "It is not repeated by itself: you have seen a part of it already.",
        ),
        ("Keep what is received until the stream ends.",),
    ),
    Entry(
        "stream_incomplete",
        ("StreamIncompleteError",),
        "The connection ended before the stream's last event: the answer is cut, not short.",
        False,
        ("A proxy with a time limit.", "A restart of the provider.", "A network that went away."),
        ("Use error.partial, or ask again.", "Is there a proxy that cuts long connections? provider-kit doctor."),
        ("Raise the time limit of proxies on the way (proxy_read_timeout in nginx).",),
    ),
    Entry(
        "stream_timeout",
        ("StreamTimeoutError",),
        "Content stopped coming in the middle of a stream, or its total deadline passed.",
        False,
        ("A model that pauses to think.", "A provider that stalls while it keeps the connection open."),
        ("Use error.partial, or ask again.", "Raise Timeout(idle=…) for models that pause."),
        ("Give reasoning models a wide idle clock.",),
    ),
)
