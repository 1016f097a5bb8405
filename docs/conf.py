"""How the documentation is built: ``sphinx-build -n -W -b html docs docs/_build/html``."""

import builtins
import re
import sys
from pathlib import Path

from docutils.nodes import Text
from docutils.statemachine import StringList
from sphinx.addnodes import pending_xref
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from provider_kit import __version__
from provider_kit.error_guide import guide

project = "provider_kit"
author = "The provider_kit authors"
copyright = author
version = release = __version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "provider_pages", "llms_texts"]
exclude_patterns = ["_build"]
root_doc = "index"
default_role = None
nitpicky = True
html_theme = "furo"
html_title = f"provider_kit {release}"
smartquotes = False  # options of commands keep their two hyphens
html_show_sphinx = False
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["narrow.css"]
# What is copied is what is typed: no prompt, no output.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
# The pages need no network, neither to be built nor to be read.
html_theme_options = {"source_view_link": ""}

add_module_names = False
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
python_display_short_literal_types = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

# Names of the standard library and of other packages, whose own documentation is not looked up here.
nitpick_ignore_regex = [
    ("py:class", r"'(sse|openai|vercel|text)'"),  # choices
    ("py:class", r"(flask|celery|aiohttp|werkzeug)\..*|Flask"),
    ("py:class", r"provider_kit\.integrations\.settings\.OwnClients"),
    ("py:.*", r"(?:typing|types|collections|asyncio|ssl|os|decimal|pathlib|enum|logging)(?:\..*)?"),
    ("py:.*", r"(?:requests|aiohttp|attr|attrs)(?:\..*)?"),
    ("py:.*", r"(?:Any|Self|Literal|Unpack|Mapping|Sequence|Iterable|Iterator|Callable|Awaitable|AsyncIterator)"),
    ("py:.*", r"(?:Decimal|AsyncGenerator|ExceptionGroup|TracebackType|optional|sequence)"),
    ("py:.*", r"(?:StrEnum|TypedDict)"),
    ("py:.*", r"numpy(?:\..*)?"),
    # Types of arguments that the text describes in words.
    ("py:class", r"(?:provider_kit\.model\.(?:usage\.Prices|files\.FileUpload))|FileRules|FilesAPI"),
    ("py:class", r"provider_kit\.dialects\.ollama_chat\.management\.OllamaCall"),
    ("py:class", r"KeyStrategy|SharedStore|OnStoreFailure|Sink|CircuitState|Runtime"),
    ("py:class", r"(?:provider_kit\.client\.verbs\.)?Verbs|FallbackOn|HeaderLimits"),
    ("py:class", r"provider_kit\.(?:engine\.call\.Route|model\.usage\.Quote)"),
    ("py:class", r"provider_kit\.policies\.(?:failure_rules\.KeyAction|rate_limit\.Ticket)"),
    ("py:class", r"provider_kit\.(?:transports\.base|auth\.keys\.manager|auth\.oauth\.key_manager)\.T"),
    ("py:class", r"(?:provider_kit\.auth\.storage\.base\.)?(?:FileLock|Middleware|OAuthRequests(?:Auth|Session))"),
    ("py:class", r"provider_kit\.auth\.(?:storage\.redis\._RedisLock|credential_pool\.CredentialPool)"),
    ("py:class", r"provider_kit\.(?:transports\.base\.Runtime|engine\.live_answers\.LiveState)"),
    ("py:class", r"provider_kit\.(?:transports\.inventory\.Inventory|doctor\.debug_report\.LiveCall)"),
    ("py:class", r"CollectorRegistry|SemanticConventions|CaptureContent"),
    ("py:class", r"redis(?:\.asyncio)?\.Redis"),
    # Type variables, and values that the text describes in words.
    ("py:class", r"(?:provider_kit\.[\w.]+\.)?(?:T|T_co|R|Deps|Item|TypeForm)"),
    ("py:class", r"(?:provider_kit\.[\w.]+\.)?(?:SchemaProfile|Summarise|OnToolError|BeforeStep|AfterStep)"),
    ("py:class", r"(?:provider_kit\.[\w.]+\.)?(?:RequiresApproval|StoppedBy|Core|Turn|Run|Outcome|AsyncIterable)"),
]


_comments = {}


def _set_aside(app, what, name, obj, options, lines):
    """Comments of attributes are plain sentences, but napoleon takes words before a colon for a type."""
    if what in ("attribute", "data"):
        _comments[name] = list(lines)
        lines.clear()


def _put_back(app, what, name, obj, options, lines):
    lines.extend(_comments.pop(name, ()))


def _unlink_builtins(app, doctree):
    """``type`` in an annotation is Python's, not one of our attributes of that name."""
    for node in list(doctree.findall(pending_xref)):
        if node.get("refdomain") == "py" and hasattr(builtins, node.get("reftarget", "")):
            node.replace_self(Text(node["reftarget"]))


def _find_bare_name(app, env, node, contnode):
    """Docstrings name their neighbours without a module; find them wherever they are documented."""
    if node.get("refdomain") != "py":
        return None
    domain = env.get_domain("py")
    target = node["reftarget"]
    pages = {
        (entry.docname, entry.node_id) for name, entry in domain.objects.items() if name.rpartition(".")[2] == target
    }
    if len(pages) != 1:
        return None
    docname, node_id = pages.pop()
    return make_refnode(app.builder, node["refdoc"], docname, node_id, contnode, target)


class ErrorIndex(SphinxDirective):
    """The entries of the error guide as sections, each with a label: ``error-rate-limit``."""

    def run(self):
        lines = []
        for entry in guide().values():
            title = f"``{entry.code}``"
            again = "Trying again may help." if entry.retryable else "Trying the same again does not help."
            lines += ["", f".. _error-{entry.code.replace('_', '-')}:", "", title, "-" * len(title), ""]
            lines += [", ".join(f":exc:`~provider_kit.errors.{name}`" for name in entry.errors), ""]
            lines += [f"{literal(entry.meaning)} {again}", "", "**Causes**", ""]
            lines += [f"* {literal(cause)}" for cause in entry.causes]
            lines += ["", "**What to do**", "", *(f"#. {literal(step)}" for step in entry.steps)]
            lines += ["", "**Prevention**", "", *(f"* {literal(line)}" for line in entry.prevention)]
        self.content = StringList(lines, source="provider_kit/error_guide")
        return self.parse_content_to_nodes(allow_section_headings=True)


def literal(text):
    """A plain sentence as reStructuredText: nothing in it is markup."""
    return re.sub(r"([*`|\\_])", r"\\\1", text)


def setup(app):
    """Go before and behind napoleon, whose priority is 500."""
    app.add_directive("error-index", ErrorIndex)
    app.connect("doctree-read", _unlink_builtins)
    app.connect("missing-reference", _find_bare_name)
    app.connect("autodoc-process-docstring", _set_aside, priority=400)
    app.connect("autodoc-process-docstring", _put_back, priority=600)
