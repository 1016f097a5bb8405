"""pytest fixtures, found by pytest once the package is installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from provider_kit.testing.fake_server import FakeServer
    from provider_kit.testing.mock_provider import MockProvider


@pytest.fixture
def fake_server() -> Iterator[FakeServer]:
    """A running :class:`FakeServer`, stopped after the test."""
    from provider_kit.testing.fake_server import FakeServer

    with FakeServer() as server:
        yield server


@pytest.fixture
def mock_provider() -> MockProvider:
    """A fresh :class:`MockProvider`."""
    from provider_kit.testing.mock_provider import MockProvider

    return MockProvider()
