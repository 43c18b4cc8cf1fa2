"""`penstock top`: shows a daemon live, in a terminal."""

import json
import os
import shutil
import sys
import time
from argparse import Namespace

from penstock.cli import terminal
from penstock.cli.admin_port import DEFAULT, AdminPort
from penstock.cli.board import Board, Snapshot
from penstock.errors import PenstockError

LEAST_WIDTH = 40


def run(chosen: Namespace) -> int:
    """Show the daemon once, or again and again until interrupted."""
    url = chosen.admin or os.environ.get("PENSTOCK_ADMIN") or DEFAULT
    port = AdminPort(url, token=os.environ.get("PENSTOCK_ADMIN_TOKEN", ""), timeout=chosen.timeout)
    seen = port.snapshot()
    if chosen.once:
        _show(seen, is_json=chosen.json, is_whole=True)
        return 0
    with terminal.without_cursor():
        lost = ""
        while True:
            _show(seen, is_json=chosen.json, lost=lost)
            time.sleep(chosen.interval)
            try:
                seen, lost = port.snapshot(), ""
            except PenstockError as error:
                lost = error.message


def _show(it: Snapshot, *, is_json: bool, lost: str = "", is_whole: bool = False) -> None:
    if is_json:
        print(json.dumps(it), flush=True)
        return
    size = shutil.get_terminal_size()
    width = max(LEAST_WIDTH, size.columns)
    board = Board(width=width, is_colored=terminal.is_colored(sys.stdout))
    lines = list(board.lines(it, lost=lost))
    if is_whole:
        terminal.write_lines(lines)
        return
    terminal.redraw(lines[: size.lines - 1] if sys.stdout.isatty() else lines)
