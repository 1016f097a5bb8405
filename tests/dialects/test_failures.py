"""Error answers of every provider become typed errors."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider_kit.dialects.failures import error_from_body, error_from_response, looks_like_html
from provider_kit.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ContentFilterError,
    ContextLengthExceededError,
    InsufficientQuotaError,
    InternalServerError,
    InvalidResponseError,
    ModelNotFoundError,
    NotFoundError,
    OverloadedError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    RequestTooLargeError,
    UnprocessableEntityError,
)


def read(status, body, headers=None, overrides=None):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return error_from_response(status, headers or {}, data, provider="acme", overrides=overrides or {})


def wrapped(message="m", **more):
    return {"error": {"message": message, **more}}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (402, PaymentRequiredError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (405, BadRequestError),
        (408, RequestTimeoutError),
        (409, ConflictError),
        (410, NotFoundError),
        (412, BadRequestError),
        (413, RequestTooLargeError),
        (415, BadRequestError),
        (422, UnprocessableEntityError),
        (424, InternalServerError),
        (425, RateLimitError),
        (429, RateLimitError),
        (498, OverloadedError),
        (500, InternalServerError),
        (502, InternalServerError),
        (503, OverloadedError),
        (504, RequestTimeoutError),
        (520, InternalServerError),
        (524, RequestTimeoutError),
        (529, OverloadedError),
    ],
)
@pytest.mark.parametrize("body", [b"", b"  ", b"nonsense", wrapped(), [], None])
def test_the_status_decides_where_nothing_else_does(status, kind, body):
    """Whatever the body is."""
    error = read(status, body)
    assert type(error) is kind
    assert error.status_code == status
    assert error.provider == "acme"
    assert error.message


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        # OpenAI
        (400, wrapped(code="context_length_exceeded"), ContextLengthExceededError),
        (400, wrapped("This model's maximum context length is 5 tokens"), ContextLengthExceededError),
        (400, wrapped("Your input exceeds the context window of this model"), ContextLengthExceededError),
        (400, wrapped(code="content_policy_violation"), ContentFilterError),
        (400, wrapped(code="invalid_prompt"), ContentFilterError),
        (400, wrapped(code="unsupported_parameter", type="invalid_request_error"), BadRequestError),
        (400, wrapped(code="billing_hard_limit_reached"), PaymentRequiredError),
        (401, wrapped(code="invalid_api_key"), AuthenticationError),
        (404, wrapped(code="model_not_found"), ModelNotFoundError),
        (404, wrapped("The model `x` does not exist"), ModelNotFoundError),
        (404, wrapped("Nothing here"), NotFoundError),
        (429, wrapped(code="rate_limit_exceeded", type="tokens"), RateLimitError),
        (429, wrapped(code="insufficient_quota", type="insufficient_quota"), InsufficientQuotaError),
        (429, wrapped(code="credit_balance_exhausted"), InsufficientQuotaError),
        (500, wrapped(type="server_error"), InternalServerError),
        (503, wrapped(code="server_is_overloaded"), OverloadedError),
        # Anthropic
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "m"}}, OverloadedError),
        (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 5"}},
         ContextLengthExceededError),
        (404, {"type": "error", "error": {"type": "not_found_error", "message": "model: x"}}, ModelNotFoundError),
        (500, {"type": "error", "error": {"type": "api_error", "message": "m"}}, InternalServerError),
        (400, {"type": "error", "error": {"type": "api_error", "message": "m"}}, BadRequestError),
        # Google
        (400, wrapped(code=400, status="INVALID_ARGUMENT", details=[{"reason": "API_KEY_INVALID"}]),
         AuthenticationError),
        (400, [{"error": {"code": 400, "message": "API key not valid. Please pass one"}}], AuthenticationError),
        (429, wrapped(status="RESOURCE_EXHAUSTED"), RateLimitError),
        (402, wrapped(status="RESOURCE_EXHAUSTED"), PaymentRequiredError),
        (429, wrapped(details=[{"violations": [{"quotaId": "RequestsPerDayPerProject"}, 7]}, 7]),
         InsufficientQuotaError),
        (429, wrapped(details=[{"violations": [{"quotaId": "RequestsPerMinute"}]}]), RateLimitError),
        (429, wrapped("Quota exceeded, limit: 0"), InsufficientQuotaError),
        (503, wrapped(status="UNAVAILABLE"), OverloadedError),
        (404, wrapped("models/x is not found for API version v1"), ModelNotFoundError),
        # OpenRouter
        (400, wrapped(code=400, metadata={"error_type": "context_length_exceeded"}), ContextLengthExceededError),
        (402, wrapped(code=402, metadata={"limit_source": "openrouter_in_flight_budget"}), RateLimitError),
        (402, wrapped(code=402, metadata={"limit_source": "openrouter_credits"}), PaymentRequiredError),
        (403, wrapped(code=403, metadata={"limit_source": "openrouter_key_limit"}), InsufficientQuotaError),
        (403, wrapped(code=403, metadata={"reasons": ["violence"], "flagged_input": "x"}), ContentFilterError),
        (403, wrapped(code=403, metadata={"error_type": "permission_denied"}), PermissionDeniedError),
        (429, wrapped("Rate limit exceeded: free-models-per-day"), InsufficientQuotaError),
        (502, wrapped(code=502, metadata={"error_type": "provider_unavailable"}), OverloadedError),
        # Cerebras
        (429, {"message": "m", "type": "too_many_requests_error", "code": "request_quota_exceeded"}, RateLimitError),
        (400, {"message": "Current length is 9 while limit is 5", "code": "x"}, ContextLengthExceededError),
        # Qwen
        (400, wrapped("Range of input length should be [1, 5]", code="invalid_parameter_error"),
         ContextLengthExceededError),
        (400, wrapped(code="data_inspection_failed"), ContentFilterError),
        (400, {"code": "DataInspectionFailed", "message": "m"}, ContentFilterError),
        (400, wrapped(code="Arrearage"), PaymentRequiredError),
        (429, wrapped(code="Throttling.RateQuota"), RateLimitError),
        (400, wrapped(code="Throttling.BurstRate"), RateLimitError),
        (403, wrapped(code="AllocationQuota.FreeTierOnly"), InsufficientQuotaError),
        (403, wrapped(code="AccessDenied.Unpurchased"), PermissionDeniedError),
        (500, wrapped(code="InternalError.Timeout"), InternalServerError),
        # Mistral
        (400, {"object": "error", "message": "m", "type": "invalid_request_error", "code": "unknown_model"},
         ModelNotFoundError),
        (400, {"message": "Prompt contains 9 tokens, too large for model with 5 maximum"}, ContextLengthExceededError),
        (401, {"detail": "Unauthorized"}, AuthenticationError),
        # Groq
        (413, wrapped("Request too large", code="rate_limit_exceeded"), RequestTooLargeError),
        (413, wrapped("m", code="context_length_exceeded"), ContextLengthExceededError),
        (498, wrapped(code="capacity_exceeded"), OverloadedError),
        # xAI
        (400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: x"},
         AuthenticationError),
        # Ollama, llama.cpp, LM Studio
        (404, {"error": 'model "x" not found, try pulling it first'}, ModelNotFoundError),
        (400, wrapped(code=400, type="exceed_context_size_error"), ContextLengthExceededError),
        (503, wrapped("Loading model", code=503, type="unavailable_error"), OverloadedError),
        (400, {"error": "Trying to keep the first 900 tokens"}, ContextLengthExceededError),
        # Azure
        (400, wrapped(code="content_filter", status=400, innererror={"code": "ResponsibleAIPolicyViolation"}),
         ContentFilterError),
        (404, wrapped(code="DeploymentNotFound"), ModelNotFoundError),
        (401, wrapped(code="401"), AuthenticationError),
        # errors inside a 200
        (200, wrapped(code=429), RateLimitError),
        (200, wrapped(code="503"), OverloadedError),
        (200, {"error": {"message": "m", "status_code": 401}}, AuthenticationError),
        (200, {"error": "Rate limit exceeded"}, RateLimitError),
        (200, {"error": "Quota exceeded for today"}, InsufficientQuotaError),
        (200, {"error": "Token quota is not enough"}, InsufficientQuotaError),
        (200, {"error": "We are overloaded"}, OverloadedError),
        (200, {"error": "Capacity exceeded"}, OverloadedError),
        (200, {"error": "m", "code": "The service is currently unavailable"}, OverloadedError),
        (200, wrapped(), InternalServerError),
        (200, wrapped(type="invalid_request_error"), BadRequestError),
        (200, wrapped(code="odd"), APIError),
        (200, wrapped(code="server_error"), InternalServerError),
        (200, {"response": {"error": {"code": "rate_limit_exceeded", "message": "m"}}}, RateLimitError),
        (200, wrapped(code=200), InternalServerError),
    ],
)  # fmt: skip
def test_what_the_provider_says_goes_before_the_status(status, body, kind):
    """Its code first, then its type, then known words."""
    error = error_from_body(body, status=status, headers={}, provider="acme", overrides={})
    assert type(error) is kind


def test_a_provider_may_mean_something_else_by_a_code():
    """Its own table goes first."""
    error = read(429, wrapped(code="insufficient_quota"), overrides={"insufficient_quota": RateLimitError})
    assert type(error) is RateLimitError
    assert error.retryable


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (wrapped("no"), "no"),
        ({"error": "no"}, "no"),
        ({"message": "no"}, "no"),
        ({"detail": "no"}, "no"),
        ({"msg": "no"}, "no"),
        ({"title": "no"}, "no"),
        ({"message": {"detail": "no"}}, "no"),
        ({"message": {"message": "no"}}, "no"),
        ({"message": {"x": 1}}, "{'x': 1}"),
        (
            {"detail": [{"loc": ["body", 0], "msg": "Field required"}, "and", {"loc": None}]},
            "body.0: Field required; and; : ",
        ),
        ({"error": {}}, "The provider gave no reason."),
        ({}, "The provider gave no reason."),
        ({"error": {"message": "no", "metadata": {"raw": "upstream says why"}}}, "no: upstream says why"),
        ({"error": {"message": "no: why", "metadata": {"raw": "why"}}}, "no: why"),
        (["a"], "a"),
        ([], "[]"),
        (7, "7"),
        (b"plain words", "plain words"),
        (b"", "The provider gave no reason."),
        (b"<html><head><title>Bad\n gateway</title>", "The server answered with a web page: 'Bad\\n gateway'"),
        (b"  <!DOCTYPE html>", "The server answered with a web page"),
    ],
)
def test_the_providers_words_are_found(body, message):
    """Wherever its body has them."""
    assert read(500, body).message == message


def test_everything_told_is_kept():
    """Code, type, parameter, body, headers and the request's id."""
    body = {"error": {"message": "m", "code": "c", "type": "t", "param": "p"}, "request_id": "r1"}
    error = read(400, body, {"x-request-id": "r2", "x-other": "1"})
    assert (error.code, error.type, error.param, error.body, error.request_id) == ("c", "t", "p", body, "r1")
    assert error.headers["x-other"] == "1"
    assert read(400, wrapped(), {"x-request-id": "r2"}).request_id == "r2"
    assert read(400, {"request_id": 7}, {"x-request-id": "r2"}).request_id == "r2"
    assert read(400, {"error": {"details": {"error_code": "deep"}}}).code == "deep"


