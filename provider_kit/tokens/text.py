"""The tokens of a text, by the kinds of its pieces: words by their length, digits, punctuation, other scripts, so on.

Each kind has a weight for each tokenizer. Every expression is linear. A long text is judged by samples of it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from attrs import frozen

from provider_kit.model.json_text import loads

__all__ = ["Weights", "load_weights", "text_tokens"]

#: The table of text weights of each family; those without an own one use the nearest.
_TOKENIZER = {
    "openai": "o200k",
    "gpt_oss": "o200k",
    "openai_old": "cl100k",
    "claude": "claude",
    "claude_new": "claude",
    "gemini": "gemma",
    "gemini_vertex": "gemma",
    "mistral": "tekken",
    "llama": "llama",
    "llama4": "o200k",
    "deepseek": "deepseek",
    "qwen": "qwen",
    "grok": "o200k",
    "other": "qwen",
}
#: Factor upon a table: Claude's tokenizer is not public, the table is that of an old model.
_SCALE = {"claude": 1.05, "claude_new": 1.3, "llama4": 1.0}
#: Longer texts are judged by so many samples of so many characters.
_SAMPLES, _SAMPLE = 16, 4096


@frozen
class Weights:
    """The content of ``weights.json``."""

    #: Tokens per piece, by tokenizer: ``w5`` is a word of five letters, ``u`` capitals, ``p`` punctuation, ``x`` each
    #: further character; ``f`` words of texts that are not English; ``.runs`` and ``.chars`` those of a script.
    text: Mapping[str, Mapping[str, float]]
    #: Tokens per request, message, tool, call, result and schema, by family, and factors upon those of their text.
    frames: Mapping[str, Mapping[str, float]]
    #: Common English words of six letters and more: one token each, mostly.
    common: frozenset[str]
    #: Words of other languages in Latin script; their share tells how far a text is from English.
    foreign: frozenset[str]


@lru_cache(maxsize=1)
def load_weights() -> Weights:
    """The weights; read once."""
    found: Any = loads(files("provider_kit.tokens").joinpath("weights.json").read_bytes())
    common, foreign = (frozenset(" ".join(found[name]).split()) for name in ("common", "foreign"))
    return Weights(found["text"], found["frames"], common, foreign)


#: Letters of the Latin script beyond ASCII.
_EXT = "\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff\u0300-\u036f"
_WORD = re.compile(f"[A-Z]?[a-z{_EXT}]+")
#: A capital after a small letter or digit, and a small letter after a digit: one word ends, another begins.
_JOINT = re.compile("[A-Z](?<=[a-z0-9][A-Z])|[0-9](?=[a-z])")
_UPPER = re.compile("[A-Z]+(?![a-z])")
_DIGITS = re.compile("[0-9]+")
_PUNCT = re.compile(r"[!-/:-@\[-`{-~]+")
_LINES = re.compile("\n[\r\n]*")
_INDENT = re.compile("  +")
_SPACED = re.compile(" (?=[0-9])")
_STOP = re.compile("[.,;:!?](?=[ \"')]|$)")
_CLOSED = re.compile(r"[!-/:-@\[-`{-~](?=\r?\n)")
_NEXT_LETTER = re.compile(r"[!-/:-@\[-`{-~](?=[A-Za-z])")
#: Random letters and digits: hexadecimal, base64 and the like.
_RANDOM = re.compile(r"(?<![A-Za-z0-9+/_-])(?=[A-Za-z+/_-]{0,15}[0-9])[A-Za-z0-9+/_-]{24,}")
_MIXED = re.compile("[a-z]{1,9}[0-9]{1,9}[a-z]{1,9}[0-9]|[0-9][A-Z]{1,9}[a-z]|[a-z][A-Z]{1,9}[0-9]")
_HEX = re.compile("[0-9a-f-]+|[0-9A-F-]+")
_SCRIPTS = tuple(
    (name, re.compile(f"[{chars}]+"))
    for name, chars in (
        ("cyrillic", "\u0400-\u052f"),
        ("greek", "\u0370-\u03ff"),
        ("arabic", "\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufeff"),
        ("hebrew", "\u0590-\u05ff"),
        ("devanagari", "\u0900-\u097f"),
        ("indic", "\u0980-\u0dff"),
        ("thai", "\u0e00-\u0e7f"),
        ("kana", "\u3040-\u30ff"),
        ("han", "\u3400-\u9fff"),
        ("hangul", "\uac00-\ud7a3\u1100-\u11ff"),
        ("fullwidth", "\u3000-\u303f\uff00-\uffef"),
        ("sign", "\u00a1-\u00a9\u00ab-\u00b9\u00bb-\u00bf\u00d7\u00f7\u2000-\u2bff"),
        ("astral", "\U00010000-\U0010ffff\ufe0f\u200d"),
    )
)
_ASCII = re.compile("[\x00-\x7f]+")
_SLAVIC = re.compile("[\u0456\u0457\u0454\u0491\u0458\u0459\u045a\u045b\u0452\u044a]")
_LATIN_MARKS = re.compile(f"[{_EXT}]")
_OTHER = re.compile(
    "[\u0250-\u02ff\u0530-\u058f\u0700-\u074f\u0780-\u08ff\u0e80-\u10ff\u1200-\u1dff\u1f00-\u1fff"
    "\u2c00-\u2fff\u3100-\u33ff\ua000-\uabff\ud800-\ufaff]"
)


def _features(text: str, weights: Weights) -> dict[str, float]:
    """Counts of the kinds of pieces in a text, in time linear in its length."""
    found: dict[str, float] = {}
    chunks = text.split()
    if max(map(len, chunks), default=0) > 23 and any(len(chunk) > 23 and _RANDOM.search(chunk) for chunk in chunks):
        text = _RANDOM.sub(lambda match: _take_random(match, found), text)
    words = _WORD.findall(text)
    rare = [word for word in words if len(word) < 6 or word.lower() not in weights.common]
    found["common"] = len(words) - len(rare)
    _count_sizes("w", 14, _sizes(rare, "run.letter", found), found)
    found["joint"] = len(_JOINT.findall(text))
    _count_sizes("u", 4, _sizes(_UPPER.findall(text), "run.letter", found), found)
    for size, count in Counter(map(len, _DIGITS.findall(text))).items():
        found["digits"] = found.get("digits", 0) + count * size
        found["triples"] = found.get("triples", 0) + count * ((size + 2) // 3)
    found["spaced"] = len(_SPACED.findall(text))
    _count_sizes("p", 4, _sizes(_PUNCT.findall(text), "run.sign", found), found)
    found["stop"] = len(_STOP.findall(text))
    found["closed"] = len(_CLOSED.findall(text))
    found["pl"] = len(_NEXT_LETTER.findall(text))
    for name, pattern in (("lines", _LINES), ("indent", _INDENT)):
        runs = pattern.findall(text)
        found[name] = len(runs)
        found["run.space"] = found.get("run.space", 0) + sum(size - 15 for size in map(len, runs) if size > 15)
    found["tabs"] = text.count("\t")
    if words:
        alien = sum(map(weights.foreign.__contains__, words)) / len(words)
        marks = 0
        if not text.isascii():
            found["marks"] = marks = len(_LATIN_MARKS.findall(text))
        alien = min(1.0, 4 * alien + 4 * marks / len(words))
        if alien > 0.15:
            sizes = list(map(len, words))
            found["fw"] = alien * len(words)
            found["fc"] = alien * sum(sizes)
            found["fl"] = alien * sum(size - 6 for size in sizes if size > 6)
    if not text.isascii():
        rest = _ASCII.sub(" ", text)
        for name, pattern in _SCRIPTS:
            runs = pattern.findall(rest)
            if runs:
                found[f"{name}.runs"] = len(runs)
                found[f"{name}.chars"] = sum(map(len, runs))
        found["slavic"] = len(_SLAVIC.findall(rest))
        found["other"] = len(_OTHER.findall(rest))
    return found


def _count_sizes(kind: str, most: int, sizes: Iterable[tuple[int, int]], found: dict[str, float]) -> None:
    """Count pieces of a kind by their size; characters beyond ``most`` count one by one."""
    for size, count in sizes:
        name = f"{kind}{min(size, most)}"
        found[name] = found.get(name, 0) + count
        if size > most:
            found[f"{kind}x"] = found.get(f"{kind}x", 0) + count * (size - most)


def _take_random(match: re.Match[str], found: dict[str, float]) -> str:
    text = match[0]
    if _HEX.fullmatch(text):
        name = "hex"
    elif len(_MIXED.findall(text)) * 16 > len(text):
        name = "base64"
    else:
        return text
    found[name] = found.get(name, 0) + len(text)
    return " "


def _sizes(pieces: list[str], name: str, found: dict[str, float]) -> Iterable[tuple[int, int]]:
    """How many pieces there are of each length; long runs of one character are counted apart."""
    sizes = Counter(map(len, pieces))
    if any(size >= 16 for size in sizes):
        for piece in pieces:
            if len(piece) >= 16 and len(set(piece)) == 1:
                sizes[len(piece)] -= 1
                found[name] = found.get(name, 0) + len(piece)
    return sizes.items()


def text_tokens(text: str, family: str) -> float:
    """Estimate the tokens of a text for a family of models; about 0 to 10 % off for whole paragraphs."""
    if not text:
        return 0.0
    if len(text) > 2 * _SAMPLES * _SAMPLE:
        step = len(text) // _SAMPLES
        sampled = [text[start : start + _SAMPLE] for start in range(0, step * _SAMPLES, step)]
        return sum(text_tokens(sample, family) for sample in sampled) * (len(text) / (_SAMPLES * _SAMPLE))
    known = load_weights()
    weights = known.text[_TOKENIZER.get(family, "o200k")]
    total = 0.0
    for name, count in _features(text, known).items():
        total += weights.get(name, 0.0) * count
    return max(1.0, total * _SCALE.get(family, 1.0))
