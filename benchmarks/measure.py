"""Measures two servers side by side: they take turns under the same load, and each round gives one ratio."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from statistics import median, quantiles

import grpc

from benchmarks.load import Caller, Sample, ask, ask_again, channels, load, stream_of
from benchmarks.processes import Process

WARM_UP = 0.3
"""Seconds of each load that are not counted."""
SETTLE = 0.05
"""Seconds after the last answer in which a server does, at its own cost, what it put off."""


@dataclass(frozen=True, slots=True)
class Load:
    """One kind of load: so many callers at once; `unit` is what CPU is counted by."""

    group: str
    name: str
    caller: Caller
    callers: int
    unit: str = "token"

    def units(self, sample: Sample) -> int:
        """How many units `sample` counts."""
        return sample.calls if self.unit == "call" else sample.tokens

    def figures(self, sample: Sample, cpu: float) -> Mapping[str, float]:
        """What `sample` and the seconds of CPU spent on it amount to."""
        percentiles = quantiles(sample.waits, n=100, method="inclusive")
        figures = {f"CPU per {self.unit}, µs": cpu / self.units(sample) * 1e6}
        if sample.messages:
            figures["tokens per message"] = sample.tokens / sample.messages
        return figures | {"p50, ms": percentiles[49] * 1e3, "p99, ms": percentiles[98] * 1e3}


LOADS = (
    *(Load("unary", f"unary, {callers} at once", ask, callers, "call") for callers in (1, 16, 64)),
    *(Load("hit", f"unary, a kept answer, {callers} at once", ask_again, callers, "call") for callers in (1, 16)),
    Load("stream", "streams, 16 at once, as fast as they go", stream_of("fast"), 16),
    *(Load("paced", f"streams, {n} at once, a token every 4 ms", stream_of("paced"), n) for n in (4, 64)),
)


CHAIN = tuple(Load("chain", f"unary, {callers} at once, nothing kept", ask, callers, "call") for callers in (1, 16, 64))
"""For a daemon without ledger and cache."""


@dataclass(frozen=True, slots=True)
class Pace:
    """So many rounds, and so many seconds a turn."""

    rounds: int
    seconds: float

    def __str__(self) -> str:
        return f"Medians of {self.rounds} rounds, {self.seconds} s a turn; each ratio is of two turns of one round."


QUICK, THOROUGH = Pace(5, 0.25), Pace(21, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One figure of both servers, a value for each round: of the one that ours is held against, and of ours."""

    load: str
    figure: str
    base: Sequence[float]
    ours: Sequence[float]

    def cells(self) -> tuple[str, ...]:
        """The medians of both, and of the rounds' ratios with the least and the greatest."""
        ratios = [ours / base for base, ours in zip(self.base, self.ours, strict=True)]
        medians = (
            f"{median(values):.0f}" if median(values) >= 100 else f"{median(values):.3g}"
            for values in (self.base, self.ours)
        )
        return (self.load, self.figure, *medians, f"{median(ratios):.2f}", f"{min(ratios):.2f} … {max(ratios):.2f}")


async def measure(base: Process, ours: Process, loads: Sequence[Load], pace: Pace) -> AsyncIterator[Comparison]:
    """Compare the two under each load; who goes first alternates."""
    async with AsyncExitStack() as stack:
        sides = [(server, await stack.enter_async_context(channels(server.address))) for server in (base, ours)]
        for each in loads:
            for server, opened in sides:
                await turn(server, opened, each, WARM_UP)
            turns: list[Sequence[Mapping[str, float]]] = []
            for number in range(pace.rounds):
                step = -1 if number % 2 else 1
                taken = [await turn(server, opened, each, pace.seconds) for server, opened in sides[::step]]
                turns.append(taken[::step])
            for figure in turns[0][0]:
                of_base, of_ours = ([figures[side][figure] for figures in turns] for side in (0, 1))
                yield Comparison(load=each.name, figure=figure, base=of_base, ours=of_ours)


async def turn(server: Process, opened: Sequence[grpc.aio.Channel], each: Load, seconds: float) -> Mapping[str, float]:
    """Put `server` under a load for some seconds, and return its figures."""
    before = server.cpu
    sample = await load(opened, each.caller, callers=each.callers, seconds=seconds)
    await asyncio.sleep(SETTLE)
    return each.figures(sample, server.cpu - before)
