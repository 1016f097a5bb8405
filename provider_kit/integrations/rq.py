"""RQ: jobs that are tried again when the provider says so. Needs ``pip install provider-kit[rq]``."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

from provider_kit.errors import ProviderKitError
from provider_kit.integrations.settings import needs_extra
from provider_kit.integrations.task_retries import retry_delay

try:
    from rq import Retry, get_current_job
except ModuleNotFoundError as error:
    raise needs_extra("rq", "rq") from error

__all__ = ["llm_job"]


def llm_job(*, max_retries: int = 8) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator: a job whose errors become retries, with the delay that the provider has named.

    Errors that a retry would not help fail the job at once. A worker with a scheduler is needed:
    ``rq worker --with-scheduler``.

    Args:
        max_retries: How often it is tried again at most.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except ProviderKitError as error:
                job = get_current_job()
                done = int(job.number_of_retries or 0) if job is not None else 0
                delay = retry_delay(error, done)
                if job is None or delay is None or done >= max_retries:
                    raise
                return Retry(max=max_retries, interval=math.ceil(delay))

        return run

    return decorate
