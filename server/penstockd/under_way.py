"""Knows whether one configuration still has answers to make, whoever waits for them."""

from penstockd.call import Call, Handler
from penstockd.request import Request


class UnderWay:
    """Counts the answers that are being made: keyed and shared work may outlive the call that began it."""

    def __init__(self) -> None:
        """Make none yet."""
        self.count = 0

    def __repr__(self) -> str:
        return f"<UnderWay {self.count}>"

    def counting(self, handler: Handler[Request]) -> Handler[Request]:
        """Return `handler`, each of whose answers counts until it is over."""

        async def handle(call: Call[Request]) -> None:
            self.count += 1
            try:
                await handler(call)
            finally:
                self.count -= 1

        return handle
