"""Estimates of tokens: near what providers count, cheap, and never harmed by what they are given."""

import time

import pytest

from provider_kit import Audio, Client, Document, Image, Message, Native, Text, Tool, ToolCall, ToolResult
from provider_kit.model.inputs import build_request
from provider_kit.tokens.families import family_of
from provider_kit.tokens.request import estimate_request
from provider_kit.tokens.text import load_weights, text_tokens
from provider_kit.tokens.tools import as_read

PROSE = (
    "The quick brown fox jumps over the lazy dog, and then it goes back to the forest where it lives with its family. "
)
CODE = "def add(one: int, other: int) -> int:\n    # Add two numbers.\n    return one + other\n"
FAMILIES = sorted({name.partition("/")[0] for name in load_weights().frames})
#: Texts, and how many tokens the tokenizer of GPT-4o makes of them (o200k), counted by hand from its vocabulary.
COUNTED = [("Hello, world!", 4), ("hello", 1), ("The capital of France is Paris.", 7)]


def request_of(messages, model="m", **options):
    return build_request(messages, options, default_model=model, defaults={})


def tokens(messages, provider="openai", model="gpt-4o", dialect="openai_chat", **options):
    return int(estimate_request(request_of(messages, model, **options), provider, dialect))


@pytest.mark.parametrize(
    ("provider", "model", "family"),
    [
        ("openai", "gpt-4o", "openai"),
        ("openai", "gpt-6-sol", "openai"),
        ("openai", "o3-mini", "openai"),
        ("openai", "gpt-3.5-turbo", "openai_old"),
        ("azure", "my-deployment", "openai"),
        ("anthropic", "claude-sonnet-4-5", "claude"),
        ("anthropic", "claude-opus-5-5", "claude_new"),
        ("openrouter", "anthropic/claude-sonnet-4.5", "claude"),
        ("gemini", "gemini-3-pro", "gemini"),
        ("groq", "meta-llama/llama-4-scout", "llama4"),
        ("groq", "openai/gpt-oss-20b", "gpt_oss"),
        ("mistral", "codestral-2508", "mistral"),
        ("deepseek", "deepseek-flash", "deepseek"),
        ("qwen", "qwen3.8-max", "qwen"),
        ("xai", "grok-4.3", "grok"),
        ("ollama", "phi4", "other"),
        ("openai_compatible", "house", "other"),
    ],
)
def test_models_belong_to_families(provider, model, family):
    """Whoever serves them."""
    assert family_of(provider, model) == family


@pytest.mark.parametrize(("text", "count"), COUNTED)
def test_short_texts(text, count):
    """To the token or two."""
    assert abs(text_tokens(text, "openai") - count) <= 2


@pytest.mark.parametrize("family", FAMILIES)
def test_longer_texts_have_more_tokens(family):
    """In proportion."""
    once, ten = text_tokens(PROSE, family), text_tokens(PROSE * 10, family)
    assert 0.15 < once / len(PROSE) < 0.45
    assert 9 < ten / once < 11


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "text",
    ["a" * 10_000, " " * 10_000, "=" * 10_000, "\n" * 10_000, "-" * 10_000, "0" * 10_000, "\ud800" * 100, "\0" * 50],
    ids=lambda text: f"{text[:1]!a} x {len(text)}",
)
def test_odd_texts_do_no_harm(family, text):
    """Runs are fewer tokens than characters; half a surrogate pair is a character, too."""
    found = text_tokens(text, family)
    assert 1 <= found <= max(60, len(text) * (1 if text.isascii() else 3))


