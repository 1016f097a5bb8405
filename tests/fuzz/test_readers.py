"""Whatever a server, a proxy or a file says: an answer or an error of this library, and nothing else."""

import asyncio
import copy
import json
import math
import os
import re
import stat
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from provider_kit import Client, FileTokenStorage, Message, OAuthToken, ProviderKitError, ScriptedTransport
from provider_kit.auth.storage.protocol import from_fields, read_record, token_info
from provider_kit.dialects.anthropic_messages import AnthropicMessages
from provider_kit.dialects.base import StreamFailure
from provider_kit.dialects.failures import error_from_body, error_from_response
from provider_kit.dialects.gemini_content import GeminiContent
from provider_kit.dialects.ollama_chat import OllamaChat
from provider_kit.dialects.openai_chat import OpenAIChat
from provider_kit.dialects.openai_responses import OpenAIResponses
from provider_kit.dialects.parse_errors import PARSE_ERRORS, read_answer
from provider_kit.errors import APIConnectionError, APIError, StorageError, ToolCallParseError
from provider_kit.model.json_text import loads
from provider_kit.wire.json_lines import LineDecoder
from provider_kit.wire.rate_limit_headers import has_rate_limits, read_headroom, read_rate_limits, wait_told
from provider_kit.wire.redaction import looks_secret, redact, redact_headers, redact_value
from provider_kit.wire.response_headers import date_seconds, duration_seconds, request_id, retry_after
from provider_kit.wire.server_sent_events import EventDecoder

#: Inputs of each kind; more for a long run of its own.
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))
KEY = "sk-0123456789abcdefghij"
#: What the engine makes an error of this library of.
TRANSLATED = (ProviderKitError, StreamFailure, *PARSE_ERRORS)

DIALECTS = {
    "chat": OpenAIChat(provider="acme"),
    "responses": OpenAIResponses(provider="acme"),
    "anthropic": AnthropicMessages(provider="acme"),
    "gemini": GeminiContent(provider="acme"),
    "ollama": OllamaChat(provider="acme"),
}
TARGETS = {
    "chat": "http://127.0.0.1:9/v1",
    "responses": "openai/gpt-5",
    "anthropic": "anthropic/claude-sonnet-4-5",
    "gemini": "gemini/gemini-2.5-flash",
    "ollama": "ollama/m",
}

# -------------------------------------------------------------------------------------------- JSON

#: Texts that stand for JSON which Python's own writer does not write.
ODD = {
    "<1e999>": "1e999",
    "<-1e999>": "-1e999",
    "<nan>": "NaN",
    "<400 digits>": "9" * 400,
    "<-400 digits>": "-" + "9" * 400,
    "<5000 digits>": "1" * 5000,
    "<deep list>": "[" * 500 + "]" * 500,
    "<deep object>": '{"a":' * 500 + "1" + "}" * 500,
    "<deeper list>": "[" * 940 + "]" * 940,
    "<first half>": '"\\ud83d"',
    "<other half>": '"\\ude00x"',
    "<late half>": '"x\\ud83d"',
    "<broken>": '"\\',
}
_ODD = re.compile("|".join(re.escape(json.dumps(mark)) for mark in ODD))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, -1, 2**31, 2**63, 2**64, 10**19, 0.5, -0.5, 1e308]),
    st.sampled_from(["", " ", "{}", "null", "0", "7", "١", "error", "tool_use", "text", "{", '{"a": 1}', "a\u2028b"]),
    st.sampled_from([*ODD]),
    st.text(max_size=6),
)
NAMES = [
    "a",
    "id",
    "index",
    "type",
    "name",
    "model",
    "role",
    "content",
    "text",
    "delta",
    "message",
    "messages",
    "choices",
    "finish_reason",
    "usage",
    "error",
    "errors",
    "code",
    "status",
    "detail",
    "details",
    "metadata",
    "raw",
    "reasons",
    "tool_calls",
    "function",
    "function_call",
    "arguments",
    "custom",
    "input",
    "refusal",
    "annotations",
    "citations",
    "citation",
    "images",
    "image_url",
    "url",
    "b64_json",
    "data",
    "audio",
    "transcript",
    "expires_at",
    "reasoning",
    "reasoning_content",
    "thinking",
    "reasoning_details",
    "summary",
    "signature",
    "extra_content",
    "x_groq",
    "object",
    "created",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "prompt_tokens_details",
    "cached_tokens",
    "cost",
    "cost_in_usd_ticks",
    "output",
    "item",
    "item_id",
    "output_index",
    "content_index",
    "call_id",
    "response",
    "part",
    "summary_index",
    "annotation",
    "incomplete_details",
    "reason",
    "input_tokens",
    "output_tokens",
    "result",
    "output_format",
    "created_at",
    "stop_reason",
    "stop_details",
    "explanation",
    "content_block",
    "partial_json",
    "caller",
    "cache_read_input_tokens",
    "candidates",
    "parts",
    "functionCall",
    "args",
    "partialArgs",
    "jsonPath",
    "stringValue",
    "numberValue",
    "boolValue",
    "nullValue",
    "willContinue",
    "thought",
    "thoughtSignature",
    "inlineData",
    "mimeType",
    "finishReason",
    "promptFeedback",
    "blockReason",
    "usageMetadata",
    "promptTokenCount",
    "candidatesTokenCount",
    "totalTokenCount",
    "thoughtsTokenCount",
    "groundingMetadata",
    "citationMetadata",
    "modelVersion",
    "responseId",
    "done",
    "done_reason",
    "eval_count",
    "prompt_eval_count",
    "embedding",
    "embeddings",
    "values",
    "predictions",
    "models",
    "pricing",
    "prompt",
    "completion",
    "context_length",
    "top_provider",
    "meta",
    "n_ctx",
    "capabilities",
    "supported_parameters",
    "display_name",
    "last_id",
    "has_more",
    "nextPageToken",
    "request_id",
    "retryDelay",
    "violations",
    "quotaId",
    "limit_source",
    "loc",
    "msg",
    "param",
    "title",
    "status_code",
    "error_type",
    "error_code",
    "max_tokens",
]
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(NAMES), inner, min_size=1, max_size=5)
    ),
    max_leaves=20,
)
OBJECTS = st.dictionaries(st.sampled_from(NAMES), VALUES, min_size=1, max_size=5)


