"""``provider-kit explain``: what an error means and what to do about it."""

from __future__ import annotations

from provider_kit.cli.terminal_text import say, say_json
from provider_kit.cli.wrapping import wrapped
from provider_kit.error_guide import codes, entry_for, find_entry, guide
from provider_kit.errors import InvalidRequestError
from provider_kit.model.did_you_mean import did_you_mean

__all__ = ["run_explain"]


def run_explain(code: str | None, as_json: bool) -> None:
    """Explain a code, an exception's name or an HTTP status; without one list all."""
    if code is None:
        if as_json:
            say_json([entry._asdict() for entry in guide().values()])
            return
        for name in codes():
            entry = entry_for(name)
            say(wrapped(f"{name:<24} {entry.meaning.partition('. ')[0].rstrip('.')}."))
        return
    found = find_entry(code)
    if found is None:
        raise InvalidRequestError(
            f"There is nothing about {code[:60]!r}.",
            hint=f"{did_you_mean(code, codes())}provider-kit explain lists all codes.",
        )
    if as_json:
        say_json(found._asdict())
    else:
        say(wrapped(found.as_text()))
