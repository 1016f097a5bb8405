"""Where conversations with an id are kept."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

from provider_kit.errors import StoreError
from provider_kit.transports.base import Runtime

__all__ = ["ConversationStore", "delete_document", "is_awaited", "load_document", "save_document"]


class ConversationStore(Protocol):
    """Protocol of a store: three methods, plain or asynchronous. :class:`SQLiteHistory` is the default."""

    def load(self, id: str, /) -> Mapping[str, Any] | Awaitable[Mapping[str, Any] | None] | None:
        """The document of a conversation, as it was saved; ``None`` if there is none."""
        ...

    def save(self, id: str, document: Mapping[str, Any], /) -> Awaitable[None] | None:
        """Save the document of a conversation: a dict that JSON can represent."""
        ...

    def delete(self, id: str, /) -> Awaitable[None] | None:
        """Delete a conversation."""
        ...


def is_awaited(store: ConversationStore) -> bool:
    """Whether the methods of a store are asynchronous."""
    return inspect.iscoroutinefunction(store.load) or inspect.iscoroutinefunction(store.save)


async def load_document(store: ConversationStore, id: str, runtime: Runtime) -> Mapping[str, Any] | None:
    """Load a document, without blocking an event loop."""
    found: Any = await runtime.call_blocking(store.load, id)
    loaded: Any = await found if hasattr(found, "__await__") else found
    if loaded is not None and not isinstance(loaded, Mapping):
        raise StoreError(
            f"load() of the store returned a {type(loaded).__name__}.",
            retryable=False,
            hint="It must return the document that was saved, a dict, or None.",
        )
    return loaded


async def save_document(store: ConversationStore, id: str, document: Mapping[str, Any], runtime: Runtime) -> None:
    """Save a document, without blocking an event loop."""
    done: Any = await runtime.call_blocking(store.save, id, document)
    if hasattr(done, "__await__"):
        await done


async def delete_document(store: ConversationStore, id: str, runtime: Runtime) -> None:
    """Delete a document, without blocking an event loop."""
    done: Any = await runtime.call_blocking(store.delete, id)
    if hasattr(done, "__await__"):
        await done
