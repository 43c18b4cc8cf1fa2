"""What the daemon costs beside a bare relay to the same upstream, as ratios of one run; it writes nothing."""

import argparse
import os
import pstats
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from benchmarks.load import channels, load
from benchmarks.measure import LOADS, WARM_UP, Comparison, Load, measure
from benchmarks.processes import Process, daemon, relay, upstream

HEADINGS = ("load", "figure", "bare relay", "penstockd", "ratio", "min … max")
WIDTHS = (40, 18, 10, 9, 5, 15)


async def main(arguments: argparse.Namespace) -> None:
    """Measure, or profile, what was asked for."""
    loads = [each for each in LOADS if arguments.only in (None, each.group)]
    with TemporaryDirectory() as name:
        folder = Path(name)
        async with upstream(folder) as source:
            if arguments.profile:
                for each in loads:
                    await _profile(source, folder, each)
                return
            async with relay(source, folder) as bare, daemon(source, folder) as ours:
                await _compare(bare, ours, loads, arguments)


async def _compare(bare: Process, ours: Process, loads: Sequence[Load], arguments: argparse.Namespace) -> None:
    rounds, seconds = (5, 0.25) if arguments.quick else (7, 1.4)
    _show(HEADINGS, arguments)
    if arguments.markdown:
        print("| --- | --- | ---: | ---: | ---: | ---: |")
    started = Comparison(load="process", figure="start, s", relay=[bare.startup], daemon=[ours.startup])
    _show(started.cells(), arguments)
    async for comparison in measure(bare, ours, loads, rounds=rounds, seconds=seconds):
        _show(comparison.cells(), arguments)
    memory = Comparison(load="process", figure="memory, MB", relay=[bare.memory / 1e6], daemon=[ours.memory / 1e6])
    _show(memory.cells(), arguments)
    print(f"\nMedians of {rounds} rounds, {seconds} s a turn; each ratio is of two turns of one round.")


def _show(cells: Sequence[str], arguments: argparse.Namespace) -> None:
    if arguments.markdown:
        print(f"| {' | '.join(cells)} |", flush=True)
        return
    texts, numbers = zip(cells[:2], WIDTHS[:2], strict=True), zip(cells[2:], WIDTHS[2:], strict=True)
    padded = [*(f"{text:<{width}}" for text, width in texts), *(f"{number:>{width}}" for number, width in numbers)]
    print("  ".join(padded).rstrip(), flush=True)


async def _profile(source: Process, folder: Path, each: Load) -> None:
    """Print the daemon's dearest functions under one load; the profiler makes small Python functions look too dear."""
    profile = folder / "profile"
    profiled = [sys.executable, "-m", "benchmarks.profiled", str(profile)]
    async with daemon(source, folder, profiled) as ours, channels(ours.address) as opened:
        await load(opened, each.caller, callers=each.callers, seconds=WARM_UP)
        os.kill(ours.pid, signal.SIGUSR1)
        sample = await load(opened, each.caller, callers=each.callers, seconds=3.0)
    units = each.units(sample)
    print(f"\n{each.name}: {units} {each.unit}s; per {each.unit}:\n\n own µs   all µs  times  function")
    rows = [
        (own / units * 1e6, whole / units * 1e6, times / units, f"{'/'.join(Path(file).parts[-3:])}:{line} {function}")
        for (file, line, function), (_, times, own, whole, _) in vars(pstats.Stats(str(profile)))["stats"].items()
    ]
    for own, whole, times, function in sorted(rows, reverse=True)[:60]:
        print(f"{own:7.2f}  {whole:7.2f} {times:6.2f}  {function}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=sorted({each.group for each in LOADS}), help="one group of loads")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--markdown", action="store_true", help="show the table as Markdown")
    parser.add_argument("--profile", action="store_true", help="show the daemon's dearest functions instead")
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.run(main(_arguments()))
