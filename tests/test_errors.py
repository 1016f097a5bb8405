"""The tree of errors: its drawing, its texts, its pickles."""

import copy
import pickle
import re

import pytest

import provider_kit
from provider_kit import AuthErrorCode, ChatResponse, Message, ProviderKitError, errors
from provider_kit.errors import (
    AllKeysExhaustedError,
    AllProvidersFailedError,
    APIConnectionError,
    APIError,
    AuthError,
    EncryptionError,
    InsufficientQuotaError,
    MissingDependencyError,
    RateLimitError,
    StorageError,
    StreamError,
    StreamTimeoutError,
    UnsupportedParameterError,
)
from provider_kit.model.attempts import Attempt

CLASSES = sorted(
    (c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, ProviderKitError)),
    key=lambda c: c.__name__,
)

KNOWN = {
    "hint": "Do that.",
    "provider": "acme",
    "model": "m-1",
    "operation": "chat",
    "request_id": "req_1",
    "retryable": True,
    "attempts": [Attempt(1, "acme", "m-1", 0.5, "X", "boom", 500, 1.0)],
}
OWN = {
    AuthError: {"code": "token_expired", "details": "yesterday"},
    APIError: {
        "status_code": 418,
        "code": "teapot",
        "type": "pot",
        "param": "tea",
        "body": {"error": {"message": "short"}},
        "headers": {"x-a": "1"},
        "retry_after": 1.5,
    },
    StreamError: {
        "partial": ChatResponse(Message("assistant", "Hel"), "error"),
        "status_code": 500,
        "code": "server_error",
    },
    AllProvidersFailedError: {"exceptions": [RateLimitError("slow"), APIConnectionError("gone")]},
    errors.CircuitOpenError: {"retry_after": 2.0},
    errors.RateLimitExceededError: {"retry_after": 3.0},
}


def full(kind):
    """An error of a class with everything it can hold."""
    own = {name: value for base, fields in OWN.items() if issubclass(kind, base) for name, value in fields.items()}
    return kind("It broke.", **KNOWN, **own)


def facts(error):
    """Everything of an error, with exceptions inside it told by class and text."""
    state = dict(vars(error))
    state["exceptions"] = [(type(e), str(e)) for e in state.get("exceptions", ())]
    return type(error), error.args, str(error), state


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_pickles_and_copies_with_all_it_holds(kind):
    """Attributes, hint and notes survive; a plain one does too."""
    for error in (full(kind), kind("It broke."), kind(), kind("It broke.", hint="Other.").with_hint("Third.")):
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            again = pickle.loads(pickle.dumps(error, protocol))
            assert facts(again) == facts(error)
            assert again.hint == error.hint
            assert again.retryable == error.retryable
            assert getattr(again, "__notes__", []) == getattr(error, "__notes__", [])
        assert facts(copy.copy(error)) == facts(error)
        assert facts(copy.deepcopy(error)) == facts(error)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_can_be_raised_with_a_text_alone(kind):
    """The text is shown, the hint stands below the traceback, once."""
    error = kind("It broke.")
    assert "It broke." in str(error)
    assert error.message == "It broke."
    assert error.attempts == ()
    assert error.kind
    assert kind.__doc__
    hint = f"Hint: {error.hint}\n" if error.hint else ""
    assert error.__notes__ == [f"{hint}More: provider-kit explain {error.topic}"]


def test_the_drawing_is_the_tree():
    """The docstring of the module draws the classes as they are, with the built-in bases it names."""
    drawn = {"ProviderKitError": None}
    stack = ["ProviderKitError"]
    also = {}
    for line in errors.__doc__.splitlines():
        found = re.match(r"^    ((?:│   |    )*)[├└]── (\w+)(?: \((\w+)\))?", line)
        if found:
            depth = len(found[1]) // 4 + 1
            del stack[depth:]
            drawn[found[2]] = stack[-1]
            stack.append(found[2])
            if found[3]:
                also[found[2]] = found[3]
    real = {
        c.__name__: next((base.__name__ for base in c.__bases__ if issubclass(base, ProviderKitError)), None)
        for c in CLASSES
    }
    assert drawn == real
    builtin = {
        c.__name__: base.__name__ for c in CLASSES for base in c.__bases__ if not issubclass(base, ProviderKitError)
    }
    builtin.pop("ProviderKitError")
    assert also == {name: base for name, base in builtin.items() if name in also}
    for name, base in builtin.items():
        assert name in also or name in ("ToolCallParseError", "StructuredOutputError"), (name, base)


