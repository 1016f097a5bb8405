"""Keys, tokens and logins: the twelve codes of ``AuthErrorCode``, and the key that is missing."""

from __future__ import annotations

from provider_kit.error_guide.entry import Entry

__all__ = ["ENTRIES"]

ENTRIES = (
    Entry(
        "missing_api_key",
        ("MissingAPIKeyError",),
        "There is no API key: none was given, none is stored, and no environment variable holds one. Nothing was sent.",
        False,
        (
            "The variable is set in another shell, service or container than the one that runs the program.",
            "The variable is set but not exported, or its name is misspelt.",
            "A .env file exists but was not loaded.",
        ),
        (
            "Run provider-kit providers: it lists the variables and which of them are set here.",
            "Set the variable the message names, or store the key once: provider-kit keys set PROVIDER.",
            "Or pass api_key=, or api_key: ${VARIABLE} in the configuration file.",
        ),
        ("Run provider-kit config check before the program starts: it finds missing keys.",),
    ),
    Entry(
        "invalid_credentials",
        ("AuthError",),
        "The credential was refused, or does not have the form of a credential.",
        False,
        (
            "The key or token is incomplete, belongs to another provider or region, or was revoked.",
            "White space, quotes or a line break were copied with it.",
            "A function of yours that returns the key failed or returned something else.",
        ),
        (
            "Compare the form: OpenAI's keys begin with sk-, Anthropic's with sk-ant-.",
            "Check in the provider's console that it was not revoked.",
            "Look at where it comes from: provider-kit config show names the origin of each value.",
            "Try it alone: provider-kit doctor PROVIDER.",
            "If nothing else helps, create a new one.",
        ),
        (
            "Keep keys in the environment, a keychain or a secret manager, never in the source.",
            "Rotate with two keys at once: api_keys=[old, new], then remove the old one.",
            "Watch the events key_dead and token_refresh_failed with on_event=.",
        ),
    ),
    Entry(
        "token_expired",
        ("AuthError",),
        "The access token has expired and could not be renewed automatically.",
        True,
        (
            "The login has no refresh token, or the server ended it.",
            "Refreshing is switched off: RefreshConfig(enabled=False).",
            "The token was passed as a plain value, so the library cannot renew it.",
        ),
        (
            "See the state of the login: provider-kit auth status PROVIDER.",
            "Refresh it now: provider-kit auth refresh PROVIDER, or authenticator.refresh_token().",
            "Log in again if that fails: provider-kit auth login PROVIDER, or authenticator.login().",
        ),
        (
            "Leave the refresh to the library: it renews tokens five minutes before they expire.",
            "Keep tokens in a storage that survives a restart.",
            "Request the scope that grants a refresh token, e.g. offline_access, where the server requires one.",
        ),
    ),
    Entry(
        "refresh_failed",
        ("AuthError",),
        "The access token could not be renewed; error.details holds the server's reason.",
        True,
        (
            "invalid_grant: the refresh token has expired, was revoked, or was used by another program.",
            "invalid_client: the client's id or secret is wrong.",
            "404: the token URL is wrong.",
            "The network or the server failed temporarily; the login is then kept.",
        ),
        (
            "Read error.details for the server's own code.",
            "invalid_grant: log in again, provider-kit auth login PROVIDER.",
            "invalid_client or 404: correct client_id, client_secret or token_url.",
            "Anything else: try again later; the login was kept.",
        ),
        (
            "Let all processes use the same token storage, so that one refresh serves all of them.",
            "Set up warnings: MonitoringConfig reports failing refreshes and tokens that are about to expire.",
        ),
    ),
    Entry(
        "oauth_flow_failed",
        ("AuthError",),
        "A login was started but not completed: refused, too late, or answered by another program.",
        False,
        (
            "The user refused, or closed the page.",
            "The state does not match: too old, used twice, from another browser, or forged.",
            "The redirect address is not registered with the server, or its port is taken.",
            "The server refuses PKCE, or does not know the client.",
        ),
        (
            "Start the login again; a state is valid for one login and ten minutes.",
            "Register the redirect address the message names, port included.",
            "Without a browser on this machine: provider-kit auth login PROVIDER --device, or paste the address.",
            "In a web application with several processes: StateConfig(shared=True).",
        ),
        ("Leave PKCE and the state check as they are: S256 and always on.",),
    ),
    Entry(
        "invalid_config",
        ("ConfigError", "AuthError"),
        "Something in the configuration or in the arguments is wrong. Nothing was sent.",
        False,
        (
            "A key of the YAML file is misspelt, wrongly indented, or has a value of the wrong type.",
            "A ${VARIABLE} of the file is not set.",
            "Two settings contradict each other, or a required one is missing.",
        ),
        (
            "Run provider-kit config check: it lists every problem with its line and its remedy.",
            "See the values in effect and their origin: provider-kit config show.",
            "Let the editor check while you type: provider-kit config schema prints the JSON Schema.",
        ),
        ("Run provider-kit config check in CI and before the program starts.",),
    ),
    Entry(
        "network_error",
        ("AuthError",),
        "The token server, or a secret manager, could not be reached.",
        True,
        (
            "No network, or a firewall on the way.",
            "DNS does not know the host.",
            "A proxy is needed and not set, or set and not there.",
        ),
        (
            "Run provider-kit doctor PROVIDER: it tries DNS, TCP, TLS and the proxy one after the other.",
            "Check HTTPS_PROXY and NO_PROXY.",
            "Raise OAuthConfig(timeout=...) where the server is slow.",
        ),
        ("Keep the login: a network failure never invalidates it.",),
    ),
    Entry(
        "provider_unavailable",
        ("AuthError",),
        "The token server answers that it is temporarily unavailable.",
        True,
        ("An outage, maintenance, or a rate limit of the authorization server.",),
        ("Look at the provider's status page.", "Try again in a few minutes; the login is kept."),
        ("With a second provider the program still gets an answer.",),
    ),
    Entry(
        "scope_insufficient",
        ("AuthError",),
        "The token is valid, but lacks the scope for this call.",
        False,
        ("The login asked for fewer scopes than the call needs.", "The user agreed to some of them only."),
        (
            "Log in again with the scope the message names: provider-kit auth login PROVIDER --scope SCOPE.",
            "Check default_scopes of OAuthConfig.",
        ),
        ("Ask for all scopes of the program with the first login.",),
    ),
    Entry(
        "key_rotation_failed",
        ("AuthError",),
        "A key or credential could not be replaced by its successor.",
        True,
        ("The callback on_rotation_needed failed.", "The new credential was refused when it was tried."),
        (
            "Read the cause of the error; it is what your callback raised.",
            "Try the new key alone: provider-kit doctor PROVIDER.",
            "The old one stays in use until the grace period ends.",
        ),
        ("Rotate well before the credential expires: a grace period of a week leaves time for corrections.",),
    ),
    Entry(
        "all_keys_exhausted",
        ("AllKeysExhaustedError",),
        "Every key is cooling down or was refused. retry_after says when the first one can be used again.",
        True,
        (
            "All keys have reached their rate limit.",
            "Keys were revoked, or their account has no credit.",
            "All keys belong to one account, which the provider limits as a whole.",
        ),
        (
            "Look at client.keys.status(): it shows the state of each key.",
            "Replace dead keys; add credit for a key that is parked because its quota is used up.",
            "Wait error.retry_after seconds, or let calls wait: wait_for_key=True.",
            "Add keys of another account.",
        ),
        (
            "Stay below the limit: RateLimitConfig(requests_per_minute=..., tokens_per_minute=...).",
            "Use a second provider when this one has no key left.",
            "Watch the events key_dead, key_parked and key_cooling.",
        ),
    ),
    Entry(
        "storage_error",
        ("StorageError",),
        "Tokens could not be read from or written to their storage. What was stored before is unchanged.",
        True,
        (
            "The file or directory belongs to another user, or others can read it.",
            "The disk is full, or read-only.",
            "The file was damaged by another program.",
            "The Redis server or the keychain cannot be reached.",
        ),
        (
            "Follow the hint: it names the command with the right path.",
            "chmod 600 for the file, chmod 700 for its directory, and the owner must be you.",
            "Use another storage: PROVIDER_KIT_TOKEN_STORAGE=keyring, a path, sqlite:///path or redis://...",
        ),
        ("In a container mount a directory that belongs to the user the program runs as.",),
    ),
    Entry(
        "encryption_error",
        ("EncryptionError",),
        "Something encrypted cannot be decrypted: the key is wrong, or what was stored is damaged.",
        False,
        (
            "PROVIDER_KIT_ENCRYPTION_KEY has changed since it was stored, or is not set.",
            "The record was changed or moved by hand.",
            "The package cryptography is missing or cannot be loaded.",
        ),
        (
            "Use the key it was encrypted with; old keys can be listed after the new one.",
            "If the key is lost: delete the token and log in again.",
            "For a configuration file: provider-kit config decrypt FILE tries a passphrase.",
        ),
        ("Keep the key in a secret manager, separate from the data it protects.",),
    ),
)
