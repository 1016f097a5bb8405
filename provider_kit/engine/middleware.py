"""The middleware around a handler, in an order that can be changed while calls are running."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

from provider_kit.engine.call import Call
from provider_kit.engine.events import EventBus
from provider_kit.engine.handler import Handler, Middleware, Reply
from provider_kit.errors import CallCancelledError, ConfigError, ProviderKitError
from provider_kit.model.attempts import Attempt
from provider_kit.model.call_events import CallEnded, CallOutcome, RouterCallEnded
from provider_kit.policies.after_fork import ForkSafeLock

__all__ = ["LayeredHandler", "MiddlewareChain", "check_middleware"]

#: What the end of a reply means for its call.
_OUTCOMES: dict[str, CallOutcome] = {"complete": "success", "failed": "error", "left": "cancelled"}


#: What ``Reply(…)`` may be given by mistake.
_NO_ANSWERS = (type(None), str, dict, bytes, int, float)


class MiddlewareChain:
    """The middleware of a client or router, the outermost first.

    It may be changed at any time, from any thread; a call that has begun keeps the middleware it began with.

    Args:
        members: The middleware.

    Raises:
        ConfigError: One of them is not a function.

    Example:
        >>> from provider_kit import Client
        >>> async def shout(call, call_next):
        ...     reply = await call_next(call)
        ...     print("ANSWERED")
        ...     return reply
        >>> client = Client("demo/echo")
        >>> client.middleware.add(shout)
        >>> reply = client.chat("Hello")
        ANSWERED
        >>> client.middleware.remove(shout)
    """

    def __init__(self, members: Iterable[Middleware] = ()) -> None:
        self._members = tuple(map(check_middleware, members))
        self._lock = ForkSafeLock()
        self._handlers: weakref.WeakSet[LayeredHandler] = weakref.WeakSet()

    def add(self, middleware: Middleware) -> None:
        """Add middleware inside all others, next to the provider.

        Raises:
            ConfigError: It is not a function.
        """
        self._change(lambda members: (*members, check_middleware(middleware)))

    def add_before(self, existing: Middleware | str, middleware: Middleware) -> None:
        """Add middleware around one that is there.

        Args:
            existing: That one, or its name.
            middleware: The new one.

        Raises:
            ConfigError: That one is not there, or the new one is not a function.
        """
        self._insert(existing, middleware, 0)

    def add_after(self, existing: Middleware | str, middleware: Middleware) -> None:
        """Add middleware inside one that is there. Arguments and errors as :meth:`add_before`."""
        self._insert(existing, middleware, 1)

    def remove(self, existing: Middleware | str) -> None:
        """Remove middleware.

        Raises:
            ConfigError: It is not there.
        """

        def without(members: tuple[Middleware, ...]) -> tuple[Middleware, ...]:
            place = _find(members, existing)
            return (*members[:place], *members[place + 1 :])

        self._change(without)

    def replace_all(self, members: Iterable[Middleware]) -> None:
        """Put other middleware in the place of all."""
        made = tuple(map(check_middleware, members))
        self._change(lambda _: made)

    def _insert(self, existing: Middleware | str, middleware: Middleware, offset: int) -> None:
        def inserted(members: tuple[Middleware, ...]) -> tuple[Middleware, ...]:
            place = _find(members, existing) + offset
            return (*members[:place], check_middleware(middleware), *members[place:])

        self._change(inserted)

    def _change(self, change: Callable[[tuple[Middleware, ...]], tuple[Middleware, ...]]) -> None:
        with self._lock:
            self._members = change(self._members)
            for handler in list(self._handlers):
                handler.arrange()

    def __iter__(self) -> Iterator[Middleware]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, middleware: object) -> bool:
        return any(one is middleware or one == middleware for one in self._members)

    def __repr__(self) -> str:
        return f"<MiddlewareChain {', '.join(map(name_of, self._members)) or 'empty'}>"

    def attach(self, handler: LayeredHandler) -> None:
        """Have a handler arranged anew after each change."""
        self._handlers.add(handler)


class LayeredHandler:
    """A handler in its middleware.

    Args:
        inner: The handler itself.
        chains: The middleware around it, the outermost chain first.
        events: The event bus, for calls that end before the handler is reached.
    """

    #: Answers a call; replaced whenever a chain changes, so that without middleware there is no layer at all.
    handle: Callable[[Call], Coroutine[Any, Any, Reply]]

    def __init__(self, inner: Handler, *chains: MiddlewareChain, events: EventBus) -> None:
        self._inner = inner
        self._chains = chains
        self._events = events
        self.arrange()
        for chain in chains:
            chain.attach(self)

    def arrange(self) -> None:
        """Put the layers together."""
        handler = self._inner
        for chain in reversed(self._chains):
            handler = self.layered(chain, handler)
        self.handle = handler.handle

    def layered(self, middleware: Iterable[Middleware], handler: Handler | None = None) -> Handler:
        """A handler, itself by default, in further middleware, the outermost first."""
        made: Handler = self if handler is None else handler
        for one in reversed(tuple(middleware)):
            made = _Layer(one, made, self._ended_here)
        return made

    def _ended_here(self, call: Call, reply: Reply | None, error: BaseException | None) -> None:
        """A call has an answer, or an error, without having reached the handler: it counts all the same."""
        events = self._events
        known = error if isinstance(error, ProviderKitError) else None
        if known is not None:
            known.correlation_id = call.correlation_id
        if not events.sinks_for(RouterCallEnded if events.is_router else CallEnded):
            return
        if reply is None:
            cancelled = isinstance(error, CallCancelledError) or not isinstance(error, Exception)
            self._tell_end(call, "cancelled" if cancelled else "error", None, known)
        else:
            reply.on_end(lambda end: self._tell_end(call, _OUTCOMES[end.how], end.response, None))

    def _tell_end(self, call: Call, outcome: CallOutcome, response: Any, error: ProviderKitError | None) -> None:
        events, runtime = self._events, call.runtime
        duration = runtime.now() - call.started
        kind = RouterCallEnded if events.is_router else CallEnded
        event = kind(
            runtime.time(),
            events.provider,
            call.model,
            call.operation,
            call.correlation_id,
            error,
            outcome,
            duration,
            None,
            0.0,
            call.request,
            response,
            (),
            cached=outcome == "success",
            tags=call.tags,
        )
        if isinstance(event, RouterCallEnded):
            event.source = id(events)
        events.end(event)


def check_middleware(given: Any) -> Middleware:
    """A middleware function.

    Raises:
        ConfigError: It is none.
    """
    if not callable(given) or isinstance(given, type):
        raise ConfigError(
            f"middleware must be functions, not {given!r}.",
            hint="async def middleware(call, call_next): return await call_next(call)",
        )
    return given  # type: ignore[no-any-return]  # a function of a call


def name_of(middleware: Any) -> str:
    """The name of a middleware."""
    return str(getattr(middleware, "name", None) or getattr(middleware, "__qualname__", type(middleware).__name__))


def _find(members: tuple[Middleware, ...], existing: Middleware | str) -> int:
    for place, one in enumerate(members):
        if one is existing or one == existing:
            return place
        if isinstance(existing, str) and existing in (name_of(one), getattr(one, "__name__", None)):
            return place
    known = ", ".join(map(name_of, members)) or "none"
    shown = existing if isinstance(existing, str) else name_of(existing)
    raise ConfigError(f"There is no middleware {shown!r} here.", hint=f"There are: {known}.")


class _Layer:
    """One middleware before a handler."""

    __slots__ = ("_ended_here", "_inner", "_middleware")

    def __init__(
        self,
        middleware: Middleware,
        inner: Handler,
        ended_here: Callable[[Call, Reply | None, BaseException | None], object],
    ) -> None:
        self._middleware = middleware
        self._inner = inner
        self._ended_here = ended_here

    async def handle(self, call: Call) -> Reply:
        onward = _CallNext(self._inner, self._middleware)
        try:
            result: Any = self._middleware(call, onward)
            if not hasattr(result, "__await__"):
                raise self._not_asynchronous(result)
            reply = await result
            if type(reply) is not Reply:
                raise self._mistake(reply)
            if reply.state is not None:
                await reply.start()
            elif type(reply.answer) in _NO_ANSWERS:
                raise self._mistake(reply.answer)
            if onward.replies and (reply.state is None or reply in onward.replies):
                for other in onward.replies:
                    if other is not reply:  # it called on again, or answers by itself: this one is not read
                        await other.aclose()
            if not onward.called:
                self._ended_here(call, reply, None)
            return reply
        except BaseException as error:
            # An error that is kept must hold neither socket nor slot.
            for reply in onward.replies:
                await reply.aclose()
            if not onward.called:
                self._ended_here(call, None, error)
            if type(error) is RuntimeError and call.runtime.kind == "blocking" and "event loop" in str(error):
                error.add_note(
                    f"In the middleware {name_of(self._middleware)}: in a blocking call it may await nothing but "
                    "call_next and call.runtime.sleep()."
                )
            raise

    def _not_asynchronous(self, made: Any) -> ConfigError:
        what = "" if made is None or isinstance(made, Reply) else f", and returned a {type(made).__name__}"
        return ConfigError(
            f"The middleware {name_of(self._middleware)} is not asynchronous{what}.",
            hint="Write async def; it serves blocking calls, too.",
        )

    def _mistake(self, made: Any) -> ConfigError:
        name = name_of(self._middleware)
        if hasattr(made, "__await__"):
            if hasattr(made, "close"):
                made.close()  # Python would warn of a coroutine that was not awaited, later and elsewhere
            return ConfigError(
                f"The middleware {name} returned call_next(call) without awaiting it.",
                hint="return await call_next(call)",
            )
        what = "nothing" if made is None else f"a {type(made).__name__}"
        return ConfigError(
            f"The middleware {name} returned {what}, not a Reply.",
            hint="return await call_next(call), or Reply(ChatResponse(…)).",
        )


class _CallNext:
    """The ``call_next`` of one handling; records what it was answered, and passes the attempts on to the next try."""

    __slots__ = ("_inner", "_middleware", "_tried", "called", "replies")

    def __init__(self, inner: Handler, middleware: Middleware) -> None:
        self._inner = inner
        self._middleware = middleware
        self._tried: Reply | ProviderKitError | None = None
        self.replies: tuple[Reply, ...] = ()
        #: Whether the call was passed on.
        self.called = False

    async def __call__(self, call: Call) -> Reply:
        if type(call) is not Call:
            raise ConfigError(
                f"The middleware {name_of(self._middleware)} passed on a {type(call).__name__}, not a Call.",
                hint="await call_next(call), or await call_next(call.replace(request=…)).",
            )
        self.called = True
        if self._tried is not None:
            call = call.replace(earlier=_attempts_of(self._tried) or call.earlier)
        try:
            reply = self._tried = await self._inner.handle(call)
        except ProviderKitError as error:
            self._tried = error
            raise
        if reply.state is not None:
            self.replies = (*self.replies, reply)
        return reply


def _attempts_of(tried: Reply | ProviderKitError) -> tuple[Attempt, ...]:
    """What an earlier try consisted of."""
    if isinstance(tried, ProviderKitError):
        return tried.attempts
    answer = tried.answer if tried.state is None else tried.state.response()
    return getattr(answer, "attempts", ())
