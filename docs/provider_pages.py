"""What the pages of the providers show, from the code itself: addresses, keys, parameters, files, models, errors."""

from functools import cache

from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from provider_kit.catalog.bundled import bundled_catalog
from provider_kit.errors import ProviderKitError
from provider_kit.model.config import ProviderConfig
from provider_kit.providers import registry
from provider_kit.testing import FakeServer

#: What is asked for, one call each, to see what the default model does not take.
TRIED = {
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 5,
    "max_tokens": 100,
    "seed": 1,
    "stop": ["END"],
    "presence_penalty": 0.1,
    "frequency_penalty": 0.1,
    "reasoning": "high",
    "response_format": "json",
    "parallel_tool_calls": False,
}
#: Most models shown of one provider.
MOST = 12


@cache
def not_taken(name):
    """``(parameter, reason)`` of what the default model of a provider is not sent."""
    provider = registry.find_provider(name)
    found = []
    with FakeServer() as server, server.client(f"{name}/{provider.default_model or 'any-model'}") as client:
        for parameter, value in TRIED.items():
            warnings = client.chat("Hello", **{parameter: value}).warnings
            found += [(parameter, warning.message) for warning in warnings]
    return found


def models_of(name):
    """Models of a provider that the catalog knows with window and price: those with the newest knowledge first."""
    known = bundled_catalog().models_of(name)
    found = [model for model in known if model.pricing and model.context_window and not model.deprecated]
    found.sort(key=lambda model: (model.knowledge or "", model.id), reverse=True)
    return found[:MOST]


class ProviderFacts(SphinxDirective):
    """``.. provider-facts:: groq``: a table of what the code knows."""

    required_arguments = 1

    def run(self):
        name = self.arguments[0]
        provider = registry.find_provider(name)
        dialect = provider.make_dialects(ProviderConfig(type=name))(provider.default_model or "any-model")
        rows = [("Key", key_line(provider)), ("Address", literals([provider.base_url]) or "yours: ``base_url=``")]
        rows.append(("Its variable", literals(provider.base_url_variables)))
        rows.append(("Default model", literals([provider.default_model]) or "none; name one"))
        rows.append(("API", f"``{dialect.name}``"))
        rows.append(("Options", literals(provider.option_names)))
        rows.append(("Images", literals(sorted(provider.files.images or ()))))
        rows.append(("Documents", literals(sorted(provider.files.documents or ()))))
        rows.append(("Audio", literals(sorted(provider.files.audio or ()))))
        rows.append(("Not sent to the default model", ", ".join(f"``{one}``" for one, _ in not_taken(name))))
        rows.append(("Embeddings", "yes" if provider.has_embeddings and hasattr(dialect, "build_embed") else ""))
        lines = table(("Fact", "Value"), [row for row in rows if row[1]], "28 72", header=False)
        models = models_of(name)
        if models:
            lines += ["", "Models of the bundled catalog, with US dollars for a million tokens:", ""]
            lines += table(
                ("Model", "Window", "Input", "Output"), [model_row(model) for model in models], "46 20 17 17"
            )
        lines += errors(provider)
        self.content = StringList(lines, source=f"provider_kit/providers/{name}")
        return self.parse_content_to_nodes(allow_section_headings=True)


def key_line(provider):
    """Where its key comes from."""
    if not provider.key_variables:
        return "none is needed"
    where = f"; made at {provider.console}" if provider.console else ""
    needed = "" if provider.key_required else " (optional)"
    return f"{literals(provider.key_variables)}{needed}{where}"


def model_row(model):
    """One model: its window and what it costs."""
    pricing = model.pricing
    prices = [f"{price:f}" if price is not None else "" for price in (pricing.input, pricing.output)]
    return (f"``{model.id}``", f"{model.context_window:,}" if model.context_window else "", *prices)


def errors(provider):
    """Its own error codes, and what they are here."""
    if not provider.error_codes:
        return []
    kinds = {}
    for code, error in provider.error_codes.items():
        assert issubclass(error, ProviderKitError)
        kinds.setdefault(error.__name__, []).append(code)
    rows = [(f":exc:`~provider_kit.errors.{kind}`", literals(codes)) for kind, codes in kinds.items()]
    return ["", "Its own error codes, and what they are here:", "", *table(("Error", "Codes"), rows, "40 60")]


def literals(words):
    return ", ".join(f"``{word}``" for word in words if word)


def table(head, rows, widths, header=True):
    """A list-table."""
    lines = [".. list-table::", *(["   :header-rows: 1"] if header else []), f"   :widths: {widths}", ""]
    for row in [head, *rows] if header else rows:
        lines += [f"   {'* -' if place == 0 else '  -'} {cell}".rstrip() for place, cell in enumerate(row)]
    return lines


def setup(app):
    app.add_directive("provider-facts", ProviderFacts)
    return {"parallel_read_safe": True}
