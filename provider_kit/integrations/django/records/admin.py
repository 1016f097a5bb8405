"""The admin: it shows, and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from provider_kit.integrations.django.records.models import Conversation, Usage

__all__ = ["ConversationAdmin", "UsageAdmin"]


if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[Any]
else:
    _Admin = admin.ModelAdmin


class _ReadOnly(_Admin):
    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Conversation)
class ConversationAdmin(_ReadOnly):
    """Conversations."""

    list_display = ("key", "revision", "created", "updated")
    search_fields = ("key",)


@admin.register(Usage)
class UsageAdmin(_ReadOnly):
    """Usage."""

    list_display = ("time", "provider", "model", "outcome", "user", "tokens", "cost")
    list_filter = ("provider", "outcome", "operation")
    search_fields = ("call", "user", "model")
    date_hierarchy = "time"
