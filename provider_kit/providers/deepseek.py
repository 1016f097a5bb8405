"""DeepSeek. Thinking is on by default, and must come back with the conversation once tools are used."""

from __future__ import annotations

from typing import Any

from provider_kit.dialects.base import Notes
from provider_kit.dialects.openai_chat import ChatQuirks
from provider_kit.dialects.openai_chat.quirks import effort_writer
from provider_kit.model.tools import Reasoning
from provider_kit.providers.base import Provider

__all__ = ["PROVIDER"]

_effort = effort_writer("low", "medium", "high", "max")  # it reads "medium" as "high"


def _reasoning(reasoning: Reasoning, body: dict[str, Any], notes: Notes) -> None:
    """Source: api-docs.deepseek.com, "Thinking mode"."""
    if reasoning.effort == "none":
        body["thinking"] = {"type": "disabled"}
        return
    body["thinking"] = {"type": "enabled"}
    _effort(reasoning, body, notes)


PROVIDER = Provider(
    name="deepseek",
    title="DeepSeek",
    base_url="https://api.deepseek.com",
    key_variables=("DEEPSEEK_API_KEY",),
    base_url_variables=("DEEPSEEK_BASE_URL",),
    key_prefix="sk-",
    default_model="deepseek-flash",
    quirks=ChatQuirks(
        max_stop=16,
        refused={"top_k": "this API has no top_k."},
        parallel_tool_calls=False,
        strict_tools=False,
        metadata=False,
        user_field="user_id",
        json_schema="prompt",
        reasoning=_reasoning,
        reasoning_field="reasoning_content",
        reasoning_with_tools=True,
        join_same_role=True,
        always_done=True,
        documents=None,
        audio=False,
        empty_content="",
    ),
    console="https://platform.deepseek.com/api_keys",
)
