"""Waits for a place at one of several models that are full."""

import asyncio
from collections import deque
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Self

from penstockd.model import Model
from penstockd.resilience.permits import Place


class Places:
    """One call's places in the queues of full models, kept until the block ends.

    Who comes first is served first; a permit that was granted by the end and not taken goes to the next in its queue.
    """

    def __init__(self) -> None:
        self._places: list[Place] = []
        self._grants = 0
        self._granted: deque[Model] = deque()
        self._is_granted = asyncio.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for place in self._places:
            place.leave()
        while self._granted:
            self._granted.popleft().permits.release()

    @property
    def are_waiting(self) -> bool:
        """Whether a permit may still be granted."""
        return self._grants < len(self._places)

    def enter(self, model: Model) -> None:
        """Wait for `model` from now on, which may grant a permit at once; not if its queue is full."""
        place = model.permits.enqueue(partial(self._grant, model))
        if place is not None:
            self._places.append(place)

    def take(self) -> Model | None:
        """The first model that granted a permit, which is then the caller's to release; None if none did."""
        return self._granted.popleft() if self._granted else None

    async def wait(self, seconds: float) -> None:
        """Wait until there is a permit to take, at most `seconds`."""
        if self._granted:
            return
        self._is_granted.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._is_granted.wait()

    def _grant(self, model: Model) -> None:
        self._grants += 1
        self._granted.append(model)
        self._is_granted.set()
