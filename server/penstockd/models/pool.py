"""The models of one configuration, and what becomes of those that a reload leaves behind."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

from penstockd.clock import Clock
from penstockd.model import Model

DRAINED_EVERY = 0.1
"""Seconds between looks at whether a model that is left behind still has calls in flight."""


@runtime_checkable
class Closeable(Protocol):
    """A provider that holds connections."""

    async def close(self) -> None:
        """Close them."""


class Pool:
    """Holds models by name."""

    def __init__(self, models: Mapping[str, Model], providers: Mapping[str, object], *, clock: Clock) -> None:
        """`providers` are what the models answer with, by the models' names."""
        self.models = models
        self.providers = providers
        self._clock = clock

    async def close(self, *, but: "Pool | None" = None, is_used: Callable[[], bool] = lambda: False) -> None:
        """Close every provider that `but` does not use on, each once its last call has ended; cancelled, at once.

        `is_used` says whether a call may still come to ask a model, though it asks none now: between two attempts, say.
        """
        kept = set() if but is None else {id(provider) for provider in but.providers.values()}
        closing = [
            self._close(self.models[name], provider, is_used)
            for name, provider in self.providers.items()
            if id(provider) not in kept and isinstance(provider, Closeable)
        ]
        await asyncio.gather(*closing)

    async def _close(self, model: Model, provider: Closeable, is_used: Callable[[], bool]) -> None:
        try:
            while is_used() or model.permits.in_flight > 0:
                await self._clock.sleep(DRAINED_EVERY)
        finally:
            await provider.close()
