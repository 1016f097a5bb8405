"""How a conversation is read and written: its store, its JSON, its files."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, Self

from attrs import evolve

from provider_kit.conversations.document import ConversationState, read_document, write_document
from provider_kit.conversations.stores import delete_document, is_awaited
from provider_kit.conversations.turns import Core
from provider_kit.errors import ConversationChangedError, InvalidRequestError
from provider_kit.model.json_text import dumps_text, loads
from provider_kit.structured.verbs import runtime_for
from provider_kit.transports.drive import run_to_completion

__all__ = ["Storing"]


class Storing:
    """What a conversation has of it."""

    _core: Core

    def _loaded(self) -> ConversationState:
        core = self._core
        if not core.loaded and core.store is not None:
            if is_awaited(core.store):
                raise InvalidRequestError(
                    "The conversation is in an asynchronous store, and was not read yet.", hint="await talk.areload()"
                )
            run_to_completion(core.load(runtime_for(False)))
        return core.state

    def _current(self) -> ConversationState:
        """The state as it is stored now, to be changed.

        Raises:
            InvalidRequestError: A turn is going on, which would overwrite the change.
        """
        if self._core.turns.taken:
            raise InvalidRequestError(
                "A turn of this conversation is going on.", hint="Wait for its end, or close() its stream."
            )
        if self._core.store is not None and not is_awaited(self._core.store):
            self.reload()
        return self._loaded()

    def reload(self) -> None:
        """Read what is stored now, after a turn that is going on; each turn does so by itself."""
        run_to_completion(self._reload(False))

    async def areload(self) -> None:
        """As :meth:`reload`."""
        await self._reload(True)

    async def _reload(self, awaited: bool) -> None:
        async with self._core.exclusive(runtime_for(awaited)):
            pass

    async def astore(self) -> None:
        """Write decisions and changes that were made since the last turn to an asynchronous store.

        Any other store has them already.

        Raises:
            ConversationChangedError: Somebody else has saved the conversation meanwhile.
        """
        core, runtime = self._core, runtime_for(True)
        async with core.exclusive(runtime):
            try:
                await core.save(runtime)
            except ConversationChangedError as error:
                core.note_change(error)
                raise

    def _store(self) -> None:
        core = self._core
        if core.store is not None and not is_awaited(core.store):  # else with astore(), or the next turn
            try:
                run_to_completion(core.save(runtime_for(False)))
            except ConversationChangedError as error:
                core.note_change(error)
                raise

    def to_json(self) -> str:
        """The conversation as JSON text: its messages, branches, decisions and usage. Tools and options are not in it.

        Raises:
            InvalidRequestError: It holds something that JSON cannot represent.
        """
        try:
            return dumps_text(write_document(self._loaded()))
        except (TypeError, ValueError) as error:
            raise InvalidRequestError(f"The conversation cannot be written as JSON: {error}.") from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the conversation to a JSON file, readable by its owner only.

        Args:
            path: The file; replaced as a whole.
        """
        text = self.to_json()
        target = Path(path)
        handle, beside = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # with mode 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(beside, target)
        except BaseException:  # also an interrupt: the temporary file is not left behind
            os.unlink(beside)
            raise

    @classmethod
    def load(cls, path: str | os.PathLike[str], client: Any, **options: Any) -> Self:
        """Read a conversation from a JSON file.

        Args:
            path: A file written by :meth:`save` or :func:`dump_conversation`.
            client: The client to continue with.
            options: As ``client.conversation``: ``tools``, ``system`` and so on. With an ``id`` the conversation of the
                file takes the place of what is stored under it.

        Raises:
            InvalidRequestError: The file is no conversation.
            OSError: It cannot be read.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise InvalidRequestError(f"{path} is no conversation: it is not UTF-8 text.") from error
        return cls.from_json(text, client, **options)

    @classmethod
    def from_json(cls, text: str, client: Any, **options: Any) -> Self:
        """As :meth:`load`, from text.

        Raises:
            InvalidRequestError: It is no conversation.
        """
        try:
            document = loads(text)
        except ValueError as error:
            raise InvalidRequestError(f"The conversation is not valid JSON: {error}.") from error
        state = read_document(document)
        if options.get("messages") is not None:
            raise InvalidRequestError("A conversation that is loaded has its messages.", hint="Leave messages= out.")
        made: Self = client.conversation(**options)
        system = options.get("system")
        made._core.state = evolve(
            state,
            id=made._core.state.id if made._core.state.id is not None else state.id,
            system=state.system if system is None else system,
        )
        made._core.loaded = True
        made._core.replaces = made._core.store is not None
        return made

    async def adelete(self) -> None:
        """As :meth:`delete`."""
        core = self._core
        if core.store is not None and core.state.id is not None:
            await delete_document(core.store, core.state.id, runtime_for(True))

    def delete(self) -> None:
        """Delete what is stored of the conversation; the object keeps what it holds."""
        core = self._core
        if core.store is not None and core.state.id is not None:
            run_to_completion(delete_document(core.store, core.state.id, runtime_for(False)))
