"""Qwen, through DashScope's OpenAI-compatible mode. Keys belong to a region: a wrong host is a 401."""

from __future__ import annotations

from typing import Any

from provider_kit.dialects.base import ParameterReport
from provider_kit.dialects.file_rules import FileRules
from provider_kit.dialects.openai_chat import ChatQuirks
from provider_kit.errors import APIError, AuthenticationError, RateLimitError
from provider_kit.model.tools import Reasoning
from provider_kit.providers.base import Provider
from provider_kit.schema.profiles import PROFILES

__all__ = ["PROVIDER", "QwenProvider"]

_BUDGETS = {"minimal": 512, "low": 2048, "medium": 8192, "high": 24576, "xhigh": 32768, "max": 38912}


def _reasoning(reasoning: Reasoning, body: dict[str, Any], report: ParameterReport) -> None:
    """``enable_thinking`` with a budget; the default differs from model to model, so it is always sent."""
    if reasoning.effort == "none":
        body["enable_thinking"] = False
        return
    body["enable_thinking"] = True
    budget = reasoning.budget_tokens or _BUDGETS.get(reasoning.effort or "")
    if budget:
        body["thinking_budget"] = budget


class QwenProvider(Provider):
    """Qwen on DashScope."""

    def explain(self, error: APIError, *, base_url: str) -> None:
        """The usual cause of a 401 is the region."""
        if isinstance(error, AuthenticationError):
            error.with_hint(
                "DashScope keys belong to a region. This call went to "
                f"{base_url.split('/')[2]}; for a mainland China key set "
                "base_url='https://dashscope.aliyuncs.com/compatible-mode/v1', for a US key "
                "'https://dashscope-us.aliyuncs.com/compatible-mode/v1'."
            )


PROVIDER = QwenProvider(
    name="qwen",
    title="Qwen (Alibaba DashScope)",
    # Source: alibabacloud.com/help/en/model-studio, "Image and video understanding".
    files=FileRules(
        images=frozenset(f"image/{name}" for name in ("png", "jpeg", "webp", "bmp", "tiff", "heic")),
        documents=frozenset(),
        audio=frozenset({"audio/wav", "audio/x-wav", "audio/wave", "audio/mpeg", "audio/mp3"}),
        videos=frozenset(f"video/{name}" for name in ("mp4", "x-msvideo", "quicktime", "x-flv", "webm")),
        image_bytes=10 * 1024 * 1024,
        video_bytes=10 * 1024 * 1024,
    ),
    base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
    key_variables=("QWEN_API_KEY", "QWENCLOUD_API_KEY", "DASHSCOPE_API_KEY"),
    base_url_variables=("QWEN_BASE_URL", "DASHSCOPE_COMPATIBLE_BASE_URL"),
    key_prefix="sk-",
    default_model="qwen3.8-flash",
    quirks=ChatQuirks(
        schema=PROFILES["qwen"],
        tool_choices=frozenset({"named"}),
        reasoning=_reasoning,
        documents=None,
        cache_control=True,
        mark_lifetimes=False,
        videos=True,
        empty_content="",
        user_field=None,
    ),
    # Not a used-up quota but tokens per minute: waiting helps, although OpenAI uses the same name for a quota.
    error_codes={"insufficient_quota": RateLimitError},
    embed_batch=10,
    console="https://modelstudio.console.alibabacloud.com",
)
