import asyncio

import instructor
from pydantic import BaseModel
from rows import ROWS
from tqdm.asyncio import tqdm


class Person(BaseModel):
    name: str
    age: int


client = instructor.from_provider("openai/gpt-4o", async_client=True)


async def main():
    limit = asyncio.Semaphore(8)

    async def one(row):
        async with limit:
            return await client.create(response_model=Person, messages=[{"role": "user", "content": row}])

    return await tqdm.gather(*map(one, ROWS))


people = asyncio.run(main())
print(len(people))
