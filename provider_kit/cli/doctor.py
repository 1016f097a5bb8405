"""``provider-kit doctor`` and ``provider-kit test``: whether a provider works, and remedies if not."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from contextlib import nullcontext
from typing import Any

from provider_kit.cli.hints import at_the_command
from provider_kit.cli.target import need_configured, open_client
from provider_kit.cli.terminal_text import is_terminal, may_draw, readable, say, say_json
from provider_kit.cli.wrapping import screen_width
from provider_kit.config.configuration import Configuration
from provider_kit.config.loader import open_configuration
from provider_kit.doctor.findings import Diagnosis, Finding
from provider_kit.errors import (
    ConfigError,
    NotFoundError,
    NotSupportedError,
    PermissionDeniedError,
    ProviderKitError,
    UnknownProviderError,
)
from provider_kit.model.json_text import dumps_text

__all__ = ["run_doctor", "run_test"]

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red"), "skipped": ("·", "bright_black")}


def run_doctor(
    provider: str | None, base_url: str | None, timeout: float, calls: int, as_json: bool, verbose: bool
) -> None:
    """Check one provider, or all that are configured."""
    about_file, configuration = _examine_file()
    names = [provider] if provider is not None else _names(configuration, about_file)
    found: list[Diagnosis] = []
    deadline = time.monotonic() + timeout
    for number, name in enumerate(names):
        share = max(1.0, deadline - time.monotonic()) / (
            len(names) - number
        )  # time the fast ones do not use is left to the slow ones
        with _spinner(f"Examining {name} …", quiet=as_json):
            found.append(_examine(_with_model(name), base_url, share, calls, about_file))
        if not as_json:
            _print(found[-1], verbose)
    if not names:
        found.append(Diagnosis("none", findings=[about_file]))
        if not as_json:
            _print(found[-1], verbose)
    failed = sum(len(one.failed) for one in found)
    warnings = sum(len(one.warnings) for one in found)
    if as_json:
        say_json([one.as_dict() for one in found])
    elif failed:
        say(f"\n{failed} {'check' if failed == 1 else 'checks'} failed.", fg="red")
    else:
        say(f"\nAll is well{f', with {warnings} to look at' if warnings else ''}.", fg="green")
    sys.exit(1 if failed else 0)


def _with_model(name: str) -> str:
    """The model that ``PROVIDER_KIT_MODEL`` names, if it is one of this provider."""
    chosen = os.environ.get("PROVIDER_KIT_MODEL", "")
    return chosen if chosen.startswith(f"{name}/") else name


def _names(configuration: Configuration | None, about_file: Finding) -> list[str]:
    try:
        return need_configured(configuration)
    except ConfigError:
        if about_file.status == "failed":
            return []
        raise


def _examine_file() -> tuple[Finding, Configuration | None]:
    try:
        found = open_configuration(check=False)
    except ProviderKitError as error:
        return Finding("configuration", "failed", error.message, hint=error.hint), None
    if found is None:
        return Finding("configuration", "ok", "No file; arguments and the environment decide."), None
    errors = [one for one in found.problems if one.severity == "error"]
    if errors:
        rest = f" And {len(errors) - 1} more." if len(errors) > 1 else ""
        return Finding(
            "configuration", "failed", f"{errors[0]}{rest}", hint=f"{errors[0].remedy} See: provider-kit config check"
        ), found
    if found.warnings:
        one = found.warnings[0]
        return Finding("configuration", "warning", str(one), hint=one.remedy), found
    return Finding(
        "configuration", "ok", f"{found.file} is right: {', '.join(found.entries) or 'nothing is on'}."
    ), found


def _examine(name: str, base_url: str | None, timeout: float, calls: int, about_file: Finding) -> Diagnosis:
    try:
        with open_client(name, os.environ, base_url=base_url) as client:
            made = client.diagnose(timeout=timeout, calls=calls)
    except ProviderKitError as error:
        if about_file.status == "failed":
            return Diagnosis(name, findings=[about_file])
        if isinstance(error, UnknownProviderError):
            raise
        return Diagnosis(name, findings=[Finding("configuration", "failed", error.message, hint=error.hint)])
    made.findings.insert(1, about_file)
    return made


def _spinner(text: str, *, quiet: bool) -> Any:
    if quiet or not may_draw():
        return nullcontext()
    from rich.console import Console

    return Console().status(text)


def _print(one: Diagnosis, verbose: bool) -> None:
    """Print a table: one line for a passed check, with a remedy for others."""
    say(f"\n{one.provider}", bold=True, nl=False)
    say(f"  {one.base_url}{f'  {one.model}' if one.model else ''}".rstrip())
    plain = not is_terminal(sys.stdout)
    width = screen_width()
    for finding in one.findings:
        if finding.status == "skipped" and not verbose and one.failed:
            continue
        mark, color = _MARKS[finding.status]
        mark = {"✓": "ok", "!": "warn", "✗": "FAIL", "·": "skip"}[mark] if plain else mark
        say(f"  {mark:<4} " if plain else f"  {mark} ", fg=color, nl=False)
        time = f" ({finding.seconds * 1000:.0f} ms)" if finding.seconds is not None else ""
        text = f"{finding.message}{time}"
        indent = 22 if plain else 19
        say(_wrapped(f"{finding.check:<14} ", text, width, indent))
        hint = at_the_command(finding.hint or "") if finding.status in ("failed", "warning") else ""
        if hint:
            say(_wrapped(" " * indent + "→ ", hint, width, indent + 2), fg="cyan")
        if verbose and finding.data:
            say(_wrapped(" " * indent, dumps_text(dict(finding.data)), width, indent), fg="bright_black")


def _wrapped(head: str, text: str, width: int, indent: int) -> str:
    """Text in lines that fit, the later ones indented."""
    first = len(head) if head.startswith(" ") else indent
    lines = textwrap.wrap(text, max(20, width - first), break_long_words=False, break_on_hyphens=False) or [""]
    return "\n".join([head + lines[0], *(" " * indent + line for line in lines[1:])])


# ------------------------------------------------------------------------------------------------ test


def run_test(name: str, prompt: str, as_json: bool) -> None:
    """Request the models and one answer, and report how far that got."""
    result: dict[str, Any] = {"provider": name, "status": "success", "phase": "configuration"}
    error: ProviderKitError | None = None
    answer = None
    prompt = readable(prompt)
    try:
        with open_client(name, os.environ) as client:
            result |= {"model": client.model, "base_url": client.base_url, "phase": "model_fetch"}
            health = client.health_check(timeout=20)
            result["models"] = health.message
            # A provider without a list of models, or a key that may not read it, may still answer.
            if isinstance(health.error, ProviderKitError) and not isinstance(health.error, _NO_LIST):
                raise health.error
            if client.model:
                result["phase"] = "chat"
                answer = client.chat(prompt, max_tokens=200, total_timeout=60)
                timings = answer.timings
                result |= {"answer": answer.text, "seconds": timings.total if timings else None}
            result["phase"] = "completed"
    except UnknownProviderError:
        raise
    except ProviderKitError as caught:
        error = caught
        result |= {
            "status": "failed",
            "error": type(error).__name__,
            "message": str(error),
            "hint": error.hint,
            "retryable": error.retryable,
            "explain": error.topic,
        }
    if as_json:
        say_json(result)
    elif error is None:
        say(f"{name} works.", fg="green", nl=False)
        say(f" It {result['models']}." if result.get("models") else "")
        if answer is not None:
            seconds = f" after {answer.timings.total:.1f} s" if answer.timings and answer.timings.total else ""
            say(f"{client.provider}/{client.model}{seconds}: {' '.join(answer.text.split())[:200]}")
        else:
            say("No model is chosen, so none was called.")
    else:
        say(f"{name} fails at {result['phase'].replace('_', ' ')}: {' '.join(str(error).split())}", fg="red", err=True)
        hint = at_the_command(error.hint or "")
        if hint:
            say(f"Hint: {hint}", err=True)
        say(f"More: provider-kit doctor {name}, or provider-kit explain {error.topic}", err=True)
    if error is not None:
        sys.exit(1)


#: Failures of the list of models alone.
_NO_LIST = (NotFoundError, NotSupportedError, PermissionDeniedError)
