"""Calling a call off from elsewhere: another thread, another task, a signal's handler."""

from __future__ import annotations

import weakref
from typing import Protocol

__all__ = ["CancelToken"]


class _Ends(Protocol):
    def leave(self) -> None: ...


class CancelToken:
    """Ends the calls it was given to: ``client.chat("…", cancel=token)``, then ``token.cancel()`` from anywhere.

    One token may be given to several calls. A call that is cancelled raises :class:`CallCancelledError` within a
    tenth of a second and frees its connection; a call that is given a cancelled token sends nothing.

    Example:
        >>> from provider_kit import CancelToken
        >>> token = CancelToken()
        >>> token.cancel()
        >>> token.cancelled
        True
    """

    # Neither a lock nor a copy under way can lose a call: it is added first, and looks at the flag afterwards.

    def __init__(self, parent: CancelToken | None = None) -> None:
        #: Whether :meth:`cancel` was called.
        self.cancelled: bool = parent is not None and parent.cancelled
        #: Whether whoever reads the answer has closed it: the reading just ends, without an error.
        self.quiet = False
        self._calls: dict[int, weakref.ref[_Ends]] = {}
        self._parent = parent
        if parent is not None:
            parent.attach(self)

    def __repr__(self) -> str:
        return f"<CancelToken{' cancelled' if self.cancelled else ''}>"

    def cancel(self) -> None:
        """End every call it was given to, and those it will be given to. Calling it again does nothing."""
        self.cancelled = True
        for call in list(self._calls.values()):
            ends = call()
            if ends is not None:
                ends.leave()

    def close(self) -> None:
        """End the calls as :meth:`cancel` does, for whoever reads their answers and wants to hear no more of them."""
        self.quiet = True
        self.cancel()

    def leave(self) -> None:
        """The token it was made from was cancelled."""
        self.cancel()

    def attach(self, call: _Ends) -> None:
        """A call that is to end with the token; it is held weakly."""
        self._calls[id(call)] = weakref.ref(call)
        if self.cancelled:
            call.leave()

    def detach(self, call: _Ends) -> None:
        """The call has ended."""
        self._calls.pop(id(call), None)
        if not self._calls and self._parent is not None:
            self._parent.detach(self)
