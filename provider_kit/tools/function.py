"""A function as a tool: its name, its description and the schema of its arguments, read from the function itself."""

from __future__ import annotations

import functools
import inspect
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, get_args, get_origin, overload
from weakref import WeakKeyDictionary

from attrs import define, evolve, field

from provider_kit.errors import InvalidRequestError
from provider_kit.model.messages import ToolCall
from provider_kit.model.tools import Tool
from provider_kit.schema.docstrings import parse_docstring
from provider_kit.schema.fields import NOTHING, Field, resolved_hints
from provider_kit.schema.types import is_union
from provider_kit.tools.arguments import ArgumentReader
from provider_kit.tools.context import ToolContext

__all__ = ["FunctionTool", "RequiresApproval", "tool", "tools_of"]

#: Whether a call must be approved: always, or as a function of its arguments says.
RequiresApproval: TypeAlias = bool | Callable[[dict[str, Any]], bool]

_LOG = logging.getLogger("provider_kit")
_LONGEST_NAME = 64


@define
class _Definition:
    """What is read from a function, once; it does not refer to the function."""

    name: str
    description: str | None
    reader: ArgumentReader
    context: str | None
    positional: tuple[str, ...]
    is_async: bool
    is_generator: bool
    #: Defaults of parameters, for rules of approval.
    defaults: dict[str, Any]
    #: Whether its first parameter is the instance, which is not known yet.
    unbound: bool


#: Of functions, and of methods of an instance, which lack the first parameter.
_known: tuple[WeakKeyDictionary[Any, _Definition], ...] = (WeakKeyDictionary(), WeakKeyDictionary())


@define
class FunctionTool(Tool):
    """A tool that has a function. It can still be called like the function itself."""

    #: Called by ``run()`` with the arguments the model wrote.
    function: Callable[..., Any] = field(kw_only=True, repr=False)
    #: Whether a call waits for a decision before it runs.
    requires_approval: RequiresApproval = field(default=False, kw_only=True)
    #: Seconds a call may take; default: that of the run.
    timeout: float | None = field(default=None, kw_only=True)
    _definition: Any = field(kw_only=True, repr=False, eq=False)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self.function(*args, **kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> FunctionTool:
        """The tool of an instance, where ``@tool`` stands above a method."""
        if instance is None or not self._definition.unbound:
            return self
        bound = self.function.__get__(instance, owner)
        definition = _define(bound, named=True)
        return evolve(self, function=bound, parameters=definition.reader.schema, definition=definition)

    def check(self) -> None:
        """Check that it can be called.

        Raises:
            InvalidRequestError: It is the method of a class, not that of an instance.
        """
        if self._definition.unbound:
            raise InvalidRequestError(
                f"{self.name} is a method without its instance.", hint=f"Pass that of an instance: shop.{self.name}."
            )
        Tool.check(self)

    @property
    def is_async(self) -> bool:
        """Whether the function is awaited."""
        return bool(self._definition.is_async)

    @property
    def is_generator(self) -> bool:
        """Whether the function yields its progress, and last its result."""
        return bool(self._definition.is_generator)

    @property
    def wants_context(self) -> bool:
        """Whether the function takes a :class:`ToolContext`."""
        return self._definition.context is not None

    def read_arguments(self, call: ToolCall) -> dict[str, Any]:
        """The arguments of a call, as the function takes them.

        Raises:
            SchemaError: They do not match its parameters.
        """
        arguments: dict[str, Any] = self._definition.reader.read_call(call)
        return arguments

    def invoke(self, arguments: dict[str, Any], context: ToolContext[Any]) -> Any:
        """Call the function with arguments that were read."""
        definition = self._definition
        if definition.context is not None:
            arguments[definition.context] = context
        if definition.positional:
            first = []
            for name in definition.positional:
                if name not in arguments and not arguments.keys() & set(definition.positional):
                    break
                first.append(arguments.pop(name) if name in arguments else definition.defaults[name])
            return self.function(*first, **arguments)
        return self.function(**arguments)

    def needs_approval(self, arguments: dict[str, Any]) -> bool:
        """Whether a call with these arguments must be approved; a rule that fails is no permission."""
        rule = self.requires_approval
        if isinstance(rule, bool):
            return rule
        try:
            return bool(rule({**self._definition.defaults, **arguments}))
        except Exception:  # the user's own rule may raise anything
            _LOG.exception("requires_approval of the tool %s failed; the call waits for a decision.", self.name)
            return True


@overload
def tool(function: Callable[..., Any], /) -> FunctionTool: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    requires_approval: RequiresApproval = False,
    timeout: float | None = None,
    strict: bool | None = None,
    cache: bool | str | None = None,
) -> Callable[[Callable[..., Any]], FunctionTool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    requires_approval: RequiresApproval = False,
    timeout: float | None = None,
    strict: bool | None = None,
    cache: bool | str | None = None,
) -> Any:
    """Make a tool of a function; as a decorator with or without arguments.

    A bare function is a tool, too; this is for those that need more than the function says.

    Args:
        function: The function: plain, ``async``, or a generator, whose last yield is the result.
        name: Default: the function's.
        description: Default: its docstring.
        requires_approval: Whether a call waits for a decision before it runs; or a function of its arguments.
        timeout: Seconds a call may take.
        strict: Whether the provider must enforce the schema exactly.
        cache: Prompt cache mark after this tool.

    Returns:
        The tool, which can still be called like the function.

    Raises:
        InvalidRequestError: The function has no name, or a parameter that JSON has nothing for.

    Example:
        >>> from provider_kit import tool
        >>> @tool(requires_approval=True)
        ... def pay(amount: float, to: str) -> str:
        ...     \"\"\"Pay money.\"\"\"
        ...     return "paid"
        >>> pay.name, pay(3, to="Bob")
        ('pay', 'paid')
    """
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or timeout <= 0):
        raise InvalidRequestError(f"The timeout of a tool must be a number of seconds, not {timeout!r}.")
    if not isinstance(requires_approval, bool) and not callable(requires_approval):
        raise InvalidRequestError(
            f"requires_approval must be True, False or a function of the arguments, not {requires_approval!r}."
        )
    if inspect.iscoroutinefunction(requires_approval):
        raise InvalidRequestError(
            "requires_approval must be a plain function: it says at once whether a call waits.",
            hint="Let the call wait, and look it up before you approve it.",
        )

    def make(inner: Callable[..., Any]) -> FunctionTool:
        if isinstance(inner, type):
            raise InvalidRequestError(
                f"{inner.__name__} is a class, not a tool.",
                hint="Pass a function or a method; for an answer of this class, output_type=.",
            )
        if not callable(inner):
            raise InvalidRequestError(f"tool() takes a function, not {inner!r}.", hint="@tool above the function.")
        definition = _define(inner, named=name is not None)
        made = FunctionTool(
            name or definition.name,
            description if description is not None else definition.description,
            definition.reader.schema,
            strict=strict,
            cache=cache,
            function=inner,
            requires_approval=requires_approval,
            timeout=timeout,
            definition=definition,
        )
        if not definition.unbound:  # a decorator in a class; the tool of an instance is checked
            made.check()
        return made

    return make if function is None else make(function)