def test_all_errors_are_listed_in_order():
    """``__all__`` is sorted and complete."""
    assert errors.__all__ == sorted([*(c.__name__ for c in CLASSES), "AuthErrorCode"])


def test_texts():
    """Who, what, and the facts worth quoting."""
    assert str(ProviderKitError("It broke.")) == "It broke."
    assert str(ProviderKitError("It broke.", provider="acme", request_id="r1")) == "[acme] It broke. (request_id=r1)"
    error = RateLimitError("Slow down.", provider="acme", status_code=429, type="limit", retry_after=2, request_id="r")
    assert str(error) == "[acme] Slow down. (status=429, code=limit, retry_after=2s, request_id=r)"
    assert str(APIError("No.", code="c", type="t")) == "No. (code=c)"
    assert str(AuthError("No.", provider="acme")) == "acme authentication error: No. (invalid_credentials)"
    assert str(AuthError("No.", code="token_expired", details="x")) == "authentication error: No. (token_expired) - x"


@pytest.mark.parametrize(
    ("code", "retryable"),
    [
        ("invalid_credentials", False),
        ("token_expired", True),
        ("refresh_failed", True),
        ("oauth_flow_failed", False),
        ("invalid_config", False),
        ("network_error", True),
        ("provider_unavailable", True),
        ("scope_insufficient", False),
        ("key_rotation_failed", True),
        ("all_keys_exhausted", True),
        ("storage_error", True),
        ("encryption_error", False),
    ],
)
def test_the_code_of_an_auth_error_tells_whether_to_try_again(code, retryable):
    """Unless the error itself says otherwise."""
    assert AuthErrorCode(code).retryable is retryable
    assert AuthError("x", code=code).retryable is retryable
    assert AuthError("x", code=AuthErrorCode(code), retryable=not retryable).retryable is not retryable
    assert AuthError("x", code=code).code == code


def test_there_are_twelve_auth_codes():
    """No more and no fewer."""
    assert len(AuthErrorCode) == 12
    with pytest.raises(ValueError, match="wrong"):
        AuthError("x", code="wrong")


def test_kinds_of_auth_errors_have_their_code():
    """Each subclass stands for one code."""
    assert AllKeysExhaustedError("x").code is AuthErrorCode.ALL_KEYS_EXHAUSTED
    assert StorageError("x").code is AuthErrorCode.STORAGE_ERROR
    assert EncryptionError("x").code is AuthErrorCode.ENCRYPTION_ERROR
    assert not EncryptionError("x").retryable


def test_a_hint_is_replaced_not_added():
    """Other notes stay."""
    error = UnsupportedParameterError("x")
    error.add_note("mine")
    assert error.with_hint("new") is error
    assert error.hint == "new"
    more = "More: provider-kit explain"
    assert error.__notes__ == ["mine", f"Hint: new\n{more} unsupported_parameter"]
    plain = ProviderKitError("x").with_hint("first")
    assert plain.__notes__ == [f"Hint: first\n{more} provider_kit"]


def test_errors_of_several_providers_are_a_group_too():
    """``except*`` works on it."""
    error = AllProvidersFailedError("all failed", exceptions=[RateLimitError("a"), APIConnectionError("b")])
    caught = []
    try:
        raise error.as_group()
    except* RateLimitError as group:
        caught.extend(group.exceptions)
    except* APIConnectionError as group:
        caught.extend(group.exceptions)
    assert [str(e) for e in caught] == ["a", "b"]
    assert AllProvidersFailedError("none").as_group().exceptions[0].message == "none"


def test_errors_are_what_python_calls_them_too():
    """Wrong arguments are ValueErrors, a missing extra an ImportError, a stalled stream a timeout."""
    assert issubclass(errors.ConfigError, ValueError)
    assert issubclass(errors.InvalidRequestError, ValueError)
    assert issubclass(MissingDependencyError, ImportError)
    assert issubclass(StreamTimeoutError, errors.APITimeoutError)
    assert not InsufficientQuotaError.retryable
    assert not StreamTimeoutError.retryable


def test_public_errors_are_those_of_the_module():
    """The package exports the very same classes."""
    for name in provider_kit.__all__:
        if name.endswith("Error"):
            assert getattr(provider_kit, name) is getattr(errors, name)
