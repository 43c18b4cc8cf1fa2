"""The name by which one request is found again in logs and traces."""

import re
from random import Random

_random_bits = Random().getrandbits  # noqa: S311 - a name is no secret, and asking the system costs each call
_VALID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def is_valid(request_id: str) -> bool:
    """Whether a caller may name its request so."""
    return _VALID.fullmatch(request_id) is not None


def generate(unix_seconds: float) -> str:
    """Return a new UUIDv7 (RFC 9562, section 5.7): unique, and sorted by its time in milliseconds."""
    time, random = int(unix_seconds * 1000), _random_bits(74)
    # An f-string takes a third longer, and every call is given a name.
    return "%08x-%04x-7%03x-%04x-%012x" % (  # noqa: UP031
        time >> 16,
        time & 0xFFFF,
        random >> 62,
        0x8000 | random >> 48 & 0x3FFF,
        random & 0xFFFFFFFFFFFF,
    )
