"""Servers that speak OpenAI's chat API and need no more than a row of data."""

from __future__ import annotations

from provider_kit.dialects.file_rules import FileRules
from provider_kit.dialects.openai_chat import ChatQuirks
from provider_kit.dialects.openai_chat.quirks import effort_writer
from provider_kit.providers.base import Provider

__all__ = ["FIREWORKS", "LLAMACPP", "LMSTUDIO", "OPENAI_COMPATIBLE", "ROWS", "VLLM"]

#: Any server of the chat API; ``base_url`` must be given.
OPENAI_COMPATIBLE = Provider(
    name="openai_compatible",
    title="any OpenAI-compatible server",
    key_variables=("OPENAI_COMPATIBLE_API_KEY",),
    base_url_variables=("OPENAI_COMPATIBLE_BASE_URL",),
    key_required=False,
)

#: Source: docs.fireworks.ai.
FIREWORKS = Provider(
    name="fireworks",
    title="Fireworks",
    base_url="https://api.fireworks.ai/inference/v1",
    key_variables=("FIREWORKS_API_KEY",),
    base_url_variables=("FIREWORKS_BASE_URL",),
    key_prefix="fw_",
    default_model="accounts/fireworks/models/glm-5p3",
    quirks=ChatQuirks(
        cache_key=True,
        metadata=False,
        reasoning=effort_writer("none", "low", "medium", "high"),
        reasoning_field="reasoning_content",
        documents=None,
        audio=False,
    ),
    console="https://app.fireworks.ai/settings/users/api-keys",
)

#: Source: LM Studio's developer docs. JSON mode without a schema is refused, tools cannot be named.
LMSTUDIO = Provider(
    name="lmstudio",
    title="LM Studio",
    base_url="http://127.0.0.1:1234/v1",
    key_variables=("LM_API_TOKEN", "LMSTUDIO_API_KEY"),
    base_url_variables=("LMSTUDIO_BASE_URL",),
    key_required=False,
    quirks=ChatQuirks(
        tool_choices=frozenset({"required"}),
        json_object=False,
        single_system=True,
        join_same_role=True,
        image_links=False,
        documents=None,
        audio=False,
        empty_content="",
    ),
    local=True,
    start="Start it in the app, or: lms server start.",
)

#: Source: llama.cpp's ``tools/server/README.md``.
LLAMACPP = Provider(
    name="llamacpp",
    title="llama.cpp server",
    base_url="http://127.0.0.1:8080/v1",
    key_variables=("LLAMACPP_API_KEY", "LLAMA_API_KEY"),
    base_url_variables=("LLAMACPP_BASE_URL",),
    key_required=False,
    default_model="default",
    quirks=ChatQuirks(
        tool_choices=frozenset({"required"}),
        single_system=True,
        join_same_role=True,
        reasoning=effort_writer("none", "low", "medium", "high"),
        documents=None,
        empty_content="",
        count_path="/chat/completions/input_tokens",
    ),
    local=True,
    start="Start it: llama-server -m model.gguf --port 8080.",
)

#: Source: docs.vllm.ai, "OpenAI-compatible server".
VLLM = Provider(
    name="vllm",
    title="vLLM",
    files=FileRules(documents=frozenset()),
    base_url="http://127.0.0.1:8000/v1",
    key_variables=("VLLM_API_KEY",),
    base_url_variables=("VLLM_BASE_URL",),
    key_required=False,
    quirks=ChatQuirks(always_done=True, documents=None, empty_content=""),
    local=True,
    start="Start it: vllm serve MODEL.",
)

#: All of the above, by name.
ROWS = {row.name: row for row in list(vars().values()) if isinstance(row, Provider)}
