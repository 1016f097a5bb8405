"""One provider of the file while it is read, and how a problem in it is noted."""

from __future__ import annotations

from attrs import define

from provider_kit.config.document import Item
from provider_kit.config.reader import Reader
from provider_kit.providers.base import Provider

__all__ = ["Block"]


@define
class Block:
    """One provider while it is read."""

    name: str
    item: Item
    path: str
    reader: Reader
    provider: Provider
    #: Number of problems reported before it.
    before: int = 0

    def tell(self, key: str, message: str, remedy: str, *, warning: bool = False, unset_variable: bool = False) -> None:
        """Report a problem at one of its keys, or at its name."""
        place = self.item.value.get(key)
        self.reader.tell(
            self.item if place is None else place,
            f"{self.path}.{key}" if key else self.path,
            message,
            remedy,
            severity="warning" if warning else "error",
            key=place is None,
            unset_variable=unset_variable,
        )
