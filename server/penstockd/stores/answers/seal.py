"""How an answer lies in a store that others may write to, or that may lose a part of it."""

import hmac
from hashlib import blake2b

import msgspec

from penstockd.answers import Answer

VERSION = b"\x02"
TAG_SIZE = 16
LONGEST = 2**20
"""Bytes of the longest answer that is kept."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Answer).decode


class Seal:
    """Makes bytes of answers, and answers of the bytes that it made for the same key, of no others.

    The bytes are a version, a keyed BLAKE2b tag over version, key and message, and the answer as MessagePack.
    """

    def __init__(self, secret: bytes) -> None:
        """Only who has `secret`, 16 to 64 bytes, makes bytes that are believed."""
        self._keyed = blake2b(key=secret, digest_size=TAG_SIZE)

    def close(self, key: str, answer: Answer) -> bytes | None:
        """Return the bytes of `answer` under `key`; None if it is too long to be kept."""
        message = _encode(answer)
        if len(message) > LONGEST:
            return None
        return VERSION + self._tag(key, message) + message

    def open(self, key: str, value: object) -> Answer | None:
        """Return the answer that `value` is; None if it is of another version, key or origin, cut, altered or long."""
        head = len(VERSION) + TAG_SIZE
        if not isinstance(value, bytes) or not head <= len(value) <= head + LONGEST or value[:1] != VERSION:
            return None
        message = value[head:]
        if not hmac.compare_digest(value[1:head], self._tag(key, message)):
            return None
        try:
            return _decode(message)
        except msgspec.ValidationError:
            return None  # an answer has other fields now

    def _tag(self, key: str, message: bytes) -> bytes:
        named = key.encode()
        tag = self._keyed.copy()
        tag.update(b"%b%d:%b%b" % (VERSION, len(named), named, message))
        return tag.digest()