@pytest.mark.parametrize(
    ("headers", "body", "wait"),
    [
        ({"retry-after": "5"}, wrapped(), 5.0),
        ({"retry-after-ms": "500"}, wrapped("try again in 9s"), 0.5),
        ({}, wrapped("Please try again in 1.5s."), 1.5),
        ({}, wrapped("Please retry in 1m2s."), 62.0),
        ({}, wrapped(details=[{"retryDelay": 7}, {"retryDelay": "soon"}, {"retryDelay": "34.5s"}]), 34.5),
        ({}, wrapped(), None),
    ],
)
def test_the_wait_is_found_wherever_it_is_told(headers, body, wait):
    """Headers, then details, then the words."""
    assert read(429, body, headers).retry_after == wait


@pytest.mark.parametrize(
    ("status", "headers", "body", "retryable"),
    [
        (400, {"x-should-retry": "true"}, wrapped(), True),
        (500, {"x-should-retry": "false"}, wrapped(), False),
        (402, {}, wrapped(metadata={"limit_source": "openrouter_in_flight_budget"}), True),
        (402, {}, wrapped(), False),
        (429, {}, wrapped(), True),
        (429, {}, wrapped(code="insufficient_quota"), False),
        (413, {}, wrapped(code="rate_limit_exceeded"), False),
        (503, {}, wrapped(), True),
        (400, {}, wrapped(), False),
    ],
)
def test_whether_trying_again_may_help_is_told(status, headers, body, retryable):
    """The provider's own word goes first."""
    assert read(status, body, headers).retryable is retryable


