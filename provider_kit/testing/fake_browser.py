"""Visits URLs in the background, like a browser without a user."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from contextlib import suppress
from typing import Any

__all__ = ["FakeBrowser"]

_SECONDS = 20.0


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect."""

    def redirect_request(self, *arguments: Any) -> None:
        return None


class FakeBrowser:
    """Follows redirects to the last page, which it keeps."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        #: Status and text of each last page.
        self.pages: list[tuple[int, str]] = []

    def visit(self, url: str) -> None:
        """Visit an address of this machine, without waiting for its page."""
        thread = threading.Thread(target=self._visit, args=(url,), name="provider-kit-page-visitor", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _visit(self, url: str) -> None:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with suppress(OSError):
            try:
                with opener.open(url, timeout=_SECONDS) as page:
                    self.pages.append((page.status, page.read().decode("utf-8", "replace")))
            except urllib.error.HTTPError as error:
                with error:
                    self.pages.append((error.code, error.read().decode("utf-8", "replace")))

    def location(self, url: str) -> str:
        """The redirect target of a URL, which is not visited."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay)
        try:
            with opener.open(url, timeout=_SECONDS) as page:
                raise AssertionError(f"no redirect, but a page with status {page.status}")
        except urllib.error.HTTPError as error:
            with error:
                return str(error.headers["location"])

    def close(self) -> None:
        """Wait until every visit has ended."""
        for thread in self._threads:
            thread.join(_SECONDS)
        self._threads.clear()
