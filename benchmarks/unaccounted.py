"""Runs `penstockd` without a ledger, to see what the ledger costs: `python -m benchmarks.unaccounted serve …`."""

import sys
from collections.abc import Callable
from unittest.mock import patch

from penstockd.cli import main
from penstockd.ledger import NoLedger
from penstockd.stores.ledger.tending import Charged


class Unkept(NoLedger):
    """A ledger that has nothing to start or to stop."""

    async def start(self, changed: Callable[[str], None], charged: Charged) -> None:
        """Never find a fault, nor a loss."""

    async def stop(self) -> None:
        """Hold nothing."""


if __name__ == "__main__":
    # Where it is made, and not where it is used: that imports gRPC, which the command has to prepare first.
    with patch("penstockd.builders.ledger.open_ledger", lambda *_, **__: Unkept()):
        sys.exit(main(sys.argv[1:]))
