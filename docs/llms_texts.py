"""``llms.txt`` and ``llms-full.txt``: the pages as plain text, for models that read them (llmstxt.org).

The first lists the pages, each with its first sentence. The second holds all of them as they are rendered, the tables
and the reference that come from the code included.
"""

import re
from pathlib import Path

from docutils import nodes
from sphinx.writers.text import TextTranslator

ABOUT = (
    "provider_kit is a Python client for language models: one class for every provider, from blocking code and from "
    "asyncio. Answers, streams and errors have the same form for all of them."
)


def pages_in_order(env):
    """The names of all pages, as the table of contents has them."""
    found = ["index"]

    def add(page):
        for child in env.toctree_includes.get(page, ()):
            if child not in found:
                found.append(child)
                add(child)

    add("index")
    return found


def first_sentence(doctree):
    """What a page says first, or nothing."""
    for paragraph in doctree.findall(nodes.paragraph):
        if not isinstance(paragraph.parent, nodes.section):
            continue
        text = " ".join(paragraph.astext().split())
        return re.split(r"(?<=[.:])\s", text, maxsplit=1)[0].rstrip(":")
    return ""


def write(app, exception):
    """Write both beside the pages."""
    if exception or app.builder.format != "html":
        return
    lines, texts = ["# provider_kit", "", f"> {ABOUT}", "", "## Pages", ""], []
    for page in pages_in_order(app.env):
        doctree = app.env.get_and_resolve_doctree(page, app.builder)
        said = first_sentence(doctree)
        title = app.env.titles[page].astext()
        lines.append(f"- [{title}]({page}.html){f': {said}' if said else ''}")
        visitor = TextTranslator(doctree, app.builder)
        doctree.walkabout(visitor)
        texts.append(visitor.body.strip())
    folder = Path(app.outdir)
    (folder / "llms.txt").write_text("\n".join(lines) + "\n", "utf-8")
    (folder / "llms-full.txt").write_text("\n\n\n".join(texts) + "\n", "utf-8")


def setup(app):
    app.connect("build-finished", write)
    return {"parallel_read_safe": True}
