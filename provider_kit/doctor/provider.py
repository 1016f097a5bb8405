"""Checks against the provider: credentials, address, models, limits, credit, clock."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from provider_kit.dialects.failures import looks_like_html
from provider_kit.errors import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    AuthError,
    BadRequestError,
    InsufficientQuotaError,
    InternalServerError,
    InvalidResponseError,
    NotFoundError,
    NotSupportedError,
    PaymentRequiredError,
    PermissionDeniedError,
    ProviderKitError,
    RateLimitError,
    RequestTooLargeError,
    UnprocessableEntityError,
)
from provider_kit.model.json_text import loads
from provider_kit.model.models import Model
from provider_kit.transports.base import Transport
from provider_kit.wire.http import HttpRequest, HttpResponse, Limits

if TYPE_CHECKING:
    from provider_kit.doctor.examination import Examination

__all__ = ["examine_provider", "nearest_models", "page_title", "tell_call_error", "tell_quota"]

_SECONDS = 20.0
#: Below this balance the doctor warns.
_LOW_CREDIT = Decimal(10)


async def examine_provider(one: Examination, transport: Transport) -> None:
    """Request the list of models, which costs nothing, and derive the findings from the answer."""
    started = transport.now()
    models: list[Model] | None = None
    try:
        models = (await one.handler.handle(one.make_call("models", None, one.left(_SECONDS)))).answer
    except NotSupportedError:
        one.tell("credentials", "skipped", "The provider has no list of models; the calls below will show.")
    except PermissionDeniedError as error:
        one.tell(
            "credentials",
            "warning",
            f"The key may not list the models: {' '.join(error.message.split())}",
            "The calls below show whether it may use one; some keys are limited to that.",
        )
    except NotFoundError as error:
        await _no_such_path(one, error, transport)
    except (AuthError, AuthenticationError, APIConnectionError) as error:
        tell_call_error(one, error)
    except ProviderKitError as error:
        # A server without a working list of models may still answer calls.
        mild = bool(one.model and one.calls)
        tell_call_error(one, error, page_title(error), mild=mild)
    else:
        seconds = transport.now() - started
        one.tell("base_url", "ok", f"{one.endpoint.base_url} answers.", seconds=one.transport.head_seconds)
        one.tell("credentials", "ok", f"Accepted; {len(models)} models.", seconds=seconds, models=len(models))
    _tell_clock(one, transport)
    if models is not None:
        _tell_model(one, models)
        await _tell_credits(one, transport)


# ------------------------------------------------------------------------------------------------ errors


def tell_call_error(one: Examination, error: ProviderKitError, title: str | None = None, *, mild: bool = False) -> None:
    """Add an error to the check that it belongs to.

    Args:
        one: The examination.
        error: What happened.
        title: Of the web page that answered, if one did.
        mild: Whether the calls are still to come; it is then a warning.
    """
    check, hint = _check_of(error), error.hint
    if isinstance(error, APITimeoutError):
        hint = "The provider is slow or silent; raise timeout=, or look at its status page."
    elif isinstance(error, APIConnectionError):
        hint = "The connection is established and then broken: a firewall, a proxy, or no HTTP server."
    elif isinstance(error, InternalServerError):
        hint = "The provider fails at present; look at its status page, try again later."
    message = " ".join(str(error).split()) + (f" It is titled {title!r}." if title else "")
    if mild:
        one.tell(check, "warning", f"The list of models cannot be read: {message}", hint)
        return
    one.tell_error(check, error, hint, message)


def _check_of(error: ProviderKitError) -> str:
    if getattr(error, "status_code", None) == 407:
        return "proxy"
    for kinds, check in _CHECKS:
        if isinstance(error, kinds):
            return check
    return "service"


#: Which check an error belongs to, the first that fits.
_CHECKS: tuple[tuple[Any, str], ...] = (
    (InvalidResponseError, "base_url"),
    ((AuthenticationError, AuthError, PermissionDeniedError), "credentials"),
    ((InsufficientQuotaError, PaymentRequiredError, RateLimitError), "quota"),
    (APITimeoutError, "latency"),
    (APIConnectionError, "tcp"),
    (InternalServerError, "service"),
    (NotFoundError, "base_url"),
    ((BadRequestError, UnprocessableEntityError, RequestTooLargeError), "model"),
)


async def _no_such_path(one: Examination, error: NotFoundError, transport: Transport) -> None:
    """404: the address lacks ``/v1``, has it twice, or the server has no list of models."""
    base = one.endpoint.base_url
    other = base.removesuffix("/v1").removesuffix("/v1") if base.endswith("/v1/v1") else None
    candidates = [other + "/v1"] if other is not None else [] if base.endswith("/v1") else [f"{base}/v1"]
    for candidate in candidates:
        response = await _ask(one, transport, candidate + "/models")
        if response is not None and response.status < 500 and response.status != 404 and _is_json(response):
            twice = "has /v1 twice" if other is not None else "lacks /v1"
            one.tell(
                "base_url",
                "failed",
                f"The base URL {base} {twice}: {candidate} answers.",
                f"Write base_url='{candidate}'.",
            )
            return
    if looks_like_html(error.body.encode() if isinstance(error.body, str) else b"") and not (one.model and one.calls):
        one.tell_error("base_url", error, "A web server answers, not the API: take the address from the documentation.")
        return
    one.tell(
        "base_url",
        "warning",
        f"{base} has no list of models (404); the calls below will show whether it is right.",
        "Check the base URL if they fail: does it need /v1?",
    )


async def _ask(one: Examination, transport: Transport, url: str) -> HttpResponse | None:
    """Send the same request to another path of the same server, so that the key goes nowhere else."""
    request = one.transport.request
    if request is None:
        return None
    seconds = one.left(10.0)
    limits = Limits(seconds, seconds, seconds, transport.now() + seconds, 1 << 20)
    try:
        return await transport.send(HttpRequest("GET", url, dict(request.headers), None), limits)
    except ProviderKitError:  # the first failure is reported; this was a guess at its cause
        return None


def _is_json(response: HttpResponse) -> bool:
    try:
        return isinstance(loads(response.body), (dict, list))
    except ValueError:
        return False


def page_title(error: ProviderKitError) -> str | None:
    """The title of the web page that answered in the API's place."""
    if not isinstance(error, InvalidResponseError) or not isinstance(error.body, str):
        return None
    found = re.search(r"<title[^>]*>(.{1,200}?)</title>", error.body, re.IGNORECASE | re.DOTALL)
    return " ".join(found[1].split())[:80] if found else None