def test_a_redirect_is_not_followed_but_explained():
    """So that no credential travels to another host."""
    error = read(307, b"", {"location": "https://other.test"})
    assert type(error) is InvalidResponseError
    assert "https://other.test" in error.message
    assert "base_url" in error.hint
    assert "another address" in read(301, b"").message


def test_a_web_page_points_to_the_address():
    """The usual cause is a wrong base URL or a proxy."""
    assert "base_url" in read(404, b"<html>").hint
    assert "web page" not in (read(500, b"<html>").hint or "")
    assert looks_like_html(b"\n<!DOCTYPE html><html>")
    assert not looks_like_html(b'{"a": "<html>"}')


def test_long_bodies_are_shortened():
    """An error does not carry a megabyte."""
    error = read(500, b"x" * 100_000)
    assert len(error.body) == 4000
    assert len(error.message) == 500


KEYS = """error message code type param status status_code details detail metadata raw error_type limit_source reason
reasons violations quotaId retryDelay loc msg title response request_id error_code"""
LEAVES = (
    st.none() | st.booleans() | st.integers(-5, 600) | st.sampled_from(["", "a", "429", "²²²", "openrouter_x", "5s"])
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*KEYS.split()]), inner, max_size=5),
    max_leaves=15,
)


@given(JSON, st.sampled_from([200, 400, 401, 403, 404, 413, 429, 500, 503]))
def test_any_body_becomes_an_error(body, status):
    """The reading of an error never fails itself."""
    error = error_from_body(body, status=status, headers={}, provider="", overrides={})
    assert isinstance(error, APIError)
    assert isinstance(error.message, str)
    assert str(error)


@pytest.mark.parametrize("message", ["reduce the length of the messages", "maximum context length of the minute"])
def test_a_429_that_speaks_of_length_is_a_429(message):
    """A limit of tokens a minute is told in such words; a wait mends it."""
    assert type(read(429, wrapped(message))) is RateLimitError
    assert type(read(400, wrapped(message))) is ContextLengthExceededError
