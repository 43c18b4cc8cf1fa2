"""The file of a SQLite ledger: whose it is, and whether it is still the same."""

import fcntl
import os
from pathlib import Path

from penstockd.ledger import CannotOpenLedger


def take(path: Path) -> int:
    """Make the file's directory and lock it for this process; files and directory are its user's alone.

    Returns the lock's descriptor; raises CannotOpenLedger.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        remedy = "PENSTOCK_STATE_DIR, or DATABASE_URL where it is set, chooses another place"
        raise CannotOpenLedger(f"cannot open the ledger {path}: {error.strerror}; {remedy}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        remedy = "stop it, or give this one another place: PENSTOCK_STATE_DIR, or DATABASE_URL where it is set"
        raise CannotOpenLedger(f"the ledger {path} belongs to another daemon that runs: {remedy}") from error
    return lock


def identity(name: str) -> tuple[int, int] | None:
    """What tells the file from one that takes its place; None where there is none."""
    try:
        found = os.stat(name)  # noqa: PTH116 - a path takes twice as long, and every commit looks
    except OSError:
        return None
    return found.st_dev, found.st_ino
