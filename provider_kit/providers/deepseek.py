"""DeepSeek. Thinking is on by default, and must come back with the conversation once tools are used."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from provider_kit.dialects.base import ParameterReport
from provider_kit.dialects.file_rules import FileRules
from provider_kit.dialects.openai_chat import ChatQuirks
from provider_kit.dialects.openai_chat.quirks import effort_writer
from provider_kit.model.tools import Reasoning
from provider_kit.providers.base import Provider, as_decimal
from provider_kit.schema.profiles import PROFILES

__all__ = ["PROVIDER"]

_effort = effort_writer("low", "medium", "high", "max")  # it reads "medium" as "high"


def _reasoning(reasoning: Reasoning, body: dict[str, Any], report: ParameterReport) -> None:
    """Source: api-docs.deepseek.com, "Thinking mode"."""
    if reasoning.effort == "none":
        body["thinking"] = {"type": "disabled"}
        return
    body["thinking"] = {"type": "enabled"}
    _effort(reasoning, body, report)


class DeepSeekProvider(Provider):
    """DeepSeek; reports the credit of the account."""

    def read_balance(self, path: str, payload: Mapping[str, Any]) -> Decimal | None:
        """The first currency's balance."""
        infos = payload.get("balance_infos")
        first = infos[0] if isinstance(infos, list) and infos else None
        return as_decimal(first.get("total_balance")) if isinstance(first, Mapping) else None


PROVIDER = DeepSeekProvider(
    name="deepseek",
    title="DeepSeek",
    files=FileRules(
        images=frozenset({"image/png", "image/jpeg", "image/webp"}), documents=frozenset(), audio=frozenset()
    ),
    base_url="https://api.deepseek.com",
    key_variables=("DEEPSEEK_API_KEY",),
    base_url_variables=("DEEPSEEK_BASE_URL",),
    key_prefix="sk-",
    has_embeddings=False,  # Source: DeepSeek API reference, which lists none.
    default_model="deepseek-flash",
    quirks=ChatQuirks(
        schema=PROFILES["deepseek"],
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
    balance_paths=("/user/balance",),
    console="https://platform.deepseek.com/api_keys",
)