def written(value):
    """A value as JSON, with what only other servers write."""
    text = json.dumps(value)
    return _ODD.sub(lambda found: ODD[json.loads(found[0])], text).encode() if '"<' in text else text.encode()


USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 4,
    "total_tokens": 13,
    "prompt_tokens_details": {"cached_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 1},
    "cost": 0.1,
}
FUNCTION = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}, "index": 0}
NOTE = {"type": "url_citation", "url_citation": {"url": "http://x/"}}
PICTURE = "iVBORw0KGgp4eA=="
CHAT_WHOLE = {
    "id": "a1",
    "created": 1,
    "model": "m",
    "citations": ["http://x/"],
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "content": [{"type": "text", "text": "Hi"}, {"type": "thinking", "thinking": [{"text": "Hm"}]}],
                "reasoning_details": [{"type": "reasoning.text", "text": "Hm", "index": 0, "id": "r"}],
                "refusal": "No",
                "annotations": [NOTE],
                "images": [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}}],
                "audio": {"id": "s", "data": "UklGRg==", "transcript": "Hi", "expires_at": 1},
                "tool_calls": [FUNCTION, {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "x"}}],
            },
        }
    ],
    "usage": USAGE,
}
RESPONSE_ITEMS = [
    {"type": "reasoning", "id": "i0", "summary": [{"type": "summary_text", "text": "Hm"}], "content": []},
    {
        "type": "message",
        "id": "i1",
        "role": "assistant",
        "content": [
            {"type": "output_text", "text": "Hi", "annotations": [{"type": "url_citation", "url": "http://x/"}]},
            {"type": "refusal", "refusal": "No"},
        ],
    },
    {"type": "function_call", "id": "i2", "call_id": "c2", "name": "f", "arguments": '{"a": 1}'},
    {"type": "custom_tool_call", "id": "i3", "call_id": "c3", "name": "g", "input": "x"},
    {"type": "image_generation_call", "id": "i4", "result": PICTURE, "output_format": "png"},
]
RESPONSE_WHOLE = {
    "id": "r1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "m",
    "incomplete_details": None,
    "output": RESPONSE_ITEMS,
    "usage": {
        "input_tokens": 9,
        "output_tokens": 4,
        "total_tokens": 13,
        "input_tokens_details": {"cached_tokens": 2},
        "output_tokens_details": {"reasoning_tokens": 1},
    },
}
BLOCKS = [
    {"type": "thinking", "thinking": "Hm", "signature": "s"},
    {"type": "text", "text": "Hi", "citations": [{"type": "char_location", "cited_text": "x"}]},
    {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
    {"type": "server_tool_use", "id": "t2", "name": "web_search", "input": {"query": "x"}},
    {"type": "compaction", "content": "x"},
]
ANTHROPIC_USAGE = {"input_tokens": 9, "output_tokens": 4, "cache_read_input_tokens": 2}
ANTHROPIC_WHOLE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": BLOCKS,
    "stop_reason": "refusal",
    "stop_details": {"explanation": "No"},
    "usage": ANTHROPIC_USAGE,
}
GEMINI_PARTS = [
    {"text": "Hm", "thought": True},
    {"text": "Hi"},
    {"text": "signed", "thoughtSignature": "s"},
    {"functionCall": {"id": "c1", "name": "f", "args": {"a": [1]}}},
    {"functionCall": {"name": "g", "partialArgs": [{"jsonPath": "$.a[1].b", "stringValue": "x"}]}},
    {"inlineData": {"mimeType": "image/png", "data": PICTURE}},
    {"executableCode": {"code": "1"}},
]
GEMINI_WHOLE = {
    "candidates": [
        {
            "index": 0,
            "content": {"role": "model", "parts": GEMINI_PARTS},
            "finishReason": "STOP",
            "groundingMetadata": {"webSearchQueries": ["x"]},
        }
    ],
    "promptFeedback": {"blockReason": None},
    "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": "4", "totalTokenCount": 13},
    "modelVersion": "m",
    "responseId": "g1",
}
OLLAMA_WHOLE = {
    "model": "m",
    "created_at": "2025-01-01T00:00:00.123456789Z",
    "message": {
        "role": "assistant",
        "content": "Hi",
        "thinking": "Hm",
        "images": [PICTURE],
        "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": {"a": 1}}}],
    },
    "done": True,
    "done_reason": "stop",
    "prompt_eval_count": 9,
    "eval_count": 4,
}


