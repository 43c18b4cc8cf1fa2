"""How calls ended, whose they were, and why those failed that did."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from msgspec import Struct

from penstockd.metrics.recent import Reading
from penstockd.snapshot.shape import FAULTS


class Endings(Struct, frozen=True, kw_only=True):
    """How many calls ended, and of those that failed, by the daemon's fault or a model's, how many for which reason."""

    ended: int
    reasons: Counter[str]

    @property
    def failed(self) -> int:
        """How many failed."""
        return self.reasons.total()

    @property
    def reason(self) -> str:
        """Why most of them did; empty where none failed."""
        return max(self.reasons, key=self.reasons.__getitem__, default="")

    @property
    def how(self) -> str:
        """How they failed: a sentence's end."""
        count = self.reasons[self.reason]
        return f"{'most' if 2 * count > self.failed else f'{count} of them'} with {self.reason}"


def by_tenant(reading: Reading) -> Mapping[str, Endings]:
    """The calls of each tenant; an empty name has those of nobody who is known."""
    reasons = defaultdict[str, Counter[str]](Counter)
    for (tenant, code, reason), count in reading.of("ended").items():
        if code in FAULTS:
            reasons[tenant][reason] += count
    return {tenant: Endings(ended=ended, reasons=reasons[tenant]) for tenant, ended in reading.by("ended").items()}


def together(endings: Iterable[Endings]) -> Endings:
    """All of them as one."""
    ended, reasons = 0, Counter[str]()
    for each in endings:
        ended += each.ended
        reasons += each.reasons
    return Endings(ended=ended, reasons=reasons)