@pytest.mark.parametrize("piece", ["a1", "A", "a ", "1", "x=", "é", "漢", "🙂", "aB", "\t", "ab12"])
def test_time_is_linear(piece):
    """A megabyte of anything takes a fraction of a second."""
    began = time.perf_counter()
    text_tokens(piece * (1_000_000 // len(piece)), "openai")
    assert time.perf_counter() - began < 2


def test_a_long_text_is_judged_by_samples():
    """What is estimated of a part holds for the whole."""
    long = (PROSE + CODE) * 2000
    whole = sum(text_tokens(long[start : start + 100_000], "openai") for start in range(0, len(long), 100_000))
    assert abs(text_tokens(long, "openai") / whole - 1) < 0.05


def test_a_text_that_is_empty_has_none():
    """Not one."""
    assert text_tokens("", "openai") == 0


@pytest.mark.parametrize("family", ["openai", "gemini", "claude"])
def test_tools_are_written_as_models_read_them(family):
    """Whatever their schemas refer to, also themselves."""
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "A city."},
            "unit": {"enum": ["c", "f"]},
            "node": {"$ref": "#/$defs/node"},
            "many": {"type": "array", "items": {"type": "integer"}},
            "either": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "odd": True,
        },
        "required": ["city"],
        "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
    }
    text = as_read(Tool("weather", "Tells the weather.", schema), family)
    assert "weather" in text
    assert "A city." in text
    assert len(text) < 5000


def test_what_a_request_consists_of_counts():
    """System, tools, calls, results, schemas, files."""
    bare = tokens("Hello")
    assert tokens("Hello", system=PROSE) > bare + 20
    assert tokens("Hello", tools=[Tool("weather", "Tells the weather of a city.")]) > bare + 10
    assert tokens("Hello", response_format={"type": "object", "properties": {"name": {"type": "string"}}}) > bare
    called = [
        Message.user("Hello"),
        Message("assistant", [ToolCall("c1", "weather", '{"city": "Paris"}')]),
        Message("tool", [ToolResult("c1", PROSE)]),
    ]
    assert tokens(called) > bare + 30
    assert tokens(Message.user("Hello", Document(data=PROSE.encode() * 10, media_type="text/plain"))) > bare + 200
    assert tokens(Message.user("Hello", Audio(data=bytes(160_000), media_type="audio/mpeg"))) > bare + 50
    assert (
        tokens([Message.user("Hello"), Message("assistant", [Native("x", {"a": PROSE * 5}), Text("Hi")]), "Go"]) > bare
    )


def png(width, height):
    return b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"IEND"


@pytest.mark.parametrize(
    ("provider", "model", "size", "expected"),
    [
        ("openai", "gpt-4o", (512, 512), 255),  # 85 and one tile of 170
        ("openai", "gpt-4o", (1024, 1024), 765),  # 85 and four tiles
        ("anthropic", "claude-sonnet-4-5", (1000, 1000), 1333),  # width times height by 750
        ("gemini", "gemini-2.5-flash", (300, 300), 258),  # a small one
    ],
)
def test_images_cost_what_the_providers_say(provider, model, size, expected):
    """By their size in pixels."""
    bare = tokens("Look", provider, model, "")
    found = tokens(Message.user("Look", Image(data=png(*size), media_type="image/png")), provider, model, "")
    assert abs(found - bare - expected) <= 3


def test_an_estimate_says_how_far_it_may_be_off():
    """Further where there are files or tools of the provider."""
    client = Client("openai/gpt-4o", api_key="sk-test-0123456789")
    words = client.estimate_tokens(PROSE)
    assert words.low < words.tokens < words.high
    assert words.family == "openai"
    picture = client.estimate_tokens(Message.user("Look", Image(url="https://x.test/a.png")))
    assert (picture.high - picture.low) / picture.tokens > (words.high - words.low) / words.tokens
    search = Tool.parse({"type": "web_search"})
    searched = client.estimate_tokens(PROSE, tools=[search])
    assert (searched.high - searched.low) / searched.tokens > (words.high - words.low) / words.tokens


def test_it_is_better_than_a_number_of_bytes():
    """4.7 bytes a token, as others guess, is far off where a text is not English prose."""
    japanese = "これは日本語の文章です。トークンの数を推定します。"
    guess = len(japanese.encode()) / 4.7
    assert text_tokens(japanese, "openai") > 1.0 * guess
    digits = "3.14159265358979323846264338327950288419716939937510"
    assert text_tokens(digits, "claude") > 1.3 * len(digits) / 4.7
