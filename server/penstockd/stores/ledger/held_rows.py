"""The attempts on their way, in a file beside a SQLite ledger: a line there costs a tenth of a commit."""

import os
from collections.abc import Sequence
from contextlib import suppress
from errno import ENOSPC
from pathlib import Path

import msgspec

from penstockd.stores.ledger.operations import Row

LONGEST = 1 << 20
"""Bytes after which the file is written anew, without what was settled; twice what was held then, if that is more."""

_encode = msgspec.json.Encoder().encode

_RELEASED = "forgotten"
"""What marks a row that was taken back: the file's own word, as it outlives whoever wrote it."""


class HeldRows:
    """Adds a row when an attempt begins and drops it when the ledger has the settled one.

    What is written survives the process, like a commit that flushes no disk. Only the end of the file can be torn: it
    grows by whole lines, and is never added to after a write that failed, but written anew.
    """

    def __init__(self, path: Path) -> None:
        """Hold nothing; the file is made when something is."""
        self._path = path
        self._new = Path(f"{path}.new")
        self._is_ours = False
        self._file: int | None = None
        self._size = 0
        self._limit = LONGEST
        self._lines: dict[str, bytes] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def __str__(self) -> str:
        return str(self._path)

    def left(self) -> Sequence[Row]:
        """What a daemon that died has left, its settled rows among them.

        Raises OSError, and ValueError if it is damaged.
        """
        try:
            *lines, _ = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return ()
        left: dict[str, Row] = {}
        for line in lines:
            said = msgspec.json.decode(line, type=dict[str, str | int | bool | None])
            if said.keys() == {_RELEASED}:
                left.pop(str(said[_RELEASED]), None)
            else:
                row = msgspec.convert(said, Row)
                left[_key(row)] = row
        return list(left.values())

    def add(self, row: Row) -> None:
        """Hold `row` from now on; raises OSError, and then does not."""
        line = _encode(row) + b"\n"
        file = self._file
        if file is None or self._size > self._limit:
            file = self._rewrite()
        self._write(file, line)
        self._lines[_key(row)] = line

    def drop(self, row: Row) -> None:
        """Hold `row` no longer; the file may have it for a while."""
        self._lines.pop(_key(row), None)

    def release(self, row: Row) -> bool:
        """Take `row` back, if it is held here, for no death to bring it back; raises OSError where one could."""
        key = _key(row)
        if self._lines.pop(key, None) is None:
            return False
        if self._file is None:
            self._rewrite()
        else:
            self._write(self._file, _encode({_RELEASED: key}) + b"\n")
        return True

    def compact(self) -> None:
        """Leave nothing in the file but what is held; raises OSError."""
        if self._is_ours:
            self._rewrite()

    def clear(self) -> None:
        """Hold nothing, and remove the file; raises OSError."""
        self._let_go()
        self._lines.clear()
        self._new.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)
        self._is_ours = False

    def close(self) -> None:
        """Leave the file to the next daemon if anything was not settled, else remove it."""
        if self._is_ours and not self._lines:
            with suppress(OSError):
                self.clear()
        self._let_go()

    def _rewrite(self) -> int:
        self._let_go()
        self._file = file = os.open(self._new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        self._write(file, b"".join(self._lines.values()))
        try:
            self._new.replace(self._path)
        except OSError:
            self._let_go()
            raise
        self._is_ours = True
        self._limit = max(LONGEST, 2 * self._size)
        return file

    def _write(self, file: int, data: bytes) -> None:
        """Write all of it, or let go of the file."""
        try:
            written = os.write(file, data)
        except OSError:
            self._let_go()
            raise
        if written < len(data):
            self._let_go()
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        self._size += written

    def _let_go(self) -> None:
        file, self._file, self._size = self._file, None, 0
        if file is not None:
            os.close(file)


def _key(row: Row) -> str:
    return f"{row.call_id}/{row.attempt}"
