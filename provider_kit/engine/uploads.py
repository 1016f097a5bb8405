"""Files at a provider: uploaded, listed, deleted. Each may take several exchanges, under one deadline."""

from __future__ import annotations

from typing import Any

from provider_kit.dialects.files_api import FilesAPI
from provider_kit.engine.attempt_state import NO_RETRY_STATE
from provider_kit.engine.attempts import Attempts
from provider_kit.engine.listing import ask_once, read_pages
from provider_kit.errors import APIError, NotSupportedError
from provider_kit.model.files import FileUpload, UploadedFile

__all__ = ["delete_file", "list_files", "upload_file"]

#: Seconds between two questions whether a file is ready.
_POLL = 2.0
_MAX_PAGES = 1000


def _api(attempts: Attempts) -> FilesAPI:
    endpoint = attempts.endpoint
    found = endpoint.provider.files_api
    if found is None:
        raise NotSupportedError(
            f"{endpoint.name} has no API for files here.",
            provider=endpoint.name,
            hint="Attach the file itself: files=['…']. OpenAI, Anthropic and Gemini take uploads.",
        )
    return found


async def upload_file(attempts: Attempts) -> UploadedFile:
    """Upload a file, and wait until it can be used.

    Raises:
        APIError: The provider refused it, or could not process it.
    """
    api, name = _api(attempts), attempts.endpoint.provider.name
    file: FileUpload = attempts.call.request  # type: ignore[assignment]  # an upload's
    payload, headers = await ask_once(attempts, api.upload(file))
    content = api.content(file, headers)
    if content is not None:
        payload, _ = await ask_once(attempts, content)
    uploaded = api.read(payload, name)
    while uploaded.ready is False:
        if attempts.left(attempts.runtime.now()) <= _POLL:
            break  # the caller sees that it is not ready
        await attempts.sleep(_POLL)
        attempts.retry = NO_RETRY_STATE
        uploaded = api.read((await ask_once(attempts, api.poll(uploaded)))[0], name)
    if uploaded.raw.get("state") == "FAILED" or uploaded.raw.get("status") == "error":
        raise APIError(
            f"The provider could not process the file {file.filename!r}.",
            provider=attempts.endpoint.name,
            body=uploaded.raw,
            hint="Check that the file is whole and of a type it takes.",
        )
    uploaded.filename = uploaded.filename or file.filename
    uploaded.media_type = uploaded.media_type or file.media_type
    return uploaded


async def list_files(attempts: Attempts) -> list[UploadedFile]:
    """All files."""
    api, name = _api(attempts), attempts.endpoint.provider.name

    async def fetch(cursor: str | None) -> tuple[list[UploadedFile], str | None]:
        attempts.retry = NO_RETRY_STATE  # each page has all its retries
        payload, _headers = await ask_once(attempts, api.list_page(cursor))
        return api.read_list(payload, name)

    return await read_pages(fetch, _MAX_PAGES)


async def delete_file(attempts: Attempts) -> None:
    """Delete a file."""
    file: Any = attempts.call.request
    await ask_once(attempts, _api(attempts).delete(file.id), empty=True)
