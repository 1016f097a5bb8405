"""Asking a client in either world, and by every verb."""

import asyncio

import pytest

verbs = pytest.mark.parametrize("verb", ["chat", "stream"])
worlds = pytest.mark.parametrize("world", ["blocking", "asyncio"])
#: The operations of the calls that :func:`ask_by_every_verb` makes.
OPERATIONS = ["chat", "stream", "chat", "chat", "chat", "stream", "chat", "chat"]


def ask(client, world, verb, *arguments, **options):
    """The text as it was delivered, and the answer; in asyncio the client is closed afterwards."""
    if world == "blocking":
        if verb == "chat":
            answer = client.chat(*arguments, **options)
            return answer.text, answer
        stream = client.stream(*arguments, **options)
        return "".join(chunk.text for chunk in stream), stream.response

    async def main():
        try:
            if verb == "chat":
                answer = await client.achat(*arguments, **options)
                return answer.text, answer
            stream = client.astream(*arguments, **options)
            return "".join([chunk.text async for chunk in stream]), stream.response
        finally:
            await client.aclose()

    return asyncio.run(main())


def ask_by_every_verb(client):
    """chat, stream, run and a conversation, then the same in asyncio; the client is closed afterwards."""
    client.chat("Hello")
    list(client.stream("Hello"))
    client.run("Hello")
    client.conversation().say("Hello")

    async def main():
        await client.achat("Hello")
        async for _ in client.astream("Hello"):
            pass
        await client.arun("Hello")
        await client.conversation().asay("Hello")
        await client.aclose()

    asyncio.run(main())
