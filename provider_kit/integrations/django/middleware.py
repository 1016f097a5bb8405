"""Errors of calls as answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from provider_kit.errors import ProviderKitError
from provider_kit.integrations.ui_errors import error_answer

__all__ = ["ErrorMiddleware"]


class ErrorMiddleware:
    """Answers errors of calls with a status of their own (429, 502, 504 …) and JSON without secrets.

    For ``MIDDLEWARE`` in the settings; works with plain and ``async`` views without a change of thread.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Pass the request on."""
        return self.get_response(request)  # type: ignore[no-any-return]  # Django's callable has no type

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """Answer an error of a view."""
        if not isinstance(exception, ProviderKitError):
            return None
        body, status, headers = error_answer(exception)
        return HttpResponse(body, status=status, headers=headers)
