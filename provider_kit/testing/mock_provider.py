"""A provider with fixed answers and no network, to test code that uses a client."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from provider_kit.client.client import Client
from provider_kit.dialects.replies import Asked, Reply
from provider_kit.dialects.servers import SERVER_DIALECTS
from provider_kit.errors import ProviderKitError
from provider_kit.model.json_text import loads
from provider_kit.model.messages import Message
from provider_kit.transports.scripted import ScriptedTransport
from provider_kit.wire.http import HttpRequest

__all__ = ["MockProvider"]


class MockProvider:
    """Returns the answers you set, blocking and asyncio, whole and streamed.

    Args:
        name: Its name in answers and errors.

    Example:
        >>> from provider_kit.testing import MockProvider
        >>> mock = MockProvider("test-provider")
        >>> mock.set_response("Hello there")
        >>> mock.client.chat("Hi").text
        'Hello there'
        >>> mock.prompts
        ['Hi']
    """

    def __init__(self, name: str = "mock") -> None:
        self.name = name
        self._answers: list[Reply | ProviderKitError] = []
        self._transport = ScriptedTransport([self._next], repeat=True)
        #: The requests, oldest first.
        self.asked: list[Asked] = []
        #: The client to pass to the code under test.
        self.client = Client(
            "openai_compatible/mock",
            base_url="http://127.0.0.1/v1",
            name=name,
            transport=self._transport,
            max_retries=0,
        )

    @property
    def prompts(self) -> list[str]:
        """The last turn of each request."""
        return [asked.last[1] for asked in self.asked]

    def set_response(self, answer: Reply | Message | str | ProviderKitError, **fields: Any) -> None:
        """Give this answer from now on, or raise this error.

        Args:
            answer: A text, a :class:`Reply`, a :class:`Message` or an error.
            fields: Further fields of the :class:`Reply`, e.g. ``tool_calls=[("add", {"a": 1})]``.
        """
        self._answers = [_reply(answer, fields)]

    def set_responses(self, answers: Iterable[Reply | Message | str | ProviderKitError]) -> None:
        """Give these answers one after the other; the last one is repeated."""
        self._answers = [_reply(answer, {}) for answer in answers]

    def _next(self, request: HttpRequest) -> Any:
        server_dialect = SERVER_DIALECTS["openai_chat"]
        asked = server_dialect.read(loads(request.body or b"{}"), request.url)
        self.asked.append(asked)
        if not self._answers:
            raise AssertionError("MockProvider has no answer: call set_response() first")
        answer = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
        if isinstance(answer, ProviderKitError):
            return answer
        if asked.stream:
            return {"stream": server_dialect.events(answer, asked)}
        return {"json": server_dialect.whole(answer, asked)}


def _reply(answer: Reply | Message | str | ProviderKitError, fields: dict[str, Any]) -> Reply | ProviderKitError:
    if isinstance(answer, (Reply, ProviderKitError)):
        return answer
    if isinstance(answer, Message):
        calls = [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in answer.tool_calls]
        return Reply(answer.text, tool_calls=calls, thinking=answer.thinking, refusal=answer.refusal or "")
    if not isinstance(answer, str):
        error = TypeError(f"MockProvider answers with a text, not with {answer!r}.")
        error.add_note("Hint: Pass a str, a Reply, a Message, or an error of this library to raise.")
        raise error
    return Reply(answer, **fields)
