"""The dialects from the other side: requests read, answers, streams and errors written.

Each :class:`Speech` serves one API. They share nothing with the package's own dialects on purpose: a
mistake made on both sides would go unseen.
"""

from __future__ import annotations

from provider_kit.testing.speech.anthropic_messages import AnthropicSpeech
from provider_kit.testing.speech.base import Speech
from provider_kit.testing.speech.gemini_content import GeminiSpeech
from provider_kit.testing.speech.ollama_chat import OllamaSpeech
from provider_kit.testing.speech.openai_chat import OpenAIChatSpeech
from provider_kit.testing.speech.openai_responses import ResponsesSpeech

__all__ = ["SPEECHES", "Speech"]

SPEECHES: dict[str, Speech] = {
    speech.name: speech
    for speech in (OpenAIChatSpeech(), ResponsesSpeech(), AnthropicSpeech(), GeminiSpeech(), OllamaSpeech())
}
