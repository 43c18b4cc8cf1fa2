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
    time = f"{int(unix_seconds * 1000) & (1 << 48) - 1:012x}"
    random = f"{_random_bits(74):019x}"  # of the first digit two bits are random, and one says which variant it is
    return f"{time[:8]}-{time[8:]}-7{random[1:4]}-{_VARIANT[random[0]]}{random[4:7]}-{random[7:]}"


_VARIANT = {"0": "8", "1": "9", "2": "a", "3": "b"}
