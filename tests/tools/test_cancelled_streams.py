"""Streams of runs and turns that are ended from another thread or task."""

import asyncio
import threading
import time

import pytest

from provider_kit import CallCancelledError, CancelToken, InvalidRequestError


def started(client, kind, awaited, **options):
    if kind == "run":
        return (client.astream_run if awaited else client.stream_run)("Hello", **options)
    talk = client.conversation()
    return (talk.astream if awaited else talk.stream)("Hello", **options)


@pytest.mark.parametrize("kind", ["run", "turn"])
def test_a_token_ends_a_stream_from_another_thread(client, server, kind):
    """With an error; close() says to use one."""
    token = CancelToken()
    server.fault(latency=20)
    stream = started(client, kind, False, cancel=token)
    said = []

    def stop():
        while not server.requests:
            time.sleep(0.01)
        try:
            stream.close()
        except InvalidRequestError as error:
            said.append(error)
        token.cancel()

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(CallCancelledError):
        list(stream)
    thread.join(10)
    assert "being read in another thread" in str(said[0])
    assert "cancel=CancelToken()" in said[0].hint
    stream.close()


@pytest.mark.parametrize("kind", ["run", "turn"])
def test_a_token_ends_a_stream_from_another_task(client, server, kind):
    """As in threads."""
    token = CancelToken()
    server.fault(latency=20)

    async def main():
        stream = started(client, kind, True, cancel=token)

        async def read():
            async for _ in stream:
                pass

        reading = asyncio.create_task(read())
        while not server.requests:
            await asyncio.sleep(0.01)
        with pytest.raises(InvalidRequestError, match="being read in another task"):
            await stream.aclose()
        token.cancel()
        with pytest.raises(CallCancelledError):
            await reading
        await stream.aclose()

    asyncio.run(main())
