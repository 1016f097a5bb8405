"""The file that ``provider-kit config init`` writes: all common settings, commented, ready to be edited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from provider_kit.providers.registry import find_provider

__all__ = ["starter_config"]

_HEAD = """\
# Providers of language models for provider_kit.
#
# Check this file:       provider-kit config check
# See values in effect:       provider-kit config show
# Let an editor help:    provider-kit config schema > schema.json
# yaml-language-server: $schema=./schema.json
#
# ${NAME} is a variable of the environment, ${NAME:-default} has a default, $$ is a dollar sign.
# A secret that is stored elsewhere: ${file:/run/secrets/key}, ${keyring:service/name},
# ${vault:secret/data/openai#value}, ${aws:name}.

"""
_TAIL = """\
# Servers that speak OpenAI's API, by a name you choose.
# custom:
#   workshop:
#     base_url: http://127.0.0.1:8000/v1
#     models: [my-model]

# The default provider, and named choices among several.
# preferred_order: [{order}]
# routing:
#   careful:
#     strategy: fallback
#     providers: [{order}]
"""


def starter_config(
    names: Sequence[str] = ("openai", "anthropic", "ollama"), credentials: Mapping[str, str] = MappingProxyType({})
) -> str:
    """The text of a configuration file to begin with.

    Args:
        names: Providers to include, switched on.
        credentials: Where the key of each is, if it is anywhere: the name of a variable, ``api_key`` for one that
            ``provider-kit keys set`` has stored, ``oauth`` for a login.
    """
    lines = ["providers:"]
    if not names:
        lines = [
            "providers: {}",
            "# There is no key yet, neither in the environment nor stored. With one (provider-kit keys set openai):",
            "# providers:",
            "#   openai:",
            "#     model: gpt-5-mini",
            "",
        ]
    for name in names:
        provider = find_provider(name)
        lines += [f"  {name}:", "    enabled: true"]
        found, variable = credentials.get(name), (provider.key_variables or ("MY_API_KEY",))[0]
        if provider.key_required and found == "api_key":
            lines.append("    # api_key: the one that provider-kit keys set has stored")
        elif provider.key_required and found == "oauth":
            lines.append("    auth: oauth                # the login of provider-kit auth login")
        elif provider.key_required:
            lines.append(f"    api_key: ${{{found or variable}}}")
        if provider.base_url is None and provider.base_url_variables:
            lines.append(f"    base_url: ${{{provider.base_url_variables[0]}}}")
        elif not provider.key_required:
            lines.append(f"    base_url: {provider.base_url or 'http://127.0.0.1:8000/v1'}")
        lines.append(f"    model: {provider.default_model or '…'}" if provider.default_model else "    # model: …")
        lines += [
            "    # timeout: 30              # seconds to connect, to the first content, between two contents",
            "    # total_timeout: 600       # seconds for a whole call",
            "    # max_retries: 3",
        ]
        if provider.key_required:
            lines += [
                '    # api_keys: ["${KEY_1}", "${KEY_2}"]   # instead of api_key: several keys',
                "    # rate_limit: {requests_per_minute: 60, tokens_per_minute: 90000}",
            ]
        lines.append("")
    order = ", ".join(names or ("openai", "anthropic"))
    return _HEAD + "\n".join(lines) + "\n" + _TAIL.replace("{order}", order)
