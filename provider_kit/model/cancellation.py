"""Cancelling a call from another thread, another task or a signal handler."""

from __future__ import annotations

import weakref
from typing import Protocol

__all__ = ["CancelToken"]


class _Ends(Protocol):
    def leave(self) -> None: ...


class CancelToken:
    """Cancels the calls it was given to: ``client.chat("…", cancel=token)``, then ``token.cancel()`` from anywhere.

    One token may be given to several calls. A call that is cancelled raises :class:`CallCancelledError` within a
    tenth of a second and frees its connection; a call that is given a cancelled token sends nothing.

    Example:
        >>> from provider_kit import CancelToken
        >>> token = CancelToken()
        >>> token.cancel()
        >>> token.cancelled
        True
    """

    # No lock is needed: a call is added first and checks the flag afterwards, so none is missed.

    def __init__(self, parent: CancelToken | None = None) -> None:
        self._cancelled = False
        self._quiet = False
        #: What ends with it: calls, and tokens made from it that have calls.
        self._calls: dict[int, weakref.ref[_Ends]] = {}
        self._parent = parent

    def __repr__(self) -> str:
        return f"<CancelToken{' cancelled' if self.cancelled else ''}>"

    @property
    def cancelled(self) -> bool:
        """Whether :meth:`cancel` was called, here or on the token it was made from."""
        return self._cancelled or (self._parent is not None and self._parent.cancelled)

    @property
    def quiet(self) -> bool:
        """Whether the reader has closed the answer: reading then ends without an error."""
        return self._quiet or (self._parent is not None and self._parent.quiet)

    def cancel(self) -> None:
        """Cancel every call it was given to, and any it is given later. Calling it again does nothing."""
        self._cancelled = True
        for call in list(self._calls.values()):
            ends = call()
            if ends is not None:
                ends.leave()

    def close(self) -> None:
        """End the calls as :meth:`cancel` does, but without an error, for a reader that has closed its answer."""
        self._quiet = True
        self.cancel()

    def leave(self) -> None:
        """The token it was made from was cancelled."""
        self.cancel()

    def attach(self, call: _Ends) -> None:
        """Add a call that is to end with the token; it is referenced weakly."""
        self._calls[id(call)] = weakref.ref(call)
        if self._parent is not None:
            self._parent.attach(self)
        if self.cancelled:
            call.leave()

    def detach(self, call: _Ends) -> None:
        """The call has ended."""
        self._calls.pop(id(call), None)
        if self._parent is not None and not self._calls:
            self._parent.detach(self)
            if self._calls:  # another thread has added one meanwhile
                self._parent.attach(self)