def _chat_piece(finish=None, **delta):
    return {"id": "a1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def _call_piece(arguments, **more):
    return _chat_piece(tool_calls=[{"index": 0, **more, "function": {"name": "f", "arguments": arguments}}])


STREAMS = {
    "chat": [
        _chat_piece(role="assistant", content="H"),
        _chat_piece(content="i"),
        _chat_piece(reasoning_details=[{"type": "reasoning.text", "text": "Hm", "index": 0}], reasoning="Hm"),
        _call_piece("", id="c1", type="function"),
        _call_piece('{"a":'),
        _call_piece(" 1}"),
        _chat_piece(annotations=[NOTE], images=[{"type": "image_url", "image_url": {"url": "http://x/a.png"}}]),
        _chat_piece(audio={"id": "s", "data": "UklG", "transcript": "Hi"}, refusal="No"),
        {"choices": [{"index": 0, "message": {"content": "Hi!", "tool_calls": [FUNCTION]}, "delta": {}}]},
        _chat_piece("tool_calls"),
        {"choices": [], "usage": USAGE, "x_groq": {"usage": USAGE}, "citations": ["http://x/"]},
        "[DONE]",
    ],
    "responses": [
        {"type": "response.created", "response": {"id": "r1", "model": "m", "usage": None, "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "id": "i0"}},
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "Hm"},
        {"type": "response.reasoning_summary_text.done", "output_index": 0, "summary_index": 0, "text": "Hm"},
        {"type": "response.reasoning_text.delta", "output_index": 0, "delta": "Hmm"},
        {"type": "response.output_item.added", "output_index": 1, "item": {"type": "message", "id": "i1"}},
        {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "item_id": "i1", "delta": "H"},
        {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "item_id": "i1", "delta": "i"},
        {"type": "response.output_text.annotation.added", "output_index": 1, "annotation": NOTE},
        {"type": "response.output_text.done", "output_index": 1, "content_index": 0, "text": "Hi"},
        {"type": "response.content_part.done", "output_index": 1, "content_index": 0, "part": {"type": "output_text"}},
        {"type": "response.refusal.delta", "output_index": 1, "delta": "N"},
        {"type": "response.refusal.done", "output_index": 1, "refusal": "No"},
        {"type": "response.output_item.done", "output_index": 1, "item": RESPONSE_ITEMS[1]},
        {"type": "response.output_item.added", "output_index": 2, "item": {**RESPONSE_ITEMS[2], "arguments": ""}},
        {"type": "response.function_call_arguments.delta", "output_index": 2, "item_id": "i2", "delta": '{"a":'},
        {"type": "response.function_call_arguments.done", "output_index": 2, "arguments": '{"a": 1}', "name": "f"},
        {"type": "response.custom_tool_call_input.delta", "output_index": 3, "delta": "x"},
        {"type": "response.output_item.done", "output_index": 4, "item": RESPONSE_ITEMS[4]},
        {"type": "response.completed", "response": RESPONSE_WHOLE},
    ],
    "anthropic": [
        {"type": "message_start", "message": {"id": "m1", "model": "m", "usage": ANTHROPIC_USAGE}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "citations_delta", "citation": {"a": 1}}},
        {"type": "ping"},
        {"type": "content_block_stop", "index": 1},
        {"type": "content_block_start", "index": 2, "content_block": {**BLOCKS[2], "input": {}}},
        {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"a":'}},
        {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": " 1}"}},
        {"type": "content_block_stop", "index": 2},
        {"type": "content_block_start", "index": 3, "content_block": {**BLOCKS[3], "input": {}}},
        {"type": "content_block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": '{"a": 1}'}},
        {"type": "content_block_start", "index": 4, "content_block": {"type": "compaction"}},
        {"type": "content_block_delta", "index": 4, "delta": {"type": "compaction_delta", "content": "x", "l": [1]}},
        {"type": "content_block_stop", "index": 4},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 4}},
        {"type": "message_stop"},
    ],
    "gemini": [
        *({"candidates": [{"content": {"parts": [part]}}], "responseId": "g1"} for part in GEMINI_PARTS),
        {
            "candidates": [
                {
                    "content": {
                        "parts": [
                            {
                                "functionCall": {
                                    "name": "h",
                                    "partialArgs": [{"jsonPath": "$.a", "stringValue": "x", "willContinue": True}],
                                    "willContinue": True,
                                }
                            },
                            {"functionCall": {"partialArgs": [{"jsonPath": "$['b'].c[2]", "numberValue": 1}]}},
                        ]
                    }
                }
            ]
        },
        {**GEMINI_WHOLE, "candidates": [{"finishReason": "STOP", "content": {"parts": [{"text": "!"}]}}]},
    ],
    "ollama": [
        {"model": "m", "message": {"content": "H", "thinking": "Hm"}, "done": False},
        {**OLLAMA_WHOLE, "done": False},
        {**OLLAMA_WHOLE, "message": {"content": ""}},
    ],
}
WHOLES = {
    "chat": CHAT_WHOLE,
    "responses": RESPONSE_WHOLE,
    "anthropic": ANTHROPIC_WHOLE,
    "gemini": GEMINI_WHOLE,
    "ollama": OLLAMA_WHOLE,
}
MODELS = {
    "data": [
        {
            "id": "m",
            "created": 1,
            "created_at": "2025-01-01T00:00:00Z",
            "context_length": 9,
            "top_provider": {"max_completion_tokens": 1},
            "meta": {"n_ctx": 1},
            "pricing": {"prompt": "0.1", "completion": 0.2},
            "capabilities": {"vision": {"supported": True}},
            "max_input_tokens": 9,
        }
    ],
    "models": [{"name": "models/m", "details": {"context_length": 9}, "capabilities": ["vision"], "modified_at": "x"}],
    "has_more": True,
    "last_id": "m",
    "nextPageToken": "p",
}
VECTORS = {
    "data": [{"index": 0, "embedding": [0.5]}, {"index": 1, "embedding": "AACAPw=="}],
    "embeddings": [{"values": [0.5]}, [0.5]],
    "predictions": [{"embeddings": {"values": [0.5]}}],
    "usage": USAGE,
    "model": "m",
}
COUNTS = {"input_tokens": 9, "totalTokens": "9"}
ERRORS = {
    "error": {
        "message": "model 'm' not found, try again in 3s",
        "type": "invalid_request_error",
        "code": 400,
        "param": "model",
        "status": "INVALID_ARGUMENT",
        "details": [{"reason": "x", "retryDelay": "3s", "violations": [{"quotaId": "PerDay"}]}],
        "metadata": {"raw": "x", "limit_source": "openrouter_x", "reasons": ["x"], "error_type": "x"},
    },
    "detail": [{"loc": ["body", 0], "msg": "missing"}],
    "errors": ["x"],
    "request_id": "req_1",
}

