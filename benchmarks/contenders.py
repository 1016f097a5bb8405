"""The same four calls through each library: whole and streamed, blocking and asyncio."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from typing import Any

KEY = "sk-benchmark-0123456789abcdef"
OPTIONS: dict[str, Any] = {"temperature": 0.2, "max_tokens": 256}


def conversation(order: str, earlier: int = 0) -> list[dict[str, str]]:
    turns = [
        {"role": "assistant" if n % 2 else "user", "content": f"Turn {n}. " + "Some words of an earlier turn. " * 6}
        for n in range(earlier)
    ]
    question = f"Explain latency and throughput in two sentences, in plain words. [{order}]"
    return [{"role": "system", "content": "Answer in plain text."}, *turns, {"role": "user", "content": question}]


def body(order: str, earlier: int = 0, *, stream: bool = False) -> dict[str, Any]:
    made = {"model": "gpt-4o-mini", "messages": conversation(order, earlier), **OPTIONS}
    return {**made, "stream": True, "stream_options": {"include_usage": True}} if stream else made


class BareRequests:
    """requests as its documentation shows it."""

    name = "requests"

    def __init__(self, base: str) -> None:
        import requests

        self.url = f"{base}/v1/chat/completions"
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {KEY}"

    def call(self, order: str, earlier: int = 0) -> str:
        response = self.session.post(self.url, json=body(order, earlier), timeout=60)
        response.raise_for_status()
        return str(response.json()["choices"][0]["message"]["content"])

    def stream(self, order: str) -> Iterator[str]:
        with self.session.post(self.url, json=body(order, stream=True), timeout=60, stream=True) as response:
            for line in response.iter_lines():
                if line.startswith(b"data: ") and line != b"data: [DONE]":
                    choices = json.loads(line[6:])["choices"]
                    if choices and choices[0]["delta"].get("content"):
                        yield choices[0]["delta"]["content"]


class BareAiohttp:
    """aiohttp as its documentation shows it."""

    name = "aiohttp"

    def __init__(self, base: str) -> None:
        self.url = f"{base}/v1/chat/completions"

    async def open(self) -> None:
        import aiohttp

        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), headers={"Authorization": f"Bearer {KEY}"}
        )

    async def close(self) -> None:
        await self.session.close()

    async def acall(self, order: str) -> str:
        async with self.session.post(self.url, json=body(order)) as response:
            response.raise_for_status()
            return str((await response.json())["choices"][0]["message"]["content"])

    async def astream(self, order: str) -> AsyncIterator[str]:
        async with self.session.post(self.url, json=body(order, stream=True)) as response:
            async for line in response.content:
                if line.startswith(b"data: ") and not line.startswith(b"data: [DONE]"):
                    choices = json.loads(line[6:])["choices"]
                    if choices and choices[0]["delta"].get("content"):
                        yield choices[0]["delta"]["content"]


class ProviderKit:
    name = "provider_kit"

    def __init__(self, base: str) -> None:
        from provider_kit import Client

        self.client = Client("openai/gpt-4o-mini", api_key=KEY, base_url=f"{base}/v1", max_retries=0)

    async def open(self) -> None: ...

    async def close(self) -> None:
        await self.client.aclose()

    def call(self, order: str, earlier: int = 0) -> str:
        return self.client.chat(conversation(order, earlier), temperature=0.2, max_tokens=256).text

    def stream(self, order: str) -> Iterator[str]:
        for chunk in self.client.stream(conversation(order), temperature=0.2, max_tokens=256):
            if chunk.text:
                yield chunk.text

    async def acall(self, order: str) -> str:
        return (await self.client.achat(conversation(order), temperature=0.2, max_tokens=256)).text

    async def astream(self, order: str) -> AsyncIterator[str]:
        async for chunk in self.client.astream(conversation(order), temperature=0.2, max_tokens=256):
            if chunk.text:
                yield chunk.text


class OpenAISDK:
    name = "openai"

    def __init__(self, base: str) -> None:
        import openai

        options: dict[str, Any] = {"api_key": KEY, "base_url": f"{base}/v1", "max_retries": 0}
        self.blocking, self.awaited = openai.OpenAI(**options), openai.AsyncOpenAI(**options)

    async def open(self) -> None: ...

    async def close(self) -> None:
        await self.awaited.close()

    def call(self, order: str, earlier: int = 0) -> str:
        return self.blocking.chat.completions.create(**body(order, earlier)).choices[0].message.content

    def stream(self, order: str) -> Iterator[str]:
        for chunk in self.blocking.chat.completions.create(**body(order, stream=True)):
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content

    async def acall(self, order: str) -> str:
        return (await self.awaited.chat.completions.create(**body(order))).choices[0].message.content

    async def astream(self, order: str) -> AsyncIterator[str]:
        async for chunk in await self.awaited.chat.completions.create(**body(order, stream=True)):
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content


class AnthropicSDK:
    name = "anthropic"

    def __init__(self, base: str) -> None:
        import anthropic

        options: dict[str, Any] = {"api_key": KEY, "base_url": base, "max_retries": 0}
        self.blocking, self.awaited = anthropic.Anthropic(**options), anthropic.AsyncAnthropic(**options)

    def _body(self, order: str, earlier: int = 0) -> dict[str, Any]:
        system, *messages = conversation(order, earlier)
        made = {"model": "claude-sonnet-4-5", "max_tokens": 256, "system": system["content"], "messages": messages}
        return made

    async def open(self) -> None: ...

    async def close(self) -> None:
        await self.awaited.close()

    def call(self, order: str, earlier: int = 0) -> str:
        return self.blocking.messages.create(**self._body(order, earlier)).content[0].text

    def stream(self, order: str) -> Iterator[str]:
        for event in self.blocking.messages.create(**self._body(order), stream=True):
            if event.type == "content_block_delta":
                yield event.delta.text

    async def acall(self, order: str) -> str:
        return (await self.awaited.messages.create(**self._body(order))).content[0].text

    async def astream(self, order: str) -> AsyncIterator[str]:
        async for event in await self.awaited.messages.create(**self._body(order), stream=True):
            if event.type == "content_block_delta":
                yield event.delta.text


class LiteLLM:
    name = "litellm"

    def __init__(self, base: str) -> None:
        import litellm

        litellm.suppress_debug_info = True
        self.litellm = litellm
        self.options: dict[str, Any] = {"api_key": KEY, "api_base": f"{base}/v1", "num_retries": 0}

    def _body(self, order: str, earlier: int = 0, *, stream: bool = False) -> dict[str, Any]:
        return {**body(order, earlier, stream=stream), "model": "openai/gpt-4o-mini", **self.options}

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def call(self, order: str, earlier: int = 0) -> str:
        return self.litellm.completion(**self._body(order, earlier)).choices[0].message.content

    def stream(self, order: str) -> Iterator[str]:
        for chunk in self.litellm.completion(**self._body(order, stream=True)):
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content

    async def acall(self, order: str) -> str:
        return (await self.litellm.acompletion(**self._body(order))).choices[0].message.content

    async def astream(self, order: str) -> AsyncIterator[str]:
        async for chunk in await self.litellm.acompletion(**self._body(order, stream=True)):
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content


def contenders() -> list[Any]:
    """The bare libraries first, then this one, then the peers that are installed."""
    return [
        BareRequests,
        BareAiohttp,
        ProviderKit,
        *([OpenAISDK] if find_spec("openai") else []),
        *([AnthropicSDK] if find_spec("anthropic") else []),
        *([LiteLLM] if find_spec("litellm") else []),
    ]
