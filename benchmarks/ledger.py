"""What the ledger costs a call, beside the same daemon without one: `python -m benchmarks.ledger`."""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from benchmarks.load import ask
from benchmarks.measure import Load, measure
from benchmarks.processes import PENSTOCKD, daemon, upstream

LOADS = tuple(Load("ledger", f"unary, {callers} at once", ask, callers, "call") for callers in (1, 16, 128))
WITHOUT = (sys.executable, "-m", "benchmarks.unaccounted")
HEADINGS = ("durability", "load", "figure", "no ledger", "ledger", "ratio", "min … max")
WIDTHS = (10, 20, 17, 9, 9, 5, 15)


async def main(arguments: argparse.Namespace) -> None:
    """Measure both durabilities, each beside a daemon without a ledger; two commits a call, open and close."""
    rounds, seconds = (5, 0.25) if arguments.quick else (7, 1.4)
    _show(HEADINGS)
    with TemporaryDirectory(dir=arguments.dir) as name:
        bare, ours = (Path(name, part) for part in ("bare", "ours"))
        bare.mkdir()
        ours.mkdir()
        async with upstream(Path(name)) as source:
            for durability in ("process", "power"):
                kept = ("env", f"PENSTOCK__LEDGER__DURABILITY={durability}", *PENSTOCKD)
                async with daemon(source, bare, WITHOUT) as without, daemon(source, ours, kept) as with_ledger:
                    async for comparison in measure(without, with_ledger, LOADS, rounds=rounds, seconds=seconds):
                        _show((durability, *comparison.cells()))
    print(f"\nMedians of {rounds} rounds, {seconds} s a turn; each ratio is of two turns of one round.")


def _show(cells: tuple[str, ...]) -> None:
    print("  ".join(f"{cell:<{width}}" for cell, width in zip(cells, WIDTHS, strict=True)).rstrip(), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ledger", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter turns and fewer rounds")
    parser.add_argument("--dir", type=Path, help="where to keep the ledger: on the disk that matters")
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.run(main(_arguments()))
