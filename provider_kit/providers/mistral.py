"""Mistral. Unknown fields are refused (422), so only what its API names is sent."""

from __future__ import annotations

from provider_kit.dialects.file_rules import OFFICE_TYPES, FileRules
from provider_kit.dialects.openai_chat import ChatQuirks
from provider_kit.dialects.openai_chat.quirks import effort_writer
from provider_kit.providers.base import Provider
from provider_kit.schema.profiles import PROFILES

__all__ = ["PROVIDER"]

PROVIDER = Provider(
    name="mistral",
    title="Mistral",
    # Source: docs.mistral.ai, "Vision", "Document AI" and "Audio".
    files=FileRules(
        images=frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"}),
        documents=frozenset({"application/pdf", *OFFICE_TYPES}),
        audio=frozenset({"audio/wav", "audio/x-wav", "audio/wave", "audio/mpeg", "audio/mp3"}),
        image_bytes=10 * 1024 * 1024,
        document_bytes=50 * 1024 * 1024,
        image_count=8,
        request_bytes=70 * 1024 * 1024,
    ),
    base_url="https://api.mistral.ai/v1",
    key_variables=("MISTRAL_API_KEY",),
    base_url_variables=("MISTRAL_BASE_URL",),
    default_model="mistral-small-latest",
    quirks=ChatQuirks(
        cache_key=True,
        schema=PROFILES["mistral"],
        ask_stream_usage=False,  # sent without being requested; requesting it is a 422
        always_done=True,
        refused={"verbosity": "this API has no verbosity."},
        seed_field="random_seed",
        user_field=None,
        join_same_role=True,
        reasoning=effort_writer("none", "minimal", "low", "medium", "high", "xhigh", "max"),
        thinking_chunks=True,
        documents="document_url",
        bare_audio=True,
        nine_letter_ids=True,
        tool_name=True,
        empty_content="",
        dimensions_field="output_dimension",
    ),
    console="https://console.mistral.ai/api-keys",
)
