"""``client.files``: files at the provider, for those that are large or used often."""

from __future__ import annotations

import builtins
import os
from typing import TYPE_CHECKING, Any

from provider_kit.errors import InvalidRequestError
from provider_kit.model.conversation import attachment
from provider_kit.model.file_types import truncation
from provider_kit.model.files import FileUpload, UploadedFile
from provider_kit.model.media import Media
from provider_kit.transports.drive import run_to_completion

if TYPE_CHECKING:
    from provider_kit.client.model_verbs import ModelVerbs
    from provider_kit.engine.endpoint import Endpoint
    from provider_kit.transports.base import Transport

__all__ = ["Files"]


class Files:
    """The files of one client at its provider: OpenAI, Anthropic or Gemini.

    Example:
        >>> from provider_kit.testing import FakeServer
        >>> with FakeServer() as server:
        ...     client = server.client("openai/gpt-4o")
        ...     report = client.files.upload(b"All is well.", filename="report.txt")
        ...     client.files.list()[0].filename
        'report.txt'
    """

    def __init__(self, client: ModelVerbs, endpoint: Endpoint) -> None:
        self._client = client
        self._endpoint = endpoint

    def upload(
        self,
        file: Any,
        *,
        filename: str | None = None,
        media_type: str | None = None,
        purpose: str | None = None,
        timeout: float | None = None,
    ) -> UploadedFile:
        """Upload a file, and wait until it can be used.

        Args:
            file: A path, bytes, or an open binary file.
            filename: Its name; default: that of the path.
            media_type: Its MIME type; default: by its content and name.
            purpose: What it is for, in the provider's words (OpenAI; default: ``user_data``, for images ``vision``).
            timeout: Seconds for all of it; default: 600.

        Returns:
            The file, to be attached: ``client.chat("…", files=[uploaded])``.

        Raises:
            InvalidRequestError: There is no such file, it is empty or larger than the provider takes; nothing was
                sent.
            NotSupportedError: The provider has no API for files.
            APIError, APIConnectionError: As ``chat``.
        """
        request = self._upload(file, filename, media_type, purpose)
        return run_to_completion(self._ask("upload", self._client._blocking(), request, timeout))  # type: ignore[no-any-return]  # a file

    async def aupload(
        self,
        file: Any,
        *,
        filename: str | None = None,
        media_type: str | None = None,
        purpose: str | None = None,
        timeout: float | None = None,
    ) -> UploadedFile:
        """As :meth:`upload`."""
        request = self._upload(file, filename, media_type, purpose)
        return await self._ask("upload", self._client._asyncio(), request, timeout)  # type: ignore[no-any-return]  # a file

    def list(self, *, timeout: float | None = None) -> builtins.list[UploadedFile]:
        """All files of this key at the provider."""
        return run_to_completion(self._ask("list_files", self._client._blocking(), None, timeout))

    async def alist(self, *, timeout: float | None = None) -> builtins.list[UploadedFile]:
        """As :meth:`list`."""
        return await self._ask("list_files", self._client._asyncio(), None, timeout)  # type: ignore[no-any-return]  # files

    def delete(self, file: UploadedFile | str, *, timeout: float | None = None) -> None:
        """Delete a file at the provider.

        Args:
            file: The file, or its id.
            timeout: Seconds for the call.

        Raises:
            InvalidRequestError: It was uploaded to another provider.
            NotFoundError: There is no such file.
        """
        run_to_completion(self._ask("delete_file", self._client._blocking(), self._known(file), timeout))

    async def adelete(self, file: UploadedFile | str, *, timeout: float | None = None) -> None:
        """As :meth:`delete`."""
        await self._ask("delete_file", self._client._asyncio(), self._known(file), timeout)

    # -------------------------------------------------------------------------------------------- requests

    async def _ask(self, operation: str, runtime: Transport, request: FileUpload | None, timeout: Any) -> Any:
        client = self._client
        return await client._ask(client._call(operation, runtime, request, None, timeout))

    def _upload(self, file: Any, filename: str | None, media_type: str | None, purpose: str | None) -> FileUpload:
        options = {name: value for name, value in (("filename", filename), ("media_type", media_type)) if value}
        part: Any = attachment(file, **options)
        if not isinstance(part, Media) or part.data is None:
            raise InvalidRequestError(
                "upload() takes a path, bytes or an open file, not a link.", hint="Attach a link as it is: files=['…']."
            )
        missing = truncation(part.data, part.media_type)
        if missing is not None:
            raise InvalidRequestError(
                f"The file is cut off: {missing}.", hint="Download or save it again; a part of it is missing."
            )
        api = self._endpoint.provider.files_api
        largest = None if api is None else api.largest
        if largest is not None and len(part.data) > largest:
            raise InvalidRequestError(
                f"The file has {len(part.data):,} bytes; {self._endpoint.name} takes {largest:,}.",
                hint="Upload a part of it.",
            )
        return FileUpload(
            data=part.data,
            filename=(part.filename if filename is None else os.path.basename(os.fspath(filename))) or "file",
            media_type=media_type or part.media_type or "application/octet-stream",
            purpose=purpose,
        )

    def _known(self, file: UploadedFile | str) -> FileUpload:
        if isinstance(file, UploadedFile):
            own = self._endpoint.provider.name
            if file.provider != own:
                raise InvalidRequestError(
                    f"The file was uploaded to {file.provider}, not to {own}.", hint="Use a client of that provider."
                )
            file = file.id
        if not isinstance(file, str) or not file:
            raise InvalidRequestError("delete() takes an UploadedFile or its id.")
        return FileUpload(id=file)
