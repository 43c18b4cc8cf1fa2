"""What each layer costs a unary call, beside a bare relay's whole call: `python -m benchmarks.interceptors`."""

import argparse
import asyncio
import os
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from unittest.mock import patch

import grpc
import uvloop

from benchmarks.configuration import everything_on
from benchmarks.ladder import Ladder, Rung, ladder
from benchmarks.load import channels, question
from benchmarks.measure import LOADS, SETTLE, turn
from benchmarks.processes import Process, collector, relay, upstream
from benchmarks.table import Table

HEADINGS = ("layer", "CPU, µs", "of a relay's call", "middle half")
WIDTHS = (20, 8, 17, 15)
ALONE = LOADS[0]


async def main(arguments: argparse.Namespace) -> None:
    """Measure the chain at every depth, in turns; a layer costs what the chain with it takes more than without."""
    rounds, calls = (10, 50) if arguments.quick else (40, 100)
    with TemporaryDirectory() as name:
        folder = Path(name)
        async with upstream(folder) as source, collector(folder) as sink, relay(source, folder) as bare:
            configuration = everything_on(source.address, sink.address)
            # From here on, so that the processes had theirs: no setting of whoever measures gets in.
            with patch.dict(os.environ, configuration.environment, clear=True):
                async with ladder(configuration, folder) as ours, channels(bare.address) as opened:
                    await _round(ours, bare, opened, calls=calls, step=1)
                    measured = [
                        await _round(ours, bare, opened, calls=calls, step=-1 if number % 2 else 1)
                        for number in range(rounds)
                    ]
    _show([rung.name for rung in ours.rungs], measured, arguments)
    print(
        f"\nMedians of {rounds} rounds of {calls} calls at each depth; a relay's call has gRPC in it, and no layer has."
    )


async def _round(
    ours: Ladder, bare: Process, opened: Sequence[grpc.aio.Channel], *, calls: int, step: int
) -> list[float]:
    """What a call of the relay takes and then what one takes at each depth, in µs of CPU."""
    figures = await turn(bare, opened, ALONE, seconds=0.25)
    depths = [await _climb(rung, ours, calls) for rung in ours.rungs[::step]][::step]
    return [figures["CPU per call, µs"], *depths]


async def _climb(rung: Rung, ours: Ladder, calls: int) -> float:
    questions = [question("fast") for _ in range(calls)]
    before = time.process_time()
    for data in questions:
        await rung.serve(data)
    await asyncio.sleep(SETTLE)
    ours.flush()
    return (time.process_time() - before) / calls * 1e6


def _show(layers: Sequence[str], measured: Sequence[Sequence[float]], arguments: argparse.Namespace) -> None:
    table = Table(WIDTHS, texts=1, is_markdown=arguments.markdown)
    table.begin(HEADINGS)
    calls = [call for call, *_ in measured]
    costs = [[deep - less for less, deep in pairwise([0.0, *depths])] for _, *depths in measured]
    for layer, values in zip(layers, zip(*costs, strict=True), strict=True):
        table.show(_cells(layer, values, calls))
    table.show(_cells("all of these", [depths[-1] for depths in measured], calls))
    table.show(_cells("a relay's call", calls, calls))


def _cells(name: str, values: Sequence[float], calls: Sequence[float]) -> tuple[str, ...]:
    parts = [value / call for value, call in zip(values, calls, strict=True)]
    low, _, high = quantiles(values, n=4, method="inclusive")
    return (name, f"{median(values):.1f}", f"{median(parts):.3f}", f"{low:.1f} … {high:.1f}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.interceptors", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--markdown", action="store_true", help="show the table as Markdown")
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.run(main(_arguments()))
