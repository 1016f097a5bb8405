"""Google Gemini (Developer API)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from provider_kit.dialects.base import Dialect
from provider_kit.dialects.file_rules import FileRules
from provider_kit.dialects.files_api import GeminiFiles
from provider_kit.dialects.gemini_content import GeminiContent, GeminiProfile
from provider_kit.errors import APIError
from provider_kit.model.config import ProviderConfig
from provider_kit.model.oauth import OAuthConfig
from provider_kit.providers.base import Provider

__all__ = ["PROVIDER", "GeminiProvider", "gemini_profile"]

#: Source: google.rpc.ErrorInfo, reasons of the domain googleapis.com.
_PROJECT_REASONS = frozenset(
    {"CONSUMER_INVALID", "USER_PROJECT_DENIED", "SERVICE_DISABLED", "CONSUMER_SUSPENDED", "RESOURCE_PROJECT_INVALID"}
)
_PROJECT_WORDS = re.compile(
    r"project (?:\S{1,100} )?(?:was |is )?not found|quota project|project .{0,100}not been used|required to use project"
    r"|requires? a project|invalid project|no project",
    re.IGNORECASE,
)


def gemini_profile(model: str) -> GeminiProfile:
    """What a model accepts, by its version. Source: Gemini API, "Thinking"."""
    name = model.rsplit("/", 1)[-1]
    version = re.match(r"^gemini-(\d+)(?:\.(\d+))?", name)
    major = int(version[1]) if version else 3
    minor = int(version[2] or 0) if version else 0
    if (major, minor) < (2, 5) or not name.startswith("gemini"):
        return GeminiProfile(thinking=None, needs_signatures=False, media_in_results=False, schema_with_tools=False)
    if major == 2:
        return GeminiProfile(
            thinking="budget",
            smallest_budget=128 if "pro" in name else 0,
            needs_signatures=False,
            media_in_results=False,
            schema_with_tools=False,
        )
    strict = name.startswith(("gemini-3.8-flash", "gemini-4-argon"))
    return GeminiProfile(
        lowest_level="LOW" if strict or "pro" in name else "MINIMAL",
        sampling=not name.startswith("gemini-3.8-flash"),
    )


class GeminiProvider(Provider):
    """Gemini; ``project_id`` is billed where a project must be named."""

    def make_dialects(self, config: ProviderConfig) -> Callable[[str], Dialect]:
        """generateContent for every model."""
        made = GeminiContent(provider=config.label, profile=gemini_profile)
        return lambda model: made

    def find_base_url(self, config: ProviderConfig, environ: Mapping[str, str]) -> str | None:
        """The address with its API version; ``v1beta`` where none is given."""
        url = super().find_base_url(config, environ)
        if url and not re.search(r"/v\d\w*/?$", url.partition("?")[0]):
            url = f"{url.rstrip('/')}/v1beta"
        return url

    def extra_headers(self, config: ProviderConfig, environ: Mapping[str, str]) -> dict[str, str]:
        """The project that is billed."""
        project = config.options.get("project_id") or environ.get("GEMINI_PROJECT_ID", "").strip()
        return {"x-goog-user-project": project} if project else {}

    def explain(self, error: APIError, *, base_url: str) -> None:
        """Where a project is missing or may not be used, say how to set it."""
        about = error.code in _PROJECT_REASONS or _PROJECT_WORDS.search(error.message[:1000])
        if about and error.status_code in (400, 401, 403, 404):
            error.with_hint(
                "Name a Google Cloud project that this login may use and in which the Gemini API is enabled: "
                "options={'project_id': '…'}, or GEMINI_PROJECT_ID. It is sent as x-goog-user-project."
            )
        else:
            super().explain(error, base_url=base_url)


PROVIDER = GeminiProvider(
    name="gemini",
    title="Google Gemini",
    files_api=GeminiFiles(),
    # Source: ai.google.dev/gemini-api/docs, "Image understanding", "Document", "Audio" and "Video understanding".
    files=FileRules(
        images=frozenset({"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"}),
        documents=frozenset({"application/pdf"}),
        audio=frozenset(
            f"audio/{name}" for name in ("wav", "x-wav", "mpeg", "mp3", "aiff", "aac", "ogg", "flac", "mp4", "x-m4a")
        ),
        videos=frozenset(
            f"video/{name}"
            for name in ("mp4", "mpeg", "mov", "quicktime", "avi", "x-msvideo", "x-flv", "webm", "wmv", "3gpp")
        ),
        document_bytes=50 * 1024 * 1024,
        image_count=3600,
        request_bytes=20 * 1024 * 1024,
    ),
    base_url="https://generativelanguage.googleapis.com/v1beta",
    # Google's own SDK prefers GOOGLE_API_KEY too.
    key_variables=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    base_url_variables=("GOOGLE_GEMINI_BASE_URL",),
    key_header="x-goog-api-key",
    key_prefix="AIza",
    day_begins=-8.0,  # daily quotas are renewed at midnight Pacific time (an hour earlier in summer)
    default_model="gemini-flash-latest",
    models_lifetime=7200.0,
    option_names=("project_id",),
    embed_batch=100,
    console="https://aistudio.google.com/apikey",
    # Source: Google Identity, "OAuth 2.0 for iOS & Desktop Apps" and "for TV and Limited-Input Devices".
    oauth=OAuthConfig(
        auth_url="https://accounts.google.com/o/oauth2/v2/auth",
        token_url="https://oauth2.googleapis.com/token",  # noqa: S106  # an address, no password
        device_url="https://oauth2.googleapis.com/device/code",
        revoke_url="https://oauth2.googleapis.com/revoke",
        default_scopes=("https://www.googleapis.com/auth/cloud-platform",),
        # Without both, Google issues a refresh token with the first consent only, or none at all.
        auth_params={"access_type": "offline", "prompt": "consent"},
    ),
)
