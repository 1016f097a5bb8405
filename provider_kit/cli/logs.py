"""``provider-kit logs``: what was asked at the command line, and what was answered."""

from __future__ import annotations

import os
import time
from datetime import datetime
from typing import Any

import click
from attrs import asdict

from provider_kit.cli.call_log import CallLog, LoggedTurn, is_logging, log_path
from provider_kit.cli.tables import print_table
from provider_kit.cli.terminal_text import say, say_json
from provider_kit.cli.user_settings import set_user_switch
from provider_kit.errors import ConfigError

__all__ = ["run_clear", "run_list", "run_path", "run_search", "run_show", "run_switch"]

_LONGEST = 60


def run_list(count: int, conversation: str | None, model: str | None, as_json: bool) -> None:
    """Print the last turns, newest first."""
    with CallLog() as log:
        _print(log.turns(conversation=conversation, model=model, limit=count), as_json)


def run_search(words: tuple[str, ...], count: int, as_json: bool) -> None:
    """Print the turns that have all words, newest first."""
    with CallLog() as log:
        _print(log.turns(words=[word for one in words for word in one.split()], limit=count), as_json)


def run_show(which: str | None, as_json: bool) -> None:
    """Print a turn, or a whole conversation; default: the last turn."""
    with CallLog() as log:
        if which is None:
            found = log.turns(limit=1)
        else:
            one = log.turn(int(which)) if which.isdecimal() and len(which) < 16 else None
            found = [one] if one is not None else log.turns(conversation=which)[::-1]
    if not found:
        raise ConfigError(
            "Nothing was logged yet." if which is None else f"The log has no turn and no conversation {which!r}.",
            hint="provider-kit logs list shows what is there.",
        )
    if as_json:
        say_json([_plain(turn) for turn in found])
        return
    for turn in found:
        cost = f", ${turn.cost.normalize():f}" if turn.cost else ""
        tokens = f"{turn.input_tokens or '?'} tokens in, {turn.output_tokens or '?'} out"
        say(f"# {turn.id}  {_time(turn)}  {turn.model}  {turn.conversation}", bold=True)
        say(f"  {tokens}{cost}, {turn.seconds:.1f} s, {turn.finish_reason}", fg="bright_black")
        if turn.system:
            say(f"\nsystem: {turn.system}")
        say(f"\n> {turn.prompt}\n\n{turn.answer}\n")


def run_path() -> None:
    """Print where the log is, and whether it is written."""
    path = log_path()
    say(path or "none; there is no home directory")
    if not is_logging():
        say("Nothing is written: it is switched off.", err=True)


def run_switch(on: bool) -> None:
    """Turn the log on or off."""
    set_user_switch("logs-off", not on)
    named = os.environ.get("PROVIDER_KIT_LOGS", "").strip()
    if named:
        say(f"PROVIDER_KIT_LOGS={named} counts, as long as it is set.", err=True, fg="yellow")
    say("Calls are logged from now on." if on else "Calls are not logged from now on. What is there stays; logs clear.")


def run_clear(days: float | None, yes: bool) -> None:
    """Delete what was logged."""
    what = "everything in the log" if days is None else f"what was logged more than {days:g} days ago"
    if not yes:
        click.confirm(f"Delete {what}?", abort=True)
    with CallLog() as log:
        count = log.clear(time.time() - (days or 0) * 86400) if log.exists else 0
    say(f"{count:,} turn{'' if count == 1 else 's'} deleted.")


def _print(turns: list[LoggedTurn], as_json: bool) -> None:
    if as_json:
        say_json([_plain(turn) for turn in turns])
        return
    if not turns:
        say("There is nothing." if is_logging() else "There is nothing; the log is off.", err=True)
    rows = [[str(turn.id), _time(turn), turn.conversation, turn.model, _short(turn.prompt)] for turn in turns]
    print_table(["Id", "Time", "Conversation", "Model", "Prompt"], rows, (6, 17, 20, 28, 0))


def _plain(turn: LoggedTurn) -> dict[str, Any]:
    written = asdict(turn)
    del written["messages"], written["usage"], written["told_cost"]
    return {**written, "cost": None if turn.cost is None else str(turn.cost)}


def _time(turn: LoggedTurn) -> str:
    return datetime.fromtimestamp(turn.time).astimezone().strftime("%Y-%m-%d %H:%M")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
