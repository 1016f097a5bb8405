"""The server side of the dialects: requests are read; answers, streams and errors are written.

Each :class:`ServerDialect` serves one API. They deliberately share no code with the dialects themselves: a mistake on
both sides would go unnoticed.
"""

from __future__ import annotations

from provider_kit.dialects.anthropic_messages.server import AnthropicServer
from provider_kit.dialects.gemini_content.server import GeminiServer
from provider_kit.dialects.ollama_chat.server import OllamaServer
from provider_kit.dialects.openai_chat.server import OpenAIChatServer
from provider_kit.dialects.openai_responses.server import ResponsesServer
from provider_kit.dialects.server import ServerDialect

__all__ = ["SERVER_DIALECTS", "ServerDialect"]

SERVER_DIALECTS: dict[str, ServerDialect] = {
    server_dialect.name: server_dialect
    for server_dialect in (OpenAIChatServer(), ResponsesServer(), AnthropicServer(), GeminiServer(), OllamaServer())
}
