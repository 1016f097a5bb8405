"""The keywords of the verbs for interactive shells, which read signatures of live functions and know no ``Unpack``."""

from __future__ import annotations

import inspect
from typing import Any

from provider_kit.conversations.conversation import Conversation
from provider_kit.model.call_options import ChatOptions, OutputOptions
from provider_kit.tools.options import RunOptions

__all__ = ["show_keywords"]

_KEYWORD = inspect.Parameter.KEYWORD_ONLY


def show_keywords(verbs: type) -> None:
    """Let IPython and Jupyter complete the keywords of each method that takes options.

    Args:
        verbs: The class of the verbs; conversations are done, too.
    """
    options = {one.__name__: one for one in (ChatOptions, OutputOptions, RunOptions)}
    for cls in (*verbs.__mro__, Conversation):
        for function in vars(cls).values():
            if inspect.isfunction(function) and "options" in function.__annotations__:
                kind = str(function.__annotations__["options"]).removeprefix("Unpack[").removesuffix("]")
                # "Any" is the implementation of overloads: a call, or a run
                default = OutputOptions if cls is verbs or function.__name__ in ("map", "amap") else RunOptions
                _show(function, options.get(kind, default))


def _show(function: Any, options: type) -> None:
    signature = inspect.signature(function)
    own = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    given = [
        inspect.Parameter(name, _KEYWORD, default=None, annotation=kind.__forward_arg__)
        for name, kind in options.__annotations__.items()
        if name not in signature.parameters
    ]
    function.__signature__ = signature.replace(parameters=[*own, *given])
