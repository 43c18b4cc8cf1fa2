"""What the daemon costs beside a bare relay to the same upstream, as ratios of one run; it writes nothing."""

import argparse
import os
import pstats
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from benchmarks.configuration import Configuration, as_it_comes, everything_on, nothing_kept
from benchmarks.load import channels, load
from benchmarks.measure import CHAIN, LOADS, QUICK, THOROUGH, WARM_UP, Comparison, Load, measure
from benchmarks.processes import UNACCOUNTED, Process, collector, daemon, relay, upstream
from benchmarks.table import Table

HEADINGS = ("load", "figure", "bare relay", "penstockd", "ratio", "min … max")
WIDTHS = (40, 18, 10, 9, 5, 15)


async def main(arguments: argparse.Namespace) -> None:
    """Measure, or profile, what was asked for."""
    loads = [each for each in LOADS if arguments.only in (None, each.group)]
    with TemporaryDirectory() as name:
        folder = Path(name)
        async with upstream(folder) as source, collector(folder) as sink:
            everything = everything_on(source.address, sink.address)
            configuration = everything if arguments.everything else as_it_comes(source.address)
            if arguments.profile:
                for each in loads:
                    await _profile(configuration, folder, each)
                return
            thin = folder / "thin"
            thin.mkdir()
            async with (
                relay(source, folder) as bare,
                daemon(configuration, folder) as ours,
                daemon(nothing_kept(source.address), thin, UNACCOUNTED) as chain,
            ):
                chain_loads = [each for each in CHAIN if arguments.only in (None, each.group)]
                await _compare(bare, {ours: loads, chain: chain_loads}, arguments)


async def _compare(bare: Process, daemons: Mapping[Process, Sequence[Load]], arguments: argparse.Namespace) -> None:
    """Show what each daemon costs under its loads, and how the first one began and ended."""
    ours = next(iter(daemons))
    pace = QUICK if arguments.quick else THOROUGH
    table = Table(WIDTHS, texts=2, is_markdown=arguments.markdown)
    table.begin(HEADINGS)
    started = Comparison(load="process", figure="start, s", base=[bare.startup], ours=[ours.startup])
    table.show(started.cells())
    for measured, loads in daemons.items():
        async for comparison in measure(bare, measured, loads, pace):
            table.show(comparison.cells())
    memory = Comparison(load="process", figure="memory, MB", base=[bare.memory / 1e6], ours=[ours.memory / 1e6])
    table.show(memory.cells())
    print(f"\n{pace}")


async def _profile(configuration: Configuration, folder: Path, each: Load) -> None:
    """Print the daemon's dearest functions under one load; the profiler makes small Python functions look too dear."""
    profile = folder / "profile"
    profiled = [sys.executable, "-m", "benchmarks.profiled", str(profile)]
    async with daemon(configuration, folder, profiled) as ours, channels(ours.address) as opened:
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
    parser.add_argument("--only", choices=sorted({each.group for each in (*LOADS, *CHAIN)}), help="one group of loads")
    parser.add_argument("--everything", action="store_true", help="a daemon with keys, limits, budgets and traces too")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--markdown", action="store_true", help="show the table as Markdown")
    parser.add_argument("--profile", action="store_true", help="show the daemon's dearest functions instead")
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.run(main(_arguments()))