STEPS = st.lists(st.integers(0, 40), max_size=9)
DAMAGES = st.lists(
    st.tuples(STEPS, st.sampled_from(["put", "put", "put", "add", "drop", "again", "wrap"]), VALUES),
    min_size=1,
    max_size=4,
)


def damaged(value, damages):
    """A valid value with things in it replaced, added, dropped, told twice or wrapped."""
    root = [copy.deepcopy(value)]
    for steps, action, new in damages:
        here, place = root, 0
        for step in steps:
            inner = here[place]
            if not isinstance(inner, (dict, list)) or not inner:
                break
            here = inner
            place = [*here][step % len(here)] if isinstance(here, dict) else step % len(here)
        if action == "put" or here is root:
            here[place] = copy.deepcopy(new)
        elif action == "wrap":
            here[place] = [here[place], copy.deepcopy(new)]
        elif action == "drop":
            del here[place]
        elif isinstance(here, list):
            here.insert(place, copy.deepcopy(new if action == "add" else here[place]))
        elif action == "add":
            here[NAMES[len(repr(new)) % len(NAMES)]] = copy.deepcopy(new)
        else:
            here[NAMES[sum(steps) % len(NAMES)]] = copy.deepcopy(here[place])
    return root[0]


def streamed(name, events):
    """Events as a dialect streams them."""
    if not isinstance(events, list):
        events = [events]
    pieces = [event.encode() if event == "[DONE]" else written(event) for event in events]
    return b"".join(piece + b"\n" if name == "ollama" else b"data: " + piece + b"\n\n" for piece in pieces)


