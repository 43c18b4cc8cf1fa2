"""A process that writes a ledger as fast as it can, and says what is durable: to be killed."""

import asyncio
import sys
import time
from itertools import count
from pathlib import Path

from fakes.ledger import held, ledger_on, settled, uncounted
from penstockd.clock import SystemClock
from penstockd.stores.ledger.sqlite import SqliteDatabase

CALLERS = 8


async def main(path: Path) -> None:
    """Settle attempts for ever; a line on standard output is a call that was answered."""
    ledger = ledger_on(SqliteDatabase(path, is_durable=False), SystemClock())
    await ledger.start(lambda _: None, uncounted)

    async def call(caller: int) -> None:
        for number in count():
            entry = held(call_id=f"{caller}-{number}", at=time.time())
            await ledger.hold(entry)
            await asyncio.sleep(0)
            await ledger.settle(settled(entry, cost_nanousd=1))
            sys.stdout.write(f"{caller}-{number}\n")
            sys.stdout.flush()

    await asyncio.gather(*(call(caller) for caller in range(CALLERS)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
