"""Counts what every attempt used and what it cost."""

from msgspec.structs import replace

from penstockd.call import Call, Completed, Handler, Reply
from penstockd.model import Prompt, chosen
from penstockd.outcome import Attempt


class Meter:
    """Prices an attempt: by the provider's count when it is whole, by what was reported until then when it is not."""

    async def __call__(self, call: Call[Prompt], proceed: Handler[Prompt]) -> None:
        """Proceed, and write usage and cost to the attempt before its last reply goes out."""
        model = chosen(call.request)
        price = model.price
        attempt = call.request.attempt or Attempt(model="", started_at=call.started_at)

        async def send(reply: Reply) -> None:
            if isinstance(reply, Completed):
                attempt.usage = reply.usage
                attempt.is_complete = True
                attempt.cost_nanousd = price.cost(reply.usage) if price else None
            await call.send(reply)

        try:
            await proceed(replace(call, send=send))
        finally:
            if not attempt.is_complete:
                attempt.cost_nanousd = price.cost(attempt.usage) if price else None
                attempt.is_estimated = True
            model.allowance.settle(held=attempt.held_tokens, used=attempt.usage.total)
