"""A function as a tool: its name, its description and the schema of its arguments, read from the function itself."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, get_origin, overload
from weakref import WeakKeyDictionary

from attrs import define, field

from provider_kit.errors import InvalidRequestError
from provider_kit.model.messages import ToolCall
from provider_kit.model.tools import Tool
from provider_kit.schema.docstrings import parse_docstring
from provider_kit.schema.fields import NOTHING, Field, resolved_hints
from provider_kit.tools.arguments import ArgumentReader
from provider_kit.tools.context import ToolContext

__all__ = ["FunctionTool", "RequiresApproval", "tool", "tools_of"]

#: Whether a call must be approved: always, or as a function of its arguments says.
RequiresApproval: TypeAlias = bool | Callable[[dict[str, Any]], bool]

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


_known: WeakKeyDictionary[Any, _Definition] = WeakKeyDictionary()


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
            first = [arguments.pop(name) for name in definition.positional if name in arguments]
            return self.function(*first, **arguments)
        return self.function(**arguments)

    def needs_approval(self, arguments: dict[str, Any]) -> bool:
        """Whether a call with these arguments must be approved."""
        rule = self.requires_approval
        return rule if isinstance(rule, bool) else bool(rule(arguments))


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
    return [
        one if isinstance(one, Tool) else Tool.parse(one) if isinstance(one, Mapping) else _made_of(one)
        for one in values
    ]


def _made_of(value: Any) -> Tool:
    return tool(value) if callable(value) else Tool.parse(value)


def _define(function: Callable[..., Any], *, named: bool) -> _Definition:
    key = getattr(function, "__func__", function)
    try:
        found = _known.get(key)
        if found is None:
            found = _known[key] = _read(function, named)
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
    doc = parse_docstring(inspect.getdoc(function) if inspect.isroutine(target) else function.__doc__)
    fields: list[Field] = []
    context: str | None = None
    positional: list[str] = []
    for parameter in signature.parameters.values():
        hint = hints.get(parameter.name, Any)
        if (get_origin(hint) or hint) is ToolContext:
            context = parameter.name
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
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
    return _Definition(
        name, doc.summary or None, ArgumentReader(fields, name), context, tuple(positional), awaited, generator
    )


def _name_of(function: Any, named: bool) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", None) or type(function).__name__
    if name == "<lambda>" and not named:
        raise InvalidRequestError("A lambda has no name for the model.", hint="tool(name='add')(lambda a, b: a + b).")
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:_LONGEST_NAME]