# -------------------------------------------------------------------------------------------- reading


def use(answer):
    """Whatever was read can be looked at."""
    assert isinstance(answer.text, str)
    assert isinstance(answer.thinking, str)
    assert answer.refusal is None or isinstance(answer.refusal, str)
    for call in answer.tool_calls:
        assert isinstance(call.id, str)
        assert isinstance(call.name, str)
        assert isinstance(call.arguments_json, str)
        try:
            assert isinstance(call.arguments, dict)
        except ToolCallParseError:
            pass
    assert len({call.id for call in answer.tool_calls}) == len(answer.tool_calls)
    usage = answer.usage
    for count in (usage.prompt_tokens, usage.completion_tokens, usage.input_tokens, usage.output_tokens):
        assert count is None or (type(count) is int and count >= 0)
    assert answer.cost is None or answer.cost.is_finite()
    assert answer.finish_reason in ("stop", "length", "tool_calls", "content_filter", "pause", "error", "other")
    assert isinstance(answer.citations, list)
    assert isinstance(answer.images, list)
    assert answer.audio is None or answer.audio.data is not None
    str(answer)


def read_whole(dialect, data):
    """Read an answer in every way that the dialect has; what comes out is the test."""
    try:
        payload = read_answer(data)
    except ValueError:
        return
    for read in (dialect.parse_chat, dialect.parse_models, dialect.parse_embed, dialect.parse_count):
        try:
            found = read(payload)
        except TRANSLATED:
            continue
        if read == dialect.parse_chat:
            use(found)


def read_stream(dialect, pieces):
    """Read a stream; whatever it was, its answer can be asked for, as the engine does after a failure."""
    decoder = dialect.stream_decoder()
    told = []
    try:
        for piece in pieces:
            told.extend(decoder.feed(piece))
            if decoder.complete:
                break
        else:
            told.extend(decoder.finish())
    except TRANSLATED:
        try:
            getattr(decoder, "flush", list)()
        except TRANSLATED:
            pass
        use(decoder.response())
        return None
    answer = decoder.response()
    use(answer)
    calls = [(delta.index, delta.name, delta.arguments) for chunk in told for delta in chunk.tool_calls or ()]
    return decoder.complete, [(chunk.text, chunk.thinking, chunk.refusal) for chunk in told], calls, answer.text


@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=EXAMPLES)
@given(st.one_of(VALUES, OBJECTS))
def test_any_json_is_an_answer_or_an_error(name, value):
    """Whole, and as the only event of a stream."""
    read_whole(DIALECTS[name], written(value))
    data = streamed(name, [value])
    read_stream(DIALECTS[name], [data])


@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=EXAMPLES)
@given(DAMAGES)
def test_a_damaged_answer_is_an_answer_or_an_error(name, damages):
    """Of every field something else."""
    read_whole(DIALECTS[name], written(damaged(WHOLES[name], damages)))


@pytest.mark.parametrize("valid", [MODELS, VECTORS, COUNTS], ids=["models", "vectors", "counts"])
@settings(max_examples=EXAMPLES)
@given(DAMAGES)
def test_a_damaged_list_is_a_list_or_an_error(valid, damages):
    """Models, vectors and counts."""
    data = written(damaged(valid, damages))
    for dialect in DIALECTS.values():
        read_whole(dialect, data)


@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=EXAMPLES)
@given(DAMAGES, st.integers(0, 10_000), st.booleans())
def test_a_damaged_stream_is_an_answer_or_an_error(name, damages, cut, ends):
    """Cut in two it tells the same; ended in the middle it can still be asked for what came."""
    dialect = DIALECTS[name]
    data = streamed(name, damaged(STREAMS[name], damages))
    cut %= len(data) + 1
    if ends:
        read_stream(dialect, [data[:cut]])
    else:
        assert read_stream(dialect, [data[:cut], data[cut:]]) == read_stream(dialect, [data])


