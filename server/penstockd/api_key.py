"""API keys: what callers show, and the digest under which the configuration knows them.

A key is `pk_`, 256 random bits as 43 digits of base 62, and the CRC-32 of what stands before as 6 more. By the checksum
operators tell garbage from a key that is not known, and a secret scanner a key from chance.
"""

import hmac
import re
import secrets
import string
import zlib
from collections.abc import Callable
from typing import Final

_DIGITS: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_PREFIX: Final = "pk_"
_RANDOM_BITS: Final = 256
_RANDOM_DIGITS: Final = 43
_CHECK_DIGITS: Final = 6
_FORM: Final = re.compile(rf"{_PREFIX}[0-9A-Za-z]{{{_RANDOM_DIGITS + _CHECK_DIGITS}}}", re.ASCII)

LENGTH: Final = len(_PREFIX) + _RANDOM_DIGITS + _CHECK_DIGITS

SAMPLE_KEY: Final = "pk_SampleKeyOfTheDocumentationForDevelopmentNo3qKJW1"
SAMPLE_PEPPER: Final = "sample-pepper-of-the-documentation"
"""What the documentation shows. Everybody knows them, so they open nothing outside development."""


def generate() -> str:
    """Return a new key."""
    body = _PREFIX + _base62(secrets.randbits(_RANDOM_BITS), _RANDOM_DIGITS)
    return body + _checksum(body)


def has_form(key: str) -> bool:
    """Whether `key` has a key's length and digits."""
    return _FORM.fullmatch(key) is not None


def is_well_formed(key: str) -> bool:
    """Whether `key` is spelled as a key, its checksum included."""
    return has_form(key) and key[-_CHECK_DIGITS:] == _checksum(key[:-_CHECK_DIGITS])


def digest(pepper: str, key: str) -> str:
    """Return `hmac-sha256:` and 64 hex digits: what may be stored of `key`."""
    return digester(pepper)(key)


def digester(pepper: str) -> Callable[[str], str]:
    """Return what gives the digests of keys under `pepper`, which is prepared once."""
    peppered = hmac.new(pepper.encode(), digestmod="sha256")

    def digest_of(key: str) -> str:
        code = peppered.copy()
        code.update(key.encode())
        return f"hmac-sha256:{code.hexdigest()}"

    return digest_of


def _checksum(text: str) -> str:
    return _base62(zlib.crc32(text.encode()), _CHECK_DIGITS)


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
