"""``provider-kit demo``: a conversation with a blocking, an asyncio and a streamed call."""

from __future__ import annotations

import asyncio
import os

from provider_kit.cli.target import default_target
from provider_kit.cli.terminal_text import say
from provider_kit.client.client import Client
from provider_kit.model.messages import Message

__all__ = ["run_demo"]


def run_demo(model: str | None) -> None:
    """Talk in three turns: blocking, asyncio, streamed."""
    target = model or default_target(os.environ)
    with Client(target) as client:
        say(f"Talking to {client.provider}/{client.model} at {client.base_url}")
        if client.provider == "demo":
            say("(a few rules in this process, over real HTTP; set OPENAI_API_KEY or another key to change that)")
        conversation = [Message.user("Hello! My name is Ada.")]
        _say("blocking", conversation)
        answer = client.chat(conversation)
        say(f"  model: {answer.text}")

        conversation += [answer.message, Message.user("What is my name?")]
        _say("asyncio", conversation)
        answer = asyncio.run(client.achat(conversation))
        say(f"  model: {answer.text}")

        conversation += [answer.message, Message.user("What is 20 + 22?")]
        _say("streamed", conversation)
        say("  model: ", nl=False)
        stream = client.stream(conversation)
        for chunk in stream:
            say(chunk.text, nl=False)
        usage = stream.response.usage
        say(f"\n\nThat was {usage.prompt_tokens} tokens in and {usage.completion_tokens} out, the last time.")


def _say(way: str, conversation: list[Message]) -> None:
    say(f"\n[{way}]\n  you:   {conversation[-1].text}")
