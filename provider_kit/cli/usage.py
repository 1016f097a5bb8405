"""``provider-kit usage``: what was used, from the usage ledger, as a table with bars, as JSON or CSV."""

from __future__ import annotations

import csv
import io
import os
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from attrs import asdict

from provider_kit.cli.tables import print_table
from provider_kit.cli.terminal_text import is_terminal, say, say_json
from provider_kit.cli.usage_text import money
from provider_kit.errors import ConfigError
from provider_kit.observability.usage_ledger import UsageLedger, UsageSum
from provider_kit.stores.sqlite_history import default_history_path

__all__ = ["run_usage"]

_BAR = 24
_SPAN = re.compile(r"(\d{1,5})\s*([hdwm])", re.IGNORECASE)
_HOURS = {"h": 1, "d": 24, "w": 24 * 7, "m": 24 * 30}


def run_usage(by: str, since: str, until: str | None, file: str | None, as_json: bool, as_csv: bool) -> None:
    """Print what was used."""
    if as_json and as_csv:
        raise click.UsageError("Choose --json or --csv.")
    begin, end = _moment(since), None if until is None else _moment(until)
    path = os.path.expanduser(file) if file else default_history_path()
    if not os.path.exists(path):
        raise ConfigError(
            f"There is no usage ledger {path}.",
            hint="Programs write it that give a UsageLedger to their clients as a plugin; --file names another one.",
        )
    ledger = UsageLedger(path)
    try:
        sums = ledger.sums(by, since=begin, until=end)
        total = ledger.total(since=begin, until=end)
    finally:
        ledger.close()
    if as_json:
        say_json({"by": by, "since": begin, "until": end, "rows": list(map(_plain, sums)), "total": _plain(total)})
    elif as_csv:
        _print_csv(by, sums)
    elif not sums:
        say("Nothing was used in this time.")
    else:
        _print_table(by, sums, total)


def _moment(text: str) -> float:
    """Seconds since 1970 from ``7d``, ``12h``, ``2w``, ``3m``, ``all`` or a date.

    Raises:
        UsageError: It is none of these.
    """
    if text == "all":
        return 0.0
    span = _SPAN.fullmatch(text.strip())
    if span:
        try:
            return (datetime.now(UTC) - timedelta(hours=int(span[1]) * _HOURS[span[2].lower()])).timestamp()
        except OverflowError:
            return 0.0  # before all of it
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(
            f"{text!r} is no time: write 7d, 12h, 2w, 3m, all, or a date such as 2026-11-28."
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _plain(one: UsageSum) -> dict[str, Any]:
    return {**asdict(one), "cost": str(one.cost)}


def _print_csv(by: str, sums: list[UsageSum]) -> None:
    out = io.StringIO()
    rows = list(map(_plain, sums))
    names = list(_plain(UsageSum(name="")))
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([by, *names[1:]])
    for row in rows:
        writer.writerow(map(_cell, row.values()))
    say(out.getvalue(), nl=False)


def _cell(value: Any) -> Any:
    """A value of a spreadsheet, which would run what begins like a formula."""
    if not isinstance(value, str):
        return value
    text = "".join(char for char in value if char.isprintable())
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text


def _print_table(by: str, sums: list[UsageSum], total: UsageSum) -> None:
    by_cost = any(one.cost for one in sums)
    sizes = [float(one.cost if by_cost else one.tokens) for one in sums]
    most = max(sizes) or 1.0
    heads = [by, "attempts", "failed", "left", "cached", "in", "out", "cost", "cost" if by_cost else "tokens"]
    widths = (24, 9, 7, 7, 7, 12, 12, 14, 0)
    rows = [[*_cells(one), _bar(size / most)] for one, size in zip(sums, sizes, strict=True)]
    rows.append([*_cells(total), ""])
    if not is_terminal(sys.stdout):
        say(" ".join(f"{head:<{width}}" for head, width in zip(heads[:-1], widths, strict=False)).rstrip())
    print_table(heads, rows, widths)


def _cells(one: UsageSum) -> list[str]:
    counts = (one.attempts, one.failed, one.cancelled, one.cached, one.input_tokens, one.output_tokens)
    cost = money(one.cost) if one.cost else "$0"
    return [one.name or "-", *(f"{count:,}" for count in counts), f"{'≥ ' if one.cost_is_minimum else ''}{cost}"]


def _bar(share: float) -> str:
    return "█" * round(share * _BAR) or ("▏" if share else "")
