"""One provider's engine: a handler that answers calls by asking the provider. The story of a call begins here."""

from __future__ import annotations

from provider_kit.engine.attempts import Attempts, CallerLeft, EngineParts
from provider_kit.engine.call import Call
from provider_kit.engine.chat import chat
from provider_kit.engine.handler import Reply
from provider_kit.engine.listing import count_tokens, embed, list_models
from provider_kit.engine.stream import begin_stream
from provider_kit.errors import CallCancelledError

__all__ = ["Engine"]

_WHOLE = {
    "chat": chat,
    "models": list_models,
    "health_check": list_models,
    "embed": embed,
    "count_tokens": count_tokens,
}


class Engine:
    """Answers the calls of one client.

    Args:
        parts: What its calls share.
    """

    def __init__(self, parts: EngineParts) -> None:
        self.parts = parts

    async def handle(self, call: Call) -> Reply:
        """Answer a call.

        Raises:
            CallCancelledError: It was called off.
            ProviderKitError: It failed; the error lists every attempt.
        """
        if call.cancel is not None:
            return await self._handle_until_cancelled(call)
        if call.operation == "stream":
            return await begin_stream(Attempts(self.parts, call))
        return Reply(await _WHOLE[call.operation](Attempts(self.parts, call)))

    async def _handle_until_cancelled(self, call: Call) -> Reply:
        cancel = call.cancel
        assert cancel is not None  # asked for only where there is one
        attempts = Attempts(self.parts, call)
        live = False
        try:
            if cancel.cancelled:
                raise CallerLeft
            if call.operation == "stream":
                reply = await begin_stream(attempts)
                live = True
                return reply
            return Reply(await _WHOLE[call.operation](attempts))
        except CallerLeft:
            error = CallCancelledError("The call was cancelled.")
            attempts.describe(error)
            error.attempts = tuple(attempts.failures)
            raise error from None
        finally:
            if not live:  # else the stream does, at its end
                cancel.detach(attempts)
