"""What a page sent, as messages: its body is input from outside, and nothing in it is trusted.

What the model said, which tools it called and what they returned is what the server knows, not what a page says: a page
may ask, and may decide about calls that wait. Source of the form: AI SDK, ``packages/ai/src/ui/ui-messages.ts`` and
``http-chat-transport.ts``.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import unquote_to_bytes

from provider_kit.conversations.turns import TurnPlan
from provider_kit.errors import InvalidRequestError
from provider_kit.model.json_text import loads
from provider_kit.model.media import Audio, Document, Image, Media
from provider_kit.model.messages import Message, Part, Text
from provider_kit.tools.decisions import Decision, approve, deny
from provider_kit.transports.file_download import is_public_address

__all__ = ["UIMessages", "messages_from_ui"]

#: Most messages, and most characters of text, of one body.
_MOST_MESSAGES, _MOST_CHARACTERS = 2_000, 2_000_000
#: ``type/subtype``, or a type alone, with parameters. Source: RFC 6838, 4.2.
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,100}(?:/[\w.+-]{1,100})?(?:; ?[\w.+=\"-]{0,100}){0,4}", re.ASCII)
_TOOL_PREFIXES = ("tool-", "dynamic-tool")


class UIMessages(list[Message], TurnPlan):
    """The messages of a page, users' and models' texts only, and what else it asks for.

    Pass it where messages are passed: ``client.stream(ui)``. In a conversation, ``talk.stream(ui)``, the history of the
    page is not read, for the server has its own: the last message is asked, or decisions are taken about calls that
    wait there, or the last question is asked again.
    """

    def __init__(
        self,
        messages: Iterable[Message],
        chat_id: str | None = None,
        trigger: Literal["submit-message", "regenerate-message"] = "submit-message",
        decisions: Mapping[str, Decision] | None = None,
        ignored: Iterable[str] = (),
        asks: bool = True,
    ) -> None:
        super().__init__(messages)
        self._asks = asks
        #: Id of the chat, as the page made it. It names a chat of its user: join it with the id of the user, which the
        #: page does not choose.
        self.chat_id = chat_id
        #: Whether an answer is wanted, or another one in place of the last.
        self.trigger = trigger
        #: What the person decided, by the id of the call.
        self.decisions = dict(decisions or {})
        #: What was left out, and why.
        self.ignored = list(ignored)

    @property
    def question(self) -> Message | None:
        """The last message, if it is the user's."""
        return self[-1] if self and self._asks and self[-1].role == "user" else None

    @property
    def again(self) -> bool:
        """Whether another answer to the last question is wanted."""
        return self.trigger == "regenerate-message"

    def choose(self, waiting: Collection[str]) -> tuple[Message | None, Mapping[str, Decision]]:
        """The decisions about calls that wait, else the question.

        Args:
            waiting: The ids of the calls that wait in the conversation of the server.

        Raises:
            InvalidRequestError: The page asks nothing, and decides about nothing that waits.
        """
        taken = {call: decision for call, decision in self.decisions.items() if call in waiting}
        if taken:
            return None, taken
        if self.question is None:
            raise InvalidRequestError(
                "The page asks nothing, and decides about no call that waits.",
                hint="Send a message of the user, or a decision about one of talk.pending_tool_calls.",
            )
        return self.question, {}


def messages_from_ui(body: Mapping[str, Any] | bytes | str) -> UIMessages:
    """Read the body that ``useChat`` sends, or any body with ``messages`` of that form or of OpenAI's.

    Left out, since a page could have made them up: system messages, tool calls and their results, reasoning, and what
    has an unknown form; ``ignored`` names what that was. Files may be ``data:`` addresses, or public ``https:`` ones.

    Args:
        body: The body, or its JSON.

    Raises:
        InvalidRequestError: It is no such body, is too large, or names a file that must not be read.
    """
    if isinstance(body, (bytes, bytearray, str)):
        try:
            body = loads(bytes(body) if isinstance(body, bytearray) else body)
        except (ValueError, RecursionError) as error:
            raise InvalidRequestError("The body is not JSON.", hint="Send {'messages': […]}.") from error
    if (
        not isinstance(body, Mapping)
        or not isinstance(body.get("messages"), Sequence)
        or isinstance(body["messages"], (str, bytes))
    ):
        raise InvalidRequestError("The body has no messages.", hint="Send {'messages': […]}.")
    messages = body["messages"]
    if len(messages) > _MOST_MESSAGES:
        raise InvalidRequestError(f"There are more than {_MOST_MESSAGES:,} messages.", hint="Begin another chat.")
    chat_id, trigger = body.get("id"), body.get("trigger")
    if chat_id is not None and (
        not isinstance(chat_id, str) or not 0 < len(chat_id) <= 200 or not chat_id.isprintable() or "/" in chat_id
    ):
        raise InvalidRequestError("The id of the chat is no short text.")
    reading = _Reading()
    found = [message for one in messages for message in reading.message(one)]
    if reading.characters > _MOST_CHARACTERS:
        raise InvalidRequestError(f"The messages have more than {_MOST_CHARACTERS:,} characters.")
    return UIMessages(
        found,
        chat_id,
        "regenerate-message" if trigger == "regenerate-message" else "submit-message",
        reading.decisions,
        reading.ignored,
        bool(messages) and isinstance(messages[-1], Mapping) and messages[-1].get("role") == "user",
    )


