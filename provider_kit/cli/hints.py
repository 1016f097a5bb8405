"""Rewrites hints for the command line, with its options and the settings of the configuration file.

The hints of the library name Python arguments, which do not exist at a terminal. What has no equivalent there is left
out.
"""

from __future__ import annotations

import re

import click

__all__ = ["at_the_command"]

#: Blocks of the configuration file, by the class used in programs.
_BLOCKS = {
    "HTTPConfig": "http",
    "RateLimitConfig": "rate_limit",
    "CircuitBreakerConfig": "circuit_breaker",
    "Timeout": "timeout",
    "OAuthConfig": "oauth",
}
#: A setting of a block, or a Python argument with its value.
_PYTHON = re.compile(
    r"(?:(?<![\w.])[a-z_]+=)?\b(?P<block>" + "|".join(_BLOCKS) + r")\((?P<field>[a-z_]+)=[^()]*\)"
    r"|(?<![\w.?&/-])(?P<name>[a-z_]+)=(?P<value>'[^']*'|\"[^\"]*\"|…|True|False|[\d.]+(?<!\.))?(?![\w=(\[{])"
    r"|(?P<call>\b\w+\([^()]*\))"
)
#: An option of a provider, which is a setting of the file like any other.
_OPTION = re.compile(r"options=\{'(\w+)': ([^{}]*)\}")
#: A setting is not passed.
_PASSED = re.compile(r"(?i)\b(p)ass ([\w.]+(?:: \S+)? in the configuration file)")
#: Phrases that are replaced as a whole.
_PHRASES = (
    (" pass api_key=…,", ""),
    ("pass api_key=…", "store it: provider-kit keys set PROVIDER"),
    ("Pass the key as api_key=", "Set the key in the environment, or store it with provider-kit keys set"),
    ("client.models() lists", "provider-kit models lists"),
    (", or create the client with one: Client('openai/gpt-5-mini')", ", for example openai/gpt-5-mini"),
    ("Client(base_url='http://…/v1', model='…')", "base_url=http://…/v1, model=…"),
    ("Client('openai/gpt-5-mini')", "model='openai/gpt-5-mini'"),
    ("Client(base_url='http://…/v1')", "base_url='http://…/v1'"),
    ("load_config('config.yaml'), or PROVIDER_KIT_CONFIG", "PROVIDER_KIT_CONFIG"),
    ("point verify= or", "point http.verify in the configuration file or"),
    ("Check verify=, cert= and", "Check http.verify and http.cert in the configuration file and"),
    (" client.keys.status() tells more.", " provider-kit doctor tells more."),
    ("attach its bytes or path: files=['photo.png']", "attach it: --file photo.png"),
    (
        "Client('openai/gpt-5-mini', api_key=…)",
        "Name a model, --model openai/gpt-5-mini, and set the key in the environment",
    ),
    ("raise timeout= (connect, first_token, idle)", "raise timeout="),
    ("Raise timeout= (connect, first_token, idle)", "Raise timeout="),
    ("Raise timeout= (idle)", "Raise timeout="),
    ("Raise timeout= (first_token)", "Raise timeout="),
    ("Raise timeout= (answer)", "Raise timeout="),
)
#: Replacements for a streamed answer that was already printed.
_PRINTED = (
    ("hat was received is in error.partial", "hat was received is above"),
    ("error.partial is the whole answer", "The text above is the whole answer"),
)
#: Where the answer is not streamed because of an option.
_STREAMED = "stream the answer with stream()"
#: Arguments with an option of another name.
_OPTIONS = {"response_format": "schema", "files": "file", "log_level": "log_level"}
#: Options of providers; like the fields of ProviderConfig, they are settings of the file.
_OF_PROVIDERS = frozenset({"project_id", "project", "organization", "api_version", "use_responses_api"})
#: What only a program can use.
_ONLY_PYTHON = re.compile(
    r"(?<![\w.?&/-])[a-z_]+=(?!\w*/)|(?<![\w./-])[A-Za-z_][\w.]*\((?!s\))[^)]*\)"
    r"|(?<![\w./-])(?:(?:error|client|factory)\.[a-z_]+|config\.(?:replace|get)\b)|[{\[]'"
)
_SENTENCE = re.compile(r"(?<=[.!?]) (?=[A-Z'])")
_ALTERNATIVE = re.compile(r",? or ")
#: Beginnings of alternatives that make sense on their own.
_REMEDY = re.compile(
    r"(?i)(?:add|ask|call|check|choose|close|correct|end|give|leave|let|log|look|lower|name|pass|put|raise|set|store|try"
    r"|use|wait|write)\b"
)


def at_the_command(hint: str, command: click.Command | None = None) -> str:
    """The hint for the command line; empty if it does not apply there.

    Args:
        hint: An error's hint.
        command: The command, whose options may be named. Default: the running one.
    """
    if not re.search(r"[=(]|error\.|_", hint):
        return hint
    context = click.get_current_context(silent=True)
    known = command or (context.command if context is not None else None)
    options = (
        {one.name: max(one.opts, key=len) for one in known.params if isinstance(one, click.Option)} if known else {}
    )
    for phrase, here in _PHRASES:
        if phrase in hint:
            hint = re.sub(re.escape(phrase) + r"(?!\.\w)", here, hint)  # not a method of it
    if "no_stream" in options:
        hint = hint.replace(_STREAMED, "let it stream, without --no-stream and --json")
        for phrase, here in _PRINTED:
            hint = hint.replace(phrase, here)
    hint = _OPTION.sub(r"\1=\2", hint)
    settings = _settings()

    def here_as(match: re.Match[str]) -> str:
        if match["call"]:
            return match[0]
        if match["block"]:
            return f"{_BLOCKS[match['block']]}.{match['field']} in the configuration file"
        name, value = match["name"], (match["value"] or "").strip("'\"")
        option = options.get(name) or options.get(_OPTIONS.get(name, ""))
        if option:
            return f"{option} {value}".strip() if value != "…" else option
        if name in settings:
            shown = {"True": ": true", "False": ": false", "": "", "…": ""}.get(value, f": {value}")
            return f"{name}{shown} in the configuration file"
        return match[0]

    hint = _PASSED.sub(lambda match: ("Set " if match[1] == "P" else "set ") + match[2], _PYTHON.sub(here_as, hint))
    for name in ("base_url", "max_tokens"):
        if name in options:
            hint = re.sub(rf"(?<![\w.-]){name}\b(?! in the)", options[name], hint)
    return " ".join(filter(None, map(_without_python, _SENTENCE.split(hint))))


def _without_python(sentence: str) -> str:
    """A sentence without alternatives that only apply to programs."""
    if not _ONLY_PYTHON.search(sentence):
        return sentence
    left = [one for one in _ALTERNATIVE.split(sentence) if not _ONLY_PYTHON.search(one)]
    if not left or not _REMEDY.match(left[0]):
        return ""
    joined = ", or ".join(one.rstrip(" .") for one in left)
    return f"{joined[:1].upper()}{joined[1:]}."


def _settings() -> frozenset[str]:
    from attrs import fields

    from provider_kit.model.config import ProviderConfig

    return frozenset(field.name for field in fields(ProviderConfig)) | _OF_PROVIDERS
