"""The files of a conversation, before it is written: checked, and downloaded where the provider takes no links."""

from __future__ import annotations

import mimetypes
from typing import Any
from urllib.parse import urlsplit

from attrs import evolve

from provider_kit.dialects.base import Dialect
from provider_kit.dialects.file_rules import check_files
from provider_kit.engine.attempts import Attempts
from provider_kit.errors import APITimeoutError, InvalidRequestError
from provider_kit.model.chat import ChatRequest
from provider_kit.model.media import Media
from provider_kit.model.messages import Message, ToolResult, media_of
from provider_kit.wire.http import Download

__all__ = ["has_parts", "load_files"]

#: Seconds that one download may take.
_LONGEST_DOWNLOAD = 60.0


def has_parts(request: ChatRequest) -> bool:
    """Whether a message has parts, one of which may be a file; most have text alone."""
    for message in request.messages:  # noqa: SIM110  # a generator costs more than all of this
        if type(message.content) is not str:
            return True
    return False


async def load_files(attempts: Attempts, request: ChatRequest, dialect: Dialect) -> ChatRequest:
    """The request with the files that the provider needs as data.

    Raises:
        InvalidRequestError: One of the files cannot be sent to this provider, or not be downloaded.
        APIConnectionError: A download failed.
    """
    endpoint = attempts.endpoint
    provider = endpoint.provider
    check_files(request.messages, provider.files, provider.name, endpoint.name)
    for part in media_of(request.messages):
        _check_scheme(part, dialect, endpoint.name)
    wanted = [part for part in media_of(request.messages) if _is_link(part) and not dialect.takes_link(part)]
    replaced: dict[int, Media] = {}
    for part in wanted:
        known = (str(part.url), attempts.parts.config.http.allow_private_downloads)
        if part.downloaded is None or part.downloaded[0] != known:
            part.downloaded = known, await _download(attempts, part)
        replaced[id(part)] = part.downloaded[1]
    if wanted:
        request = request.replace(messages=[_replaced(message, replaced) for message in request.messages])
        check_files(request.messages, provider.files, provider.name, endpoint.name)
    return request


def _is_link(part: Media) -> bool:
    return part.url is not None and part.url[:8].lower().startswith(("http://", "https://"))


def _check_scheme(part: Media, dialect: Dialect, label: str) -> None:
    scheme = (part.url or "").partition(":")[0].lower()
    if scheme not in ("", "http", "https", "data") and not dialect.takes_scheme(scheme):
        raise InvalidRequestError(
            f"{label} fetches no addresses of the kind {scheme}://.",
            provider=label,
            hint="Download the file and attach its bytes, or pass an https:// address of it.",
        )


async def _download(attempts: Attempts, part: Media) -> Media:
    runtime = attempts.runtime
    seconds = max(0.1, min(_LONGEST_DOWNLOAD, attempts.left(runtime.now())))
    url: str = part.url  # type: ignore[assignment]  # it is a link
    download = getattr(attempts.http, "download", None)
    if download is not None:  # a transport that reaches no network
        found: Download = await download(url)
    else:
        found = await _fetched(attempts, url, seconds)
    name = part.filename or found.filename or urlsplit(url).hostname
    claims = (part.media_type, mimetypes.guess_type(name or "")[0], found.media_type)
    kind = Media if part.guessed else type(part)
    return kind.from_content(found.data, claims, filename=name, detail=part.detail, cache=part.cache, extra=part.extra)


async def _fetched(attempts: Attempts, url: str, seconds: float) -> Download:
    """What is at an address; the wait for it ends when the caller leaves.

    Raises:
        CallerLeft: The caller has left.
        ProviderKitError: It cannot be downloaded.
    """
    from provider_kit.transports.base import late
    from provider_kit.transports.file_download import download, too_slow
    from provider_kit.transports.threads import Worker

    config, wakeup = attempts.parts.config.http, attempts.runtime.wakeup()
    worker = Worker(lambda: download(url, config, seconds), wakeup.wake)
    await attempts.wait(wakeup, seconds)
    try:
        return worker.result()
    except (TimeoutError, APITimeoutError):
        deadline = attempts.limits.deadline
        if deadline is not None and seconds < _LONGEST_DOWNLOAD:  # it had what was left to the call
            raise late(attempts.limits, deadline, streaming=False, began=False) from None
        raise too_slow(url, seconds) from None


def _replaced(message: Message, files: dict[int, Any]) -> Message:
    if type(message.content) is str:
        return message
    content: list[Any] = []
    for part in message.parts:
        if isinstance(part, ToolResult) and not isinstance(part.content, str):
            inner: list[Any] = [files.get(id(one), one) for one in part.content]
            content.append(evolve(part, content=inner))
        else:
            content.append(files.get(id(part), part))
    return evolve(message, content=content)