@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=EXAMPLES)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 30), st.binary(max_size=4)), max_size=4))
def test_damaged_bytes_of_a_stream_are_an_answer_or_an_error(name, damages):
    """Bytes lost and added."""
    data = streamed(name, STREAMS[name])
    for position, lost, added in damages:
        position %= len(data) + 1
        data = data[:position] + added + data[position + lost :]
    read_stream(DIALECTS[name], [data])


# -------------------------------------------------------------------------------------------- the wire

LINES = st.lists(
    st.sampled_from(
        [*"\n\n\n\r\r:", "\r\n", "data:", "data: ", "event:", "event: error", "error:", "id: 1", "retry: 1", " ", "{}"]
    )
    | st.sampled_from(["\ufeff", "\u2028", "\x85", "[DONE]", '{"a": 1}', "data", "é", "\x00", "x"]),
    max_size=30,
).map(lambda parts: "".join(parts).encode())


def split(kind, pieces):
    """What a splitter makes of pieces: the events with their kind, and what is of no event."""
    decoder = kind()
    events = [event for piece in pieces for event in decoder.feed(piece)] + list(decoder.finish())
    return [(type(event), bytes(event)) for event in events], list(getattr(decoder, "stray", ()))


@pytest.mark.parametrize("kind", [EventDecoder, LineDecoder])
@settings(max_examples=EXAMPLES * 3)
@given(st.one_of(LINES, st.binary(max_size=40)), st.lists(st.integers(0, 200), max_size=5))
@example(b"data: a\r\n\r\ndata: b\r\r\n\n", [8])
def test_cutting_the_bytes_anywhere_changes_nothing(kind, data, cuts):
    """In pieces, in single bytes, with empty pieces in between."""
    whole = split(kind, [data])
    ends = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = [data[start:end] for start, end in pairwise(ends)]
    assert split(kind, pieces) == whole
    assert split(kind, [part for i in range(len(data)) for part in (data[i : i + 1], b"")]) == whole


HEADER_NAMES = [
    "retry-after",
    "retry-after-ms",
    "date",
    "x-request-id",
    "request-id",
    "cf-ray",
    "location",
    "x-should-retry",
    "content-type",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
    "x-ratelimit-limit-requests-day",
    "x-ratelimit-reset-tokens-minute",
    "x-ratelimit-remaining-tokens-minute",
    "anthropic-ratelimit-requests-limit",
    "anthropic-ratelimit-requests-remaining",
    "anthropic-ratelimit-requests-reset",
    "anthropic-ratelimit-input-tokens-reset",
    "anthropic-ratelimit-input-tokens-remaining",
    "qwen-ratelimit-limit-requests",
    "dashscope-ratelimit-reset-tokens",
    "x-ratelimit-reset-credits",
    "www-authenticate",
]
_ODD_HEADER_VALUES = """
0 -1 1 60 nan inf -inf 1e999 1e308 1e-320 1_0 6m0s 825ms 2m59.56s 1.5.5s 1d1d ٣s 1757000000 1757000000000 -0000 true
2025-01-01T00:00:00Z 0001-01-01T00:00:00 9999-12-31T23:59:59-23:59 2025-W01 20250101
"""
HEADER_VALUES = st.one_of(
    st.sampled_from(_ODD_HEADER_VALUES.split()),
    st.sampled_from(
        [
            "",
            " ",
            "9" * 400,
            "9" * 5000,
            "9" * 90 + "d",
            "Wed, 21 Oct 2015 07:28:00 GMT",
            "Wed, 21 Oct 99999 07:28:00 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Mon, 01 Jan 0001 00:00:00 +2359",
            "Fri, 31 Dec 9999 23:59:59 -2359",
            "1 Jan 1 1:1:1 +99999999999",
        ]
    ),
    st.text(alphabet="0123456789.,:-+TZ msdhGMTJanWe_e", max_size=24),
    st.text(max_size=10),
)
HEADERS = st.dictionaries(st.sampled_from(HEADER_NAMES), HEADER_VALUES, max_size=6)


@settings(max_examples=EXAMPLES * 3)
@given(HEADERS, HEADER_VALUES, st.sampled_from([None, 0.0, 1_800_000_000.0]))
def test_any_headers_tell_sound_numbers_or_nothing(headers, text, now):
    """No reader of headers raises."""
    for seconds in (retry_after(headers, now=now), duration_seconds(text), wait_told(headers, now=now)):
        assert seconds is None or (seconds >= 0 and math.isfinite(seconds))
    found = date_seconds(text)
    assert found is None or math.isfinite(found)
    assert request_id(headers) is None or request_id(headers) in headers.values()
    limits = read_rate_limits(headers, now=now)
    assert not limits or has_rate_limits(headers)
    for told in limits.values():
        for number in (told.limit, told.remaining, told.reset):
            assert number is None or (number >= 0 and math.isfinite(number))
        assert told.used_share is None or 0 <= told.used_share <= 1
        assert told.wait_for(1.0) >= 0
    read_headroom(headers, 0.1)
    redact_headers(headers, [KEY])


