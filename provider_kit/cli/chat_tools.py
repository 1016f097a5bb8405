"""Functions as tools of the command: ``--tool module:function`` and ``--tools file.py``; each call asks first."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from contextlib import suppress
from types import ModuleType
from typing import Any

from attrs import evolve

from provider_kit.cli.terminal_text import harmless, is_terminal, say
from provider_kit.conversations.conversation import Conversation
from provider_kit.errors import InvalidRequestError, ToolCallParseError
from provider_kit.model.did_you_mean import did_you_mean
from provider_kit.model.messages import ToolCall
from provider_kit.tools.function import FunctionTool, tool

__all__ = ["Approvals", "call_text", "load_tools"]

_LONGEST_VALUE = 200


def load_tools(names: Sequence[str], files: Sequence[str]) -> list[FunctionTool]:
    """The functions that are named, and all public ones of files.

    Args:
        names: ``module:function``; modules of the working directory, too.
        files: Python files.

    Raises:
        InvalidRequestError: A module, file or function is missing, or fails while it is loaded.
    """
    made: list[FunctionTool] = []
    for name in names:
        made.append(_named(name))
    for file in files:
        made += _all_of(file)
    twice = next((one.name for n, one in enumerate(made) if one.name in {other.name for other in made[:n]}), None)
    if twice is not None:
        raise InvalidRequestError(f"Two tools have the name {twice!r}.", hint="Leave one of them out.")
    return made


def _named(name: str) -> FunctionTool:
    module_name, colon, function_name = name.partition(":")
    if module_name.endswith(".py") or os.sep in module_name:
        if not colon:
            raise InvalidRequestError(f"{name!r} is a file.", hint=f"--tools {name} takes all of its functions.")
        module = _load_file(module_name)
    else:
        if not module_name or not all(part.isidentifier() for part in module_name.split(".")):
            raise InvalidRequestError(f"{name!r} names no function.", hint="Write --tool module:function.")
        sys.path.append("")  # the working directory, behind what is installed
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
                raise _broken(module_name, error) from error
            file = f"{module_name}.py"
            raise InvalidRequestError(
                f"There is no module {error.name!r}.",
                hint=_meant(module_name, colon, file),
            ) from None
        except Exception as error:
            raise _broken(module_name, error) from error
        finally:
            with suppress(ValueError):
                sys.path.remove("")
    known = [name for name, one in vars(module).items() if not name.startswith("_") and _is_function(one)]
    if not colon or not function_name:
        raise InvalidRequestError(
            f"{name!r} names a module, not a function.",
            hint=f"Write --tool {module_name}:{(known or ['function'])[0]}.",
        )
    found = getattr(module, function_name, None)
    if found is None:
        raise InvalidRequestError(
            f"{module_name} has no function {function_name!r}.",
            hint=f"{did_you_mean(function_name, known)}It has: {', '.join(known[:20]) or 'none'}.",
        )
    return found if isinstance(found, FunctionTool) else tool(found)


def _meant(module: str, colon: str, file: str) -> str:
    """What may be meant by a module that does not exist."""
    package, _, function = module.rpartition(".")
    if package and not colon:
        return f"Write --tool {package}:{function}. A file is named with --tools {file}."
    if not colon:
        return f"Write --tool module:{module}. A file is named with --tools {file}."
    return f"A file is named with --tools {file}; a module must be installed, or lie in this directory."


def _is_function(value: Any) -> bool:
    return isinstance(value, FunctionTool) or inspect.isroutine(value)


def _all_of(file: str) -> list[FunctionTool]:
    module = _load_file(file)
    own = [
        one
        for name, one in vars(module).items()
        if not name.startswith("_")
        and (isinstance(one, FunctionTool) or (inspect.isfunction(one) and one.__module__ == module.__name__))
    ]
    if not own:
        raise InvalidRequestError(f"{file} has no public functions.", hint="Names that begin with _ are left out.")
    return [one if isinstance(one, FunctionTool) else tool(one) for one in own]


def _load_file(file: str) -> ModuleType:
    path = os.path.abspath(os.path.expanduser(file))
    name = os.path.splitext(os.path.basename(path))[0]
    if not os.path.isfile(path):
        raise InvalidRequestError(f"There is no file {file}.", hint="--tools takes a Python file with functions.")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InvalidRequestError(f"{file} is no Python file.", hint="--tools takes a file that ends with .py.")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, os.path.dirname(path))  # what it imports beside itself
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise _broken(file, error) from error
    finally:
        sys.path.remove(os.path.dirname(path))
    return module


def _broken(what: str, error: Exception) -> InvalidRequestError:
    """The error of a module that cannot be loaded, with the line of it."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    line = error.lineno if isinstance(error, SyntaxError) else last.lineno
    return InvalidRequestError(
        f"{what} cannot be loaded: {type(error).__name__}: {error}.", hint=f"Look at line {line} of it."
    )


def call_text(call: ToolCall, *, whole: bool = False) -> str:
    """A call as it would be written in Python, shortened unless ``whole``: who decides sees all of it."""
    try:
        given: Any = call.arguments
    except ToolCallParseError:
        given = None
    if not isinstance(given, dict):
        return f"{call.name}({call.arguments_json if whole else _short(call.arguments_json)})"
    shown = {name: repr(value) if whole else _short(repr(value)) for name, value in given.items()}
    return f"{call.name}({', '.join(f'{name}={value}' for name, value in shown.items())})"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


class Approvals:
    """Asks before each call, unless it was allowed beforehand.

    Args:
        allowed: Whether all calls are (``--yes``).
    """

    def __init__(self, allowed: bool) -> None:
        self.allowed = allowed
        self._always: set[str] = set()

    def guarded(self, tools: Iterable[FunctionTool]) -> list[FunctionTool]:
        """Tools whose calls wait for a decision; those that ask by themselves do so with ``--yes``, too.

        Raises:
            InvalidRequestError: Nobody can be asked.
        """
        made = [one if self.allowed else evolve(one, requires_approval=True) for one in tools]
        waiting = next((one.name for one in made if one.requires_approval), None)
        if waiting is not None and not is_terminal(sys.stdin):
            raise InvalidRequestError(
                f"The tool {waiting} asks before it runs, and there is nobody at a terminal to answer.",
                hint="--yes lets tools run without being asked.",
            )
        return made

    def forget(self, names: Iterable[str]) -> None:
        """Ask again before calls of these tools: others have taken their names, or they are gone."""
        self._always.difference_update(names)

    def decide(self, talk: Conversation) -> None:
        """Decide about each call that waits."""
        for call in talk.pending_tool_calls:
            if call.name in self._always or self._ask(call):
                talk.approve(call)
            else:
                talk.deny(call, "The user did not allow this call.")

    def _ask(self, call: ToolCall) -> bool:
        while True:
            _forget_typed()
            say(f"Run {call_text(call, whole=True)}?", err=True, bold=True)
            sys.stderr.write("[y]es, [n]o, [a]lways this tool: ")
            sys.stderr.flush()
            try:
                answer = input().strip().lower()
            except EOFError:
                say(err=True)
                return False
            if answer in ("a", "always"):
                self._always.add(call.name)
            if answer in ("y", "yes", "a", "always"):
                return True
            if answer in ("n", "no"):
                return False
            say(f"{harmless(answer)!r} is neither.", err=True)


def _forget_typed() -> None:
    """Drop what was typed before the question was there: it cannot be an answer to it."""
    try:
        import termios
    except ImportError:  # not on Windows
        return
    with suppress(OSError, ValueError, termios.error):
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
