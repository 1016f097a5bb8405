"""A process of the tests: makes calls with a stored login, blocking or with asyncio.

Arguments: token file, token URL of the authorization server, base URL of the API, calls, world, and how
many calls an asyncio process makes at once.
Prints one line for each call: ``ok`` or the error. Ends with exit code 3 if somebody was logged out.

Before these arguments may stand ``fork``: after one call, for each line on its standard input it then becomes two
processes, of which the child makes the calls at once, in silence, and the parent tells its process id and, once it has
ended, by which signal or exit code. A process that is there to be killed needs not import everything first.
"""

import asyncio
import os
import sys

import aiohttp  # noqa: F401  # so that what is timed or killed is no import
import oauthlib.oauth2  # noqa: F401
import requests  # noqa: F401

import provider_kit.transports.aiohttp_transport
import provider_kit.transports.requests_transport  # noqa: F401
from provider_kit import AuthError, Client, FileTokenStorage, OAuthAuthenticator, OAuthConfig, ProviderKitError


def tell(outcome):
    print(outcome, flush=True)


def judge(error):
    code = getattr(error, "code", None)
    tell(f"{type(error).__name__} {code} {error}")
    if isinstance(error, AuthError) and not error.retryable:
        sys.exit(3)


def main(path, token_url, base_url, calls, world, at_once):
    config = OAuthConfig(client_id="test-client", token_url=token_url)
    authenticator = OAuthAuthenticator("openai", FileTokenStorage(path), config)
    client = Client("openai/gpt-4o", auth=authenticator, base_url=base_url)
    tell("ready")
    sys.stdin.readline()
    if world == "blocking":
        for _ in range(int(calls)):
            try:
                client.chat("What is 2 + 3?")
                tell("ok")
            except ProviderKitError as error:
                judge(error)
        client.close()
        authenticator.close()
        return

    async def ask():
        try:
            await client.achat("What is 2 + 3?")
            tell("ok")
        except ProviderKitError as error:
            judge(error)

    async def all_of_them():
        asyncio.get_running_loop().slow_callback_duration = 60.0  # a busy machine is no fault of ours
        for _ in range(0, int(calls), int(at_once)):
            await asyncio.gather(*(ask() for _ in range(int(at_once))))
        await client.aclose()
        await authenticator.aclose()

    asyncio.run(all_of_them())


def fork(path, token_url, base_url, calls, world, at_once):
    main(path, token_url, base_url, "1", world, "1")
    arguments = path, token_url, base_url, calls, world, at_once
    for _ in sys.stdin:
        child = os.fork()
        if not child:
            nothing = os.open(os.devnull, os.O_RDWR)
            for number in range(3):
                os.dup2(nothing, number)
            main(*arguments)
            return
        tell(child)
        tell(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    if sys.argv[1] == "fork":
        fork(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
