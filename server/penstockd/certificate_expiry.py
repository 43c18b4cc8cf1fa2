"""Reads until when a certificate is good, which the standard library tells of a peer's only."""

import re
from datetime import UTC, datetime
from math import nan
from ssl import PEM_cert_to_DER_cert

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_UTC_TIME = 0x17
_VERSION = 0xA0


def expires_at(pem: str) -> float:
    """Return when the first certificate of a chain expires, in unix seconds.

    It is nan where that cannot be read: a number for people is no reason to refuse what TLS takes.
    """
    found = _CERTIFICATE.search(pem)
    if found is None:
        return nan
    try:
        return _not_after(PEM_cert_to_DER_cert(found.group()))
    except (IndexError, ValueError):
        return nan


def _not_after(der: bytes) -> float:
    """The second time of the fifth field, the version left out, of what is signed: RFC 5280, section 4.1."""
    [(_, certificate)] = _fields(der)
    signed = [field for field in _fields(_fields(certificate)[0][1]) if field[0] != _VERSION]
    _, validity = signed[3]
    tag, text = _fields(validity)[1]
    year = "%y" if tag == _UTC_TIME else "%Y"
    return datetime.strptime(text.decode(), f"{year}%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _fields(der: bytes) -> list[tuple[int, bytes]]:
    """The tag and the content of each value that `der` is made of: X.690, section 8.1."""
    fields, rest = [], der
    while rest:
        tag, length, start = rest[0], rest[1], 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(rest[2:start], "big")
        fields.append((tag, rest[start : start + length]))
        rest = rest[start + length :]
    return fields
