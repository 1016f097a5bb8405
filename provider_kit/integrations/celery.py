"""Celery: tasks that are tried again when the provider says so. Needs ``pip install provider-kit[celery]``.

>>> from celery import Celery
>>> from provider_kit import Client
>>> from provider_kit.integrations.celery import llm_task
>>> app = Celery("shop")
>>> client = Client("demo/echo")
>>> @llm_task(app)
... def describe(product):
...     return client.chat(f"Describe {product}.").text
>>> describe("chairs")
'Describe chairs.'
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from provider_kit.errors import ProviderKitError
from provider_kit.integrations.settings import needs_extra
from provider_kit.integrations.task_retries import retry_delay

try:
    from celery import Celery, current_task, shared_task  # type: ignore[import-untyped]  # Celery ships no types
except ModuleNotFoundError as error:
    raise needs_extra("celery", "celery") from error

__all__ = ["llm_task"]

F = TypeVar("F", bound=Callable[..., Any])


def llm_task(app: Celery | None = None, *, max_retries: int = 8, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A decorator: a task whose errors become retries, with the delay that the provider has named.

    Errors that a retry would not help fail the task at once. Results and errors can be pickled.

    Args:
        app: The application; default: the current one, as for ``shared_task``.
        max_retries: How often it is tried again at most.
        options: As for ``app.task``.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        @wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except ProviderKitError as error:
                task = current_task
                if not task or task.request.called_directly:
                    raise
                delay = retry_delay(error, task.request.retries)
                if delay is None:
                    raise
                raise task.retry(exc=error, countdown=delay, max_retries=max_retries) from error

        make = shared_task if app is None else app.task
        return make(**options)(run)

    return decorate
