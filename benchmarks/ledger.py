"""What the ledger costs a call, beside the same daemon without one: `python -m benchmarks.ledger`."""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from benchmarks.configuration import as_it_comes
from benchmarks.load import ask
from benchmarks.measure import QUICK, THOROUGH, Load, measure
from benchmarks.processes import PENSTOCKD, UNACCOUNTED, daemon, upstream
from benchmarks.table import Table

LOADS = tuple(Load("ledger", f"unary, {callers} at once", ask, callers, "call") for callers in (1, 16, 128))
HEADINGS = ("durability", "load", "figure", "no ledger", "ledger", "ratio", "min … max")
TABLE = Table(widths=(10, 20, 17, 9, 9, 5, 15), texts=3)


async def main(arguments: argparse.Namespace) -> None:
    """Measure both durabilities, each beside a daemon without a ledger."""
    pace = QUICK if arguments.quick else THOROUGH
    TABLE.begin(HEADINGS)
    with TemporaryDirectory(dir=arguments.dir) as name:
        bare, ours = (Path(name, part) for part in ("bare", "ours"))
        bare.mkdir()
        ours.mkdir()
        async with upstream(Path(name)) as source:
            configuration = as_it_comes(source.address)
            for durability in ("process", "power"):
                kept = ("env", f"PENSTOCK__LEDGER__DURABILITY={durability}", *PENSTOCKD)
                async with (
                    daemon(configuration, bare, UNACCOUNTED) as without,
                    daemon(configuration, ours, kept) as with_ledger,
                ):
                    async for comparison in measure(without, with_ledger, LOADS, pace):
                        TABLE.show((durability, *comparison.cells()))
    print(f"\n{pace}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ledger", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter turns and fewer rounds")
    parser.add_argument("--dir", type=Path, help="where to keep the ledger: on the disk that matters")
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.run(main(_arguments()))
