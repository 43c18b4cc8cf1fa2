"""Answers where one process keeps its own."""

from collections.abc import Callable

from penstockd.clock import Clock
from penstockd.stores.answers.bounded_memory import BoundedMemoryCache
from penstockd.stores.answers.seal import Seal
from penstockd.stores.answers.stored_answers import StoredAnswers


class MemoryAnswers(StoredAnswers):
    """Answers in this process's memory, within bounds; `cache` knows how full it is."""

    def __init__(
        self, seal: Seal, *, max_entries: int, max_bytes: int, clock: Clock, random: Callable[[], float]
    ) -> None:
        """Start empty."""
        self.cache = BoundedMemoryCache(max_entries=max_entries, max_bytes=max_bytes, clock=clock)
        super().__init__(self.cache, seal, random=random)

    async def purge(self, *, tenant: str = "", agent: str = "") -> int:
        """Forget the answers of `tenant` and `agent`, empty being all of them; return how many there were."""
        return self.cache.purge(tenant=tenant, agent=agent)
