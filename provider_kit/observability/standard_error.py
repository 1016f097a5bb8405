"""A log handler for standard error."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

__all__ = ["StandardError"]


class StandardError(logging.StreamHandler[TextIO]):
    """The current standard error, not the one when the handler was created."""

    #: Whether ``configure_logging`` may remove it.
    of_provider_kit = False

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        """The stream to write to."""
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        """Ignore attempts to set it."""
