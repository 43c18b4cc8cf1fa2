"""Whose word is taken for who an upstream is."""

import ssl
from pathlib import Path
from typing import Final, TypeAlias

_Stamp: TypeAlias = tuple[int, int, int] | None
"""What tells a file's content from an earlier one; None where there is no file."""
_made: Final[dict[str | None, tuple[_Stamp, ssl.SSLContext]]] = {}
"""The last of each file, for the next who asks: the system's certificates take 50 to 90 ms of the event loop."""


def trust_in(ca: str | None) -> ssl.SSLContext:
    """TLS that believes the PEM file `ca`, or whom the system believes; the same one until that file changes.

    Raises OSError for a file that cannot be read or has no certificates.
    """
    now = _stamp(ca)
    stamp, trust = _made.get(ca, (None, None))
    if trust is None or stamp != now:
        trust = ssl.create_default_context(cafile=ca)
        trust.set_alpn_protocols(["http/1.1"])
        _made[ca] = now, trust
    return trust


def _stamp(ca: str | None) -> _Stamp:
    """The stamp of the file that `trust_in` reads; it changes with the file, or with what a link leads to."""
    file = ca or ssl.get_default_verify_paths().cafile
    try:
        seen = Path(file).stat() if file else None
    except OSError:
        return None
    return (seen.st_ino, seen.st_size, seen.st_mtime_ns) if seen else None
