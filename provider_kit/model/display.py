"""How objects show in notebooks: Markdown in which nothing runs and nothing is fetched, and tables in HTML.

What a model wrote is foreign text. Tags are shown as they are written, images as their Markdown (an address in an
answer would tell its owner what was read), and links lead to web pages only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

__all__ = ["html_table", "inert_markdown"]

#: The begin of fenced code, at most three spaces from the margin; what follows holds no backtick.
_FENCE = re.compile(r"( {0,3})(```+(?=[^`]*$)|~~~+)")
#: A code span that Markdown cannot take for something else: in one line, and in one cell of a table. It is looked for
#: where no backslash stands before a backtick, which may escape it or not.
_SPAN = re.compile(r"(?<!`)(`+)(?!`)[^|]*?(?<!`)\1(?!`)")
#: The target of a link that is not written as a web page: entities, escapes and line breaks may hide what it is.
_OTHER_LINK = re.compile(r"\]\((?!https?://|mailto:)")
#: Commands of TeX that make links, or set attributes of elements.
_ACTIVE_TEX = re.compile(r"\\(?=(?:href|class|cssId|style|require|url)\b)")


def inert_markdown(text: str) -> str:
    """Markdown that shows the same text, and in which nothing runs, is loaded or leads elsewhere than the web.

    Source: CommonMark, sections 4.5 (fenced code) and 6.1 (code spans), whose content stays as it is.
    """
    made: list[str] = []
    fence, margin = "", 0
    odd = False  # whether the paragraph has a backtick that may begin a span which ends in another line
    for line in re.split(r"\r\n?|\n", text):
        # A line nearer to the margin may have ended the list that the code is in.
        if fence and line.strip() and len(line) - len(line.lstrip(" ")) < margin:
            fence = ""
        mark = _FENCE.match(line)
        if not fence:
            odd = odd and bool(line.strip()) and not mark
            shown, plain = (line.replace("<", ""), "") if mark else _inert(line, spans=not odd)
            odd = odd or "`" in plain
            made.append(shown)
            fence, margin = (mark[2], len(mark[1])) if mark else ("", 0)
        else:
            made.append(line)
            if mark and mark[2].startswith(fence) and line.strip() == mark[2]:
                fence = ""
    return "\n".join(made)


def _inert(line: str, *, spans: bool) -> tuple[str, str]:
    """A line outside fenced code, and what of it is in no code span."""
    pieces: list[str] = []
    plain: list[str] = []
    at = 0
    for span in _SPAN.finditer(line) if spans and "\\`" not in line else ():
        plain.append(line[at : span.start()])
        pieces += [_neutral(plain[-1]), span[0]]
        at = span.end()
    plain.append(line[at:])
    return "".join([*pieces, _neutral(plain[-1])]), "".join(plain)


def _neutral(text: str) -> str:
    text = text.replace("<", "&lt;").replace("![", "!\\[")
    text = _OTHER_LINK.sub(r"]\\(", text)
    text = text.replace("]:", "]\\:")  # a definition, whose target may be in the next line, or in a quote
    return _ACTIVE_TEX.sub(r"\\\\", text)


def html_table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose texts are shown as they are."""
    head = "".join(f"<th style='text-align: left'>{escape(one)}</th>" for one in heads)
    body = "".join(
        f"<tr>{''.join(f'<td style={chr(39)}text-align: left{chr(39)}>{escape(cell)}</td>' for cell in row)}</tr>"
        for row in rows
    )
    return f"<table><caption>{escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
