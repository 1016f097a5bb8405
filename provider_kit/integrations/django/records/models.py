"""The tables."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import models

__all__ = ["Conversation", "Usage"]


class Conversation(models.Model):
    """A conversation, as :class:`DjangoHistory` keeps it."""

    key: models.CharField[str, str] = models.CharField(max_length=300, unique=True)
    document: models.JSONField[Any, Any] = models.JSONField()
    revision: models.PositiveBigIntegerField[int, int] = models.PositiveBigIntegerField(default=0)
    created: models.DateTimeField[datetime, datetime] = models.DateTimeField(auto_now_add=True)
    updated: models.DateTimeField[datetime, datetime] = models.DateTimeField(auto_now=True, db_index=True)

    class Meta:
        """Newest first."""

        ordering = ("-updated",)

    def __str__(self) -> str:
        return self.key


class Usage(models.Model):
    """What one attempt of a call has used: a row for each, retries included."""

    time: models.DateTimeField[datetime, datetime] = models.DateTimeField(db_index=True)
    call: models.CharField[str, str] = models.CharField("correlation id", max_length=200, db_index=True)
    attempt: models.PositiveIntegerField[int, int] = models.PositiveIntegerField()
    provider: models.CharField[str, str] = models.CharField(max_length=100)
    model: models.CharField[str, str] = models.CharField(max_length=200, blank=True)
    key: models.CharField[str, str] = models.CharField("which key", max_length=100, blank=True)
    operation: models.CharField[str, str] = models.CharField(max_length=50)
    outcome: models.CharField[str, str] = models.CharField(max_length=50)
    error: models.CharField[str, str] = models.CharField(max_length=100, blank=True)
    user: models.CharField[str, str] = models.CharField(max_length=300, blank=True, db_index=True)
    tags: models.JSONField[Any, Any] = models.JSONField(default=list)
    duration: models.FloatField[float, float] = models.FloatField("seconds")
    first_token: models.FloatField[float | None, float | None] = models.FloatField("first content", null=True)
    input_tokens: models.PositiveBigIntegerField[int | None, int | None] = models.PositiveBigIntegerField(null=True)
    output_tokens: models.PositiveBigIntegerField[int | None, int | None] = models.PositiveBigIntegerField(null=True)
    cache_read_tokens: models.PositiveBigIntegerField[int | None, int | None] = models.PositiveBigIntegerField(
        null=True
    )
    cache_write_tokens: models.PositiveBigIntegerField[int | None, int | None] = models.PositiveBigIntegerField(
        null=True
    )
    reasoning_tokens: models.PositiveBigIntegerField[int | None, int | None] = models.PositiveBigIntegerField(null=True)
    tokens: models.PositiveBigIntegerField[int | None, int | None] = models.PositiveBigIntegerField(null=True)
    #: US dollars.
    cost: models.DecimalField[Decimal | None, Decimal | None] = models.DecimalField(
        max_digits=20, decimal_places=12, null=True
    )

    class Meta:
        """Newest first."""

        ordering = ("-time",)
        verbose_name_plural = "usage"

    def __str__(self) -> str:
        return f"{self.provider} {self.model} {self.outcome}"
