"""Conversations in the database of the project."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError, IntegrityError, connections, transaction
from django.utils import timezone

from provider_kit.errors import ConversationChangedError, StoreError
from provider_kit.integrations.django.records.models import Conversation

__all__ = ["DjangoHistory"]


class DjangoHistory:
    """A store of conversations: ``client.conversation(f"user-{request.user.pk}", store=DjangoHistory())``.

    Its methods block; under asyncio the library calls them in a thread.

    Args:
        using: The name of the database.
    """

    def __init__(self, using: str = "default") -> None:
        self._using = using

    def load(self, id: str) -> dict[str, Any] | None:
        """The document of a conversation; ``None`` if there is none.

        Raises:
            StoreError: The database cannot be read.
        """
        with self._working():
            found = Conversation.objects.using(self._using).filter(key=id).values_list("document", flat=True).first()
        return None if found is None else dict(found)

    def save(self, id: str, document: Mapping[str, Any]) -> None:
        """Save the document of a conversation.

        Raises:
            ConversationChangedError: It was saved by somebody else meanwhile.
            StoreError: The database cannot be written.
        """
        revision = int(document.get("revision") or 0)
        fields = {"document": dict(document), "revision": revision}
        with self._working():
            rows = Conversation.objects.using(self._using)
            found = rows.filter(key=id, revision=revision - 1) if revision else rows.filter(key=id)
            # One statement: SQLite refuses a transaction that reads first and writes after somebody else has.
            if found.update(**fields, updated=timezone.now()):
                return
            try:
                with transaction.atomic(using=self._using):
                    rows.create(key=id, **fields)
            except IntegrityError:
                raise ConversationChangedError(f"The conversation {id!r} was continued elsewhere meanwhile.") from None

    def delete(self, id: str) -> None:
        """Delete a conversation.

        Raises:
            StoreError: The database cannot be written.
        """
        with self._working():
            Conversation.objects.using(self._using).filter(key=id).delete()

    @contextmanager
    def _working(self) -> Iterator[None]:
        connection = connections[self._using]
        was_open = connection.connection is not None
        try:
            yield
        except DatabaseError as error:
            raise StoreError(
                f"The conversation cannot be read or written: {type(error).__name__}.",
                hint="Is the database there, and were its tables made? manage.py migrate",
            ) from error
        finally:
            if not was_open and not connection.in_atomic_block:  # in a thread of a request, Django closes it
                connection.close()