# ------------------------------------------------------------------------------------------------ models, clock


def nearest_models(wanted: str, known: list[str]) -> list[str]:
    """The most similar names of models."""
    small = {name.lower(): name for name in known}
    found = [small[name] for name in difflib.get_close_matches(wanted.lower(), small, n=3, cutoff=0.4)]
    head = re.split(r"[-:/.]", wanted)[0]
    more = [name for name in sorted(known) if head and name.rsplit("/", 1)[-1].startswith(head)]
    return list(dict.fromkeys([*found, *more]))[:3]


def _tell_model(one: Examination, models: list[Model]) -> None:
    ids = [model.id for model in models]
    if not one.model:
        names = f" There are: {', '.join(sorted(ids)[:3])}, …" if ids else ""
        one.tell("model", "warning", "No model is chosen.", f"Pass model=….{names}", available=sorted(ids)[:50])
        return
    listed = one.model in ids or any(name.removesuffix(":latest") == one.model for name in ids)
    if listed or not ids:
        one.tell("model", "ok", f"{one.model} is there.", available=len(ids))
        return
    near = nearest_models(one.model, ids)
    hint = f"Nearest: {', '.join(near)}." if near else f"There are: {', '.join(sorted(ids)[:5])}."
    one.tell(
        "model",
        "warning",
        f"{one.model} is not in the provider's list.",
        f"{hint} provider-kit models {one.endpoint.provider.name} lists all.",
        nearest=near or sorted(ids)[:5],
    )


def _tell_clock(one: Examination, transport: Transport) -> None:
    try:
        skew = transport.time() - parsedate_to_datetime(one.transport.headers.get("date", "")).timestamp()
    except (TypeError, ValueError, OverflowError):
        one.tell("clock", "skipped", "The provider does not send its time.")
        return
    if abs(skew) < 60:
        one.tell("clock", "ok", f"Within {max(1, round(abs(skew)))} s of the provider's.", skew=round(skew, 1))
        return
    way = "ahead" if skew > 0 else "behind"
    one.tell(
        "clock",
        "failed" if abs(skew) > 300 else "warning",
        f"This machine's clock is {_span(abs(skew))} {way} of the provider's.",
        "Set it (timedatectl set-ntp true): tokens and certificates depend on it.",
        skew=round(skew, 1),
    )


def _span(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


# ------------------------------------------------------------------------------------------------ limits, credit


def tell_quota(one: Examination) -> None:
    """Report the limits in the provider's headers."""
    near: list[str] = []
    told: list[str] = []
    data: dict[str, Any] = {}
    for info in one.rate_limits():
        for kind, allowance in info.allowances.items():
            limit, remaining = allowance.limit, allowance.remaining
            if limit and remaining is not None:
                text = f"{remaining:,.0f} of {limit:,.0f} {kind.replace('_', ' ')} left"
                data[kind] = {"limit": limit, "remaining": remaining, "reset": allowance.reset}
                told.append(text)
                if remaining / limit <= 0.1:
                    near.append(text)
    if near:
        one.tell(
            "quota", "warning", f"Nearly used up: {'; '.join(near)}.", "Slow down: rate_limit=…, or add keys.", **data
        )
    else:
        one.tell("quota", "ok", f"{'; '.join(told) or 'No limit was reached, and none was reported'}.", **data)


async def _tell_credits(one: Examination, transport: Transport) -> None:
    provider = one.endpoint.provider
    for path in provider.balance_paths:
        response = await _ask(one, transport, one.endpoint.base_url + path)
        if response is None or response.status != 200 or not _is_json(response):
            continue
        payload = loads(response.body)
        balance = provider.read_balance(path, payload) if isinstance(payload, Mapping) else None
        if balance is None:
            continue
        if balance < _LOW_CREDIT:
            one.tell(
                "credits",
                "failed" if balance <= 0 else "warning",
                f"{balance:.2f} left.",
                f"Add credit{f': {provider.console}' if provider.console else ''}.",
                balance=str(balance),
            )
        else:
            one.tell("credits", "ok", f"{balance:.2f} left.", balance=str(balance))
        return
