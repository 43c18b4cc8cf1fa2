"""Stores of limits on a clock that a test moves: what each of them must do is in one contract."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from fakes.clock import FakeClock
from penstockd.limits import LimitStore
from penstockd.stores.memory_limits import MemoryLimits


@dataclass(frozen=True)
class Bench:
    """A store, how late it is for it in unix seconds, and how to let time pass."""

    store: LimitStore
    wall: Callable[[], float]
    advance: Callable[[float], None]


def memory() -> Bench:
    """The store in this process's memory; its jitter draws the middle."""
    clock = FakeClock()
    return Bench(MemoryLimits(clock, random=lambda: 0.5), clock.wall, clock.advance)


STORES: Final[Mapping[str, Callable[[], Bench]]] = {"memory": memory}
