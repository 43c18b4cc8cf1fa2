"""The `penstock` command: asks a daemon from a terminal or a script."""

import faulthandler
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from penstock.cli import arguments, terminal
from penstock.errors import PenstockError, Unreachable

REFUSED, USAGE, UNREACHABLE, INTERRUPTED, BROKEN_PIPE = 1, 2, 3, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a usage error raises SystemExit(2)."""
    _reopen_streams()
    _keep_standard_error()
    chosen = arguments.parse(argv)
    try:
        code: int = chosen.run(chosen)
        sys.stdout.flush()
    except PenstockError as error:
        terminal.complain(terminal.describe(error))
        return UNREACHABLE if isinstance(error, Unreachable) else REFUSED
    except BrokenPipeError:
        _give_up_what_is_unwritten()
        return BROKEN_PIPE
    except (ValueError, OSError) as error:
        _give_up_what_is_unwritten()
        terminal.complain(str(error))
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _reopen_streams() -> None:
    """Take a standard stream that the shell closed for one to nowhere, and have the output lose nothing on its way."""
    # In the order of their descriptors, each of which the next socket would take otherwise.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - for good
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper):
        # An answer was paid for: a letter that cannot be shown is no reason to show none.
        out.reconfigure(errors="replace")
        if isinstance(out.buffer, io.RawIOBase):
            # Unbuffered, by PYTHONUNBUFFERED, it would write what fits and forget the rest.
            sys.stdout = open(out.fileno(), "w", encoding=out.encoding, errors="replace", closefd=False)  # noqa: SIM115


def _keep_standard_error() -> None:
    """Keep standard error to ourselves: what gRPC's core logs there is what our own line says better."""
    # It reads GRPC_VERBOSITY when it is imported, long before this. Whoever has set that wants its lines; whoever has
    # put something in the place of our stream has a use for the descriptor.
    own = sys.stderr
    if "GRPC_VERBOSITY" in os.environ or own is not sys.__stderr__ or own is None:
        return
    kept = os.fdopen(os.dup(2), "w", buffering=1, encoding=own.encoding, errors="backslashreplace", closefd=False)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    faulthandler.enable(kept)  # or a crash would say nothing at all
    sys.stderr = kept


def _give_up_what_is_unwritten() -> None:
    """Lose what standard output does not take, because its reader left or its disk is full."""
    try:
        sys.stdout.flush()
    except OSError:
        # Python's own last flush must not stumble over it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


__all__ = ["main"]
