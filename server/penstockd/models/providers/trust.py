"""Whose word is taken for who an upstream is."""

import ssl
from pathlib import Path
from typing import Final, TypeAlias
from weakref import WeakValueDictionary

_Stamp: TypeAlias = tuple[int, int, int] | None
"""What tells a file's content from an earlier one; None where there is no file."""
_in_use: Final[WeakValueDictionary[tuple[str | None, _Stamp], ssl.SSLContext]] = WeakValueDictionary()
"""By file and content, for the next who asks: the system's certificates take 50 to 90 ms of the event loop."""


def trust_in(ca: str | None) -> ssl.SSLContext:
    """TLS that believes the PEM file `ca`, or whom the system believes: one for all who use the file as it is now.

    Raises OSError for a file that cannot be read or has no certificates.
    """
    content = ca, _stamp(ca)
    trust = _in_use.get(content)
    if trust is None:
        trust = ssl.create_default_context(cafile=ca)
        trust.set_alpn_protocols(["http/1.1"])
        _in_use[content] = trust
    return trust


def _stamp(ca: str | None) -> _Stamp:
    """The stamp of the file that `trust_in` reads; it changes with the file, or with what a link leads to."""
    file = ca or ssl.get_default_verify_paths().cafile
    try:
        seen = Path(file).stat() if file else None
    except OSError:
        return None
    return (seen.st_ino, seen.st_size, seen.st_mtime_ns) if seen else None
