"""The wire formats of the APIs: requests to bytes, bytes to answers; no socket, no clock, no credentials.

The names that the author of a dialect needs are exported here.

.. code-block:: text

   <api>/request.py    a ChatRequest to JSON; TAKES: the fields it writes or reports     base.py   what all share
   <api>/response.py   JSON to a ChatResponse          <api>/stream.py   bytes to chunks
   <api>/server.py     the same API from the other side: requests read, answers written
   failures.py         error answers of all of them to typed errors
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_kit.model.lazy_names import lazy_names

if TYPE_CHECKING:
    from provider_kit.dialects.anthropic_messages import AnthropicMessages as AnthropicMessages
    from provider_kit.dialects.base import Dialect as Dialect
    from provider_kit.dialects.base import ParameterReport as ParameterReport
    from provider_kit.dialects.base import StreamDecoder as StreamDecoder
    from provider_kit.dialects.base import StreamFailure as StreamFailure
    from provider_kit.dialects.base import WireRequest as WireRequest
    from provider_kit.dialects.base import decode_event as decode_event
    from provider_kit.dialects.base import expect_object as expect_object
    from provider_kit.dialects.gemini_content import GeminiContent as GeminiContent
    from provider_kit.dialects.ollama_chat import OllamaChat as OllamaChat
    from provider_kit.dialects.openai_chat import ChatQuirks as ChatQuirks
    from provider_kit.dialects.openai_chat import OpenAIChat as OpenAIChat
    from provider_kit.dialects.openai_chat.quirks import ReasoningWriter as ReasoningWriter
    from provider_kit.dialects.openai_chat.quirks import effort_writer as effort_writer
    from provider_kit.dialects.openai_responses import OpenAIResponses as OpenAIResponses
    from provider_kit.wire.json_lines import LineDecoder as LineDecoder
    from provider_kit.wire.server_sent_events import EventDecoder as EventDecoder

_HOMES = {
    "provider_kit.dialects.anthropic_messages": ("AnthropicMessages",),
    "provider_kit.dialects.base": (
        "Dialect",
        "ParameterReport",
        "StreamDecoder",
        "StreamFailure",
        "WireRequest",
        "decode_event",
        "expect_object",
    ),
    "provider_kit.dialects.gemini_content": ("GeminiContent",),
    "provider_kit.dialects.ollama_chat": ("OllamaChat",),
    "provider_kit.dialects.openai_chat": (
        "ChatQuirks",
        "OpenAIChat",
    ),
    "provider_kit.dialects.openai_chat.quirks": (
        "ReasoningWriter",
        "effort_writer",
    ),
    "provider_kit.dialects.openai_responses": ("OpenAIResponses",),
    "provider_kit.wire.json_lines": ("LineDecoder",),
    "provider_kit.wire.server_sent_events": ("EventDecoder",),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES)

__all__ = [
    "AnthropicMessages",
    "ChatQuirks",
    "Dialect",
    "EventDecoder",
    "GeminiContent",
    "LineDecoder",
    "OllamaChat",
    "OpenAIChat",
    "OpenAIResponses",
    "ParameterReport",
    "ReasoningWriter",
    "StreamDecoder",
    "StreamFailure",
    "WireRequest",
    "decode_event",
    "effort_writer",
    "expect_object",
]
