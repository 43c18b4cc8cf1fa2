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
    milliseconds = int(unix_seconds * 1000) & (1 << 48) - 1
    digits = f"{milliseconds << 80 | _random_bits(80) & _RANDOM | _VERSION_7:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


_RANDOM = ~(0xF << 76 | 0x3 << 62)
_VERSION_7 = 0x7 << 76 | 0x2 << 62
