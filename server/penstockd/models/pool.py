"""The models of one configuration, and what becomes of those that a reload leaves behind."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, runtime_checkable

from penstockd.clock import Clock
from penstockd.model import Model

DRAINED_EVERY = 0.1
"""Seconds between looks at whether a pool that is left behind is still in use."""


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
        """Close every provider that `but` does not use on, once none can be asked any more; cancelled, at once.

        `is_used` says whether one still can: by what is under way, and between two attempts now, say.
        """
        kept = set() if but is None else {id(provider) for provider in but.providers.values()}
        try:
            while is_used():
                await self._clock.sleep(DRAINED_EVERY)
        finally:
            await close_all(provider for provider in self.providers.values() if id(provider) not in kept)


async def close_all(providers: Iterable[object]) -> None:
    """Close those of `providers` that hold connections."""
    await asyncio.gather(*(provider.close() for provider in providers if isinstance(provider, Closeable)))
