"""Typed answers: the request carries the schema of a type, and the answer is read as a value of it.

An answer that is almost right is corrected without another request: broken JSON is repaired, ``"7"`` becomes 7. What is
wrong beyond that is told to the model, once by default; the same mistakes twice end it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from attrs import evolve, frozen

from provider_kit.errors import InvalidRequestError, PendingToolCallsError, StructuredOutputError
from provider_kit.model.chat import ChatResponse, Outcome, OutputAttempt
from provider_kit.model.inputs import open_conversation
from provider_kit.model.json_text import loads
from provider_kit.model.messages import Message
from provider_kit.model.tools import ResponseFormat
from provider_kit.schema.json_repair import repair
from provider_kit.schema.typed import SchemaError, TypeSchema, type_schema
from provider_kit.structured.verbs import Asking

__all__ = ["OutputSpec", "Validator", "ask_for", "correction", "take_output"]

#: Checks a value: raises ValueError with what is wrong, and may return another value.
Validator: TypeAlias = Callable[[Any], Any | Awaitable[Any]]

#: Requests after the first one, for an answer that does not have the form of the type.
DEFAULT_VALIDATION_RETRIES = 1
_MOST_SHOWN = 12


@frozen
class OutputSpec:
    """A type that an answer is to have, and how it is checked."""

    typed: TypeSchema
    validator: Validator | None = None
    retries: int = DEFAULT_VALIDATION_RETRIES
    #: Whether the answer is checked here against the schema.
    check: bool = True

    @property
    def response_format(self) -> ResponseFormat:
        """What the request carries."""
        return ResponseFormat("json_schema", self.typed.schema, name=_name_of(self.typed.type))

    async def outcome(self, reply: ChatResponse[Any], earlier: tuple[OutputAttempt, ...] = ()) -> Outcome:
        """What an answer says as a value of the type; after a failure, whether asking again may help."""
        if reply.tool_calls:
            return Outcome(None, pending_error(reply))
        text = reply.text
        try:
            value = await self._read(reply, text)
        except SchemaError as error:
            tried = OutputAttempt(text, tuple(error.problems), reply.usage)
            outputs = (*earlier, tried)
            made = _error(reply, outputs)
            made.__cause__ = error.cause
            return Outcome(None, made, outputs)
        return Outcome(value, None, (*earlier, OutputAttempt(text, (), reply.usage)))

    async def _read(self, reply: ChatResponse[Any], text: str) -> Any:
        if reason_of(reply) not in ("invalid", "empty"):
            raise SchemaError([])
        if not text.strip():
            raise SchemaError(["the answer is empty"])
        value = self.typed.read_text(text, check=self.check)
        if self.validator is None:
            return value
        try:
            result = self.validator(value)
            if hasattr(result, "__await__"):
                result = await result
        except (ValueError, AssertionError) as error:
            raise SchemaError([str(error) or f"was refused ({type(error).__name__})"], error) from error
        if isinstance(result, bool) and not isinstance(value, bool):
            raise InvalidRequestError(
                f"The validator returned {result}, which would take the place of the answer.",
                hint="Raise ValueError to refuse the value; return it, or None, to accept it.",
            )
        return value if result is None else result


def _name_of(tp: Any) -> str:
    name = "".join(char if char.isascii() and (char.isalnum() or char in "_-") else "_" for char in _title(tp))
    return name.strip("_")[:64] or "answer"


def _title(tp: Any) -> str:
    return tp.__name__ if isinstance(tp, type) and not hasattr(tp, "__args__") else "answer"


def reason_of(reply: ChatResponse[Any]) -> str:
    """Why an answer has no value, apart from its text: it was refused or cut off."""
    if reply.refusal or reply.finish_reason == "content_filter":
        return "refused"
    cut = reply.finish_reason in ("length", "pause", "error", "other") or reply.message.incomplete
    if cut and not _is_whole(reply.text):
        return "truncated"
    return "invalid" if reply.text.strip() else "empty"


def _is_whole(text: str) -> bool:
    """Whether a text is one JSON object or list, to its last bracket."""
    if "{" not in text and "[" not in text:
        return False
    try:
        loads(text)
    except ValueError:
        try:
            repair(text, close=False)
        except ValueError:
            return False
    return True


def pending_error(reply: ChatResponse[Any]) -> PendingToolCallsError:
    """The error for an answer that asks for tools."""
    names = ", ".join(dict.fromkeys(call.name for call in reply.tool_calls))
    return PendingToolCallsError(
        f"The answer asks for tools ({names}), so there is no result yet.",
        calls=reply.tool_calls,
        response=reply,
        provider=reply.provider,
        model=reply.model,
        request_id=reply.request_id,
    )


def _error(reply: ChatResponse[Any], outputs: tuple[OutputAttempt, ...]) -> StructuredOutputError:
    reason = reason_of(reply)
    hint = None
    if reason == "refused":
        said = f"The model declined to answer: {(reply.refusal or reply.finish_reason)[:200]}."
        hint = "error.refusal has its explanation; rephrase the request, or use another model."
    elif reason == "truncated":
        said = f"The answer was cut off (finish_reason {reply.finish_reason!r}) before its JSON was complete."
        hint = "Raise max_tokens=, or ask for less at once; error.response.text has what was received."
    elif reason == "empty":
        said = "The answer is empty."
        hint = "Ask again; some models do so now and then. Raise max_tokens= if the model reasons."
    else:
        problems = outputs[-1].problems
        said = f"The answer does not have the requested form: {'; '.join(problems[:3])}."
        if len(problems) > 3:
            said += f" {len(problems) - 3} more in error.problems."
    return StructuredOutputError(
        said,
        hint=hint,
        reason=reason,
        outputs=outputs,
        response=reply,
        provider=reply.provider,
        model=reply.model,
        request_id=reply.request_id,
        attempts=reply.attempts,
    )


def take_output(output_type: Any, options: dict[str, Any], *, check: bool = True) -> OutputSpec | None:
    """Take what concerns typed answers out of the options of a call.

    Raises:
        InvalidRequestError: There is no schema for the type, or the options contradict each other.
    """
    retries = options.pop("validation_retries", None)
    validator = options.pop("validator", None)
    if output_type is None:
        if retries is not None or validator is not None:
            raise InvalidRequestError(
                "validation_retries and validator belong to an output_type, and none is given.",
                hint="Pass output_type=, e.g. a dataclass.",
            )
        return None
    if options.get("response_format") is not None:
        raise InvalidRequestError(
            "Both output_type and response_format are given.", hint="Leave response_format out; the type says it."
        )
    if retries is not None and (isinstance(retries, bool) or not isinstance(retries, int) or retries < 0):
        raise InvalidRequestError(f"validation_retries must be a whole number from 0 on, not {retries!r}.")
    if validator is not None and not callable(validator):
        raise InvalidRequestError(f"validator must be a function of the value, not {validator!r}.")
    made = OutputSpec(
        type_schema(output_type), validator, DEFAULT_VALIDATION_RETRIES if retries is None else retries, check
    )
    options["response_format"] = made.response_format
    return made


async def ask_for(spec: OutputSpec, asking: Asking, messages: Any, options: dict[str, Any]) -> ChatResponse[Any]:
    """Ask for an answer of a type, again if it does not have that form.

    Returns:
        The last answer; its usage and attempts are those of all requests.
    """
    conversation = open_conversation(messages, options)
    reply = await asking.chat(conversation, options)
    return await settle(spec, asking, conversation, options, reply)


async def settle(
    spec: OutputSpec,
    asking: Asking,
    conversation: list[Message],
    options: Mapping[str, Any],
    reply: ChatResponse[Any],
) -> ChatResponse[Any]:
    """Read an answer, and ask again while its form is wrong."""
    outcome = await spec.outcome(reply)
    total, attempts = reply.usage, reply.attempts
    turns = list(conversation)
    for _ in range(spec.retries):
        problems = outcome.outputs[-1].problems if outcome.outputs else ()
        if not isinstance(outcome.error, StructuredOutputError) or outcome.error.reason in ("refused", "truncated"):
            break
        if len(outcome.outputs) > 1 and outcome.outputs[-2].problems == problems:
            break  # it makes the same mistakes again
        turns = [*turns, *([reply.message] if reply.text.strip() else []), Message("user", correction(problems))]
        reply = await asking.chat(turns, options)
        total, attempts = total + reply.usage, (*attempts, *reply.attempts)
        outcome = await spec.outcome(reply, outcome.outputs)
    return evolve(reply, usage=total, attempts=attempts, outcome=outcome, prices=None)  # the usage knows its cost


def correction(problems: tuple[str, ...]) -> str:
    """What the model is told about an answer of the wrong form."""
    listed = "\n".join(f"- {said}" for said in problems[:_MOST_SHOWN])
    return f"The answer does not have the required form:\n{listed}\nAnswer again, with the corrected JSON only."