class _Reading:
    """What was found in a body so far."""

    def __init__(self) -> None:
        self.decisions: dict[str, Decision] = {}
        self.ignored: list[str] = []
        self.characters = 0

    def ignore(self, what: str) -> None:
        if len(self.ignored) < 100:
            self.ignored.append(what)

    def message(self, given: Any) -> list[Message]:
        """A message, or none."""
        role = given.get("role") if isinstance(given, Mapping) else None
        if role not in ("user", "assistant"):
            self.ignore(f"a message of the role {role!r:.40}")
            return []
        parts = given.get("parts", given.get("content"))
        if isinstance(parts, str):
            parts = [{"type": "text", "text": parts}]
        if not isinstance(parts, Sequence):
            self.ignore("a message without parts")
            return []
        # Decisions are about the calls of the last answer; those of earlier messages are history.
        self.decisions = {}
        read = [self.part(part, role) for part in parts]
        found: list[Part] = [part for part in read if part is not None]
        if not found:
            return []
        if all(type(part) is Text for part in found):
            return [Message(role, "".join(part.text for part in found if type(part) is Text))]
        return [Message(role, found)]

    def part(self, given: Any, role: str) -> Part | None:
        """A part, or nothing."""
        kind = given.get("type") if isinstance(given, Mapping) else None
        text = given.get("text") if kind == "text" else None
        if isinstance(text, str):
            self.characters += len(text)
            return Text(text) if text else None
        if kind == "file" and role == "user":
            return self.file(given)
        if isinstance(kind, str) and kind.startswith(_TOOL_PREFIXES) and role == "assistant":
            self.decide(given)
            return None
        if kind not in ("step-start", "reasoning", "source-url", "source-document", "file"):
            self.ignore(f"a part of the type {kind!r:.40}")
        return None

    def decide(self, given: Mapping[str, Any]) -> None:
        """What was decided about a call; its arguments and results are those that the server knows."""
        approval, call = given.get("approval"), given.get("toolCallId")
        if given.get("state") != "approval-responded" or not isinstance(approval, Mapping) or not isinstance(call, str):
            if given.get("state") in ("output-available", "output-error"):
                self.ignore("a result of a tool")
            return
        approved, reason = approval.get("approved"), approval.get("reason")
        if approved is True:
            self.decisions[call] = approve()
        elif approved is False:
            self.decisions[call] = deny(reason[:2_000] if isinstance(reason, str) else "The user said no.")

    def file(self, given: Mapping[str, Any]) -> Part:
        """A file.

        Raises:
            InvalidRequestError: Its address is not one that may be read for a page.
        """
        url, kind, name = given.get("url"), given.get("mediaType"), given.get("filename")
        if not isinstance(url, str) or not isinstance(kind, str) or not _MEDIA_TYPE.fullmatch(kind):
            raise InvalidRequestError("A file needs its url and its mediaType.")
        made: dict[str, Any] = {"filename": name[:200]} if isinstance(name, str) and name.isprintable() else {}
        media: type[Media] = {"image": Image, "audio": Audio}.get(kind.partition("/")[0].lower(), Document)
        if url[:5].lower() == "data:":
            head, _, content = url[5:].partition(",")
            try:
                raw = (
                    base64.b64decode(content, validate=True) if head.endswith(";base64") else unquote_to_bytes(content)
                )
            except (binascii.Error, ValueError) as error:
                raise InvalidRequestError("A file is damaged: its base64 cannot be read.") from error
            return media(data=raw, media_type=kind, **made)  # type: ignore[return-value]  # one of its subclasses
        if url[:8].lower() != "https://" or not is_public_address(url):
            raise InvalidRequestError(
                "A file has an address that is not public.", hint="Files may be data: or public https: addresses."
            )
        return media(url=url, media_type=kind, **made)  # type: ignore[return-value]  # one of its subclasses
