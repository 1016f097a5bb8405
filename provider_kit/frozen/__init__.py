"""Entry point for PyInstaller, which finds the hook of this package here. Nothing else imports this folder.

Source: PyInstaller manual, "Providing PyInstaller Hooks with your Package".
"""

from __future__ import annotations

import os

__all__ = ["hook_folders"]


def hook_folders() -> list[str]:
    """The folders with hooks."""
    return [os.path.dirname(__file__)]
