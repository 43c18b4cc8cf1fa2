"""The `penstock` command: asks a daemon from a terminal or a script."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from penstock.cli import arguments, terminal
from penstock.errors import PenstockError, Unreachable

REFUSED, USAGE, UNREACHABLE, INTERRUPTED, BROKEN_PIPE = 1, 2, 3, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a usage error raises SystemExit(2)."""
    # What gRPC logs is what the errors below say better.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    _reopen_streams()
    chosen = arguments.parse(argv)
    try:
        code: int = chosen.run(chosen)
        sys.stdout.flush()
    except PenstockError as error:
        terminal.complain(terminal.describe(error))
        return UNREACHABLE if isinstance(error, Unreachable) else REFUSED
    except BrokenPipeError:
        # Whoever read us has left; Python's own last flush must not stumble over that.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (ValueError, OSError) as error:
        terminal.complain(str(error))
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _reopen_streams() -> None:
    """Take a standard stream that the shell closed for one to nowhere: `>&-` becomes `>/dev/null`."""
    # In the order of their descriptors, each of which the next socket would take otherwise.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - for good


__all__ = ["main"]