STATUSES = st.sampled_from([200, 300, 307, 400, 401, 402, 403, 404, 407, 413, 429, 498, 500, 501, 503, 529, 599])
BODIES = st.one_of(
    DAMAGES.map(lambda damages: written(damaged(ERRORS, damages))),
    OBJECTS.map(lambda value: written({"error": value})),
    VALUES.map(written),
    st.binary(max_size=40),
    st.sampled_from([b"<html><title>", b"<!doctype html><title>\xff</title>", b"\xef\xbb\xbf{}", b"null", b"[[]]"]),
)


@settings(max_examples=EXAMPLES * 3)
@given(STATUSES, HEADERS, BODIES)
def test_any_error_body_is_a_typed_error(status, headers, body):
    """With a text, and a wait that can be waited for."""
    error = error_from_response(status, headers, body, provider="acme", overrides={})
    assert isinstance(error, APIError)
    assert isinstance(error.message, str)
    assert str(error)
    for word in (error.code, error.type, error.param, error.request_id):
        assert word is None or isinstance(word, str)
    assert error.retry_after is None or (error.retry_after >= 0 and math.isfinite(error.retry_after))
    try:
        payload = loads(body)
    except ValueError:
        return
    assert isinstance(error_from_body(payload, status=200, headers=headers, provider="", overrides={}), APIError)


SECRETS = [KEY, "hunter2hunter2", "x" * 40]
_ODD_TEXTS = """
:// @ : / ? & # key= sk- eyJ . " api_key "api_key":" token= AIza ya29. … user:password code= bearer basic
"""
TEXTS = st.lists(
    st.sampled_from([*SECRETS, *_ODD_TEXTS.split(), "Bearer ", "basic  ", "a" * 20, "0" * 20, " ", "\n"])
    | st.text(max_size=4),
    max_size=20,
).map("".join)


@settings(max_examples=EXAMPLES * 3)
@given(TEXTS, VALUES)
def test_no_text_keeps_a_known_secret(text, value):
    """By value, in texts, keys and values; whatever else is in there."""
    found = redact(text, SECRETS)
    assert not any(secret in found for secret in SECRETS)
    looks_secret(text)
    shown = redact_value({text: [value, text, {"a": text}], "b": value}, SECRETS)
    assert not any(secret in repr(shown) for secret in SECRETS)


@settings(max_examples=EXAMPLES * 3)
@given(st.one_of(VALUES.map(written), VALUES.map(lambda value: written(value).decode()), st.binary(), st.text()))
@example("[" * 100_000)
@example(b'{"a":' * 20_000)
def test_any_text_is_json_as_the_standard_library_reads_it(data):
    """Or a ValueError."""
    try:
        found = loads(data)
    except ValueError:
        found = ValueError
    try:
        expected = json.loads(data if isinstance(data, str) else data.decode())
    except (ValueError, RecursionError):
        return
    assert repr(found) == repr(expected)


# -------------------------------------------------------------------------------------------- tokens

TOKEN = {
    "version": 1,
    "access_token": "a",
    "refresh_token": "r",
    "expires_at": 1.5,
    "obtained_at": 1,
    "scopes": ["s"],
    "token_type": "Bearer",
    "client": {"client_id": "c"},
    "extra": {"a": 1},
    "refreshing_since": 1,
}
TOKEN_FILE = {"version": 1, "tokens": {"a": TOKEN, "b": {"access_token": "b"}}}


@settings(max_examples=EXAMPLES * 3)
@given(st.one_of(VALUES, DAMAGES.map(lambda damages: damaged(TOKEN, damages))))
def test_any_record_is_a_token_or_a_storage_error(value):
    """And a token that was read can be asked."""
    data = written(value)
    for read in (lambda: read_record(data, "there"), lambda: from_fields(value, "there")):
        try:
            token = read()
        except StorageError:
            continue
        assert token.access_token
        assert isinstance(token_info("a", token, 1.0).is_expired, bool)


def ask_storage(path):
    """Everything a storage can be asked; what it raises is the test."""
    storage = FileTokenStorage(path)
    for ask in (
        lambda: storage.retrieve_token("a"),
        storage.list_tokens,
        lambda: storage.is_token_valid("a"),
        lambda: storage.get_token_info("a"),
        lambda: storage.delete_token("b"),
        storage.cleanup_expired,
        lambda: storage.store_token("a", OAuthToken(access_token="new")),
    ):
        try:
            ask()
        except StorageError:
            pass


