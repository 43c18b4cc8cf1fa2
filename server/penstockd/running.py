"""One call in flight, as the adapter sees it."""

import asyncio
from math import inf

from msgspec import Struct

from penstockd.errors import PenstockError
from penstockd.outcome import Outcome


class Running(Struct, eq=False):
    """A call, the task that can be cancelled to cut it, and since when it waits for its reader, in monotonic seconds.

    `generation` counts which endpoints it came by, of all that were ever served. Once it `is_answered`, nothing but its
    reader keeps it.
    """

    task: asyncio.Task[None]
    outcome: Outcome
    generation: int
    has_written: bool = False
    is_answered: bool = False
    writing_since: float = inf

    def cut(self, error: PenstockError) -> None:
        """End it with `error`; it still settles what it used."""
        self.outcome.cut = error
        self.task.cancel()
