"""Whose word is taken for who an upstream is."""

import ssl
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

MOST = 32
"""Contexts that are kept for the next who asks: the system's certificates take 50 to 90 ms of the event loop."""

Stamp: TypeAlias = tuple[int, int, int] | None
"""What tells a file's content from an earlier one; None where there is no file."""


def trust_in(ca: str | None) -> ssl.SSLContext:
    """TLS that believes the PEM file `ca`, or whom the system believes; the same one until that file changes.

    Raises OSError for a file that cannot be read or has no certificates.
    """
    return _made(ca, stamp(ca))


def stamp(ca: str | None) -> Stamp:
    """The stamp of the file that `trust_in` reads; it changes with the file, or with what a link leads to."""
    file = ca or ssl.get_default_verify_paths().cafile
    try:
        seen = Path(file).stat() if file else None
    except OSError:
        return None
    return (seen.st_ino, seen.st_size, seen.st_mtime_ns) if seen else None


@lru_cache(maxsize=MOST)
def _made(ca: str | None, _: Stamp) -> ssl.SSLContext:
    trust = ssl.create_default_context(cafile=ca)
    trust.set_alpn_protocols(["http/1.1"])
    return trust
