import asyncio
from dataclasses import dataclass

from agents import Agent, Runner
from rows import ROWS
from tqdm.asyncio import tqdm


@dataclass
class Person:
    name: str
    age: int


agent = Agent("reader", model="gpt-4o", output_type=Person)


async def main():
    limit = asyncio.Semaphore(8)

    async def one(row):
        async with limit:
            return (await Runner.run(agent, row)).final_output

    return await tqdm.gather(*map(one, ROWS))


people = asyncio.run(main())
print(len(people))
