"""Secrets out of the frames of an exception: the bytes an HTTP library was sending hold a key."""

from __future__ import annotations

from provider_kit.errors import ProviderKitError

__all__ = ["forget_variables"]


def forget_variables(error: ProviderKitError) -> None:
    """Empty the frames of the HTTP library below a failure."""
    from traceback import clear_frames

    cause = error.__cause__
    for _ in range(20):  # a chain may be a circle
        if cause is None:
            return
        clear_frames(cause.__traceback__)
        cause = cause.__cause__ or cause.__context__