@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
@settings(max_examples=EXAMPLES)
@given(
    st.one_of(
        DAMAGES.map(lambda damages: written(damaged(TOKEN_FILE, damages))),
        DAMAGES.map(lambda damages: written(damaged({"key": "a", **TOKEN}, damages))),
        VALUES.map(lambda value: written({"tokens": {"a": value}})),
        VALUES.map(written),
        st.binary(max_size=40),
    )
)
def test_any_token_file_is_tokens_or_a_storage_error(folder, data):
    """One file for all, and one for each."""
    with tempfile.TemporaryDirectory() as there:
        path = Path(there, "tokens") if folder else Path(there)
        path.mkdir(mode=0o700, exist_ok=True)
        file = path / ("a.json" if folder else "tokens.json")
        file.write_bytes(data)
        file.chmod(stat.S_IRUSR | stat.S_IWUSR)
        ask_storage(path if folder else file)


# -------------------------------------------------------------------------------------------- the client


def blocking(client, verb, *args):
    """What a call brings."""
    if verb != "stream":
        return getattr(client, verb)(*args)
    with client.stream(*args) as stream:
        for _ in stream:
            pass
        return stream.response


def awaited(client, verb, *args):
    """The same in an event loop."""

    async def main():
        if verb != "stream":
            return await getattr(client, f"a{verb}")(*args)
        async with client.astream(*args) as stream:
            async for _ in stream:
                pass
            return stream.response

    return asyncio.run(main())


def client_of(name, transport):
    """A client that asks once."""
    options = {"model": "m"} if name == "chat" else {}
    return Client(TARGETS[name], api_key=KEY, transport=transport, max_retries=0, **options)


def ask_client(name, verb, entry, world):
    """One call over one scripted answer, and its answer sent back; what comes out is the test."""
    transport = ScriptedTransport([entry, {"json": WHOLES[name]}])
    client = client_of(name, transport)
    answer = failure = None
    try:
        answer = world(client, verb, "Hi")
    except ProviderKitError as error:
        failure = error
        answer = getattr(error, "partial", None)
    if failure is not None:
        assert isinstance(failure.message, str)
        assert KEY not in f"{failure} {failure!r} {getattr(failure, 'body', '')}"
    assert transport.open_streams == 0
    if answer is None:
        return
    if verb in ("chat", "stream"):
        use(answer)
        try:
            world(client, "chat", [Message.user("Hi"), answer.message, Message.user("And?")])
        except ProviderKitError:
            pass


@pytest.mark.parametrize("world", [blocking, awaited])
@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=EXAMPLES)
@given(st.one_of(DAMAGES, VALUES), STATUSES, HEADERS, st.booleans())
def test_only_errors_of_this_library_come_out_of_a_chat(name, world, change, status, headers, good):
    """Whatever the status, the headers and the body."""
    damages = isinstance(change, list) and change and isinstance(change[0], tuple)
    value = damaged(WHOLES[name] if good else ERRORS, change) if damages else change
    entry = {"status": 200 if good else status, "headers": headers, "body": written(value)}
    ask_client(name, "chat", entry, world)


@pytest.mark.parametrize("world", [blocking, awaited])
@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=EXAMPLES)
@given(DAMAGES, HEADERS, st.integers(0, 10_000), st.sampled_from(["whole", "cut", "broken", "failed"]))
def test_only_errors_of_this_library_come_out_of_a_stream(name, world, damages, headers, cut, end):
    """Also where it ends, breaks off or fails after its first content."""
    data = streamed(name, damaged(STREAMS[name], damages))
    cut %= len(data) + 1
    ends = {"whole": [data[cut:]], "cut": [], "broken": [APIConnectionError("gone")]}
    rest = ends.get(end, [b"\n\n", streamed(name, [ERRORS])])
    headers.pop("content-type", None)
    ask_client(name, "stream", {"stream": [data[:cut], *rest], "headers": headers}, world)


@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=EXAMPLES)
@given(DAMAGES, st.sampled_from([MODELS, VECTORS, COUNTS]))
def test_only_errors_of_this_library_come_out_of_the_smaller_calls(name, damages, valid):
    """Models, vectors, counts."""
    entry = {"body": written(damaged(valid, damages))}
    for verb, args in (("models", ()), ("embed", (["a", "b"],)), ("count_tokens", ("Hi",))):
        client = client_of(name, ScriptedTransport([entry], repeat=True))
        try:
            getattr(client, verb)(*args)
        except ProviderKitError:
            pass
