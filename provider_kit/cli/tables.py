"""Rows in columns: drawn on a terminal, plain when piped, so that grep and awk can process them."""

from __future__ import annotations

from collections.abc import Sequence

from provider_kit.cli.terminal_text import harmless, may_draw, say

__all__ = ["print_table"]


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int]) -> None:
    """Print rows.

    Args:
        heads: Titles of the columns; shown on a terminal only.
        rows: Their texts.
        widths: Least width of each column where they are plain.
    """
    if rows and may_draw():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
        for head in heads:
            table.add_column(head, overflow="fold")
        for row in rows:
            table.add_row(*(Text(harmless(cell)) for cell in row))
        Console(highlight=False).print(table)
        return
    for row in rows:
        say(" ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
