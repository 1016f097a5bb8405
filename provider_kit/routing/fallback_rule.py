"""Which failures and which answers are left for another target: the table of failures, or what the user says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

from provider_kit.errors import AllProvidersFailedError, ConfigError, ProviderKitError
from provider_kit.model.chat import ChatRequest, ChatResponse
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.policies.failure_rules import rule_for
from provider_kit.routing.user_opinion import ask_user
from provider_kit.transports.base import Runtime

__all__ = ["FallbackOn", "FallbackRule"]

#: What ``fallback_on`` takes: classes of errors, functions of the error or of the answer, and words for answers.
FallbackOn: TypeAlias = (
    type[ProviderKitError]
    | Callable[[Any], Any]
    | Literal["refusal", "invalid_output"]
    | Sequence[type[ProviderKitError] | Callable[[Any], Any] | str]
)


class FallbackRule:
    """The rule of one router.

    Args:
        given: See :class:`Router`; ``None`` for the table of failures alone.

    Raises:
        ConfigError: It is none of these.
    """

    def __init__(self, given: Any = None) -> None:
        many = given if isinstance(given, (list, tuple, set, frozenset)) else () if given is None else (given,)
        self._classes: tuple[type[Exception], ...] = ()
        self._functions: list[Callable[[Any], Any]] = []
        self._words: list[str] = []
        for one in many:
            if isinstance(one, type):
                if not issubclass(one, ProviderKitError):
                    raise ConfigError(
                        f"fallback_on takes classes of errors of this library, not {one.__name__}.",
                        hint="fallback_on=[RateLimitError, APIConnectionError].",
                    )
                self._classes = (*self._classes, one)
            elif isinstance(one, str):
                if one not in _WORDS:
                    raise ConfigError(
                        f"fallback_on does not know {one!r}.",
                        hint=did_you_mean(one, _WORDS) + f"Words for answers are {' and '.join(_WORDS)}.",
                    )
                self._words.append(one)
            elif callable(one):
                self._functions.append(one)
            else:
                raise ConfigError(
                    f"fallback_on takes classes of errors, functions and words, not {one!r}.",
                    hint="fallback_on=[RateLimitError, lambda outcome: …, 'refusal'].",
                )

    @property
    def judges_answers(self) -> bool:
        """Whether answers are judged, and not errors alone."""
        return bool(self._functions or self._words)

    async def leaves_error(self, runtime: Runtime, error: ProviderKitError) -> bool:
        """Whether another target is asked after an error."""
        for function in self._functions:
            said = await _ask(runtime, function, error)
            if said is not None:
                return bool(said)
        if self._classes:
            inside = error.exceptions if isinstance(error, AllProvidersFailedError) else ()
            return isinstance(error, self._classes) or any(isinstance(one, self._classes) for one in inside)
        return rule_for(error).next_provider != "no"

    async def leaves_answer(self, runtime: Runtime, request: ChatRequest, answer: ChatResponse) -> str | None:
        """Why another target is asked in spite of an answer; ``None`` if the answer is taken."""
        for word in self._words:
            if _WORDS[word](request, answer):
                return _REASONS[word]
        for function in self._functions:
            if await _ask(runtime, function, answer):
                return "its answer was not accepted"
        return None


async def _ask(runtime: Runtime, function: Callable[[Any], Any], outcome: Any) -> Any:
    hint = "It is called with the error, or with the answer; return True, False, or None for the usual rule."
    return await ask_user(runtime, function, outcome, "The router's function", hint)


def _refused(request: ChatRequest, answer: ChatResponse) -> bool:
    return bool(answer.refusal) or answer.finish_reason == "content_filter"


def _invalid(request: ChatRequest, answer: ChatResponse) -> bool:
    wanted = request.response_format
    if wanted is None or answer.tool_calls:
        return False
    from provider_kit.schema.check import compile_check
    from provider_kit.schema.json_repair import loads_repaired
    from provider_kit.schema.problems import LENIENT

    try:
        value = loads_repaired(answer.text)
    except ValueError:
        return True
    if not wanted.schema:
        return False
    problems: list[str] = []
    compile_check(wanted.schema)(value, problems, LENIENT)
    return bool(problems)


_WORDS: dict[str, Callable[[ChatRequest, ChatResponse], bool]] = {"refusal": _refused, "invalid_output": _invalid}
_REASONS = {"refusal": "it refused", "invalid_output": "its answer does not have the form that was asked for"}
