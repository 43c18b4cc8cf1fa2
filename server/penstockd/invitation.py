"""Tells a person who has just started a daemon how to ask it something."""

import shutil
import sys
from pathlib import Path
from shlex import quote
from typing import Final

from penstockd.config import Settings
from penstockd.config.address import Address, TcpAddress

_USUAL: Final = TcpAddress("127.0.0.1", 50051)
_ALL_ADDRESSES: Final = ("0.0.0.0", "::")  # noqa: S104 - nothing is bound here


def invitation(settings: Settings, listen: Address) -> str | None:
    """The line to show; None where callers need keys or certificates, or nobody is expected to look."""
    if settings.server.tls is not None or not settings.admits_strangers:
        return None
    return f'try it from a second terminal: {_command()} call{_target(listen)} "hello"'


def _command() -> str:
    """How a shell finds the command that was installed beside this program."""
    program = Path(sys.argv[0])
    beside = program.parent / "penstock"
    if program.name == sys.argv[0] or not beside.is_file():
        return "penstock"
    found = shutil.which("penstock")
    return "penstock" if found and beside.samefile(found) else quote(str(beside.absolute()))


def _target(listen: Address) -> str:
    if isinstance(listen, TcpAddress) and listen.host in _ALL_ADDRESSES:
        listen = TcpAddress(_USUAL.host, listen.port)
    return "" if listen == _USUAL else f" --target {quote(str(listen))}"
