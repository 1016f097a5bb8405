"""Three questions at once, with asyncio.

Run it with ``python chat_asyncio.py [provider/model]``. Without an argument, the demo provider answers.
"""

import asyncio
import sys

from provider_kit import Client

QUESTIONS = ("What is 1 + 1?", "What is 2 + 2?", "What is 3 + 3?")


async def main(target: str) -> None:
    """Ask all questions and print the answers in their order."""
    async with Client(target) as client:
        for answer in await asyncio.gather(*(client.achat(question) for question in QUESTIONS)):
            print(answer.text)


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "demo"))
