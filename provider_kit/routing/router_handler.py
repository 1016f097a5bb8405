"""The handler of a router: where each of its calls begins."""

from __future__ import annotations

from functools import partial

from provider_kit.engine.call import Call
from provider_kit.engine.handler import Reply
from provider_kit.model.models import Model
from provider_kit.routing.routed_call import RoutedCall
from provider_kit.routing.router_call_end import ended, live_ended
from provider_kit.routing.router_parts import RouterParts

__all__ = ["RouterHandler"]


class RouterHandler(RouterParts):
    """Passes each call on to a target."""

    async def handle(self, call: Call) -> Reply:
        """Answer a call.

        Raises:
            InvalidRequestError: No target can answer it, or serves the model.
            AllProvidersFailedError: Every target that was asked has failed.
            ProviderKitError: A failure that no other target would mend.
        """
        try:
            reply = await self._handle(call)
        except BaseException as error:  # on cancellation too: it has ended
            ended(self, call, None, error)
            raise
        if reply.state is None:
            ended(self, call, reply.answer)
        else:
            reply.on_end(partial(live_ended, self, call))
        return reply

    async def _handle(self, call: Call) -> Reply:
        if call.operation == "models":
            return Reply(await self._models(call))
        if not self.prices_known:
            self.look_up_prices()
        if self.events.asynchronous:
            self.events.check_world(call.runtime)
        routed = RoutedCall(self, call)
        if self.shared is not None:
            await self.shared.read(routed)
        if self.asks_several and len(routed.candidates) > 1 and call.fallback and call.operation in ("chat", "stream"):
            from provider_kit.routing.concurrent import hedge, race

            if self.race is not None:
                return await race(routed, self.race)
            if self.hedge is not None:
                return await hedge(routed, self.hedge)
        return await routed.ask_in_turn(routed.ready_target() or await routed.next_target())

    async def _models(self, call: Call) -> list[Model]:
        """Its own models: each with the smallest window of the targets that serve it."""
        if not call.cached:  # fetch the lists again
            for target in self.targets:
                await target.handler.handle(call)
        return [self.info(name) for name in self.names()]
