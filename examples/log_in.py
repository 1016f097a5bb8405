"""A login instead of a key: in the browser, kept in a file, refreshed by itself.

Run it with ``python log_in.py``. It plays the authorization server and the provider itself. For a real one, make the
authenticator with ``OAuthAuthenticator("gemini")`` and set GEMINI_CLIENT_ID and GEMINI_CLIENT_SECRET.
"""

from provider_kit import AuthError, FileTokenStorage, OAuthAuthenticator
from provider_kit.testing import FakeServer, OAuthServer

with OAuthServer() as auth_server, FakeServer(key=auth_server.accepts) as provider:
    storage = FileTokenStorage(".tokens.json")
    with OAuthAuthenticator("acme", storage, auth_server.config()) as authenticator:
        # Without the arguments, a real browser opens and the address is printed.
        info = authenticator.login(open_browser=auth_server.browser, show=None)
        print(f"logged in; the token is good for {info.expires_in:.0f} s, {storage}")

        with provider.client("openai/gpt-5-mini", auth=authenticator) as client:
            print(client.chat("What is 2 + 3?").text)
            auth_server.expire_access_tokens()
            print(client.chat("What is 2 + 3?").text, "(after a refresh)")

        authenticator.logout()
        try:
            authenticator.get_token()
        except AuthError as error:
            print(f"{error.code}: {error.hint}")