def tools_of(values: Any) -> list[Tool]:
    """What was given as ``tools``, as tools: functions, methods, :class:`Tool` objects, dicts.

    Raises:
        InvalidRequestError: It is no list, or one of them is no tool.
    """
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        values = [values] if callable(values) else values
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise InvalidRequestError("tools must be a list.", hint="tools=[weather], with functions or Tool objects.")
    return [_made_of(one) for one in values]


def _made_of(value: Any) -> Tool:
    if isinstance(value, (Tool, Mapping)):
        return Tool.parse(value)
    if callable(value):
        made = tool(value)
        made.check()
        return made
    raise InvalidRequestError(
        f"A tool must be a function, a Tool or a dict, not {type(value).__name__}.",
        hint="tools=[weather]: the function itself, without a call.",
    )


def _define(function: Callable[..., Any], *, named: bool) -> _Definition:
    key = getattr(function, "__func__", function)
    known = _known[key is not function]
    try:
        found = known.get(key)
        if found is None:
            found = known[key] = _read(function, named)
    except TypeError:  # no weak reference to it
        return _read(function, named)
    return found


def _read(function: Callable[..., Any], named: bool) -> _Definition:
    name = _name_of(function, named)
    target: Any = function
    while isinstance(target, functools.partial):
        target = target.func
    if not inspect.isroutine(target):  # an object that can be called
        target = type(target).__call__
    try:
        signature = inspect.signature(function)
        hints = resolved_hints(target, where=f"{name}()")
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidRequestError):
            raise
        raise InvalidRequestError(
            f"The parameters of {name}() cannot be read: {error}.", hint="Wrap it in a function of your own."
        ) from error
    doc = parse_docstring(inspect.getdoc(target if isinstance(function, functools.partial) else function))
    bound = _bound_keywords(function)
    fields: list[Field] = []
    context: str | None = None
    positional: list[str] = []
    for parameter in signature.parameters.values():
        hint = hints.get(parameter.name, Any)
        if _is_context(hint):
            context = parameter.name
            continue
        if parameter.kind is parameter.VAR_KEYWORD or parameter.name in bound:
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            raise InvalidRequestError(
                f"{name}() takes *{parameter.name}, which a model cannot give.", hint="Take a list instead."
            )
        if parameter.kind is parameter.POSITIONAL_ONLY:
            positional.append(parameter.name)
        required = parameter.default is parameter.empty
        fields.append(
            Field(
                parameter.name,
                hint,
                required,
                NOTHING if required else parameter.default,
                doc.fields.get(parameter.name, ""),
            )
        )
    if context is not None and signature.parameters[context].kind is inspect.Parameter.POSITIONAL_ONLY:
        positional.insert(list(signature.parameters).index(context), context)
    generator = inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target)
    awaited = inspect.iscoroutinefunction(target) or inspect.isasyncgenfunction(target)
    first = next(iter(signature.parameters), "")
    return _Definition(
        name,
        doc.summary or None,
        ArgumentReader(fields, name),
        context,
        tuple(positional),
        awaited,
        generator,
        {one.key: one.default for one in fields if one.default is not NOTHING},
        first in ("self", "cls") and first not in hints and "." in getattr(target, "__qualname__", ""),
    )


def _bound_keywords(function: Any) -> set[str]:
    """The keywords that a partial has bound, which are not the model's to give."""
    found: set[str] = set()
    while isinstance(function, functools.partial):
        found |= function.keywords.keys()
        function = function.func
    return found


def _is_context(hint: Any) -> bool:
    """Whether an annotation is that of the context, maybe optional."""
    if is_union(hint):
        return any(map(_is_context, get_args(hint)))
    return (get_origin(hint) or hint) is ToolContext


def _name_of(function: Any, named: bool) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", None) or type(function).__name__
    if name == "<lambda>" and not named:
        raise InvalidRequestError("A lambda has no name for the model.", hint="tool(name='add')(lambda a, b: a + b).")
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:_LONGEST_NAME]
