"""The file that ``provider-kit config init`` writes: all common settings, commented, ready to be edited."""

from __future__ import annotations

from collections.abc import Sequence

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


def starter_config(names: Sequence[str] = ("openai", "anthropic", "ollama")) -> str:
    """The text of a configuration file to begin with.

    Args:
        names: Providers to include, switched on.
    """
    lines = ["providers:"]
    for name in names:
        provider = find_provider(name)
        lines += [f"  {name}:", "    enabled: true"]
        if provider.key_required:
            lines.append(f"    api_key: ${{{(provider.key_variables or ('MY_API_KEY',))[0]}}}")
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
    return _HEAD + "\n".join(lines) + "\n" + _TAIL.replace("{order}", ", ".join(names))
